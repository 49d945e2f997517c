"""Group commit: many writes in one transaction, and the thread that does it.

SQLite keeps a copy of each page that a savepoint touches, which costs as much as the write of a message itself. So the
writes of a group run without; only if one of them fails, all is rolled back and each runs again in a savepoint of its
own. Hence the one rule for writes: they change nothing but the database, so that they can be run again.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import outcome
import trio

from edgebotd.events import Event
from edgebotd.store.errors import DatabaseError
from edgebotd.store.indexing import Indexer

GROUP_WRITES: Final = 1000
"""A group takes no more writes than this."""

GROUP_SECONDS: Final = 0.05
"""A group takes no further write after this time, so that the first of it does not wait for hundreds of long ones."""

_FAILURES: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
    }
)
"""Primary result codes that speak of disk and file; all others are mistakes in our SQL and stay what they are."""


class Transaction:
    """What a write gets: the connection, inside the group's transaction. Not to be kept beyond the write."""

    __slots__ = ("connection", "emitter")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.emitter: Callable[[str, Event], None] | None = None
        """Set by the hub before it calls the write of `Hub.transact`."""

    def emit(self, bot_id: str, event: Event) -> None:
        """Add a journalled event that becomes visible with this transaction. Only inside `Hub.transact`."""
        if self.emitter is None:
            raise RuntimeError("emit() needs Hub.transact(): a plain Database.write() has no journal")
        self.emitter(bot_id, event)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A write and who wants to hear of it."""

    write: Callable[[Transaction], Any]
    done: Callable[[outcome.Outcome[Any]], None]


Finished = tuple[Waiting, outcome.Outcome[Any]]


def translated(error: Exception) -> Exception:
    """Return an error of SQLite's about disk or file as `DatabaseError`, any other as it is."""
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _FAILURES:
        failure = DatabaseError(error)
        failure.__cause__ = error
        return failure
    return error


class _GroupLost(Exception):
    """SQLite has rolled the whole transaction back by itself."""


def _run_apart(conn: sqlite3.Connection, waiting: Waiting) -> outcome.Outcome[Any]:
    conn.execute("SAVEPOINT one")
    try:
        value = waiting.write(Transaction(conn))
    except Exception as error:
        if not conn.in_transaction:
            raise _GroupLost from error
        conn.execute("ROLLBACK TO one")
        conn.execute("RELEASE one")
        return outcome.Error(translated(error))
    conn.execute("RELEASE one")
    return outcome.Value(value)


def _run_together(conn: sqlite3.Connection, waiting: Waiting) -> outcome.Outcome[Any] | None:
    """Return None where it fails: then the whole transaction must be rolled back."""
    try:
        return outcome.Value(waiting.write(Transaction(conn)))
    except Exception:  # noqa: BLE001 - it is run again, and then its error is reported
        return None


def commit_group(
    conn: sqlite3.Connection, indexer: Indexer, first: Waiting, following: Callable[[], Waiting | None]
) -> list[Finished]:
    """Run a write and those that `following` gives, commit, and return the outcome of each, in order.

    If the group as a whole cannot be committed, nothing of it is written and each gets the error.
    """
    taken: list[Waiting] = []
    outcomes: list[outcome.Outcome[Any]] = []
    started = time.monotonic()
    waiting: Waiting | None = first
    full = apart = False
    try:
        while waiting is not None:
            taken.append(waiting)
            if len(taken) == 1:
                conn.execute("BEGIN IMMEDIATE")
            result = _run_apart(conn, waiting) if apart else _run_together(conn, waiting)
            if result is None:
                apart = True
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
                conn.execute("BEGIN IMMEDIATE")
                outcomes = [_run_apart(conn, again) for again in taken]
            else:
                outcomes.append(result)
            full = len(taken) >= GROUP_WRITES or time.monotonic() - started > GROUP_SECONDS
            waiting = None if full else following()
        # After all savepoints: FTS5 writes a segment at each.
        indexer.at_commit(busy=full)
        conn.execute("COMMIT")
    except Exception as error:  # noqa: BLE001 - each waiting task must hear of it, else it waits for ever
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        cause = error.__cause__ if isinstance(error, _GroupLost) else error
        # One instance for each: raised in many tasks, a shared one would collect all their tracebacks.
        return [(waiting, outcome.Error(_of_group(cause))) for waiting in taken]
    return list(zip(taken, outcomes, strict=True))


def _of_group(cause: BaseException | None) -> Exception:
    failure: Exception
    if isinstance(cause, sqlite3.Error):
        failure = DatabaseError(cause)
    else:
        failure = RuntimeError("the group of writes that this one was in could not be committed")
    failure.__cause__ = cause
    return failure


class WriterThread:
    """The one thread that writes. Not a daemon thread: the program does not end in the middle of a commit."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        deliver: Callable[[Sequence[Finished]], None],
        close: Callable[[sqlite3.Connection], None],
    ) -> None:
        self._conn = conn
        self._indexer = Indexer(conn)
        self._deliver = deliver
        self._close = close
        self._token = trio.lowlevel.current_trio_token()
        # Bounded by Database.submit, which counts.
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="edgebotd-store-writer", daemon=False)

    def start(self) -> None:
        """Start the thread; `stop` ends it."""
        self._thread.start()

    def put(self, waiting: Waiting) -> None:
        """Queue a write."""
        self._queue.put(waiting)

    async def stop(self) -> None:
        """Let the thread finish what is queued and close the connection.

        Cancelled: the thread goes on by itself, and the process stays until it has ended.
        """
        self._queue.put(None)
        await trio.to_thread.run_sync(self._thread.join, abandon_on_cancel=True)

    def _run(self) -> None:
        try:
            while self._commit_next():
                pass
        finally:
            self._close(self._conn)

    def _commit_next(self) -> bool:
        """Commit one group; return whether there is more to come."""
        first = self._next()
        if first is None:
            return False
        stopping = False

        def following() -> Waiting | None:
            nonlocal stopping
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                return None
            stopping = waiting is None
            return waiting

        finished = commit_group(self._conn, self._indexer, first, following)
        try:
            self._token.run_sync_soon(self._deliver, finished)
        except trio.RunFinishedError:
            # The event loop is gone and with it all who wait; what is queued is still written.
            pass
        if self._indexer.due:
            self._indexer.step()
        return not stopping

    def _next(self) -> Waiting | None:
        """Wait for a write; index words meanwhile. What is not indexed at the end is at the next start."""
        while self._indexer.behind:
            try:
                return self._queue.get_nowait()
            except queue.Empty:
                self._indexer.step()
        return self._queue.get()
