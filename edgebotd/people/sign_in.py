"""Getting in and out: passwords, one-time codes, sessions."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from edgebotd.access import Principal
from edgebotd.errors import Conflict, Forbidden, Invalid, NotFound, Problem
from edgebotd.people.accounts import check_user_id
from edgebotd.people.audit import Actor, record
from edgebotd.people.codes import add_code
from edgebotd.people.directory import People
from edgebotd.people.limiter import LoginLimiter
from edgebotd.people.passwords import Passwords
from edgebotd.people.secret import digest, new_id, new_secret
from edgebotd.store import codes, sessions, users
from edgebotd.store.codes import Code, Purpose
from edgebotd.store.sessions import Session
from edgebotd.store.users import User

_log = logging.getLogger(__name__)

MAX_SESSIONS: Final = 100
"""Of one user; the full case: the oldest ends."""

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session. The secret goes into the cookie and nowhere else."""

    user_id: str
    session_id: str
    secret: str = field(repr=False)
    expires_at: int


@dataclass(frozen=True, slots=True)
class From:
    """Where a login comes from, for the limiter and the audit."""

    address: str
    user_agent: str = ""


class BadCredentials(Problem):
    """One answer for an unknown user, a wrong password, a disabled account."""

    def __init__(self) -> None:
        super().__init__(401, "bad_credentials", "Wrong user or password.")


class BadCode(Problem):
    """One answer for an unknown, used and expired code."""

    def __init__(self) -> None:
        super().__init__(
            401,
            "bad_code",
            "This link is not valid: it was used, or it is too old. An administrator makes a new one with "
            "`edgebotd user passwd NAME --link`; for the first administrator, `edgebotd init` does.",
        )


class SetupIncomplete(Problem):
    """The code is right, and waits for a password (and for the first admin, an id); it was not used up."""

    def __init__(self, user_id: str | None) -> None:
        super().__init__(
            422,
            "setup_incomplete",
            "Choose a password." if user_id else "Choose a user id and a password for the administrator.",
            extra={"userId": user_id},
        )


class SignIn:
    """Logins and sessions.

    Args:
        attempts: logins a minute for one account from one address.
        clock: monotonic seconds, for the limiter.
    """

    def __init__(
        self,
        people: People,
        passwords: Passwords,
        *,
        session_days: float = 30,
        code_seconds: float = 900,
        attempts: int = 10,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._people = people
        self._passwords = passwords
        self._session_ms = round(session_days * DAY_MS)
        self._code_seconds = code_seconds
        self._limiter = LoginLimiter(attempts, clock)

    async def login(self, user_id: str, password: str, where: From) -> SignedIn:
        """Open a session.

        Raises:
            BadCredentials: in every case that is not right.
            TooManyAttempts: wait.
        """
        hashed = await self._verify(user_id, password, where)
        rehashed = await self._passwords.hash(password) if self._passwords.outdated(hashed) else None

        def write(conn: sqlite3.Connection) -> SignedIn:
            user = users.get(conn, user_id)
            if user is None or user.disabled_at is not None or user.password_hash != hashed:
                raise BadCredentials  # changed while we hashed
            if rehashed is not None:
                users.set_password(conn, user_id, rehashed)
            return self._open_session(conn, user_id, where, "login", "password")

        return await self._people.change(user_id, write)

    async def _verify(self, user_id: str, password: str, where: From) -> str:
        """Return the hash that the password fits."""
        self._limiter.take(user_id, where.address)
        known = self._people.record(user_id)
        hashed = known.user.password_hash if known is not None and known.user is not None and known.active else None
        if not await self._passwords.verify(hashed, password) or hashed is None:
            if known is not None:
                # Only a known id: what stands in the field for the user is now and then a password.
                _log.warning("login of %s from %s failed", user_id, where.address)
                await self._people.change(None, lambda conn: self._note_failure(conn, user_id, where))
            raise BadCredentials
        self._limiter.give_back(user_id, where.address)
        return hashed

    def _note_failure(self, conn: sqlite3.Connection, user_id: str, where: From) -> None:
        actor = Actor(user_id, "nobody", where.address)
        record(conn, actor, self._people.now(), "login.failed", user_id, userAgent=where.user_agent)

    def _open_session(self, conn: sqlite3.Connection, user_id: str, where: From, action: str, kind: str) -> SignedIn:
        now = self._people.now()
        secret, session_id, expires_at = new_secret(), new_id("s"), now + self._session_ms
        session = Session(
            session_id, user_id, digest(secret), now, expires_at, now, where.address, where.user_agent or None
        )
        sessions.add(conn, session)
        for old in sessions.of_user(conn, user_id)[MAX_SESSIONS:]:
            sessions.delete(conn, old.id)
        record(conn, Actor(user_id, kind, where.address), now, action, user_id, sessionId=session_id)
        return SignedIn(user_id, session_id, secret, expires_at)

    async def change_own_password(self, actor: Actor, current: str, new: str) -> None:
        """Set the actor's own password; the actor's other sessions end.

        Raises:
            BadCredentials: the current one is wrong; with status 403, for the session is not to blame.
            TooManyAttempts, Invalid: as for logins and new passwords.
        """
        if self._people.record(actor.user_id) is None:
            raise Invalid("A local administrator has no password here; `edgebotd user passwd USER` sets a user's.")
        where = From(actor.address or "unknown")
        try:
            hashed = await self._verify(actor.user_id, current, where)
        except BadCredentials:
            raise Forbidden("The current password is wrong.") from None
        fresh = await self._passwords.hash(new)

        def write(conn: sqlite3.Connection) -> None:
            user = users.get(conn, actor.user_id)
            if user is None or user.password_hash != hashed:
                raise Conflict("password_changed", "The password was changed meanwhile. Try again.")
            users.set_password(conn, actor.user_id, fresh)
            sessions.delete_of_user(conn, actor.user_id, keep=actor.session_id)
            record(conn, actor, self._people.now(), "user.password", actor.user_id)

        await self._people.change(actor.user_id, write)

    # One-time codes

    async def add_code(self, actor: Actor, purpose: Purpose, user_id: str | None) -> tuple[str, int]:
        """Make a one-time code; return it and when it expires.

        Raises:
            NotFound: no such user.
            Invalid: a login without a user.
            Conflict: setup of the first admin, and there is one.
        """
        if user_id is None and purpose == "login":
            raise Invalid("A login code is for one user: name it.")
        now = self._people.now()

        def write(conn: sqlite3.Connection) -> tuple[str, int]:
            if user_id is None:
                _no_admin_yet(conn)
            elif users.get(conn, user_id) is None:
                raise NotFound("user", user_id)
            record(conn, actor, now, "code.add", user_id or "setup", purpose=purpose)
            return add_code(conn, purpose, user_id, now=now, lifetime_seconds=self._code_seconds)

        return await self._people.change(None, write)

    async def redeem(
        self,
        code: str,
        where: From,
        *,
        user_id: str | None = None,
        name: str | None = None,
        password: str | None = None,
    ) -> SignedIn:
        """Use a code up and open a session.

        Raises:
            BadCode: unknown, used or expired.
            SetupIncomplete: a right code that needs more; it is still good.
            Conflict: setup of the first admin, and there is one.
            TooManyAttempts, Invalid: as for logins and new users.
        """
        self._limiter.take("one-time code", where.address)
        hashed_code, now = digest(code), self._people.now()
        found = await self._people.database.read(lambda conn: codes.find(conn, hashed_code, now))
        if found is None:
            raise BadCode
        self._limiter.give_back("one-time code", where.address)
        hashed: str | None = None
        if found.purpose == "setup":
            user_id = found.user_id or user_id
            if password is None or user_id is None:
                raise SetupIncomplete(found.user_id)
            if found.user_id is None:
                check_user_id(user_id)
            hashed = await self._passwords.hash(password)

        def write(conn: sqlite3.Connection) -> SignedIn:
            taken = codes.take(conn, hashed_code, self._people.now())
            if taken is None:
                raise BadCode
            holder = self._prepare(conn, taken, user_id, name, hashed)
            return self._open_session(conn, holder, where, f"{taken.purpose}.code", "code")

        return await self._people.change_many(lambda signed_in: (signed_in.user_id,), write)

    def _prepare(
        self, conn: sqlite3.Connection, code: Code, user_id: str | None, name: str | None, hashed: str | None
    ) -> str:
        """Do what the code is for; return whose session follows."""
        if code.purpose == "setup" and code.user_id is None:
            _no_admin_yet(conn)
            assert user_id is not None
            users.add(conn, User(user_id, name or user_id, True, hashed, self._people.now()))
            return user_id
        assert code.user_id is not None
        user = users.get(conn, code.user_id)
        if user is None or user.disabled_at is not None:
            raise BadCode
        if code.purpose == "setup":
            users.set_password(conn, user.id, hashed)
            sessions.delete_of_user(conn, user.id)
        return user.id

    # Sessions

    async def logout(self, principal: Principal, address: str) -> None:
        """End the session that the principal is; a token's or local admin's call changes nothing."""
        if (session_id := Actor.of(principal, address).session_id) is not None:
            await self.end_session(Actor.of(principal, address), principal.user_id, session_id)

    def holder(self, session_id: str) -> str | None:
        """Return whose session it is; None where there is none."""
        owners = (record.user_id for record in self._people.records() if session_id in {s.id for s in record.sessions})
        return next(owners, None)

    async def end_session(self, actor: Actor, user_id: str, session_id: str) -> None:
        """End one of a user's sessions.

        Raises:
            NotFound: the user has no such session.
        """

        def write(conn: sqlite3.Connection) -> None:
            session = sessions.get(conn, session_id)
            if session is None or session.user_id != user_id:
                raise NotFound("session")
            sessions.delete(conn, session_id)
            record(conn, actor, self._people.now(), "session.end", user_id, sessionId=session_id)

        await self._people.change(user_id, write)


def _no_admin_yet(conn: sqlite3.Connection) -> None:
    if users.count_admins(conn):
        raise Conflict("already_set_up", "There is an administrator already. Log in, or ask for a link of your own.")
