"""A bot's container is started, stopped and restarted: drained as asked, hurried, resumed by the next life."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from edgebotd.config import DockerSettings
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.lifecycle import Halt
from edgebotd.errors import Conflict, Invalid, NotFound, Problem
from tests.bots.house import now, open_store
from tests.docker.fake_engine import open_fake_engine
from tests.docker.scout import ANN, NAME, BusyBots, open_life, open_scout, store_scout

DOWN = EngineError(Trouble.DOWN, "Nothing answers.")


async def test_a_stop_waits_for_runs_then_lets_the_container_end(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        scout.bots.run("scout", 2)
        operation = await scout.docker.lifecycle.stop("scout", Halt(), ANN)
        # Answered at once, seen at once.
        assert scout.status().state == "stopping"
        assert scout.bots.held["scout"] == "Its container is being stopped; this goes out when it runs again."
        await trio.sleep(30)
        assert (scout.status().doing, scout.container.state) == ("waits for 2 runs to end", "running")
        scout.bots.run("scout", 1)
        await trio.sleep(5)
        assert scout.status().doing == "waits for 1 run to end"
        scout.bots.run("scout", 0)
        ended = await scout.docker.operations.wait(operation.id)
        assert (ended.kind, ended.state, ended.reason) == ("stop", "succeeded", None)
        # What the drain left is the engine's grace.
        assert [call for call in scout.engine.calls if call.startswith("stop")] == [f"stop {NAME} 295"]
        assert scout.status().doing is None
        assert scout.bots.holds[-1] is None
        assert scout.states == ["running", "stopping", "exited"]
        assert await scout.wanted() == "stopped"
        assert await scout.audited() == ["bot.stop", "bot.stop.succeeded"]


async def test_it_is_stopping_since_the_stop_and_not_since_it_runs(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        running = scout.status().since_at
        await trio.sleep(600)
        scout.bots.run("scout", 1)
        await scout.docker.lifecycle.stop("scout", Halt(), ANN)
        await trio.sleep(10)
        assert scout.status().state == "stopping"
        assert scout.status().since_at == running + 600_000


async def test_a_stop_is_told_as_stopping_until_its_processes_are_gone(autojump_clock: MockClock) -> None:
    async with open_scout(linger_seconds=5.0) as scout:
        began = trio.current_time()
        await scout.docker.lifecycle.stop("scout", Halt(), ANN)
        await scout.until("exited")
        assert 5 <= trio.current_time() - began < 7
        assert scout.states == ["running", "stopping", "exited"]
        assert scout.doing[-1] == "waits for its processes to end"


async def test_runs_are_aborted_where_that_is_asked_for(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        scout.bots.run("scout", 3)
        scout.bots.abort_takes = 4
        began = trio.current_time()
        await scout.docker.lifecycle.stop("scout", Halt(drain="abort"), ANN)
        await scout.until("exited")
        assert scout.bots.aborted == ["scout"]
        assert trio.current_time() - began < 6


async def test_what_does_not_let_itself_be_aborted_is_waited_for_half_a_minute(autojump_clock: MockClock) -> None:
    async with open_scout(stop_seconds=None) as scout:
        scout.bots.run("scout", 1)
        scout.bots.abort_takes = None
        began = trio.current_time()
        await scout.docker.lifecycle.stop("scout", Halt(drain="abort", seconds=60), ANN)
        status = await scout.until("exited")
        # Thirty seconds for the runs, the other thirty for the container, which ignores SIGTERM.
        assert 59 <= trio.current_time() - began < 63
        assert (status.exit_code, status.detail) == (137, "It was killed (SIGKILL), by somebody or by the machine.")


@pytest.mark.parametrize(("seconds", "most"), [(None, 330), (20, 20)])
async def test_a_stop_has_an_end_though_runs_and_container_have_none(
    seconds: float | None, most: float, autojump_clock: MockClock
) -> None:
    async with open_scout(stop_seconds=None) as scout:
        scout.bots.run("scout", 1)
        began = trio.current_time()
        operation = await scout.docker.lifecycle.stop("scout", Halt(seconds=seconds), ANN)
        await scout.until("exited")
        # And ten seconds that every container has.
        assert most + 10 <= trio.current_time() - began < most + 12
        _, lines = await scout.docker.operations.get(operation.id)
        assert "1 run still going on; not waited for any longer." in [line.text for line in lines]


async def test_longer_than_the_settings_allow_is_refused(autojump_clock: MockClock) -> None:
    async with open_scout(DockerSettings(drain_seconds=60)) as scout:
        with pytest.raises(Invalid, match="60 s at most"):
            await scout.docker.lifecycle.stop("scout", Halt(seconds=61), ANN)


async def test_now_skips_the_drain_and_leaves_ten_seconds(autojump_clock: MockClock) -> None:
    async with open_scout(stop_seconds=None) as scout:
        scout.bots.run("scout", 1)
        began = trio.current_time()
        await scout.docker.lifecycle.stop("scout", Halt(now=True), ANN)
        await scout.until("exited")
        assert 10 <= trio.current_time() - began < 12
        assert not scout.bots.aborted


async def test_a_second_stop_hurries_the_first(autojump_clock: MockClock) -> None:
    async with open_scout(stop_seconds=None) as scout:
        lifecycle = scout.docker.lifecycle
        scout.bots.run("scout", 1)
        scout.bots.abort_takes = None
        first = await lifecycle.stop("scout", Halt(), ANN)
        await trio.sleep(10)
        assert not scout.bots.aborted
        assert (await lifecycle.stop("scout", Halt(drain="abort"), ANN)).id == first.id
        await trio.sleep(1)
        assert scout.bots.aborted == ["scout"]
        await trio.sleep(40)
        assert scout.status().doing is not None and "waits for it to end" in scout.doing[-1]
        # In the middle of the engine's own waiting; then without the ten seconds too.
        await lifecycle.stop("scout", Halt(now=True), ANN)
        await trio.sleep(2)
        assert scout.status().state == "stopping"
        began = trio.current_time()
        await lifecycle.stop("scout", Halt(now=True), ANN)
        await scout.until("exited")
        assert trio.current_time() - began < 2
        stops = [int(call.split()[-1]) for call in scout.engine.calls if call.startswith("stop")]
        assert stops[-2:] == [10, 0] and stops[0] > 200
        assert (await scout.audited()).count("bot.stop") == 4
        assert (await scout.docker.operations.wait(first.id)).state == "succeeded"


async def test_a_start_while_it_is_being_stopped_is_refused_in_words(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        scout.bots.run("scout", 1)
        await scout.docker.lifecycle.stop("scout", Halt(), ANN)
        await trio.sleep(2)
        with pytest.raises(Conflict, match=r"being stopped \(it waits for 1 run to end\)") as refused:
            await scout.docker.lifecycle.start("scout", ANN)
        assert refused.value.code == "bot_stopping"
        with pytest.raises(Conflict, match="being stopped"):
            await scout.docker.lifecycle.restart("scout", Halt(), ANN)


async def test_a_restart_stops_and_starts(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        operation = await scout.docker.lifecycle.restart("scout", Halt(), ANN)
        assert scout.bots.held["scout"] == "Its container is being restarted; this goes out when it runs again."
        assert (await scout.docker.operations.wait(operation.id)).state == "succeeded"
        await scout.until("running")
        assert scout.states == ["running", "stopping", "exited", "running"]
        assert (await scout.wanted(), scout.bots.holds[-1], scout.status().doing) == ("running", None, None)


async def test_a_stop_during_a_restart_leaves_it_stopped(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        scout.bots.run("scout", 1)
        operation = await scout.docker.lifecycle.restart("scout", Halt(), ANN)
        await trio.sleep(2)
        assert (await scout.docker.lifecycle.stop("scout", Halt(drain="abort"), ANN)).id == operation.id
        assert (await scout.docker.operations.wait(operation.id)).state == "succeeded"
        assert (scout.container.state, scout.status().state) == ("exited", "exited")
        assert await scout.wanted() == "stopped"


async def test_a_stopped_one_is_started_a_paused_one_goes_on_and_a_running_one_is_left(
    autojump_clock: MockClock,
) -> None:
    async with open_scout(started=False, wanted="stopped") as scout:
        for state, call in (("created", "start"), ("running", None), ("paused", "unpause")):
            if state == "paused":
                scout.engine.pause(scout.container)
                await scout.until("paused")
            scout.engine.calls.clear()
            operation = await scout.docker.lifecycle.start("scout", ANN)
            assert (await scout.docker.operations.wait(operation.id)).state == "succeeded"
            assert [c for c in scout.engine.calls if c.split()[0] in ("start", "unpause")] == (
                [] if call is None else [f"{call} {NAME}"]
            )
            assert (await scout.until("running")).doing is None
        assert await scout.wanted() == "running"


async def test_a_start_that_fails_says_why_in_the_engines_words(autojump_clock: MockClock) -> None:
    async with open_scout(started=False) as scout:
        scout.container.start_error = EngineError(Trouble.REFUSED, "port is already allocated")
        operation = await scout.docker.lifecycle.start("scout", ANN)
        ended = await scout.docker.operations.wait(operation.id)
        assert (ended.state, ended.reason) == ("failed", "port is already allocated")
        status = scout.status()
        assert (status.detail, status.doing) == ("It could not be started: port is already allocated", None)


async def test_the_engine_may_go_and_come_back_in_the_middle(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        scout.bots.run("scout", 1)
        operation = await scout.docker.lifecycle.stop("scout", Halt(), ANN)
        await trio.sleep(2)
        scout.engine.go_away(DOWN)
        scout.bots.run("scout", 0)
        await trio.sleep(30)
        assert scout.status().state == "unknown"
        scout.engine.down = None
        assert (await scout.docker.operations.wait(operation.id)).state == "succeeded"
        assert scout.container.state == "exited"


async def test_without_a_container_or_an_engine_the_refusal_says_so(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        with pytest.raises(NotFound):
            await scout.docker.lifecycle.start("nobody", ANN)
        scout.bots.names["bare"] = "Bare"
        with pytest.raises(Problem, match="No container of this bot"):
            await scout.docker.lifecycle.stop("bare", Halt(), ANN)
        scout.engine.go_away(DOWN)
        await trio.sleep(2)
        with pytest.raises(EngineError, match="Nothing answers"):
            await scout.docker.lifecycle.stop("scout", Halt(), ANN)


async def test_a_cancelled_drain_leaves_the_bot_as_it_was(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        scout.bots.run("scout", 1)
        operation = await scout.docker.lifecycle.stop("scout", Halt(), ANN)
        await trio.sleep(2)
        await scout.docker.operations.cancel(operation.id)
        assert (await scout.docker.operations.wait(operation.id)).state == "cancelled"
        assert (scout.status().state, scout.status().doing) == ("running", None)
        assert (scout.bots.held["scout"], await scout.wanted()) == (None, "running")


async def test_who_hangs_up_has_asked_all_the_same(autojump_clock: MockClock) -> None:
    async with open_scout(stop_seconds=None) as scout:
        scout.bots.run("scout", 1)
        for halt in (Halt(), Halt(now=True)):
            began = trio.current_time()
            with trio.CancelScope() as gone:
                gone.cancel()
                await scout.docker.lifecycle.stop("scout", halt, ANN)
            await trio.sleep(1)
            assert scout.status().state == "stopping"
        await scout.until("exited")
        assert trio.current_time() - began < 12


@pytest.mark.parametrize("after", [2.0, 100.0])
async def test_the_next_life_goes_on_with_a_stop(after: float, autojump_clock: MockClock) -> None:
    async with open_store() as (database, hub), open_fake_engine(now) as engine:
        await store_scout(database)
        container = engine.add(NAME, stop_seconds=30)
        engine.begin(container)
        began = trio.current_time()
        first = BusyBots(names={"scout": "Scout"})
        async with open_life(database, hub, engine, first) as scout:
            scout.bots.run("scout", 1)
            operation = await scout.docker.lifecycle.stop("scout", Halt(seconds=100), ANN)
            await trio.sleep(after)
        assert container.state == "running"
        second = BusyBots(names={"scout": "Scout"})
        second.runs["scout"] = 1
        async with open_life(database, hub, engine, second) as scout:
            await trio.sleep(0.1)
            assert scout.status().state == "stopping"
            assert second.held["scout"] is not None
            assert (await scout.docker.operations.wait(operation.id)).state == "succeeded"
            # The time that was given counts from when it was asked for.
            assert trio.current_time() - began < 145
            assert scout.container.state == "exited"
            assert second.holds[-1] is None


async def test_stops_do_not_wait_for_each_other(autojump_clock: MockClock) -> None:
    async with open_scout(DockerSettings(operations_at_once=1)) as scout:
        scout.bots.run("scout", 1)
        await scout.docker.lifecycle.stop("scout", Halt(), ANN)
        other = scout.engine.add("edgebotd-other")
        scout.engine.begin(other)
        scout.bots.names["other"] = "Other"
        scout.docker.containers.bind("other", "edgebotd-other")
        await trio.sleep(1)
        operation = await scout.docker.lifecycle.stop("other", Halt(), ANN)
        await trio.sleep(5)
        assert (await scout.docker.operations.get(operation.id))[0].state == "succeeded"
        assert scout.status().state == "stopping"
