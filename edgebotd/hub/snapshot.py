"""What a client must know to be right without any other call (CHANNEL C1): folded from what was released."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edgebotd.events import CATALOGUE, ChatDelta, ChatStatus, Event
from edgebotd.hub.entry import Entry, to_json
from edgebotd.protocol.utf16 import cut_utf16, utf16_length

_ORDER: Final = {name: place for place, name in enumerate(CATALOGUE)}


class _Run:
    """One run that streams: its last status and its text so far."""

    __slots__ = ("_delta", "_length", "_pieces", "conversation_id", "status")

    def __init__(self, conversation_id: str) -> None:
        self.conversation_id = conversation_id
        self.status: Entry | None = None
        self._pieces: list[str] = []
        self._length = 0
        self._delta: Entry | None = None

    def fold(self, delta: ChatDelta) -> None:
        if delta.offset != self._length:
            text = "".join(self._pieces)
            if delta.offset < self._length:
                kept = cut_utf16(text, delta.offset)
                # None: the offset lies within a character; the client's own cut would be no better.
                text = "" if kept is None else kept
            self._pieces = [text]
            self._length = utf16_length(text)
        self._pieces.append(delta.text)
        self._length += utf16_length(delta.text)
        self._delta = None

    def delta(self, bot_id: str, run_id: str) -> Entry | None:
        if not self._pieces:
            return None
        if self._delta is None:
            text = "".join(self._pieces)
            self._pieces = [text]
            event = ChatDelta(bot_id=bot_id, conversation_id=self.conversation_id, run_id=run_id, offset=0, text=text)
            self._delta = Entry(0, bot_id, event, CATALOGUE[event.type], to_json(event))
            self._delta.sealed("")
        return self._delta


class Snapshot:
    """The newest of each "latest wins" event, and the running runs.

    Bounded by what exists: one entry per key of the catalogue's rows, one text per running run (a terminal
    `chat-status` drops it).
    """

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], Entry] = {}
        self._runs: dict[tuple[str, str], _Run] = {}

    def fold(self, entry: Entry, event: Event) -> Entry | None:
        """Take a released event; return the entry that it supersedes, if any."""
        if isinstance(event, ChatDelta):
            self._run(event).fold(event)
        elif isinstance(event, ChatStatus):
            if event.state.terminal:
                self._runs.pop((event.bot_id, event.run_id), None)
            else:
                self._run(event).status = entry
        elif entry.row.latest is not None:
            key = (entry.type, entry.row.latest(event))
            superseded = self._latest.get(key)
            self._latest[key] = entry
            return superseded
        return None

    def forget_bot(self, bot_id: str) -> None:
        """Drop the runs of a bot that is gone."""
        for key in [key for key in self._runs if key[0] == bot_id]:
            del self._runs[key]

    def latest(self) -> list[Entry]:
        """Return the newest entries that win over older ones, in the catalogue's order."""
        return sorted(self._latest.values(), key=lambda entry: _ORDER[entry.type])

    def entries(self) -> Iterator[Entry]:
        """Yield what a snapshot consists of, in the order of sending."""
        yield from self.latest()
        for (bot_id, run_id), run in self._runs.items():
            if run.status is not None:
                yield run.status
            delta = run.delta(bot_id, run_id)
            if delta is not None:
                yield delta

    def _run(self, event: ChatDelta | ChatStatus) -> _Run:
        return self._runs.setdefault((event.bot_id, event.run_id), _Run(event.conversation_id))
