"""What waits for one stream whose client does not read as fast as events come (CHANNEL C7)."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from edgebotd.events import ChatDelta
from edgebotd.hub.delta import merged
from edgebotd.hub.entry import Entry, to_json


class Raw:
    """Ready frames: the channel's own, or a replay's.

    Attributes:
        seq: position that the client has reached with them; 0 where that is not of this life.
    """

    __slots__ = ("data", "seq", "size")

    def __init__(self, data: bytes, seq: int) -> None:
        self.data = data
        self.seq = seq
        self.size = len(data)


Item = Entry | Raw
"""An event, encoded when its turn comes with the rights of that moment; or ready frames."""


def size_of(items: Sequence[Item]) -> int:
    """Return the bytes that items take, as the bound counts them."""
    return sum(item.size for item in items)


def compacted(items: Sequence[Item]) -> list[Item]:
    """Return the items with "latest wins" events and deltas of one run merged into their last one.

    The later place is taken because its cursor promises no more than what was sent: a cut anywhere loses nothing.
    Deltas merge only while nothing else of their bot stands between them.
    """
    kept: list[Item | None] = []
    newest: dict[tuple[str, str], int] = {}
    deltas: dict[tuple[str, str], int] = {}
    for item in items:
        if isinstance(item, Raw):
            kept.append(item)
            continue
        if item.row.latest is not None:
            key = (item.type, item.row.latest(item.event))
            if (place := newest.get(key)) is not None:
                kept[place] = None
            newest[key] = len(kept)
        elif isinstance(item.event, ChatDelta):
            run = (item.bot_id, item.event.run_id)
            if (place := deltas.get(run)) is not None:
                earlier = kept[place]
                assert isinstance(earlier, Entry)
                assert isinstance(earlier.event, ChatDelta)
                both = merged(earlier.event, item.event)
                if both is not None:
                    kept[place] = None
                    item = _rewritten(item, both)
            deltas[run] = len(kept)
        else:
            for run in [run for run in deltas if run[0] == item.bot_id]:
                del deltas[run]
        kept.append(item)
    return [item for item in kept if item is not None]


def _rewritten(entry: Entry, event: ChatDelta) -> Entry:
    merged_entry = Entry(entry.seq, entry.bot_id, event, entry.row, to_json(event))
    merged_entry.sealed(entry.cursor)
    return merged_entry


class Backlog:
    """A bounded queue of one stream.

    Attributes:
        rest: what is left of the bytes being written; only when it is empty may other bytes follow.
        upto: position that the client has reached once `rest` is written; 0 where it is not known.
        size: bytes of `rest` and of the items.
        bye: what the stream ends with once all is written; None while it goes on.
        drained: set, and dropped, when nothing waits any more.
    """

    __slots__ = ("bye", "drained", "items", "rest", "size", "upto")

    def __init__(self) -> None:
        self.rest: memoryview | None = None
        self.items: list[Item] = []
        self.size = 0
        self.upto = 0
        self.bye: bytes | None = None
        self.drained: trio.Event | None = None

    def put(self, items: Sequence[Item], limit: int) -> bool:
        """Queue items; merge where they exceed the limit. Returns whether they fit."""
        self.items.extend(items)
        self.size += size_of(items)
        if self.size <= limit:
            return True
        self.items = compacted(self.items)
        self.size = size_of(self.items) + (0 if self.rest is None else len(self.rest))
        return self.size <= limit

    def make_whole(self) -> None:
        """Have every item sent though it looks as the one before it: that was sent with other rights."""
        self.items = [item.whole() if isinstance(item, Entry) else item for item in self.items]

    def take(self, limit: int) -> list[Item]:
        """Take items off the front, about as many bytes as told and at least one item."""
        taken = 0
        count = 0
        for item in self.items:
            if count and taken >= limit:
                break
            taken += item.size
            count += 1
        items, self.items = self.items[:count], self.items[count:]
        self.size -= taken
        return items

    def hold(self, rest: memoryview, upto: int) -> None:
        """Keep what the socket did not take."""
        self.rest = rest
        self.upto = upto
        self.size += len(rest)

    def advance(self, written: int) -> None:
        """Drop what the socket took."""
        assert self.rest is not None
        self.size -= written
        self.rest = self.rest[written:] if written < len(self.rest) else None

    def drop(self) -> None:
        """Forget what is queued but for the bytes being written."""
        self.items = []
        self.size = 0 if self.rest is None else len(self.rest)
