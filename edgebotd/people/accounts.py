"""Users, their roles, passwords and grants, as an administrator changes them."""

from __future__ import annotations

import logging
import re
import sqlite3
from typing import Any, Final

from edgebotd.access import LOCAL_USER_ID, Grant
from edgebotd.errors import Conflict, Invalid, NotFound
from edgebotd.events import BOT_ID_PATTERN
from edgebotd.people.audit import SYSTEM, Actor, record
from edgebotd.people.directory import People
from edgebotd.people.passwords import Passwords
from edgebotd.people.record import Record
from edgebotd.store import sessions, users
from edgebotd.store.users import User

log = logging.getLogger(__name__)

RESERVED_IDS: Final = frozenset({LOCAL_USER_ID, SYSTEM.user_id})
"""What the audit calls those who are no users."""

_ID: Final = re.compile(BOT_ID_PATTERN)
MAX_NAME: Final = 100


def check_user_id(user_id: str) -> None:
    """Pass an id that a new user may have.

    Raises:
        Invalid: of another form, or reserved.
    """
    if not _ID.fullmatch(user_id):
        raise Invalid("A user id has 1 to 32 of a-z, 0-9 and '-', and begins with a letter or a digit.")
    if user_id in RESERVED_IDS:
        raise Invalid(f"The user id '{user_id}' is reserved. Choose another one.")


def warn_of_reserved_ids(people: People) -> None:
    """Say in the log where a user has an id that stands for somebody else, as an older store may have it."""
    for user_id in sorted(RESERVED_IDS):
        if people.record(user_id) is not None:
            log.warning(
                "the user '%s' has an id that is reserved, and shares read markers and lines of the audit with whom it"
                " stands for: add a user with another id and remove this one (edgebotd user add, user remove)",
                user_id,
            )


class Accounts:
    """Every method is one transaction with its audit entry; streams and sockets follow at once."""

    def __init__(self, people: People, passwords: Passwords) -> None:
        self._people = people
        self._passwords = passwords

    async def add(self, actor: Actor, user_id: str, name: str, *, admin: bool, password: str | None) -> Record:
        """Make a user; without a password it gets in by a one-time code only.

        Raises:
            Invalid: id or password will not do.
            Conflict: the id is taken or was.
        """
        check_user_id(user_id)
        hashed = None if password is None else await self._passwords.hash(password)
        now = self._people.now()

        def write(conn: sqlite3.Connection) -> None:
            users.add(conn, User(user_id, name or user_id, admin, hashed, now))
            record(conn, actor, now, "user.add", user_id, admin=admin)

        await self._people.change(user_id, write)
        return self.get(user_id)

    def get(self, user_id: str) -> Record:
        """Return a user.

        Raises:
            NotFound: there is none.
        """
        found = self._people.record(user_id)
        if found is None:
            raise NotFound("user", user_id)
        return found

    async def edit(
        self,
        actor: Actor,
        user_id: str,
        *,
        name: str | None = None,
        admin: bool | None = None,
        disabled: bool | None = None,
    ) -> Record:
        """Change what is not None. A disabled user's credentials are worth nothing while it is.

        Raises:
            NotFound: no such user.
            Conflict: it would leave no admin.
        """
        now = self._people.now()

        def write(conn: sqlite3.Connection) -> None:
            before = users.get(conn, user_id)
            if before is None:
                raise NotFound("user", user_id)
            if name is not None:
                users.rename(conn, user_id, name)
            if admin is not None:
                users.set_admin(conn, user_id, admin)
            if disabled is not None and disabled != (before.disabled_at is not None):
                users.set_disabled(conn, user_id, now if disabled else None)
            _keep_an_admin(conn, before)
            changes = {"name": name, "admin": admin, "disabled": disabled}
            detail: dict[str, Any] = {key: value for key, value in changes.items() if value is not None}
            record(conn, actor, now, "user.edit", user_id, **detail)

        await self._people.change(user_id, write)
        return self.get(user_id)

    async def remove(self, actor: Actor, user_id: str) -> None:
        """Remove a user with all credentials; the id is not given again.

        Raises:
            NotFound: no such user.
            Conflict: the last admin.
        """
        now = self._people.now()

        def write(conn: sqlite3.Connection) -> None:
            before = users.get(conn, user_id)
            if before is None:
                raise NotFound("user", user_id)
            users.remove(conn, user_id, now)
            _keep_an_admin(conn, before)
            record(conn, actor, now, "user.remove", user_id)

        await self._people.change(user_id, write)

    async def set_password(self, actor: Actor, user_id: str, password: str) -> None:
        """Set a user's password and end all the user's sessions, but not the one that the actor acts in.

        Raises:
            Invalid: too short or too long.
            NotFound: no such user.
        """
        hashed = await self._passwords.hash(password)
        now = self._people.now()

        def write(conn: sqlite3.Connection) -> None:
            users.set_password(conn, user_id, hashed)
            sessions.delete_of_user(conn, user_id, keep=actor.session_id)
            record(conn, actor, now, "user.password", user_id)

        await self._people.change(user_id, write)

    async def grant(self, actor: Actor, user_id: str, bot_id: str, grant: Grant | None) -> None:
        """Give a user a grant on a bot, or with None take it.

        Raises:
            NotFound: no such user, or no grant to take.
        """
        now = self._people.now()

        def write(conn: sqlite3.Connection) -> None:
            if grant is not None:
                users.set_grant(conn, user_id, bot_id, grant)
                record(conn, actor, now, "grant.set", user_id, bot_id=bot_id, grant=grant.name.lower())
            elif users.get(conn, user_id) is None or not users.remove_grant(conn, user_id, bot_id):
                raise NotFound("grant")
            else:
                record(conn, actor, now, "grant.remove", user_id, bot_id=bot_id)

        await self._people.change(user_id, write)

    async def forget_bot(self, bot_id: str) -> None:
        """Take everybody's grant on a bot that was removed."""

        def write(conn: sqlite3.Connection) -> list[str]:
            holders = [user_id for user_id, grants in users.all_grants(conn).items() if bot_id in grants]
            users.remove_grants_on(conn, bot_id)
            return holders

        await self._people.change_many(lambda holders: holders, write)


def _keep_an_admin(conn: sqlite3.Connection, before: User) -> None:
    # In the writer, inside the transaction: two requests that each demote the other find out here.
    if before.admin and before.disabled_at is None and users.count_admins(conn) == 0:
        raise Conflict("last_admin", "This is the last administrator. Make another one first.")
