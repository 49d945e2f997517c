"""The state machine of runs: a connection's `chat` and `agent` events in, the vocabulary of `protocol.run` out.

One `Runs` lives as long as its bot is known, across connections: a run goes on while nobody listens. What it takes
care of is section 6-8 of the gateway's behaviour, in both versions that were observed:

- a run ends once, at the first of `chat` final, aborted, error; what comes later for it (the second error of
  2026.9.6, the lifecycle end after an abort) is ignored;
- 2026.5.28 sends no terminal `chat` event for a failed turn: an `agent` lifecycle end or error gives `RunEnding`, and
  the caller settles the run from history when nothing more has come for it within some seconds;
- a final without a message, of a run that never worked, was merged into another run;
- `replace`, and any text that does not continue what was sent, become a delta at the common prefix, so that the
  deltas of a run put together always are its text.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgebotd.protocol.fields import encodable, json_value, mapping, milliseconds, sequence, string, text_of, words
from edgebotd.protocol.openclaw.frames import canonical_session_key, session_key_of
from edgebotd.protocol.openclaw.history import History, session_seen
from edgebotd.protocol.run import (
    Activity,
    Outcome,
    RunDelta,
    RunEnded,
    RunEnding,
    RunEvent,
    RunStatus,
    ToolActivity,
)
from edgebotd.protocol.utf16 import utf16_length

MAX_ACTIVE = 1000
"""Runs kept at once. When one more starts, the oldest is given up with a `RunEnding`: the caller settles it."""
MAX_ENDED = 4096
"""Ended runs remembered, so that late events do not bring them back. Late means seconds; this lasts for hours."""
MAX_TOOL_VALUE = 16_384
"""Characters of a tool's text result that travel live; the whole is in history."""

_PHASES = {
    "preparing_workspace": "preparing the workspace",
    "preparing_context": "preparing the context",
    "starting_model": "starting the model",
    "naming_worktree": "naming the worktree",
    "creating_worktree": "creating the worktree",
    "running_setup": "running the setup",
    "provisioning_environment": "provisioning the environment",
}
_TOOL_PHASES = frozenset({"start", "update", "result"})


@dataclass(slots=True)
class _Run:
    session_key: str
    raw: str = ""
    """The text as it came; may end in half a surrogate pair."""
    text: str = ""
    """The same as it was delivered."""
    length: int = 0
    """Of `text`, in UTF-16 code units."""
    status: tuple[Activity, str | None] | None = None
    worked: bool = False
    """Whether it did anything of its own: without that, a bare final means that it was merged into another run."""
    ending: bool = False
    files: bool = False
    """Whether the agent sent files along, of which only the history tells."""
    error: str | None = None
    error_kind: str | None = None


class Runs:
    """The runs of one agent of one gateway. Synchronous; no method raises because of what the gateway sent."""

    def __init__(self, *, agent_id: str = "main", main_key: str = "main") -> None:
        self.agent_id = agent_id
        self.main_key = main_key
        self._active: OrderedDict[str, _Run] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()

    @property
    def active(self) -> dict[str, str]:
        """Runs that have not ended, oldest first: run id to session key."""
        return {run_id: run.session_key for run_id, run in self._active.items()}

    def text(self, run_id: str) -> str | None:
        """Return the text of an active run so far."""
        run = self._active.get(run_id)
        return None if run is None else run.text

    def is_ending(self, run_id: str) -> bool:
        """Tell whether a run was told to be ending and nothing revived or ended it since."""
        run = self._active.get(run_id)
        return run is not None and run.ending

    def expect(self, run_id: str, session_key: str) -> list[RunEvent]:
        """Note a run before its `chat.send`: its events may come before the answer."""
        out: list[RunEvent] = []
        if run_id not in self._ended:
            self._run(run_id, canonical_session_key(session_key, agent_id=self.agent_id, main_key=self.main_key), out)
        return out

    def forget(self, run_id: str) -> None:
        """Drop a run whose `chat.send` was refused, so that the same id may be sent again later."""
        self._active.pop(run_id, None)

    def feed(self, name: str, payload: Mapping[str, Any]) -> list[RunEvent]:
        """Take one event frame; return what it means, in order. Events that are of no run give nothing."""
        if name == "chat":
            return self._chat(payload)
        if name == "agent":
            return self._agent(payload)
        if name in ("sessions.changed", "session.message"):
            row = mapping(payload.get("session"))
            key = session_key_of(payload, agent_id=self.agent_id, main_key=self.main_key)
            seen = session_seen({"key": key, **row}, updated_at=milliseconds(payload.get("ts")))
            return [] if seen is None else [seen]
        return []

    def resume(self, history: History) -> list[RunEvent]:
        """Take up the run in flight that a history names; keeps the longer text, as deltas may have come before."""
        run_id = history.in_flight_run_id
        out: list[RunEvent] = []
        if run_id is None or run_id in self._ended:
            return out
        run = self._run(run_id, history.session_key, out)
        _revive(run)
        text = history.in_flight_text
        if not run.raw.startswith(text):
            run.worked = True
            self._status(run_id, run, Activity.STREAMING, None, out)
            self._set_text(run_id, run, text, out)
        elif run.status is None:
            self._status(run_id, run, Activity.STARTED, None, out)
        return out

    def settle(self, run_id: str, history: History, *, idle: bool = False) -> list[RunEvent]:
        """End a run by what a history says of it; nothing when it still runs or has ended already.

        For runs after `RunEnding`, and for all active ones after a new connection: the gateway may have died.

        Args:
            run_id: of an active run.
            history: of its session, read after that.
            idle: the caller knows from elsewhere (`sessions.list`) that nothing runs in the session. 2026.5.28's
                history does not say it; without it, only a run that is ending can be settled there.
        """
        run = self._active.get(run_id)
        if run is None or (history.is_running(run_id) and not idle):
            return []
        if not (history.tells_activity or idle or run.ending):
            return []
        past = history.reply_to(run_id)
        out: list[RunEvent] = []
        if past is not None:
            text = "\n\n".join(part["text"] for part in past.parts if part["type"] == "text")
            errors = [part for part in past.parts if part["type"] == "error"]
            # History keeps the pieces of a reply apart and drops partial text: what was streamed stays if it is more.
            text = text if len(text.strip()) > len(run.text.strip()) else run.text
            message = (errors[0]["message"] if errors else None) or run.error
            kind = run.error_kind or (errors[0].get("code") if errors else None)
            if past.outcome is not Outcome.FAILED:
                message = kind = None
            self._end(run_id, run, past.outcome, text, message, kind, out)
        elif history.was_merged(run_id):
            self._end(run_id, run, Outcome.MERGED, None, None, None, out)
        elif run.error is not None:
            self._end(run_id, run, Outcome.FAILED, None, run.error, run.error_kind, out)
        else:
            self._end(run_id, run, Outcome.INTERRUPTED, None, "The gateway has no reply to this message.", None, out)
        return out

    def _chat(self, payload: Mapping[str, Any]) -> list[RunEvent]:
        out: list[RunEvent] = []
        run_id, run = self._of(payload, out)
        if run_id is None or run is None:
            return out
        state = payload.get("state")
        if state == "status":
            self._phase(run_id, run, payload, out)
        elif state == "delta":
            self._delta(run_id, run, payload, out)
        elif state == "final":
            text = _message_text(payload)
            if text is None and not run.worked:
                self._end(run_id, run, Outcome.MERGED, None, None, None, out)
            else:
                self._end(run_id, run, Outcome.FINISHED, text, None, None, out)
        elif state == "aborted":
            self._end(run_id, run, Outcome.ABORTED, _message_text(payload), None, None, out)
        elif state == "error":
            detail = mapping(payload.get("errorDetail"))
            message = words(payload.get("errorMessage")) or run.error or "The gateway gave no reason."
            kind = words(payload.get("errorKind")) or words(detail.get("failoverReason")) or run.error_kind
            self._end(run_id, run, Outcome.FAILED, _message_text(payload), message, kind, out)
        return out

    def _agent(self, payload: Mapping[str, Any]) -> list[RunEvent]:
        out: list[RunEvent] = []
        run_id, run = self._of(payload, out)
        if run_id is None or run is None:
            return out
        data, stream = mapping(payload.get("data")), payload.get("stream")
        if stream == "lifecycle":
            self._lifecycle(run_id, run, data, out)
        elif stream == "run_status":
            self._phase(run_id, run, data, out)
        elif stream == "tool":
            self._tool(run_id, run, data, out)
        elif stream == "assistant" and sequence(data.get("mediaUrls")):
            run.files = True
        return out

    def _lifecycle(self, run_id: str, run: _Run, data: Mapping[str, Any], out: list[RunEvent]) -> None:
        phase = data.get("phase")
        if phase == "start":
            run.worked = True
            _revive(run)
            # It goes on with another model or after a retry: the failure before it is not this run's end.
            run.error = run.error_kind = None
            # A status that already says more ("starting the model") is not taken back.
            if run.status is None:
                self._status(run_id, run, Activity.STARTED, None, out)
        elif phase in ("end", "error"):
            run.worked = True
            if phase == "error" and data.get("aborted") is not True:
                run.error = words(data.get("error")) or "The gateway gave no reason."
                run.error_kind = words(mapping(data.get("errorObservation")).get("failoverReason"))
            if not run.ending:
                run.ending = True
                out.append(RunEnding(run_id, run.session_key))

    def _phase(self, run_id: str, run: _Run, data: Mapping[str, Any], out: list[RunEvent]) -> None:
        phase = data.get("phase")
        if phase == "retrying":
            _revive(run)
            detail = words(data.get("message")) or "The model failed; trying again."
            self._status(run_id, run, Activity.RETRYING, detail, out)
        elif isinstance(phase, str) and phase in _PHASES:
            _revive(run)
            self._status(run_id, run, Activity.STARTED, _PHASES[phase], out)

    def _tool(self, run_id: str, run: _Run, data: Mapping[str, Any], out: list[RunEvent]) -> None:
        call_id, phase = string(data.get("toolCallId")), data.get("phase")
        if not call_id or not isinstance(phase, str) or phase not in _TOOL_PHASES:
            return
        run.worked = True
        if phase == "start":
            _revive(run)
        name = words(data.get("name")) or "tool"
        if phase != "result":
            self._status(run_id, run, Activity.TOOL, name, out)
        activity = ToolActivity(
            run_id,
            run.session_key,
            call_id,
            name,
            phase,
            arguments=json_value(data.get("args")) if phase == "start" else None,
            result=_tool_result(data.get("partialResult" if phase == "update" else "result")),
            is_error=data.get("isError") is True,
        )
        out.append(activity)
        if phase == "result":
            self._status(run_id, run, Activity.THINKING, None, out)

    def _delta(self, run_id: str, run: _Run, payload: Mapping[str, Any], out: list[RunEvent]) -> None:
        whole, new = _raw_text(payload), payload.get("deltaText")
        if whole is None:
            if not isinstance(new, str):
                return
            whole = new if payload.get("replace") is True else run.raw + new
        run.worked = True
        if whole:
            self._status(run_id, run, Activity.STREAMING, None, out)
        self._set_text(run_id, run, whole, out)

    def _set_text(self, run_id: str, run: _Run, raw: str, out: list[RunEvent]) -> None:
        run.raw = raw
        # Half a surrogate pair at the end waits for its other half.
        held = raw[-1:] if "\ud800" <= raw[-1:] <= "\udbff" else ""
        text = encodable(raw[: len(raw) - len(held)])
        if text == run.text:
            return
        if text.startswith(run.text):
            offset, new = run.length, text[len(run.text) :]
        else:
            common = _common_prefix(run.text, text)
            offset, new = utf16_length(common), text[len(common) :]
        run.text = text
        run.length = offset + utf16_length(new)
        out.append(RunDelta(run_id, run.session_key, offset, new))

    def _status(self, run_id: str, run: _Run, activity: Activity, detail: str | None, out: list[RunEvent]) -> None:
        # Every status comes twice, as a chat and as an agent event. After RunEnding text may still flow (2026.5.28
        # flushes its last delta then), but the run does nothing any more.
        if run.status == (activity, detail) or run.ending:
            return
        run.status = (activity, detail)
        out.append(RunStatus(run_id, run.session_key, activity, detail))

    def _end(
        self,
        run_id: str,
        run: _Run,
        outcome: Outcome,
        text: str | None,
        error: str | None,
        error_kind: str | None,
        out: list[RunEvent],
    ) -> None:
        if text is not None:
            self._set_text(run_id, run, encodable(text), out)
        del self._active[run_id]
        self._ended[run_id] = None
        while len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)
        reply = None if outcome is Outcome.MERGED else run.text
        in_history = run.files and outcome is Outcome.FINISHED
        out.append(RunEnded(run_id, run.session_key, outcome, reply, error, error_kind, in_history))

    def _of(self, payload: Mapping[str, Any], out: list[RunEvent]) -> tuple[str | None, _Run | None]:
        """Return the run that an event is about, a new one too; None for ended runs and events of no run."""
        run_id = string(payload.get("runId"))
        # 128 characters are what the store takes for a run's id.
        if not run_id or len(run_id) > 128 or run_id in self._ended:
            return None, None
        run = self._active.get(run_id)
        if run is None:
            key = session_key_of(payload, agent_id=self.agent_id, main_key=self.main_key)
            if key is None:
                return None, None
            run = self._run(run_id, key, out)
        return run_id, run

    def _run(self, run_id: str, session_key: str, out: list[RunEvent]) -> _Run:
        run = self._active.get(run_id)
        if run is None:
            run = self._active[run_id] = _Run(session_key)
            if len(self._active) > MAX_ACTIVE:
                oldest, given_up = self._active.popitem(last=False)
                self._ended[oldest] = None
                out.append(RunEnding(oldest, given_up.session_key))
        return run


def _revive(run: _Run) -> None:
    """Take a `RunEnding` back: the run works again. The status that follows tells the caller."""
    if run.ending:
        run.ending = False
        run.status = None


def _common_prefix(one: str, other: str) -> str:
    """Return the longest start that both texts share, by halving: texts are long, and slices compare fast."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return one[:low]


def _raw_text(payload: Mapping[str, Any]) -> str | None:
    """Return the text of a chat event's message as it came, half surrogate pairs and all."""
    message = payload.get("message")
    if isinstance(message, str):
        return message
    content = mapping(message).get("content")
    if isinstance(content, list) and len(content) == 1 and isinstance(mapping(content[0]).get("text"), str):
        only: str = content[0]["text"]
        return only
    return text_of(content)


def _message_text(payload: Mapping[str, Any]) -> str | None:
    text = _raw_text(payload)
    return text if text is not None else string(mapping(payload.get("message")).get("text"))


def _tool_result(value: object) -> Any:
    """Return a tool's result as its text where it is text, cut to what may travel live; else as JSON."""
    text = text_of(value if isinstance(value, str) else mapping(value).get("content"), "\n")
    if text is None:
        return json_value(value)
    return text if len(text) <= MAX_TOOL_VALUE else text[:MAX_TOOL_VALUE] + "…"
