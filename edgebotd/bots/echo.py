"""The built-in bot: the demo, and the tests' twin of a gateway.

`EchoPeer` is the gateway: it has sessions, runs and a history, and its runs go on while nobody is connected. It needs
no task for that: a run is a list of steps with their times, and whoever looks lets happen first what is due by now.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from edgebotd.bots import script
from edgebotd.bots.connector import (
    Accepted,
    AttachmentLimits,
    ConnectorError,
    Feature,
    Hello,
    HelloStatus,
    Outgoing,
    Trouble,
)
from edgebotd.protocol.run import (
    Activity,
    History,
    Outcome,
    PastMessage,
    RunDelta,
    RunEnded,
    RunEvent,
    RunStatus,
    SessionSeen,
    ToolActivity,
)
from edgebotd.protocol.utf16 import utf16_length

FEATURES = frozenset(
    {
        Feature.CHAT,
        Feature.ABORT,
        Feature.HISTORY,
        Feature.SESSIONS,
        Feature.ATTACHMENTS,
        Feature.TOOLS,
        Feature.INTERRUPT,
    }
)
LIMITS = AttachmentLimits(max_bytes=10 * 1024 * 1024, max_image_bytes=5 * 1024 * 1024)
KEPT_MESSAGES = 1000
"""Messages of a session that the peer remembers; the oldest go first. The daemon's store keeps them all."""


@dataclass
class _Run:
    turn: Outgoing
    steps: list[tuple[float, script.Step]]
    done: int = 0
    pieces: list[str] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    over: bool = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def due(self) -> float:
        return self.steps[self.done][0]


class EchoPeer:
    """A gateway's sessions and runs, in memory."""

    def __init__(self, pace: float = 0.03, now: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.pace = pace
        self.now = now
        self.boot = 1
        self.sent: list[str] = []
        """Run ids as they came in, repeated ones too."""
        self._runs: dict[str, _Run] = {}
        self._sessions: dict[str, list[PastMessage]] = {}
        self._touched: dict[str, int] = {}

    def accept(self, turn: Outgoing) -> Accepted:
        """Begin a run, once per run id."""
        self.sent.append(turn.run_id)
        known = self._runs.get(turn.run_id)
        if known is not None:
            return Accepted.ENDED if known.over else Accepted.RUNNING
        at = trio.current_time()
        timed = []
        for step in script.steps(turn, self.pace):
            at += step.after
            timed.append((at, step))
        self._runs[turn.run_id] = _Run(turn, timed)
        parts: list[dict[str, Any]] = [{"type": "text", "text": turn.text}] if turn.text else []
        self._remember(PastMessage(f"{turn.run_id}:user", "user", turn.session_key, tuple(parts), turn.run_id))
        return Accepted.STARTED

    def advance(self) -> list[RunEvent | None]:
        """Let happen what is due by now, and return it in order; None stands for a connection that is cut."""
        now = trio.current_time()
        happened: list[RunEvent | None] = []
        while True:
            due = [run for run in self._runs.values() if not run.over and run.due <= now]
            if not due:
                return happened
            run = min(due, key=lambda run: run.due)
            step = run.steps[run.done][1]
            run.done += 1
            happened.extend(self._happen(run, step))

    def next_due(self) -> float:
        """Return when something happens next, on Trio's clock."""
        return min((run.due for run in self._runs.values() if not run.over), default=float("inf"))

    def abort(self, run_id: str) -> RunEnded | None:
        """End a run; None where none such is going on."""
        run = self._runs.get(run_id)
        return None if run is None or run.over else self._end(run, Outcome.ABORTED)

    def running(self, session_key: str) -> list[str]:
        """Return the runs that go on in a session."""
        return [key for key, run in self._runs.items() if run.turn.session_key == session_key and not run.over]

    def history(self, session_key: str) -> History:
        """Tell a session as of the last `advance`."""
        active = self.running(session_key)
        return History(
            session_key,
            tuple(self._sessions.get(session_key, ())),
            frozenset(active),
            active[-1] if active else None,
            self._runs[active[-1]].text if active else "",
        )

    def sessions(self, since_at: int | None) -> list[SessionSeen]:
        """Tell which sessions there are, as of the last `advance`."""
        seen = [
            SessionSeen(key, at, active_run_ids=frozenset(self.running(key)))
            for key, at in self._touched.items()
            if since_at is None or at >= since_at
        ]
        return sorted(seen, key=lambda session: session.updated_at or 0, reverse=True)

    def remember(self, session_key: str, role: str, text: str, run_id: str | None = None) -> PastMessage:
        """Put a message of another surface into a session, as a gateway's own channel would."""
        key = f"row-{len(self._sessions.get(session_key, ()))}-{session_key}"
        past = PastMessage(key, role, session_key, ({"type": "text", "text": text},), run_id, self.now())
        self._remember(past)
        return past

    def restart(self) -> None:
        """Begin anew as after a crash: what runs is lost and never ends; what was said is remembered."""
        self.boot += 1
        for run in self._runs.values():
            run.over = True

    def _remember(self, past: PastMessage) -> None:
        at = self.now() if past.created_at is None else past.created_at
        rows = self._sessions.setdefault(past.session_key, [])
        rows.append(
            PastMessage(
                past.key, past.role, past.session_key, past.parts, past.run_id, created_at=at, outcome=past.outcome
            )
        )
        del rows[:-KEPT_MESSAGES]
        self._touched[past.session_key] = at

    def _happen(self, run: _Run, step: script.Step) -> list[RunEvent | None]:
        run_id, key = run.turn.run_id, run.turn.session_key
        events: list[RunEvent | None] = []
        if run.done == 1:
            events.append(RunStatus(run_id, key, Activity.STARTED))
        if step.kind == "think":
            events.append(RunStatus(run_id, key, Activity.THINKING))
        elif step.kind == "text":
            events.append(RunDelta(run_id, key, utf16_length(run.text), step.text))
            run.pieces.append(step.text)
        elif step.kind in ("tool", "result"):
            events.append(self._tool(run, step))
        elif step.kind == "cut":
            events.append(None)
        elif step.kind == "error":
            events.append(self._end(run, Outcome.FAILED, step.text))
        else:
            events.append(self._end(run, Outcome.FINISHED))
        return events

    def _tool(self, run: _Run, step: script.Step) -> ToolActivity:
        run_id, key = run.turn.run_id, run.turn.session_key
        call_id = f"call-{run_id}"
        if step.kind == "tool":
            run.parts.append({"type": "text", "text": run.text})
            arguments = {"query": run.turn.text[:100]}
            run.parts.append({"type": "toolCall", "toolCallId": call_id, "name": step.text, "arguments": arguments})
            return ToolActivity(run_id, key, call_id, step.text, "start", arguments=arguments)
        result = f"The built-in bot's {step.text} always works."
        run.parts.append({"type": "toolResult", "toolCallId": call_id, "name": step.text, "result": result})
        return ToolActivity(run_id, key, call_id, step.text, "result", result=result)

    def _end(self, run: _Run, outcome: Outcome, error: str | None = None) -> RunEnded:
        run.over = True
        told = sum(len(part.get("text", "")) for part in run.parts)
        parts = [*run.parts, {"type": "text", "text": run.text[told:]}] if run.text[told:] else run.parts
        if error is not None:
            parts = [*parts, {"type": "error", "message": error}]
        run_id, key = run.turn.run_id, run.turn.session_key
        self._remember(PastMessage(f"{run_id}:assistant", "assistant", key, tuple(parts), run_id, outcome=outcome))
        return RunEnded(run_id, key, outcome, run.text, error)


class EchoConnector:
    """The connection to an `EchoPeer`, which may break and come back."""

    def __init__(self, peer: EchoPeer) -> None:
        self.peer = peer
        self.refuse: ConnectorError | None = None
        """What the next attempts to connect meet."""
        self.lose_acks = 0
        """How many of the next turns are accepted without the sender hearing of it."""
        self._ended: ConnectorError | None = None
        self._wake: trio.Event | None = None
        self._news: deque[RunEvent] = deque()

    def cut(self, error: ConnectorError | None = None) -> None:
        """Break the connection, if there is one."""
        self._ended = error or ConnectorError(Trouble.LOST, "The connection to the built-in bot was cut.")
        self._poke()

    async def run_session(self, deliver: Callable[[RunEvent], Awaitable[None]], *, task_status: HelloStatus) -> None:
        """As `Connector`."""
        await trio.lowlevel.checkpoint()
        if self.refuse is not None:
            raise self.refuse
        self.peer.advance()
        self._ended = None
        self._news.clear()
        self._wake = trio.Event()
        try:
            task_status.started(Hello(f"built-in {self.peer.boot}", FEATURES, LIMITS, str(self.peer.boot)))
            while True:
                # Only here do events leave, so that they keep their order whoever made them happen.
                self._collect()
                while self._news and self._ended is None:
                    await deliver(self._news.popleft())
                if self._ended is not None:
                    raise self._ended
                self._wake = trio.Event()
                with trio.move_on_at(self.peer.next_due()):
                    await self._wake.wait()
        finally:
            self._wake = None

    async def send(self, turn: Outgoing) -> Accepted:
        """As `Connector`."""
        await self._connected()
        self._collect()
        if turn.interrupt:
            for run_id in self.peer.running(turn.session_key):
                self._aborted(run_id)
        answer = self.peer.accept(turn)
        self._poke()
        if self.lose_acks:
            self.lose_acks -= 1
            self.cut()
            raise ConnectorError(Trouble.LOST, "The connection broke before the answer came.")
        return answer

    async def abort(self, session_key: str, run_id: str) -> bool:
        """As `Connector`."""
        await self._connected()
        return self._aborted(run_id)

    async def history(self, session_key: str) -> History:
        """As `Connector`."""
        await self._connected()
        self._collect()
        return self.peer.history(session_key)

    async def sessions(self, since_at: int | None) -> list[SessionSeen]:
        """As `Connector`."""
        await self._connected()
        self._collect()
        return self.peer.sessions(since_at)

    def _aborted(self, run_id: str) -> bool:
        self._collect()
        ended = self.peer.abort(run_id)
        if ended is None:
            return False
        self._news.append(ended)
        self._poke()
        return True

    def _collect(self) -> None:
        # What happens because somebody else looks is still news to the session.
        for event in self.peer.advance():
            if event is None:
                self.cut(ConnectorError(Trouble.LOST, "The connection was cut, as you asked with [[cut]]."))
            else:
                self._news.append(event)
        if self._news:
            self._poke()

    async def _connected(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._wake is None or self._ended is not None:
            raise ConnectorError(Trouble.LOST, "There is no connection to the built-in bot.")

    def _poke(self) -> None:
        if self._wake is not None:
            self._wake.set()
