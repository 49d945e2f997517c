"""Who exists and who a secret is: all of it in memory, so that a request is authenticated without IO.

The store is the truth. A change is one write transaction with its audit entry; what it left behind is read in that same
transaction and put into memory in the order of the commits, then `on_change` is told. So a revoked credential is gone
from memory before its revocation is answered.
"""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import outcome
import trio

from edgebotd.access import Kind, Principal
from edgebotd.errors import NotFound
from edgebotd.people.record import Record, read_record
from edgebotd.people.secret import digest
from edgebotd.store import audit, codes, sessions, tokens, users
from edgebotd.store.database import Database, Transaction

T = TypeVar("T")

TOUCH_SECONDS: Final = 60
"""How exact `seenAt` and `usedAt` are, and how often they are written, all in one go."""

CLOSE_SECONDS: Final = 2.0


class People:
    """The directory. Made by `open_people`; the operations are in `accounts`, `sign_in` and `tokens`.

    Args:
        now: Unix milliseconds.
    """

    def __init__(self, database: Database, now: Callable[[], int]) -> None:
        self.database = database
        self.now = now
        self._records: dict[str, Record] = {}
        self._by_hash: dict[bytes, _Entry] = {}
        self._by_id: dict[str, _Entry] = {}
        self._listeners: list[Callable[[], None]] = []

    # Authentication

    def principal_of_session(self, secret: str) -> Principal | None:
        """Return who holds a session's secret; None for a wrong or expired one."""
        return self._principal(secret, Kind.SESSION)

    def principal_of_token(self, secret: str) -> Principal | None:
        """Return who holds a token's secret; None for a wrong or expired one."""
        return self._principal(secret, Kind.TOKEN)

    def refresh(self, principal: Principal) -> Principal | None:
        """Return the same credential's principal as of now, narrowed as it was; None where it is worth nothing now."""
        if principal.shown_to is not None:
            asker = self.refresh(principal.shown_to)
            record = self._records.get(principal.user_id)
            if asker is None or not asker.admin or record is None or not record.active:
                return None
            return _view_of(record, asker)
        if principal.kind is Kind.LOCAL:
            return principal
        entry = self._by_id.get(principal.credential_id)
        if entry is None or self._expired(entry.principal):
            return None
        fresh = entry.principal
        if principal.bots == fresh.bots:
            return fresh
        # It was narrowed at a bot's own host, which a change of rights does not undo.
        bots = principal.bots if fresh.bots is None else (principal.bots or frozenset()) & fresh.bots
        return replace(fresh, bots=bots, admin=False)

    def seen_by(self, admin: Principal, user_id: str) -> Principal:
        """Return what an administrator uses to see what a user sees; it lives as long as both.

        Raises:
            Forbidden: no administrator.
            NotFound: no such user, or a disabled one, who sees nothing.
        """
        admin.require_admin()
        record = self._records.get(user_id)
        if record is None or not record.active:
            raise NotFound("user", user_id)
        return _view_of(record, admin)

    def _principal(self, secret: str, kind: Kind) -> Principal | None:
        hashed = digest(secret)
        entry = self._by_hash.get(hashed)
        if entry is None or not hmac.compare_digest(entry.hash, hashed) or entry.principal.kind is not kind:
            return None
        now = self.now()
        expires_at = entry.principal.expires_at
        if expires_at is not None and now >= expires_at:
            return None
        entry.used_at = now
        return entry.principal

    def _expired(self, principal: Principal) -> bool:
        return principal.expires_at is not None and self.now() >= principal.expires_at

    # Looking up

    def record(self, user_id: str) -> Record | None:
        """Return an existing user as of now."""
        return self._records.get(user_id)

    def records(self) -> list[Record]:
        """Return all users, in order of the id."""
        return [self._records[user_id] for user_id in sorted(self._records)]

    def has_admin(self) -> bool:
        """Whether somebody can administrate, beside the local admin."""
        return any(record.active and record.user is not None and record.user.admin for record in self._records.values())

    def used_at(self, credential_id: str, stored: int | None) -> int | None:
        """Return when a session or token was last used, what is not written yet included."""
        entry = self._by_id.get(credential_id)
        used = 0 if entry is None else entry.used_at
        return max(used, stored or 0) or None

    # Changing

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call a function after each change, synchronously, once memory has it. It must not raise."""
        self._listeners.append(listener)

    async def change(self, user_id: str | None, write: Callable[[sqlite3.Connection], T]) -> T:
        """Run a write about one user, or with None about none of them, and put what it left into memory.

        Cancelled while waiting: the write and its place in memory still happen.

        Raises:
            whatever `write` raised; then nothing has changed.
        """
        affected = () if user_id is None else (user_id,)
        return await self.change_many(lambda _: affected, write)

    async def change_many(self, affected: Callable[[T], Iterable[str]], write: Callable[[sqlite3.Connection], T]) -> T:
        """As `change`, where the result says which users it was about."""
        finished = trio.Event()
        answer: outcome.Outcome[tuple[T, list[Record]]] | None = None

        def run(transaction: Transaction) -> tuple[T, list[Record]]:
            value = write(transaction.connection)
            return value, [read_record(transaction.connection, user_id) for user_id in affected(value)]

        def done(result: outcome.Outcome[tuple[T, list[Record]]]) -> None:
            # Called in the order of the commits, which the tasks that wait are not woken in.
            nonlocal answer
            answer = result
            finished.set()
            if isinstance(result, outcome.Value):
                for record in result.value[1]:
                    self._keep(record)
                if result.value[1]:
                    self._tell()

        self.database.submit(run, done)
        await finished.wait()
        assert answer is not None
        return answer.unwrap()[0]

    def _keep(self, record: Record) -> None:
        old = self._records.pop(record.user_id, None)
        used: dict[bytes, int] = {}
        for hashed, principal in old.credentials() if old is not None else ():
            if (entry := self._by_hash.pop(hashed, None)) is not None:
                used[hashed] = entry.used_at
            self._by_id.pop(principal.credential_id, None)
        if record.user is None:
            return
        self._records[record.user_id] = record
        for hashed, principal in record.credentials():
            entry = _Entry(hashed, principal, used.get(hashed, 0))
            self._by_hash[hashed] = entry
            self._by_id[principal.credential_id] = entry

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    # On the clock

    async def load(self) -> None:
        """Read everything; done once, before anybody is let in."""
        for record in await self.database.read(lambda conn: [read_record(conn, u.id) for u in users.all_users(conn)]):
            self._keep(record)

    async def run(self) -> None:
        """Write when credentials were used, and forget what has expired; once a minute, until cancelled."""
        while True:
            await trio.sleep(TOUCH_SECONDS)
            await self.flush()
            await self._purge()

    async def flush(self) -> None:
        """Write when credentials were used."""
        used = [entry for entry in self._by_id.values() if entry.used_at > entry.written_at]
        if not used:
            return
        pairs = {
            kind: [(e.principal.credential_id, e.used_at) for e in used if e.principal.kind is kind] for kind in Kind
        }

        def write(transaction: Transaction) -> None:
            sessions.touch(transaction.connection, pairs[Kind.SESSION])
            tokens.touch(transaction.connection, pairs[Kind.TOKEN])

        for entry in used:
            entry.written_at = entry.used_at
        await self.database.write(write)

    async def _purge(self) -> None:
        now = self.now()
        stale = {e.principal.user_id for e in self._by_id.values() if self._expired(e.principal)}

        def write(conn: sqlite3.Connection) -> set[str]:
            sessions.purge(conn, now)
            codes.purge(conn, now)
            return stale

        await self.change_many(lambda users_: users_, write)

    async def audit(self, entry: audit.Entry) -> None:
        """Append an entry that belongs to no change of this floor."""
        await self.database.write(lambda transaction: audit.append(transaction.connection, entry))


def _view_of(record: Record, admin: Principal) -> Principal:
    assert record.user is not None
    return Principal(
        kind=admin.kind,
        user_id=record.user_id,
        name=record.user.name,
        credential_id=admin.credential_id,
        admin=record.user.admin,
        grants=record.grants,
        expires_at=admin.expires_at,
        every_bot=record.user.admin,
        shown_to=admin,
    )


@dataclass(slots=True)
class _Entry:
    hash: bytes
    principal: Principal
    used_at: int = 0
    written_at: int = 0


@asynccontextmanager
async def open_people(database: Database, *, now: Callable[[], int]) -> AsyncIterator[People]:
    """Open the directory; its task ends with the block, after what is unwritten was written."""
    people = People(database, now)
    await people.load()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(people.run, name="people")
        try:
            yield people
        finally:
            nursery.cancel_scope.cancel()
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                await people.flush()
