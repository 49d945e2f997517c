"""One run as far as it is known: its text, its tools, and how both become the parts of one message. Pure."""

from __future__ import annotations

from typing import Any, Literal

import trio
from pydantic import TypeAdapter

from edgebotd.events import ErrorPart, Part, RunState, TextPart, ToolCallPart, ToolResultPart
from edgebotd.protocol.run import Outcome, ToolActivity
from edgebotd.protocol.utf16 import cut_utf16, utf16_length

MessageState = Literal["pending", "final", "failed", "aborted", "interrupted"]
PARTS: TypeAdapter[tuple[Part, ...]] = TypeAdapter(tuple[Part, ...])

RUN_STATES = {
    Outcome.FINISHED: RunState.FINISHED,
    Outcome.MERGED: RunState.FINISHED,
    Outcome.ABORTED: RunState.ABORTED,
    Outcome.FAILED: RunState.FAILED,
    Outcome.INTERRUPTED: RunState.INTERRUPTED,
}
MESSAGE_STATES: dict[RunState, MessageState] = {
    RunState.FINISHED: "final",
    RunState.ABORTED: "aborted",
    RunState.FAILED: "failed",
    RunState.INTERRUPTED: "interrupted",
}


class LiveRun:
    """A run that has not ended. `done` is set when its end is stored and told."""

    def __init__(self, run_id: str, conversation_id: str, session_key: str) -> None:
        self.run_id = run_id
        self.conversation_id = conversation_id
        self.session_key = session_key
        self.state = RunState.STARTED
        self.done = trio.Event()
        self.ending = False
        self.doubtful = False
        """True while only a history says that it runs: nothing has come of it over this connection."""
        self.activity: tuple[str, str | None] | None = None
        """What was last told of what the peer does for it: word, detail. None while nothing came of it."""
        self.unstopped: str | None = None
        """Why the peer did not take the last wish to stop it."""
        self.heard = 0
        """How often the peer has told anything of it; who watches for silence compares."""
        self.whole = True
        """False once text was missed: the end must come from history."""
        self._pieces: list[str] = []
        self._length = 0
        self._tools: dict[str, tuple[int, ToolCallPart, ToolResultPart | None]] = {}

    @property
    def preparing(self) -> bool:
        """Whether nothing has come of it yet: its model may not even have been asked."""
        return self.state is RunState.STARTED and not self._tools

    @property
    def text(self) -> str:
        """All text so far."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def append(self, offset: int, text: str) -> tuple[int, str] | None:
        """Take new text at an offset in UTF-16 code units; return what is new of it, as (offset, text)."""
        if offset == self._length:
            if not text:
                return None
            self._pieces.append(text)
            self._length += utf16_length(text)
            return offset, text
        if offset > self._length:
            # A hole: the text in between was missed while there was no connection.
            self.whole = False
            return self.append(self._length, text)
        kept = cut_utf16(self.text, offset)
        return self.replace((kept or "") + text)

    def replace(self, text: str) -> tuple[int, str] | None:
        """Make this the whole text; return the difference, as (offset, text), None where there is none."""
        old = self.text
        if text == old:
            return None
        same = 0
        for mine, theirs in zip(old, text, strict=False):
            if mine != theirs:
                break
            same += 1
        offset = utf16_length(text[:same])
        self._pieces = [text]
        self._length = utf16_length(text)
        return offset, text[same:]

    def tool(self, event: ToolActivity) -> None:
        """Take what a tool does; it keeps the place in the text where it was called."""
        place, call, result = self._tools.get(
            event.tool_call_id,
            (len(self.text), ToolCallPart(tool_call_id=event.tool_call_id, name=event.name), None),
        )
        if event.arguments is not None:
            call = call.model_copy(update={"arguments": event.arguments})
        if event.phase == "result":
            result = ToolResultPart(
                tool_call_id=event.tool_call_id, name=event.name, result=event.result, is_error=event.is_error
            )
        self._tools[event.tool_call_id] = (place, call, result)

    def parts(self, error: str | None = None, code: str | None = None) -> tuple[Part, ...]:
        """Return the message's parts: text with the tools where they were called, and the error at the end."""
        parts: list[Part] = []
        text, told = self.text, 0
        for place, call, result in sorted(self._tools.values(), key=lambda tool: tool[0]):
            place = min(place, len(text))
            if text[told:place].strip():
                parts.append(TextPart(text=text[told:place]))
            told = max(told, place)
            parts.append(call)
            if result is not None:
                parts.append(result)
        if text[told:].strip():
            parts.append(TextPart(text=text[told:]))
        if error:
            parts.append(ErrorPart(message=error, code=code))
        return tuple(parts)


def parts_of(parts: tuple[dict[str, Any], ...]) -> tuple[Part, ...]:
    """Return the parts of a peer's message; what is of no known form is left out."""
    found: list[Part] = []
    for part in parts:
        try:
            found.extend(PARTS.validate_python((part,)))
        except ValueError:
            continue
    return tuple(found)


def text_of(parts: tuple[Part, ...]) -> str:
    """Return all text of a message, for comparing and for peers that know text only."""
    return "\n\n".join(part.text for part in parts if isinstance(part, TextPart))
