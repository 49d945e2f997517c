"""A reply as it comes: the bytes of an answer in, the events of its run out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edgebotd.protocol import sse
from edgebotd.protocol.fields import json_value, mapping, objects, sequence, words
from edgebotd.protocol.openai.refusal import Redactor, error_of
from edgebotd.protocol.run import Activity, Outcome, RunDelta, RunEnded, RunEvent, RunStatus, ToolActivity
from edgebotd.protocol.utf16 import utf16_length

MAX_REPLY_BYTES: Final = 10 * 1024 * 1024
"""Of a reply's text and of its tools' arguments, together."""
MAX_TOOL_CALLS: Final = 128
MAX_NAME: Final = 200

_ENDS: Final = {
    "length": "The reply stops here because it reached the model's limit of length. Ask it to go on.",
    "content_filter": "The reply stops here because the endpoint's content filter cut it.",
    "tool_calls": "The model called a tool and waits for its result, but edgebotd runs no tools for it.",
    "function_call": "The model called a tool and waits for its result, but edgebotd runs no tools for it.",
}
_FINE: Final = frozenset({"stop", "end_turn", "eos", "stop_sequence"})
_NOT_OURS: Final = (
    "What answers at the URL does not speak OpenAI's chat completions. Correct the URL (it goes up to `/v1`)."
)


@dataclass
class _Call:
    call_id: str
    given_id: str | None
    name: str
    pieces: list[str] = field(default_factory=list)
    told: bool = False


class Reply:
    """Reads one answer of `/chat/completions`: an event stream, or one JSON document where `stream` was ignored.

    Which it is shows in the first byte, since servers' content types are not to be relied on. Lines that are no JSON
    are skipped. After `end` is set nothing more is read.

    Args:
        redactor: for the words of the server's errors.
    """

    def __init__(self, run_id: str, session_key: str, redactor: Redactor, max_bytes: int = MAX_REPLY_BYTES) -> None:
        self.run_id = run_id
        self.session_key = session_key
        self.end: RunEnded | None = None
        """Set when the reply is complete, failed or too long."""
        self.finish_reason: str | None = None
        """Once it is set, only the stream's end is missing."""
        self.begun = False
        """Whether the model has said, thought or called something."""
        self._redactor = redactor
        self._max = max_bytes
        self._events = sse.Parser()
        self._document: bytearray | None = None
        self._sniffed = False
        self._understood = False
        self._pieces: list[str] = []
        self._units = 0
        self._size = 0
        self._half = ""
        self._activity: Activity | None = None
        self._calls: list[tuple[object, _Call]] = []
        self._out: list[RunEvent] = []

    @property
    def text(self) -> str:
        """The reply so far."""
        return "".join(self._pieces)

    def feed(self, chunk: bytes) -> list[RunEvent]:
        """Take the next bytes; return what happened. The end is not among it: see `end`."""
        if self.end is None and chunk:
            self._read(chunk)
        happened, self._out = self._out, []
        return happened

    def close(self) -> list[RunEvent]:
        """Take the end of the answer; return what happened last. `end` is set then."""
        if self.end is None and self._document is not None:
            payload = _json(self._document.decode("utf-8", "replace"))
            if payload is not None:
                self._take(payload)
        elif self.end is None:
            # Some servers forget the blank line after their last event.
            self._read(b"\n\n")
        if self.end is None and self.finish_reason is None:
            if not self._understood:
                self._fail(_NOT_OURS, "not_understood")
            elif self._document is None:
                self.end = self.cut("The endpoint ended the connection in the middle of the reply.", "cut")
        self._finished()
        happened, self._out = self._out, []
        return happened

    def cut(self, error: str, code: str, outcome: Outcome = Outcome.INTERRUPTED) -> RunEnded:
        """Return the run's end where the connection ended otherwise, with the text so far."""
        if self.end is None and self.finish_reason is not None:
            return self._finished()
        return self.end or RunEnded(self.run_id, self.session_key, outcome, self.text, error, code)

    def aborted(self) -> RunEnded:
        """Return the end of a run that somebody stopped."""
        return self.end or RunEnded(self.run_id, self.session_key, Outcome.ABORTED, self.text)

    # Bytes

    def _read(self, chunk: bytes) -> None:
        if not self._sniffed:
            chunk = chunk.lstrip(b" \t\r\n\xef\xbb\xbf")
            if not chunk:
                return
            self._sniffed = True
            if chunk[:1] in (b"{", b"["):
                self._document = bytearray()
        if self._document is not None:
            self._document += chunk
            if len(self._document) > self._max + sse.MAX_EVENT_BYTES:
                self._fail("The endpoint's answer is too long.", "too_long")
            return
        try:
            events = self._events.feed(chunk)
        except sse.ParseError:
            self._fail("The endpoint sent more in one event than can be taken.", "too_long")
            return
        for event in events:
            if self.end is not None:
                return
            if event.data.strip() == "[DONE]":
                self._understood = True
                self._finished()
            else:
                payload = _json(event.data)
                if event.type == "error" and error_of(payload) is None:
                    payload = {"error": event.data}
                self._take(payload)

    # JSON

    def _take(self, payload: object) -> None:
        error = error_of(payload)
        if error is not None:
            when = " in the middle of the reply" if self.begun else ""
            self._fail(f"The endpoint failed{when}: {self._redactor.line(error[1])}", "endpoint_error")
            return
        fields = mapping(payload)
        if isinstance(fields.get("choices"), list):
            self._understood = True
        for choice in objects(fields.get("choices")):
            if choice.get("index", 0) not in (0, None):
                continue
            self._delta(mapping(choice.get("delta")) or mapping(choice.get("message")))
            if self.end is not None:
                return
            reason = words(choice.get("finish_reason"))
            if reason is not None:
                self.finish_reason = reason[:MAX_NAME]

    def _delta(self, delta: Mapping[str, Any]) -> None:
        thought, said = _texts(delta)
        if thought:
            self._shift(Activity.THINKING)
        if said:
            self._say(said)
        for call in objects(sequence(delta.get("tool_calls"))[:MAX_TOOL_CALLS]):
            if self.end is None:
                self._call(call)

    def _say(self, text: str) -> None:
        # JSON may cut a character in two, and the other half comes with the next chunk.
        text = self._half + text
        self._half = ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        text = _whole(text)
        if not text:
            return
        encoded, room = text.encode(), max(self._max - self._size, 0)
        self._size += len(encoded)
        if len(encoded) > room:
            text = encoded[:room].decode("utf-8", "ignore")
        if text:
            self._shift(Activity.STREAMING)
            self._out.append(RunDelta(self.run_id, self.session_key, self._units, text))
            self._pieces.append(text)
            self._units += utf16_length(text)
        self._check_size()

    def _call(self, delta: Mapping[str, Any]) -> None:
        index = delta.get("index")
        given = words(delta.get("id"))
        function = mapping(delta.get("function"))
        name = (words(function.get("name")) or "")[:MAX_NAME]
        call = self._known_call(index, given, name)
        if call is None:
            return
        arguments = function.get("arguments")
        if isinstance(arguments, dict):  # Ollama's, whole and not as text
            arguments = json.dumps(arguments)
        if isinstance(arguments, str):
            call.pieces.append(arguments)
            self._size += len(arguments)
        if call.name and not call.told:
            call.told = True
            self.begun = True
            self._activity = Activity.TOOL
            self._out.append(ToolActivity(self.run_id, self.session_key, call.call_id, call.name, "start"))
        self._check_size()

    def _known_call(self, index: object, given: str | None, name: str) -> _Call | None:
        for known, call in reversed(self._calls):
            # Google's numbers are all 0: a new id, or a call without number and id that has a name, is a new call.
            if (index is None or known == index) and (given is None or call.given_id in (None, given)):
                if index is None and given is None and name and call.told:
                    break
                call.given_id = call.given_id or given
                call.name = call.name or name
                return call
        if len(self._calls) >= MAX_TOOL_CALLS:
            return None
        # Ours, not the server's: it must be unique in the message, and theirs are not always.
        call = _Call(f"{self.run_id}-call-{len(self._calls) + 1}", given, name)
        self._calls.append((index, call))
        return call

    # States

    def _shift(self, activity: Activity) -> None:
        self.begun = True
        if self._activity is not activity:
            self._activity = activity
            self._out.append(RunStatus(self.run_id, self.session_key, activity))

    def _check_size(self) -> None:
        if self._size > self._max and self.end is None:
            most = f"{self._max // 1024 // 1024} MiB" if self._max >= 1024 * 1024 else f"{self._max} bytes"
            self._fail(f"The reply is longer than {most}, so it was stopped.", "too_long")

    def _fail(self, error: str, code: str) -> None:
        self._tell_arguments()
        self.end = RunEnded(self.run_id, self.session_key, Outcome.FAILED, self.text, error, code)

    def _finished(self) -> RunEnded:
        if self.end is None:
            self._tell_arguments()
            reason = self.finish_reason or "stop"
            error = code = None
            if reason in _ENDS:
                error, code = _ENDS[reason], reason
            elif reason == "error":
                error, code = "The endpoint failed in the middle of this reply.", "endpoint_error"
            elif reason not in _FINE:
                error = f"The reply stops here; the endpoint gives the reason '{self._redactor.line(reason, 60)}'."
                code = "stopped"
            elif not self._pieces and not self._calls:
                error, code = "The model answered with nothing.", "empty_reply"
            outcome = Outcome.FAILED if reason == "error" else Outcome.FINISHED
            # Never `truncated`: it would have the rest looked up in a history, and there is none.
            self.end = RunEnded(self.run_id, self.session_key, outcome, self.text, error, code)
        return self.end

    def _tell_arguments(self) -> None:
        for _, call in self._calls:
            text = "".join(call.pieces)
            if call.told and text.strip():
                value = _json(text)
                value = _whole(text) if value is None else json_value(value)
                self._out.append(
                    ToolActivity(self.run_id, self.session_key, call.call_id, call.name, "update", arguments=value)
                )


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _texts(delta: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether a delta holds thoughts, and what it says."""
    thought = any(delta.get(key) for key in ("reasoning_content", "reasoning", "reasoning_details"))
    content = delta.get("content")
    said = content if isinstance(content, str) else ""
    for part in objects(content):  # Mistral's
        if part.get("type") == "text" and isinstance(text := part.get("text"), str):
            said += text
        elif part.get("type") == "thinking":
            thought = True
    refused = delta.get("refusal")
    return thought, said + refused if isinstance(refused, str) else said
