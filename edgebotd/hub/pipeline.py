"""The order of things: what was published after a transaction becomes visible after its commit (CHANNEL C4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from edgebotd.hub.entry import Entry

EVENTS_PER_TRANSACTION: Final = 32_768
"""The most that one transaction may emit; half of its numbers, see `Pipeline`."""

_NUMBERS_PER_TRANSACTION: Final = 65_536


class Slot:
    """The place of one transaction. Its events are numbered from `base`."""

    __slots__ = ("base", "entries")

    def __init__(self, base: int) -> None:
        self.base = base
        self.entries: list[Entry] | None = None
        """None until its commit has been reported."""


class Pipeline:
    """Releases entries in the order of their publishing; what waits for a commit holds back all that came after it.

    Numbers: a transaction's events get theirs at the call, because they are stored with them; ring events at their
    release, one above the last. For these never to meet, each ring event and each tick that goes in moves `allocated`
    by one and each transaction by twice what it may hold, so a release can never reach the base of a transaction that
    still waits. Gaps are normal and mean nothing.

    Args:
        release: takes what has become visible, in order; it numbers entries that have none (seq 0).
        limit_events, limit_bytes: what may wait; `full` tells, and what to do then is the hub's decision.
    """

    def __init__(self, release: Callable[[list[Entry]], None], limit_events: int, limit_bytes: int) -> None:
        self._release = release
        self._limit_events = limit_events
        self._limit_bytes = limit_bytes
        self._waiting: deque[Slot | Entry] = deque()
        self._waiting_bytes = 0
        self.allocated = 0

    @property
    def full(self) -> bool:
        """Whether nothing more may wait."""
        return len(self._waiting) >= self._limit_events or self._waiting_bytes >= self._limit_bytes

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def put(self, entry: Entry) -> None:
        """Pass on an event that needs no commit, behind those that do."""
        self.allocated += 1
        if self._waiting:
            self._waiting.append(entry)
            self._waiting_bytes += entry.size
        else:
            self._release([entry])

    def tick(self) -> bool:
        """Make room for the sequence to advance by one; False where something waits and it advances anyway."""
        if self._waiting:
            return False
        self.allocated += 1
        return True

    def reserve(self) -> Slot:
        """Take the place of a transaction."""
        slot = Slot(self.allocated + 1)
        self.allocated += _NUMBERS_PER_TRANSACTION
        self._waiting.append(slot)
        return slot

    def settle(self, slot: Slot, entries: list[Entry]) -> None:
        """Report a transaction's end: its events if it was committed, none if it failed; releases what can go."""
        slot.entries = entries
        ready: list[Entry] = []
        waiting = self._waiting
        while waiting:
            head = waiting[0]
            if isinstance(head, Entry):
                ready.append(head)
                self._waiting_bytes -= head.size
            elif head.entries is not None:
                ready.extend(head.entries)
            else:
                break
            waiting.popleft()
        if ready:
            self._release(ready)
