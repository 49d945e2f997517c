"""What every connector with a memory must do: run on the built-in peer and on real gateways alike.

Each function takes a `Harness` whose session is open. Texts are told by the harness, because a real gateway's model
has scripts of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import trio

from edgebotd.bots.connector import Accepted, Connector, ConnectorError, Hello, Outgoing
from edgebotd.bots.runs import LiveRun
from edgebotd.protocol.run import Outcome, RunDelta, RunEnded, RunEnding, RunEvent, ToolActivity

SETTLE_SECONDS = 0.5
"""How long after a run's work an end that comes by itself is waited for."""


@dataclass(frozen=True)
class Script:
    """Messages that make the peer do something. `expected` is the reply to `quick`."""

    quick: str
    expected: str
    long: str
    failing: str
    tool: str


@dataclass
class Harness:
    """One connector with an open session, and what it delivered."""

    connector: Connector
    script: Script
    agent: str = "main"
    timeout: float = 60
    hello: Hello | None = None
    events: list[RunEvent] = field(default_factory=list)
    ended: ConnectorError | None = None
    _change: trio.Event = field(default_factory=trio.Event)

    def started(self, value: Hello, /) -> None:
        self.hello = value
        self._poke()

    async def deliver(self, event: RunEvent) -> None:
        await trio.lowlevel.checkpoint()
        self.events.append(event)
        self._poke()

    def _poke(self) -> None:
        self._change.set()
        self._change = trio.Event()

    def turn(self, text: str) -> Outgoing:
        """A turn in a conversation of its own."""
        conversation = f"c_{secrets.token_hex(10)}"
        return Outgoing(f"r_{secrets.token_hex(10)}", conversation, f"agent:{self.agent}:edgebotd:{conversation}", text)

    async def wait_end(self, run_id: str) -> RunEnded:
        """Wait for the first end of a run; one whose end a peer does not tell is looked up, as the bot does."""
        with trio.fail_after(self.timeout):
            while (found := self._last(run_id)) is None or isinstance(found, RunEnding):
                with trio.move_on_after(self.timeout if found is None else SETTLE_SECONDS) as scope:
                    await self._change.wait()
                if scope.cancelled_caught and found is not None:
                    await self.connector.history(found.session_key)
            return found

    def _last(self, run_id: str) -> RunEnded | RunEnding | None:
        ends = [event for event in self.events if isinstance(event, RunEnded | RunEnding) and event.run_id == run_id]
        return next((event for event in ends if isinstance(event, RunEnded)), ends[-1] if ends else None)

    async def wait_delta(self, run_id: str) -> None:
        """Wait for the first text of a run."""
        with trio.fail_after(self.timeout):
            while not any(isinstance(event, RunDelta) and event.run_id == run_id for event in self.events):
                await self._change.wait()

    def streamed(self, run_id: str) -> str:
        """The text of a run as its deltas make it."""
        run = LiveRun(run_id, "", "")
        for event in self.events:
            if isinstance(event, RunDelta) and event.run_id == run_id:
                run.append(event.offset, event.text)
        return run.text


@asynccontextmanager
async def open_session(harness: Harness) -> AsyncIterator[Harness]:
    """Hold one session; its end is noted in `harness.ended`."""

    async def hold() -> None:
        try:
            await harness.connector.run_session(harness.deliver, task_status=harness)
        except ConnectorError as exc:
            harness.ended = exc
            harness._poke()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold)
        with trio.fail_after(harness.timeout):
            while harness.hello is None:
                assert harness.ended is None, harness.ended
                await harness._change.wait()
        yield harness
        nursery.cancel_scope.cancel()


async def a_turn_streams_and_ends_with_its_whole_text(harness: Harness) -> None:
    turn = harness.turn(harness.script.quick)
    assert await harness.connector.send(turn) is Accepted.STARTED
    ended = await harness.wait_end(turn.run_id)
    assert ended.outcome is Outcome.FINISHED
    assert (ended.text or "").strip() == harness.script.expected
    assert harness.streamed(turn.run_id).strip() == harness.script.expected


async def the_same_run_id_runs_once(harness: Harness) -> None:
    turn = harness.turn(harness.script.quick)
    await harness.connector.send(turn)
    assert await harness.connector.send(turn) in (Accepted.RUNNING, Accepted.ENDED)
    await harness.wait_end(turn.run_id)
    assert await harness.connector.send(turn) is Accepted.ENDED
    history = await harness.connector.history(turn.session_key)
    assert [message.role for message in history.messages if not message.internal] == ["user", "assistant"]


async def history_tells_both_messages_with_keys_that_stay(harness: Harness) -> None:
    turn = harness.turn(harness.script.quick)
    await harness.connector.send(turn)
    await harness.wait_end(turn.run_id)
    first = await harness.connector.history(turn.session_key)
    again = await harness.connector.history(turn.session_key)
    asked, said = first.messages
    assert (asked.role, said.role) == ("user", "assistant")
    assert said.parts[0]["text"].strip() == harness.script.expected
    assert asked.run_id == turn.run_id
    assert [message.key for message in first.messages] == [message.key for message in again.messages]
    assert not first.active_run_ids
    assert turn.session_key in {session.session_key for session in await harness.connector.sessions(None)}


async def an_abort_ends_the_run_and_keeps_its_text(harness: Harness) -> None:
    turn = harness.turn(harness.script.long)
    await harness.connector.send(turn)
    await harness.wait_delta(turn.run_id)
    history = await harness.connector.history(turn.session_key)
    assert turn.run_id in history.active_run_ids | {history.in_flight_run_id}
    assert await harness.connector.abort(turn.session_key, turn.run_id)
    assert (await harness.wait_end(turn.run_id)).outcome is Outcome.ABORTED
    assert harness.streamed(turn.run_id)
    assert not await harness.connector.abort(turn.session_key, turn.run_id)


async def a_failure_is_told_in_words(harness: Harness) -> None:
    turn = harness.turn(harness.script.failing)
    await harness.connector.send(turn)
    ended = await harness.wait_end(turn.run_id)
    assert ended.outcome is Outcome.FAILED and ended.error


async def a_tool_is_told_while_it_runs(harness: Harness) -> None:
    turn = harness.turn(harness.script.tool)
    await harness.connector.send(turn)
    assert (await harness.wait_end(turn.run_id)).outcome is Outcome.FINISHED
    told = [e for e in harness.events if isinstance(e, ToolActivity) and e.run_id == turn.run_id]
    assert told[0].phase == "start" and told[-1].phase == "result"
    assert len({event.tool_call_id for event in told}) == 1
    history = await harness.connector.history(turn.session_key)
    _asked, said = history.messages
    kinds = [part["type"] for part in said.parts]
    assert kinds.index("toolCall") < kinds.index("toolResult") < len(kinds) - 1


async def a_turn_that_interrupts_ends_the_one_that_runs(harness: Harness) -> None:
    first = harness.turn(harness.script.long)
    await harness.connector.send(first)
    await harness.wait_delta(first.run_id)
    second = replace(harness.turn(harness.script.quick), session_key=first.session_key, interrupt=True)
    assert await harness.connector.send(second) is Accepted.STARTED
    assert (await harness.wait_end(first.run_id)).outcome is Outcome.ABORTED
    ended = await harness.wait_end(second.run_id)
    assert (ended.outcome, (ended.text or "").strip()) == (Outcome.FINISHED, harness.script.expected)


async def an_unknown_session_is_an_empty_one(harness: Harness) -> None:
    history = await harness.connector.history(harness.turn("").session_key)
    assert history.messages == () and not history.active_run_ids and history.in_flight_run_id is None


CONTRACT = (
    a_turn_streams_and_ends_with_its_whole_text,
    the_same_run_id_runs_once,
    history_tells_both_messages_with_keys_that_stay,
    an_abort_ends_the_run_and_keeps_its_text,
    a_failure_is_told_in_words,
    a_tool_is_told_while_it_runs,
    a_turn_that_interrupts_ends_the_one_that_runs,
    an_unknown_session_is_an_empty_one,
)
