"""The one SQLite file: one writer with group commit and a few readers; or all of it inline on `:memory:`.

A write is a function that gets a `Transaction` and changes nothing but the database. The writer takes what has queued
up, runs it in one transaction, commits once, and hands all outcomes to the Trio thread in one go, in the order of
submission; a write that fails is rolled back alone. So a write is durable before anyone hears of it, and a busy daemon
pays one fsync for many.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import outcome
import trio
from typing_extensions import override

from edgebotd.store import connection, migrations
from edgebotd.store.errors import DatabaseError, StoreBusy, StoreClosed, StoreError
from edgebotd.store.indexing import Indexer
from edgebotd.store.writer import Finished, Transaction, Waiting, WriterThread, commit_group, translated

__all__ = ["Database", "DatabaseError", "StoreBusy", "StoreClosed", "StoreError", "Transaction", "open_database"]

T = TypeVar("T")
_log = logging.getLogger(__name__)

WAITING_WRITES: Final = 100_000
"""Writes that may wait, about 100 MB of messages or 10 s of the fastest disk. Full: `submit` raises `StoreBusy`."""

READERS: Final = 4
"""Reads at once. More only wait for the same few cores; the others queue in order."""

CLOSE_SECONDS: Final = 10.0
"""How long `open_database` waits at exit for queued writes."""


class Database:
    """Access to the store. From `open_database`, which closes it; all methods are for the Trio thread."""

    def __init__(self) -> None:
        self._waiting = 0
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many writes wait for their commit."""
        return self._waiting

    def submit(self, write: Callable[[Transaction], T], done: Callable[[outcome.Outcome[T]], None]) -> None:
        """Queue a write; `done` is called in the Trio thread with its outcome, after the commit, in submission order.

        `write` may be called twice, the first time rolled back (when another of its group fails): it changes nothing
        but the database. `done` must not raise. It is never called before `submit` has returned.

        Raises:
            StoreBusy: `WAITING_WRITES` wait already.
            StoreClosed: the store is closing.
        """
        if self._closed:
            raise StoreClosed()
        if self._waiting >= WAITING_WRITES:
            raise StoreBusy(self._waiting)
        self._waiting += 1
        self._put(Waiting(write, done))

    async def write(self, write: Callable[[Transaction], T]) -> T:
        """Run a write and return its result once it is durable. Raises what it raised; then nothing of it is stored.

        Cancelled while waiting: the write still happens, like one whose answer got lost.

        Raises:
            DatabaseError: the disk failed or is full; nothing of the write is stored.
            StoreBusy, StoreClosed: as `submit`.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        answer: list[outcome.Outcome[T]] = []
        finished = trio.Event()

        def done(result: outcome.Outcome[T]) -> None:
            answer.append(result)
            finished.set()

        self.submit(write, done)
        await finished.wait()
        return answer[0].unwrap()

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query on a connection that cannot write, inside one read transaction, and return its result.

        Sees all that is committed. Cancelled: takes effect when the query has ended.

        Raises:
            DatabaseError: the disk failed.
        """
        raise NotImplementedError

    def _put(self, waiting: Waiting) -> None:
        raise NotImplementedError

    def _deliver(self, finished: Sequence[Finished]) -> None:
        self._waiting -= len(finished)
        for waiting, result in finished:
            waiting.done(result)


class _FileDatabase(Database):
    """A file: a writer thread, and readers in Trio's worker threads."""

    def __init__(self, path: Path, writing: sqlite3.Connection) -> None:
        super().__init__()
        self._path = path
        self._writer = WriterThread(writing, self._deliver, connection.close_writer)
        self._writer.start()
        self._limiter = trio.CapacityLimiter(READERS)
        # A deque because worker threads take from it and give back to it.
        self._idle: deque[sqlite3.Connection] = deque()

    @override
    def _put(self, waiting: Waiting) -> None:
        self._writer.put(waiting)

    @override
    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        return await trio.to_thread.run_sync(self._read_in_thread, query, limiter=self._limiter)

    def _read_in_thread(self, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            conn = self._idle.pop() if self._idle else connection.open_reader(self._path)
            try:
                conn.execute("BEGIN")
                return query(conn)
            finally:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
                self._idle.append(conn)
        except sqlite3.Error as error:
            raise translated(error) from error

    async def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        await self._writer.stop()


class _InlineDatabase(Database):
    """One connection in memory, everything in the Trio thread, for virtual time: same SQL, same groups, no threads.

    A group is committed at the scheduler's next pass, so that here too nothing is done inside `submit`.
    """

    def __init__(self, conn: sqlite3.Connection) -> None:
        super().__init__()
        self._conn = conn
        self._indexer = Indexer(conn)
        self._queue: deque[Waiting] = deque()
        self._token = trio.lowlevel.current_trio_token()
        self._due = False

    @override
    def _put(self, waiting: Waiting) -> None:
        self._queue.append(waiting)
        if not self._due:
            self._due = True
            self._token.run_sync_soon(self._commit)

    def _commit(self) -> None:
        self._due = False
        while self._queue:
            first = self._queue.popleft()
            following = lambda: self._queue.popleft() if self._queue else None  # noqa: E731 - one use
            self._deliver(commit_group(self._conn, self._indexer, first, following))
        while self._indexer.behind:
            self._indexer.step()

    @override
    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        await trio.lowlevel.checkpoint()
        self._conn.execute("PRAGMA query_only = ON")
        try:
            return query(self._conn)
        except sqlite3.Error as error:
            raise translated(error) from error
        finally:
            self._conn.execute("PRAGMA query_only = OFF")

    def close(self) -> None:
        self._closed = True
        self._commit()
        self._conn.close()


@asynccontextmanager
async def open_database(
    path: Path | None, *, now: int = 0, known: tuple[migrations.Migration, ...] | None = None
) -> AsyncIterator[Database]:
    """Open the store for the time of the block: checked, migrated, locked against other daemons.

    At exit no further write is taken, those that wait are written, and the file is marked as closed in order.

    Args:
        path: the database file; None for one in memory, for tests under virtual time.
        now: Unix milliseconds, for the record of migrations.
        known: other migrations than the program's own, for tests.

    Raises:
        StoreError: `StoreLocked`, `StoreDamaged`, `SchemaNewer`, `SchemaChanged`, or another; the text says what to do.
    """
    if path is None:
        conn = connection.open_writer(None, now, known)
        inline = _InlineDatabase(conn)
        try:
            yield inline
        finally:
            inline.close()
        return
    with connection.only_daemon(path):
        conn = await trio.to_thread.run_sync(connection.open_writer, path, now, known)
        database = _FileDatabase(path, conn)
        try:
            yield database
        finally:
            with trio.move_on_after(CLOSE_SECONDS, shield=True) as scope:
                await database.close()
            if scope.cancelled_caught:
                _log.error("%s: still writing after %d s; the process ends when that is done", path, CLOSE_SECONDS)
