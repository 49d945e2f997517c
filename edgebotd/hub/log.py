"""The released part of the channel: position, ring, snapshot, and what a cursor means against them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgebotd.events import Event
from edgebotd.hub.counters import Counters
from edgebotd.hub.entry import Audience, Entry
from edgebotd.hub.frames import Gap, Verdict, heartbeat
from edgebotd.hub.journal import Position, Ring
from edgebotd.hub.snapshot import Snapshot
from edgebotd.protocol.cursor import CursorSeal


@dataclass(frozen=True)
class Plan:
    """How a subscriber is brought to the present.

    Attributes:
        after: position from which to replay; None: the snapshot alone.
        from_ring: every event after it is in the ring; else the journal, then the snapshot.
        rescoped: rights have changed since, so that the snapshot must follow the ring too.
    """

    verdict: Verdict
    reason: Gap | None = None
    after: Position | None = None
    from_ring: bool = False
    rescoped: bool = False


class EventLog:
    """Everything that has been released in this life, as far as it is kept.

    Args:
        life: number of this start of the daemon.
        horizon: position up to which the journal has been trimmed.
    """

    def __init__(self, seal: CursorSeal, life: int, horizon: Position, ring: Ring, counters: Counters) -> None:
        self._seal = seal
        self._counters = counters
        self.life = life
        self.horizon = horizon
        self.ring = ring
        self.snapshot = Snapshot()
        self.head = 0
        """Position of the newest released event."""
        self.rescoped = -1
        """Position at the last change of anybody's rights. What one may see now and might not see then can be older
        than a cursor from before it, so the ring alone does not tell it."""

    def cursor(self, seq: int, life: int | None = None) -> str:
        """Return the sealed cursor of a position, of this life where none is told."""
        return self._seal.seal(self.life if life is None else life, seq)

    def append(self, entry: Entry, event: Event) -> None:
        """Take the next released event."""
        self.head = entry.seq
        entry.sealed(self.cursor(entry.seq))
        superseded = self.snapshot.fold(entry, event)
        if superseded is not None:
            superseded.forget_views()
            if entry.row.view is not None:
                entry.before = superseded.event
        self.ring.append(entry)

    def plan(self, cursor: str | None) -> Plan:
        """Say what a client with this cursor is told, and how it is served (CHANNEL C1, C2, S23)."""
        if not cursor:
            return Plan(Verdict.FRESH)
        position = self._seal.open(cursor)
        if position is None or position > (self.life, self.head):
            return Plan(Verdict.GAP, Gap.MALFORMED)
        if position[0] == self.life and position[1] >= self.ring.floor:
            return Plan(Verdict.EXACT, after=position, from_ring=True, rescoped=position[1] <= self.rescoped)
        if position < self.horizon:
            return self.evicted()
        return Plan(Verdict.EXACT, after=position)

    def evicted(self) -> Plan:
        """Return what a client is told whose events are gone."""
        return Plan(Verdict.GAP, Gap.EVICTED)

    def snapshot_frames(self, audience: Audience) -> bytes:
        """Return the snapshot as frames without ids, but for the last one (CHANNEL C3).

        Where this audience sees nothing, a heartbeat stands in for the frame that carries the cursor.
        """
        frames = [data for entry in self.snapshot.entries() if (data := entry.data(audience, self._count))]
        if not frames:
            return heartbeat(self.cursor(self.head))
        frames[-1] = b"id: %b\n%b" % (self.cursor(self.head).encode(), frames[-1])
        return b"".join(frames)

    def snapshot_json(self, audience: Audience) -> list[str]:
        """Return the snapshot as JSON objects."""
        return [text.decode() for e in self.snapshot.entries() if (text := e.json(audience, self._count))]

    def changed_frames(self, before: Audience, now: Audience, sent: int) -> bytes:
        """Return the snapshot's frames that look different after a change of rights, without ids.

        What is still to be sent (after `sent`) might look to the new rights as what came before it; it is told here.
        """
        changed = []
        for entry in self.snapshot.entries():
            data = entry.data(now, self._count)
            unsent = entry.row.view is not None and entry.seq > sent
            if data and (unsent or data != entry.data(before, self._count)):
                changed.append(data)
        return b"".join(changed)

    def ring_frames(self, audience: Audience, after: int, *, journalled_only: bool = False) -> bytes:
        """Return the ring's frames after a position."""
        return b"".join(
            entry.frame(audience, self._count)
            for entry in self.ring.after(after)
            if entry.journalled or not journalled_only
        )

    @property
    def _count(self) -> Callable[[], None]:
        return self._counters.encode
