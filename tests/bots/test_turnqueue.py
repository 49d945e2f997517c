"""A bot's queue at its awkward moments: stopped or interrupted between the send and the bot's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from edgebotd.bots.connector import Accepted, ConnectorError, Outgoing, Trouble
from edgebotd.bots.echo import EchoPeer
from edgebotd.bots.requests import AbortRequest
from edgebotd.bots.runs import text_of
from edgebotd.errors import Invalid
from edgebotd.events import ChatStatus, RunState
from tests.bots.house import ADMIN, House, open_house, open_life, open_store

AWAY = ConnectorError(Trouble.REFUSED, "Nothing answers.")


async def stop(house: House, run_id: str) -> RunState:
    """Stop a run and return what is answered."""
    return (await house.registry.turns.abort(ADMIN, "echo", AbortRequest(run_id=run_id))).state


def draining(house: House) -> Any:
    """Make the bot refuse what is sent, as a gateway does that drains; return the good `send`."""
    connector = house.connectors["echo"]
    good = connector.send

    async def refuse(turn: Outgoing) -> Accepted:
        await trio.lowlevel.checkpoint()
        raise ConnectorError(Trouble.UNAVAILABLE, "The gateway drains.", retry_after=5)

    connector.send = refuse  # type: ignore[method-assign]
    return good


async def test_what_interrupts_goes_before_what_waits_for_its_bot(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path, prepare=lambda c: setattr(c, "refuse", AWAY)) as house:
        waits = await house.send("[[long 500]]")
        after = await house.send("[[say after]]", conversation=waits.conversation_id)
        first = await house.send("[[say first]]", conversation=waits.conversation_id, mode="interrupt")
        await trio.sleep(5)
        house.connectors["echo"].refuse = None
        for answer in (first, waits, after):
            assert await house.told.wait_over(answer.run_id) is RunState.FINISHED
        assert house.connectors["echo"].peer.sent == [first.run_id, waits.run_id, after.run_id]


async def test_what_interrupts_stops_what_is_being_sent(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        queue = house.registry.get("echo").queue
        compose, composing, go_on = queue.compose, trio.Event(), trio.Event()
        assert compose is not None

        async def slow(*args: Any) -> Outgoing:
            composing.set()
            await go_on.wait()
            return await compose(*args)

        queue.compose = slow
        running = await house.send("[[long 1500]]")
        await composing.wait()
        now = await house.send("[[say now]]", conversation=running.conversation_id, mode="interrupt")
        go_on.set()
        assert await house.told.wait_over(running.run_id) is RunState.ABORTED
        assert await house.told.wait_over(now.run_id) is RunState.FINISHED
        assert house.connectors["echo"].peer.sent == [now.run_id]


@pytest.mark.parametrize("after", [0.0, 1.0, 12.0])
async def test_stop_of_what_the_bot_refuses_ends_it_at_once_and_for_good(
    after: float, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        good = draining(house)
        answer = await house.send("[[say never]]")
        await house.told.wait(lambda e: isinstance(e, ChatStatus) and "Not sent yet" in (e.detail or ""))
        await trio.sleep(after)
        began = trio.current_time()
        assert await stop(house, answer.run_id) is RunState.ABORTED
        assert trio.current_time() - began < 0.5
        house.connectors["echo"].send = good  # type: ignore[method-assign]
        await house.say("[[say well]]", conversation=answer.conversation_id)
        assert answer.run_id not in house.connectors["echo"].peer.sent
        assert [text_of(m.parts) for m in await house.messages()] == ["[[say never]]", "[[say well]]", "well"]


async def test_a_bot_whose_last_run_ended_is_idle_whatever_waits_to_be_sent(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        bot = house.registry.get("echo")
        runs = [await house.send("[[long 50]]"), await house.send("[[long 100]]")]
        for run in runs:
            await house.told.wait_state(run.run_id, RunState.STREAMING)
        draining(house)
        waits = await house.send("[[say later]]")
        await house.told.wait(lambda e: isinstance(e, ChatStatus) and "Not sent yet" in (e.detail or ""))
        for run, activity in zip(runs, ("streaming", "idle"), strict=True):
            await house.told.wait_over(run.run_id)
            assert bot.activity == (activity, None)
        assert waits.run_id in bot.capture.live


async def test_what_was_refused_is_not_told_as_going_on_when_the_connection_breaks(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        draining(house)
        answer = await house.send("[[say later]]")
        await house.told.wait(lambda e: isinstance(e, ChatStatus) and "Not sent yet" in (e.detail or ""))
        house.registry.get("echo").queue.disconnected(AWAY)
        told = [e.detail for e in house.told.events if isinstance(e, ChatStatus) and e.run_id == answer.run_id]
        assert told[-1] == "Not sent yet: Nothing answers."
        assert await stop(house, answer.run_id) is RunState.ABORTED


@pytest.mark.parametrize("arrived", [True, False])
async def test_stop_while_it_is_unknown_whether_the_bot_has_it_sends_it_no_second_time(
    arrived: bool, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        connector = house.connectors["echo"]
        good, lost, offered = connector.send, trio.Event(), list[str]()

        async def lose(turn: Outgoing) -> Accepted:
            offered.append(turn.run_id)
            if arrived:
                await good(turn)
            await trio.lowlevel.checkpoint()
            lost.set()
            raise ConnectorError(Trouble.LOST, "No answer.")

        connector.send = lose  # type: ignore[method-assign]
        answer = await house.send("[[long 1500]]")
        await lost.wait()
        assert await stop(house, answer.run_id) is RunState.ABORTED
        assert offered == [answer.run_id]
        assert house.told.states(answer.run_id)[-2:] == [RunState.STOPPING, RunState.ABORTED]


@pytest.mark.parametrize("moment", ["composing", "sent", "arrived"])
async def test_what_was_stopped_before_the_bot_accepted_it_is_not_sent_after_a_restart(
    moment: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    peers: dict[str, EchoPeer] = {}
    async with open_store() as (database, hub):
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            await house.connected()
            connector, reached = house.connectors["echo"], trio.Event()
            good = connector.send

            async def hang(*turn: Any) -> Any:
                if moment == "arrived":
                    await good(*turn)
                reached.set()
                await trio.sleep_forever()

            async def deaf(session_key: str, run_id: str) -> bool:
                await trio.lowlevel.checkpoint()
                return True

            connector.abort = deaf  # type: ignore[method-assign]
            if moment == "composing":
                house.registry.get("echo").queue.compose = hang
            else:
                connector.send = hang  # type: ignore[method-assign, assignment]
            answer = await house.send("[[long 1500]]")
            await reached.wait()
            assert await stop(house, answer.run_id) is RunState.STOPPING
        sent = list(peers["echo"].sent)
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            assert await house.told.wait_over(answer.run_id) is RunState.ABORTED
            assert peers["echo"].sent == sent


async def test_stop_says_what_it_can_do(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        answer = await house.send("[[long 1500]] [[slow]] [[cut]]")
        house.connectors["echo"].refuse = AWAY
        await house.until(lambda: not house.registry.get("echo").connected)
        asked = AbortRequest(run_id=answer.run_id)
        stopping = await house.registry.turns.abort(ADMIN, "echo", asked)
        assert stopping.state is RunState.STOPPING and "as soon as it is back" in (stopping.detail or "")
        house.connectors["echo"].refuse = None
        assert await house.told.wait_over(answer.run_id) is RunState.ABORTED
        await house.until(lambda: not house.registry.get("echo").queue.busy)
        with pytest.raises(Invalid, match="in this conversation"):
            nothing = AbortRequest(conversation_id=answer.conversation_id)
            await house.registry.turns.abort(ADMIN, "echo", nothing)


async def test_a_refused_stop_says_why_and_can_be_asked_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        connector = house.connectors["echo"]
        good = connector.abort

        async def refuse(session_key: str, run_id: str) -> bool:
            await trio.lowlevel.checkpoint()
            raise ConnectorError(Trouble.NO_RIGHTS, "The scope operator.write is missing.")

        connector.abort = refuse  # type: ignore[method-assign]
        answer = await house.send("[[long 19000]]")
        await house.told.wait_state(answer.run_id, RunState.STREAMING)
        asked = AbortRequest(run_id=answer.run_id)
        refused = await house.registry.turns.abort(ADMIN, "echo", asked)
        words = "the bot was asked to stop, and does not: The scope operator.write is missing."
        assert refused.state is RunState.STOPPING and (refused.detail or "").endswith(words)
        told = [e.detail or "" for e in house.told.events if isinstance(e, ChatStatus)]
        assert told[-1].lower() == words.lower()
        connector.abort = good  # type: ignore[method-assign]
        assert await stop(house, answer.run_id) is RunState.ABORTED


async def test_stop_is_asked_before_the_bot_has_answered(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        connector = house.connectors["echo"]
        send, abort, asked, stopped = connector.send, connector.abort, trio.Event(), trio.Event()

        async def slow(turn: Outgoing) -> Accepted:
            # A model's server that says nothing until its first word.
            accepted = await send(turn)
            asked.set()
            await stopped.wait()
            return accepted

        async def end(session_key: str, run_id: str) -> bool:
            stopped.set()
            return await abort(session_key, run_id)

        connector.send, connector.abort = slow, end  # type: ignore[method-assign]
        answer = await house.send("[[long 19000]]")
        await asked.wait()
        began = trio.current_time()
        assert await stop(house, answer.run_id) is RunState.ABORTED
        assert trio.current_time() - began < 0.5
