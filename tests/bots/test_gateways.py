"""The bots as their containers' floor sees them: shown by their container, held back, tried, added, quietened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from pydantic import SecretStr
from trio.testing import MockClock
from typing_extensions import override

from edgebotd.bots.connector import Connector, ConnectorError, Trouble
from edgebotd.bots.echo import EchoConnector, EchoPeer
from edgebotd.bots.gateways import PROBE, Gateways
from edgebotd.bots.kinds import Wanted
from edgebotd.bots.status import Status, with_container
from edgebotd.docker.bots import Bots
from edgebotd.errors import Conflict, NotFound, Problem
from edgebotd.events import BotState, ContainerStatus, RunState
from tests.bots.house import ADMIN, ECHO, House, now, open_house, open_life, open_store

AWAY = ConnectorError(Trouble.REFUSED, "Nothing answers.")
PAIRING = ConnectorError(
    Trouble.NEEDS_PAIRING, "It must be approved.", extra={"requestId": "req-1"}, reason="needs_pairing"
)
URL = "ws://127.0.0.1:18789/"


def container(state: Any, **more: Any) -> ContainerStatus:
    return ContainerStatus(name="edgebotd-echo", bot_id="echo", state=state, since_at=5, seen_at=6, **more)


def gateways(house: House) -> Bots:
    """Return it as the type that the other floor has for it."""
    return Gateways(house.registry, house.database)


@pytest.mark.parametrize(
    ("connection", "shown", "state", "reason"),
    [
        ("disconnected", None, "disconnected", "refused"),
        ("disconnected", container("exited"), "stopped", "container_exited"),
        ("disconnected", container("created"), "stopped", "container_created"),
        ("disconnected", container("missing"), "stopped", "container_missing"),
        ("disconnected", container("removing"), "stopped", "container_removing"),
        ("disconnected", container("paused"), "disconnected", "container_paused"),
        ("disconnected", container("stopping"), "disconnected", "container_stopping"),
        ("disconnected", container("restarting"), "starting", "container_starting"),
        ("disconnected", container("running", health="starting"), "starting", "container_starting"),
        # The container is well, so the connection's own word holds; an engine that says nothing changes nothing.
        ("disconnected", container("running", health="healthy"), "disconnected", "refused"),
        ("disconnected", container("unknown"), "disconnected", "refused"),
        # What holds has the last word, and what a person must do is not hidden by a start.
        ("connected", container("exited"), "connected", "refused"),
        ("error", container("running", health="starting"), "error", "refused"),
        ("error", container("exited"), "stopped", "container_exited"),
    ],
)
def test_a_bot_without_a_connection_is_what_its_container_is(
    connection: str, shown: ContainerStatus | None, state: str, reason: str
) -> None:
    told = with_container(Status(BotState(connection), 1, "refused", "Nothing answers."), shown)
    assert (told.state.value, told.reason) == (state, reason)
    assert told.source == ("engine" if reason.startswith("container_") else "connection")


def test_the_words_of_a_container_are_told_with_the_reason() -> None:
    told = with_container(
        Status(BotState.DISCONNECTED, 1), container("exited", detail="It ended with exit code 3.", exit_code=3)
    )
    assert (told.detail, told.since_at) == ("Its container is stopped. It ended with exit code 3.", 5)


def test_a_container_that_is_left_stopped_for_its_crashes_says_so() -> None:
    looped = container("exited", detail="It ended with exit code 3.", crash_loop=True)
    told = with_container(Status(BotState.DISCONNECTED, 1), looped)
    assert told.detail is not None and told.detail.startswith("Its container ended by itself again and again")


async def test_a_container_that_becomes_ready_is_tried_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path, prepare=lambda c: setattr(c, "refuse", AWAY)) as house:
        bots = gateways(house)
        await trio.sleep(100)
        bots.container("echo", container("exited"))
        assert bots.summary("echo").state is BotState.STOPPED
        house.connectors["echo"].refuse = None
        bots.container("echo", container("running", health="starting"))
        assert bots.summary("echo").state is BotState.STARTING
        began = trio.current_time()
        bots.container("echo", container("running", health="healthy"))
        await house.connected()
        assert trio.current_time() - began < 1
        # The connection holds: the engine's word alone does not end it.
        bots.container("echo", None)
        assert bots.summary("echo").state is BotState.CONNECTED


async def test_what_is_held_waits_with_the_reason_and_goes_out_later(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        bots = gateways(house)
        running = await house.send("[[long 300]]")
        await house.told.wait_state(running.run_id, RunState.STREAMING)
        bots.hold("echo", "Its container is being stopped.")
        held = await house.send("[[say later]]")
        assert (held.state, held.detail) == (RunState.QUEUED, "Its container is being stopped.")
        # What runs goes on.
        assert await house.told.wait_over(running.run_id) is RunState.FINISHED
        await trio.sleep(60)
        assert house.told.states(held.run_id) == [RunState.QUEUED]
        bots.hold("echo", None)
        assert await house.told.wait_over(held.run_id) is RunState.FINISHED


async def test_what_is_held_for_too_long_fails_with_the_reason(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path, queued_seconds=60) as house:
        await house.connected()
        gateways(house).hold("echo", "Its container is being stopped.")
        held = await house.send("[[say never]]")
        assert await house.told.wait_over(held.run_id) is RunState.FAILED
        answer = await house.registry.turns.run(ADMIN, "echo", held.run_id)
        assert answer.detail == "It could not be sent in time. Its container is being stopped."


async def test_what_is_held_can_be_stopped(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        gateways(house).hold("echo", "Its container is being stopped.")
        held = await house.send("[[say never]]")
        item = house.registry.get("echo").queue.item(held.run_id)
        assert item is not None
        house.registry.get("echo").queue.abort(item)
        assert await house.told.wait_over(held.run_id) is RunState.ABORTED
        assert house.connectors["echo"].peer.sent == []


async def test_runs_are_counted_waited_for_and_aborted(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        bots = gateways(house)
        await bots.wait_idle("echo")
        runs = [await house.send(f"[[long {size}]]") for size in (100, 300)]
        for run in runs:
            await house.told.wait_state(run.run_id, RunState.STREAMING)
        assert bots.busy("echo") == 2
        await bots.wait_idle("echo")
        assert bots.busy("echo") == 0
        long = await house.send("[[long 100000]]")
        await house.told.wait_state(long.run_id, RunState.STREAMING)
        await bots.abort_all("echo")
        with trio.fail_after(10):
            await bots.wait_idle("echo")
        assert await house.told.wait_over(long.run_id) is RunState.ABORTED


async def test_a_run_of_another_client_is_aborted_too(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        bots = gateways(house)
        own = await house.send("[[long 100000]]")
        await house.told.wait_state(own.run_id, RunState.STREAMING)
        # As if it had come from elsewhere: nobody here has a turn for it.
        queue = house.registry.get("echo").queue
        queue._items.pop(own.run_id)
        await bots.abort_all("echo")
        with trio.fail_after(10):
            await bots.wait_idle("echo")


async def test_an_aborted_run_is_not_taken_up_again_by_the_next_life(tmp_path: Path, autojump_clock: MockClock) -> None:
    peers = {"echo": EchoPeer(0.01, now)}
    async with open_store() as (database, hub):
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            await house.connected()
            run = await house.send("[[long 100000]]")
            await house.told.wait_state(run.run_id, RunState.STREAMING)
            # Asked for, and cut before the bot has ended it.
            house.connectors["echo"].refuse = AWAY
            house.connectors["echo"].cut()
            await gateways(house).abort_all("echo")
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            assert await house.told.wait_over(run.run_id) is RunState.ABORTED


async def test_a_verdict_waits_for_an_attempt_that_begins_now(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path, prepare=lambda c: setattr(c, "refuse", PAIRING)) as house:
        bots = gateways(house)
        await trio.sleep(30)
        began = trio.current_time()
        verdict = await bots.verdict("echo", 20)
        # The next one would come by itself in a minute only.
        assert trio.current_time() - began < 1
        assert (verdict.connected, verdict.reason, verdict.pairing_request) == (False, "needs_pairing", "req-1")
        house.connectors["echo"].refuse = None
        verdict = await bots.verdict("echo", 20)
        assert (verdict.connected, verdict.missing) == (True, ())
        assert (await bots.verdict("echo", 20)).connected


async def test_a_verdict_has_an_end(tmp_path: Path, autojump_clock: MockClock) -> None:
    class Silent(EchoConnector):
        @override
        async def run_session(self, *_: Any, **__: Any) -> None:
            await trio.sleep_forever()

    def make(wanted: Wanted) -> Connector:
        return Silent(EchoPeer(0.01, now))

    async with open_house(tmp_path, make=make) as house:
        with trio.fail_after(25):
            verdict = await gateways(house).verdict("echo", 20)
        assert not verdict.connected


async def test_bots_are_added_changed_and_removed(tmp_path: Path, autojump_clock: MockClock) -> None:
    made: list[Wanted] = []

    def make(wanted: Wanted) -> Connector:
        made.append(wanted)
        return EchoConnector(EchoPeer(0.01, now))

    async with open_house(tmp_path, bots=ECHO, make=make) as house:
        bots = gateways(house)
        for _ in range(2):
            # A step that is done again changes nothing.
            await bots.add("scout", "Scout", URL, SecretStr("token-0815"))
        assert bots.ids() == ["echo", "scout"]
        (wanted,) = [wanted for wanted in made if wanted.bot_id == "scout"]
        assert wanted.kind == "openclaw"
        assert (bots.summary("scout").name, (await bots.verdict("scout", 20)).connected) == ("Scout", True)
        await bots.change("scout", url="ws://127.0.0.1:18790/")
        await bots.change("scout", token=SecretStr("token-4711"))
        assert house.registry.get("scout").stored.settings["url"] == "ws://127.0.0.1:18790/"
        assert [wanted.bot_id for wanted in made].count("scout") == 3
        with pytest.raises(Conflict):
            await bots.add("scout", "Scout", URL, SecretStr("token-0815"))
        for _ in range(2):
            await bots.remove("scout", history=True)
        assert bots.ids() == ["echo"]
        with pytest.raises(NotFound):
            bots.summary("scout")


async def test_an_echo_turn_says_what_the_bot_said(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        bots = gateways(house)
        assert await bots.echo("echo", "[[say Here I am.]]", 30, "op_1") == "Here I am."
        (conversation,) = (await house.registry.chat.conversations(PROBE, "echo", limit=5)).items
        assert conversation.conversation.title == "[[say Here I am.]]"
        for _ in range(2):
            await bots.forget_echo("echo", "op_1")
        # Nobody has anything to read of it.
        assert (await house.registry.chat.conversations(PROBE, "echo", limit=5)).items == ()


@pytest.mark.parametrize(
    ("text", "seconds", "why"), [("[[long 100000]]", 5, "within 5 s"), ("[[error tired]]", 60, "tired")]
)
async def test_an_echo_turn_without_a_reply_says_so(
    text: str, seconds: float, why: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        with pytest.raises(Problem, match=why):
            await gateways(house).echo("echo", text, seconds, "op_1")


async def test_an_echo_turn_goes_out_while_all_else_is_held(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        bots = gateways(house)
        bots.hold("echo", "It is being upgraded.")
        held = await house.send("[[say later]]")
        assert await bots.echo("echo", "[[say Here I am.]]", 30, "op_1") == "Here I am."
        assert house.told.states(held.run_id) == [RunState.QUEUED]
        # One that nobody waits for any more is ended, and its conversation is held as all others.
        with pytest.raises(Conflict):
            await bots.echo("echo", "[[long 100000]]", 5, "op_2")
        with trio.fail_after(10):
            await bots.wait_idle("echo")
        assert house.registry.get("echo").queue._let_through == set()


@pytest.mark.parametrize("away", [None, AWAY])
async def test_an_echo_turn_is_one_turn_over_a_restart(
    away: ConnectorError | None, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Whether it had gone out before, or waited for the bot."""
    peers = {"echo": EchoPeer(0.01, now)}
    async with open_store() as (database, hub):
        async with open_life(
            database, hub, tmp_path, peers=peers, prepare=lambda c: setattr(c, "refuse", away)
        ) as house:
            with trio.move_on_after(5):
                await gateways(house).echo("echo", "[[long 1000]]", 60, "op_1")
        assert len(peers["echo"].sent) == (1 if away is None else 0)
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            bots = gateways(house)
            bots.hold("echo", "It is being upgraded.")
            said = await bots.echo("echo", "[[long 1000]]", 60, "op_1")
            assert len(peers["echo"].sent) == 1
            # Once more, after its end.
            assert await bots.echo("echo", "[[long 1000]]", 60, "op_1") == said
            assert len(peers["echo"].sent) == 1


async def test_an_echo_turn_of_an_earlier_life_is_ended_where_nobody_asks_any_more(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    peers = {"echo": EchoPeer(0.01, now)}
    async with open_store() as (database, hub):
        async with open_life(
            database, hub, tmp_path, peers=peers, prepare=lambda c: setattr(c, "refuse", AWAY)
        ) as house:
            with trio.move_on_after(5):
                await gateways(house).echo("echo", "[[say late]]", 60, "op_1")
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            bots = gateways(house)
            bots.hold("echo", "It is being upgraded.")
            await bots.end_echo("echo", "op_1")
            await bots.end_echo("echo", "op_unknown")
            bots.hold("echo", None)
            await house.connected()
            await trio.sleep(5)
            assert peers["echo"].sent == []


async def test_an_echo_turn_whose_end_nobody_knows_is_asked_once_more(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    peers = {"echo": EchoPeer(0.01, now)}
    async with open_store() as (database, hub):
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            with trio.move_on_after(5):
                await gateways(house).echo("echo", "[[long 1000]]", 60, "op_1")
        peers["echo"] = EchoPeer(0.01, now)
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            assert await gateways(house).echo("echo", "[[long 1000]]", 60, "op_1")
            assert len(peers["echo"].sent) == 1


async def test_one_without_a_gateway_does_not_know_how_much_is_used(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        with pytest.raises(Conflict, match="no gateway"):
            await Gateways(house.registry, house.database).usage_status("echo")
        with pytest.raises(NotFound):
            await Gateways(house.registry, house.database).usage_status("nobody")
