"""What can be replayed: the newest events in memory (the ring), the journalled ones in the store.

This is the seam at which several hosts would share one channel through another engine.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgebotd.events import CATALOGUE, EVENT_ADAPTER, Event
from edgebotd.hub.entry import Audience, Entry, EventRefused, check, to_json
from edgebotd.hub.pipeline import EVENTS_PER_TRANSACTION, Slot
from edgebotd.store import journal as rows
from edgebotd.store.database import Database, Transaction
from edgebotd.store.journal import JournalRow

_TRIM_ROWS: Final = 5_000
"""Deleted in one transaction, some 10 ms in which no other write goes on."""

Position = tuple[int, int]
"""(life, seq)."""


class Ring:
    """The newest events of this life.

    Bounded in number and in bytes; its full case: the oldest are dropped and `floor` rises, so that whoever still
    needs them is served from the journal.
    """

    def __init__(self, limit_events: int, limit_bytes: int) -> None:
        self._limit_events = limit_events
        self._limit_bytes = limit_bytes
        self._entries: list[Entry] = []
        self._start = 0
        self._bytes = 0
        self.floor = 0
        """Position of the newest event that was dropped: what came after it is here."""

    def append(self, entry: Entry) -> None:
        """Add the newest event."""
        self._entries.append(entry)
        self._bytes += entry.size
        while len(self._entries) - self._start > self._limit_events or self._bytes > self._limit_bytes:
            oldest = self._entries[self._start]
            self._start += 1
            self._bytes -= oldest.size
            self.floor = oldest.seq
        if self._start > len(self._entries) // 2:
            # Cheap on average, and a list, unlike a deque, can be searched by position.
            del self._entries[: self._start]
            self._start = 0

    def after(self, seq: int) -> Sequence[Entry]:
        """Return the events after a position that is not below `floor`, oldest first."""
        start = bisect_right(self._entries, seq, lo=self._start, key=lambda entry: entry.seq)
        return self._entries[start:]


@dataclass(frozen=True)
class Emitted:
    """An event on its way into the journal."""

    bot_id: str
    event: Event
    json: bytes | None = None
    """Where its publisher has encoded it already."""


def store_entries(tx: Transaction, slot: Slot, life: int, at: int, emitted: Sequence[Emitted]) -> list[Entry]:
    """Write a transaction's journalled events, and return all its events as entries. Runs in the writer's thread.

    Raises:
        EventRefused: one may not travel; the transaction must be rolled back.
    """
    if len(emitted) > EVENTS_PER_TRANSACTION:
        raise EventRefused(f"{len(emitted)} events in one transaction; the limit is {EVENTS_PER_TRANSACTION}")
    entries = []
    for index, one in enumerate(emitted):
        row = check(one.bot_id, one.event)
        json = to_json(one.event) if one.json is None else one.json
        entry = Entry(slot.base + index, one.bot_id, one.event, row, json)
        if entry.journalled:
            rows.append(tx.connection, life, entry.seq, at, one.bot_id, entry.type, json.decode())
        elif row.model is CATALOGUE["chat-delta"].model:
            # Merging happens at the release, which a transaction's fixed numbers would not allow.
            raise EventRefused("chat-delta has no place in a transaction: publish it")
        entries.append(entry)
    return entries


@dataclass(frozen=True)
class Page:
    """Some rows of the journal.

    Attributes:
        intact: nothing after the asked position has been trimmed meanwhile.
    """

    rows: list[JournalRow]
    intact: bool


def read_page(connection: sqlite3.Connection, after: Position, limit: int) -> Page:
    """Return the journal's next rows after a position: a seek by key. Runs in a reader's thread."""
    return Page(rows.after(connection, *after, limit), rows.horizon(connection) <= after)


async def trim(database: Database, before: int, keep: int) -> tuple[int, Position]:
    """Delete what is older than `before` (UNIX ms) or beyond the newest `keep` events.

    Returns:
        how many events were deleted, and the journal's horizon afterwards.
    """
    total = 0
    while True:
        deleted, horizon = await database.write(
            lambda tx: (rows.trim(tx.connection, before, keep, limit=_TRIM_ROWS), rows.horizon(tx.connection))
        )
        total += deleted
        if deleted < _TRIM_ROWS:
            return total, horizon


def row_visible(row: JournalRow, audience: Audience) -> bool:
    """Whether an audience may see a journalled event: the same question as `Entry.visible`, asked of a row."""
    known = CATALOGUE.get(row.type)
    if known is None:  # of a type that a newer or older version wrote
        return False
    if audience.types is not None and row.type not in audience.types:
        return False
    if row.bot_id != "*" and not audience.access.sees(row.bot_id):
        return False
    return known.allowed is None or known.allowed(EVENT_ADAPTER.validate_json(row.data), audience.access)
