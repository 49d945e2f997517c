"""The durable part of the event log: journalled events by their position (life, seq)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One event. `data` is its JSON; `bot_id` may be `events.ALL`; `seq` is at most 2**48."""

    life: int
    seq: int
    at: int
    bot_id: str
    type: str
    data: str


_INSERT: Final = "INSERT INTO journal (life, seq, at, bot_id, type, data) VALUES (?, ?, ?, ?, ?, ?)"


def append(conn: sqlite3.Connection, life: int, seq: int, at: int, bot_id: str, type: str, data: str) -> None:
    """Store one event. Its position must be new; positions come in ascending order."""
    conn.execute(_INSERT, (life, seq, at, bot_id, type, data))


def append_many(conn: sqlite3.Connection, rows: Iterable[JournalRow]) -> None:
    """Store events, as `append` does."""
    conn.executemany(_INSERT, [(row.life, row.seq, row.at, row.bot_id, row.type, row.data) for row in rows])


def after(conn: sqlite3.Connection, life: int, seq: int, limit: int) -> list[JournalRow]:
    """Return up to `limit` events after a position, oldest first."""
    query = (
        "SELECT life, seq, at, bot_id, type, data FROM journal WHERE (life, seq) > (?, ?) ORDER BY life, seq LIMIT ?"
    )
    return [JournalRow(*row) for row in conn.execute(query, (life, seq, limit))]


def newest(conn: sqlite3.Connection) -> tuple[int, int] | None:
    """Return the position of the newest event, None where there is none."""
    row = conn.execute("SELECT life, seq FROM journal ORDER BY life DESC, seq DESC LIMIT 1").fetchone()
    return None if row is None else (row[0], row[1])


def count(conn: sqlite3.Connection) -> int:
    """Return how many events are held."""
    row = conn.execute("SELECT coalesce(max(number) - min(number) + 1, 0) FROM journal").fetchone()
    return int(row[0])


def horizon(conn: sqlite3.Connection) -> tuple[int, int]:
    """Return the position up to which events may have been trimmed, (0, 0) at first: all that came later is whole."""
    life, seq = conn.execute("SELECT life, seq FROM journal_horizon").fetchone()
    return life, seq


def trim(conn: sqlite3.Connection, before_at: int, keep: int, *, limit: int = 5000) -> int:
    """Delete the oldest events: those from before a time and those beyond the newest `keep`.

    Returns how many, at most `limit`: a long delete would hold up every other write, so the caller repeats while it
    gets `limit`, each time as a write of its own.
    """
    oldest, newest_number = conn.execute(
        "SELECT (SELECT min(number) FROM journal), (SELECT max(number) FROM journal)"
    ).fetchone()
    if oldest is None:
        return 0
    stop = oldest + limit - 1
    # Only from the old end, so that what remains has no hole, whatever the clock did.
    first_kept = conn.execute(
        "SELECT min(number) FROM (SELECT number, at FROM journal ORDER BY number LIMIT ?) WHERE at >= ?",
        (limit, before_at),
    ).fetchone()[0]
    by_age = stop if first_kept is None else first_kept - 1
    last = min(stop, max(by_age, newest_number - keep))
    if last < oldest:
        return 0
    conn.execute(
        "UPDATE journal_horizon SET (life, seq) ="
        " (SELECT life, seq FROM journal WHERE number <= ? ORDER BY number DESC LIMIT 1)",
        (last,),
    )
    return conn.execute("DELETE FROM journal WHERE number <= ?", (last,)).rowcount
