"""A container that ends by itself again and again is left stopped, with its last lines kept; others are not."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from edgebotd.config import DockerSettings
from edgebotd.docker.lifecycle import Halt
from edgebotd.events import Alert
from edgebotd.protocol.docker.ending import words_of_end
from edgebotd.store import containers as rows
from edgebotd.store import journal
from edgebotd.store.database import Database
from tests.bots.house import now, open_store
from tests.docker.fake_engine import open_fake_engine
from tests.docker.scout import ANN, NAME, BusyBots, Scout, open_life, open_scout, store_scout

QUICK = DockerSettings(crash_limit=3, crash_seconds=60)


async def alerts(database: Database) -> list[Alert]:
    """Return what was told of scout's crash loop."""
    found = await database.read(lambda conn: journal.after(conn, 0, 0, 1000))
    return [Alert.model_validate_json(row.data) for row in found if row.type == "alert"]


async def started(scout: Scout) -> None:
    await scout.docker.operations.wait((await scout.docker.lifecycle.start("scout", ANN)).id)


async def test_a_crash_loop_is_broken_and_told_with_its_last_lines(autojump_clock: MockClock) -> None:
    async with open_scout(QUICK, started=False, lives=[1.0] * 9, dies_with=(3, False)) as scout:
        await started(scout)
        await trio.sleep(0.5)
        for number in range(20):
            scout.engine.say(scout.container, f"line {number}")
            await trio.sleep(1)
        status = scout.status()
        assert (status.state, status.crash_loop, status.restarts) == ("exited", True, 4)
        assert scout.container.lives == [1.0] * 5
        kept = await scout.docker.breaker.crashes("scout")
        assert [(crash.exit_code, crash.oom_killed) for crash in kept] == [(3, False)] * 4
        # Of each end the lines of its own life.
        assert [crash.lines for crash in reversed(kept)][:3] == [("line 0",), ("line 1",), ("line 2",)]
        (told,) = await alerts(scout.database)
        assert (told.state, told.severity) == ("open", "critical")
        assert told.title == "Scout ended by itself 4 times within 60 s and is left stopped"
        assert told.detail is not None and told.detail.startswith("It ended with exit code 3.")
        # For good.
        await trio.sleep(1000)
        assert scout.container.state == "exited"


async def test_a_persons_start_clears_it_and_staying_up_resolves_it(autojump_clock: MockClock) -> None:
    async with open_scout(QUICK, started=False, lives=[1.0] * 4) as scout:
        await started(scout)
        await trio.sleep(20)
        assert scout.status().crash_loop
        await started(scout)
        status = scout.status()
        assert (status.state, status.crash_loop) == ("running", False)
        await trio.sleep(50)
        assert [alert.state for alert in await alerts(scout.database)] == ["open"]
        await trio.sleep(20)
        told = await alerts(scout.database)
        assert [(alert.state, alert.alert_id) for alert in told] == [
            ("open", "crash-loop-scout"),
            ("resolved", "crash-loop-scout"),
        ]
        assert scout.status().restarts == 0


async def test_one_that_goes_on_crashing_after_a_start_is_broken_again(autojump_clock: MockClock) -> None:
    async with open_scout(QUICK, started=False, lives=[1.0] * 8) as scout:
        await started(scout)
        await trio.sleep(20)
        await started(scout)
        await trio.sleep(20)
        status = scout.status()
        assert (status.state, status.crash_loop, scout.container.lives) == ("exited", True, [])
        assert [alert.state for alert in await alerts(scout.database)] == ["open", "open"]


async def test_one_that_never_lives_long_enough_to_be_seen_is_broken_again_too(autojump_clock: MockClock) -> None:
    async with open_scout(QUICK, started=False, lives=[0.0] * 8) as scout:
        seen: list[bool] = []
        scout.docker.containers.subscribe(lambda change: seen.append(change.now is not None and change.now.crash_loop))
        for _ in range(2):
            await scout.docker.operations.wait((await scout.docker.lifecycle.start("scout", ANN)).id)
            await trio.sleep(20)
        assert [told for told, before in zip(seen, [None, *seen], strict=False) if told != before] == [
            False,
            True,
            False,
            True,
        ]
        assert scout.container.lives == []


async def test_lines_that_came_before_the_engine_told_of_the_start_are_kept(autojump_clock: MockClock) -> None:
    async with open_scout(QUICK) as scout:
        for life in range(2):
            await trio.sleep(10)
            scout.engine.say(scout.container, f"life {life}")
            scout.engine.end(scout.container, 1)
            await trio.sleep(10)
            scout.engine.say(scout.container, f"early {life}")
            await trio.sleep(0.1)
            scout.engine.begin(scout.container)
        later, first = await scout.docker.breaker.crashes("scout")
        assert (first.lines, later.lines) == (("life 0",), ("early 0", "life 1"))


async def test_few_crashes_or_slow_ones_are_kept_and_break_nothing(autojump_clock: MockClock) -> None:
    async with open_scout(QUICK, started=False, lives=[1.0, 1.0, 1.0, *[70.0] * 8]) as scout:
        await started(scout)
        await trio.sleep(1000)
        assert scout.status().state == "running"
        assert len(await scout.docker.breaker.crashes("scout")) == 10
        assert not await alerts(scout.database)


@pytest.mark.parametrize("how", ["edgebotd", "shell", "kill"])
async def test_what_somebody_ends_is_no_crash(how: str, autojump_clock: MockClock) -> None:
    async with open_scout(QUICK) as scout:
        for _ in range(8):
            if how == "edgebotd":
                operation = await scout.docker.lifecycle.restart("scout", Halt(), ANN)
                await scout.docker.operations.wait(operation.id)
                continue
            if how == "shell":
                await scout.engine.stop(NAME, 10)
            else:
                await scout.engine.kill(NAME)
            await trio.sleep(1)
            scout.engine.begin(scout.container)
        await trio.sleep(1)
        assert (scout.status().restarts, scout.status().crash_loop) == (0, False)
        assert not await scout.docker.breaker.crashes("scout")


async def test_memory_and_signals_are_told_in_words(autojump_clock: MockClock) -> None:
    async with open_scout(QUICK) as scout:
        scout.engine.end(scout.container, 137, oom=True)
        await trio.sleep(1)
        (crash,) = await scout.docker.breaker.crashes("scout")
        assert (crash.exit_code, crash.oom_killed) == (137, True)
    assert words_of_end(137, oom_killed=True) == "It needed more memory than it may have, and was killed."
    assert words_of_end(139) == "It was ended by the signal SIGSEGV (exit code 139)."
    assert words_of_end(127) == "Its command was not found (exit code 127)."
    assert words_of_end(0) == "It ended with exit code 0."
    assert words_of_end(None) == "It ended."
    assert words_of_end(255) == "It ended with exit code 255."


async def test_one_that_edgebotd_did_not_make_is_told_of_and_left_alone(autojump_clock: MockClock) -> None:
    async with open_scout(QUICK, origin="adopted", wanted="any", started=False, lives=[1.0] * 5) as scout:
        scout.engine.begin(scout.container)
        await trio.sleep(20)
        status = scout.status()
        assert (status.state, status.crash_loop) == ("running", True)
        assert not [call for call in scout.engine.calls if call.startswith("stop")]
        (told,) = await alerts(scout.database)
        assert told.title == "Scout ended by itself 4 times within 60 s"
        await trio.sleep(100)
        assert not scout.status().crash_loop
        assert [alert.state for alert in await alerts(scout.database)] == ["open", "resolved"]


async def test_the_next_life_knows_of_a_crash_loop_that_it_leaves_as_it_is(autojump_clock: MockClock) -> None:
    async with open_store() as (database, hub), open_fake_engine(now) as engine:
        await store_scout(database, origin="adopted", wanted="any")
        container = engine.add(NAME, lives=[1.0] * 5)
        async with open_life(database, hub, engine, BusyBots(names={"scout": "Scout"}), QUICK) as scout:
            engine.begin(container)
            await trio.sleep(20)
            assert scout.status().crash_loop
        async with open_life(database, hub, engine, BusyBots(names={"scout": "Scout"}), QUICK) as scout:
            await trio.sleep(10)
            assert (scout.status().state, scout.status().crash_loop) == ("running", True)
            await trio.sleep(100)
            assert not scout.status().crash_loop
            assert [alert.state for alert in await alerts(database)] == ["open", "resolved"]


async def test_the_next_life_knows_of_a_crash_loop(autojump_clock: MockClock) -> None:
    async with open_store() as (database, hub), open_fake_engine(now) as engine:
        await store_scout(database)
        engine.add(NAME, lives=[1.0] * 4)
        async with open_life(database, hub, engine, BusyBots(names={"scout": "Scout"}), QUICK) as scout:
            await started(scout)
            await trio.sleep(20)
        async with open_life(database, hub, engine, BusyBots(names={"scout": "Scout"}), QUICK) as scout:
            assert scout.status().crash_loop
            # Started in a shell.
            engine.begin(scout.container)
            await scout.until("running")
            await trio.sleep(100)
            assert not scout.status().crash_loop
            assert [alert.state for alert in await alerts(database)] == ["open", "resolved"]
        assert not await database.read(rows.crash_loops)


async def test_lines_of_a_crash_are_kept_without_secrets_and_few(autojump_clock: MockClock) -> None:
    async with open_scout(QUICK) as scout:
        scout.container.body["Env"] = [
            "OPENCLAW_GATEWAY_TOKEN=the-gateways-own",
            "PATH=/usr/bin:/bin",
            "HOME=/home/node",
        ]
        for number in range(500):
            scout.engine.say(
                scout.container, f"{number} the-gateways-own /usr/bin:/bin Bearer abcdefghijk {'x' * 3000}"
            )
        scout.engine.end(scout.container, 1)
        await trio.sleep(1)
        (crash,) = await scout.docker.breaker.crashes("scout")
        assert len(crash.lines) == 200
        assert crash.lines[-1].startswith("499 [redacted] /usr/bin:/bin Bearer [redacted] xxx")
        assert len(crash.lines[-1]) == 2000
