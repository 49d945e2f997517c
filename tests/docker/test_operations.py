"""Operations: steps in order, undone where they fail, cancelled, told; one a bot, few at once."""

from __future__ import annotations

import math
import sqlite3
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.operations import UNDO_SECONDS, Work
from edgebotd.errors import Conflict, NotFound
from edgebotd.store.errors import DatabaseError
from tests.docker.bench import ACTOR, DOWN, begin, fails, hangs, open_bench, refuses
from tests.docker.yard import open_yard
from tests.ui.catalogue import LANGUAGES, catalogue


async def test_steps_run_in_order_and_the_log_says_so(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world

        async def says(work: Work) -> None:
            await work.log("one more word")

        world.after["b"] = says
        async with bench.life(world.step("a"), world.step("b")) as operations:
            operation = await operations.wait((await begin(operations)).id)
            assert operations.steps("make") == ("a", "b")
            assert operations.running("atlas") is None
        assert (operation.state, operation.step, operation.reason) == ("succeeded", "b", None)
        assert world.things == ["a", "b"]
        assert world.calls == ["audit bot.make", "a", "b", "audit bot.make.succeeded"]
        lines = await bench.lines(operation)
        assert lines == [("a", "begins"), ("b", "begins"), ("b", "one more word")]
        assert await bench.told() == [*lines, ("done", "ok")]


async def test_what_was_made_is_undone_in_reverse_and_the_reason_is_kept(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.after["c"] = fails("The disk is full.")
        steps = world.step("a"), world.step("b", undo=False), world.step("c"), world.step("d")
        async with bench.life(*steps) as operations:
            operation = await operations.wait((await begin(operations)).id)
        assert (operation.state, operation.step, operation.reason) == ("failed", "c", "The disk is full.")
        assert world.things == ["b"]
        assert world.calls == ["audit bot.make", "a", "b", "c", "-c", "-a", "audit bot.make.failed"]
        assert (await bench.told())[-2:] == [("c", "The disk is full."), ("done", "The disk is full.")]


async def test_an_undo_that_fails_does_not_keep_the_others_from_it(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.after["c"] = fails()
        world.before["-b"] = fails("Somebody uses it.")
        async with bench.life(world.step("a"), world.step("b"), world.step("c")) as operations:
            operation = await operations.wait((await begin(operations)).id)
        assert operation.state == "failed"
        assert world.things == ["b"]
        assert ("c", "What b had done could not be taken back: Somebody uses it.") in await bench.lines(operation)


async def test_a_step_has_a_deadline(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.after["a"] = hangs
        began = trio.current_time()
        async with bench.life(world.step("a", seconds=7)) as operations:
            operation = await operations.wait((await begin(operations)).id)
        assert (operation.state, operation.reason) == ("failed", "The step a did not end within 7 s.")
        assert trio.current_time() - began == 7
        assert world.things == []


async def test_an_undo_that_hangs_ends_at_its_deadline(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.after["b"], world.before["-b"] = fails(), hangs
        began = trio.current_time()
        async with bench.life(world.step("a"), world.step("b")) as operations:
            operation = await operations.wait((await begin(operations)).id)
        assert trio.current_time() - began == UNDO_SECONDS
        assert (operation.state, world.things) == ("failed", ["b"])


async def test_a_bug_in_a_step_fails_the_operation_alone(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_bench() as bench:
        world = bench.world

        async def bug(_work: Work) -> None:
            await trio.lowlevel.checkpoint()
            raise ZeroDivisionError("token=hush")

        world.after["a"] = bug
        async with bench.life(world.step("a")) as operations:
            operation = await operations.wait((await begin(operations)).id)
        assert operation.reason == "A bug of edgebotd's ended the step a (ZeroDivisionError). Its log says more."
        assert world.things == []
        assert "the step a failed unexpectedly" in caplog.text


async def test_an_engine_that_is_away_for_a_while_is_waited_for_and_told_of_once(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.before["a"] = refuses(DOWN, times=5)
        async with bench.life(world.step("a")) as operations:
            operation = await operations.wait((await begin(operations)).id)
        assert operation.state == "succeeded"
        assert [text for _, text in await bench.lines(operation)] == [
            "begins",
            "It is tried again, once the engine does its part: The engine is away.",
        ]


async def test_an_engine_that_stays_away_fails_the_step_with_its_own_words(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.before["a"] = refuses(DOWN)
        async with bench.life(world.step("a", seconds=30)) as operations:
            operation = await operations.wait((await begin(operations)).id)
        assert (operation.state, operation.reason) == ("failed", "The engine is away.")


async def test_what_an_engine_refuses_is_not_tried_again(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.before["a"] = refuses(EngineError(Trouble.REFUSED, "No such runtime."), times=1)
        async with bench.life(world.step("a")) as operations:
            operation = await operations.wait((await begin(operations)).id)
        assert (operation.state, operation.reason) == ("failed", "No such runtime.")
        assert world.calls.count("a") == 1


async def test_an_undo_waits_for_an_engine_that_is_away_however_long(autojump_clock: MockClock) -> None:
    """What the engine has would be left behind otherwise."""
    async with open_bench() as bench:
        world = bench.world
        world.after["a"], world.before["-a"] = fails(), refuses(DOWN, times=2000)
        async with bench.life(world.step("a")) as operations:
            operation = await operations.wait((await begin(operations)).id)
        assert (operation.state, world.things) == ("failed", [])


async def test_a_bot_has_one_operation_at_a_time(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.after["a"] = hangs
        async with bench.life(world.step("a")) as operations:
            first = await begin(operations)
            with pytest.raises(Conflict) as busy:
                await begin(operations)
            assert busy.value.code == "bot_busy"
            same = await operations.begin_once("make", "atlas", {"image": "x"}, ACTOR)
            assert same.id == first.id
            with pytest.raises(Conflict):
                await operations.begin_once("make", "atlas", {"image": "y"}, ACTOR)
            await begin(operations, "bert")


async def test_the_same_asked_for_twice_at_once_is_begun_once(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.after["a"] = hangs
        found = set()
        async with bench.life(world.step("a")) as operations:

            async def ask() -> None:
                found.add((await operations.begin_once("make", "atlas", {}, ACTOR)).id)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                nursery.start_soon(ask)
        assert len(found) == 1


async def test_further_ones_wait_for_room_and_leave_it_at_once_when_cancelled(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.after["a"] = hangs
        async with bench.life(world.step("a", seconds=1000), at_once=2) as operations:
            begun = [await begin(operations, bot) for bot in ("a", "b", "c", "d")]
            await wait_all_tasks_blocked()
            steps = [(await operations.get(one.id))[0].step for one in begun]
            assert sorted(steps) == ["a", "a", "waiting", "waiting"]
            waiting = begun[steps.index("waiting")]
            began = trio.current_time()
            await operations.cancel(waiting.id)
            operation = await operations.wait(waiting.id)
            assert trio.current_time() == began
            assert (operation.state, operation.step) == ("cancelled", "waiting")
            waits = "So much other work goes on already; this one begins when that has ended."
            assert await bench.lines(waiting) == [("waiting", waits), ("waiting", "It was cancelled.")]
            # Room is given on.
            await operations.cancel(begun[steps.index("a")].id)
            await wait_all_tasks_blocked()
            assert [(await operations.get(one.id))[0].step for one in begun].count("waiting") == 1


async def test_what_has_begun_goes_on_before_what_waits_and_says_where_it_has_to_wait(
    autojump_clock: MockClock,
) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.after["a"] = hangs
        steps = world.step("a", seconds=math.inf), world.step("b")
        async with bench.life(*steps, at_once=2) as operations:
            begun = [await begin(operations, bot) for bot in ("a", "b", "c", "d")]
        for _ in range(8):  # Trio starts tasks in either order
            async with bench.life(*steps, at_once=2) as operations:
                await wait_all_tasks_blocked()
                assert [(await operations.get(one.id))[0].step for one in begun] == ["a", "a", "waiting", "waiting"]
        async with bench.life(*steps, at_once=1):
            await wait_all_tasks_blocked()
            said = {(await bench.lines(one))[-1] for one in begun[:2]}
            waits = "So much other work goes on already; this one goes on when that has ended."
            assert said == {("a", "edgebotd started again; going on here."), ("a", waits)}


@pytest.mark.parametrize("step", ["a", "b", "c"])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_cancelled_in_any_step_all_of_it_is_undone(autojump_clock: MockClock, step: str, moment: str) -> None:
    async with open_bench() as bench:
        world = bench.world
        getattr(world, moment)[step] = hangs
        async with bench.life(*map(world.step, ("a", "b", "c"))) as operations:
            begun = await begin(operations)
            await wait_all_tasks_blocked()
            await operations.cancel(begun.id)
            stored, _ = await operations.get(begun.id)
            assert stored.state in ("undoing", "cancelled")
            operation = await operations.wait(begun.id)
        assert (operation.state, operation.reason, operation.step) == ("cancelled", "It was cancelled.", step)
        assert world.things == []
        assert (await bench.told())[-1] == ("done", "It was cancelled.")


async def test_what_is_undone_ended_or_unknown_cannot_be_cancelled(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.after["a"], world.before["-a"] = fails(), hangs
        async with bench.life(world.step("a")) as operations:
            begun = await begin(operations)
            await wait_all_tasks_blocked()
            with pytest.raises(Conflict) as undoing:
                await operations.cancel(begun.id)
            assert undoing.value.code == "operation_undoing"
            await operations.wait(begun.id)
            with pytest.raises(Conflict) as ended:
                await operations.cancel(begun.id)
            assert ended.value.code == "operation_ended"
            with pytest.raises(NotFound):
                await operations.cancel("op_no")


async def test_a_final_step_is_not_cancelled_not_undone_and_waits_for_the_engine(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.before["b"] = refuses(DOWN, times=1000)
        world.after["b"] = fails("Its volume is used.", times=1)
        steps = world.step("a"), world.step("b", seconds=5, final=True)
        async with bench.life(*steps) as operations:
            begun = await begin(operations)
            await wait_all_tasks_blocked()
            with pytest.raises(Conflict) as late:
                await operations.cancel(begun.id)
            assert late.value.code == "operation_late"
            operation = await operations.wait(begun.id)
            assert (operation.state, operation.reason) == ("failed", "Its volume is used.")
            assert world.things == ["a", "b"]
            again = await operations.wait((await begin(operations)).id)
            assert again.state == "succeeded"


async def test_a_step_that_was_begun_is_gone_on_with_by_the_next_life(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.after["b"] = hangs
        steps = [world.step(name) for name in ("a", "b", "c")]
        async with bench.life(*steps) as operations:
            begun = await begin(operations)
            await wait_all_tasks_blocked()
        del world.after["b"]
        async with bench.life(*steps) as operations:
            operation = await operations.wait(begun.id)
        assert operation.state == "succeeded"
        assert [call for call in world.calls if "audit" not in call] == ["a", "b", "b", "c"]
        assert await bench.lines(begun) == [
            ("a", "begins"),
            ("b", "begins"),
            ("b", "edgebotd started again; going on here."),
            ("c", "begins"),
        ]


async def test_a_cancellation_that_was_answered_outlives_a_crash(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world
        world.after["b"], world.before["-b"] = hangs, hangs
        steps = [world.step(name) for name in ("a", "b")]
        async with bench.life(*steps) as operations:
            begun = await begin(operations)
            await wait_all_tasks_blocked()
            await operations.cancel(begun.id)
        del world.before["-b"]
        async with bench.life(*steps) as operations:
            operation = await operations.wait(begun.id)
        assert (operation.state, world.things) == ("cancelled", [])


async def test_a_kind_that_nobody_knows_any_more_fails(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        async with bench.life(bench.world.step("a")) as operations:
            begun = await operations.begin("conjure", "atlas", {}, ACTOR)
            operation = await operations.wait(begun.id)
        assert (operation.state, operation.reason) == ("failed", "This edgebotd knows no operation 'conjure'.")


async def test_a_disk_that_takes_nothing_delays_an_operation_and_ends_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bench() as bench:
        world = bench.world
        write, left = bench.database.write, [0]

        async def full(work: Any) -> Any:
            if left[0] > 0:
                left[0] -= 1
                raise DatabaseError(sqlite3.OperationalError("full"))
            return await write(work)

        async def fill(_work: Work) -> None:
            await trio.lowlevel.checkpoint()
            left[0] = 3

        monkeypatch.setattr(bench.database, "write", full)
        world.after["a"] = fill
        async with bench.life(world.step("a"), world.step("b")) as operations:
            operation = await operations.wait((await begin(operations)).id)
        assert (operation.state, world.things) == ("succeeded", ["a", "b"])


async def test_what_steps_are_about_to_make_is_stored_first(autojump_clock: MockClock) -> None:
    async with open_bench() as bench:
        world = bench.world

        async def keep(work: Work) -> None:
            await work.keep(volume="v1")
            await trio.sleep_forever()

        async def look(work: Work) -> None:
            assert work.made == {"volume": "v1"}
            await trio.lowlevel.checkpoint()

        world.before["a"] = keep
        async with bench.life(world.step("a")) as operations:
            begun = await begin(operations)
            await wait_all_tasks_blocked()
        world.before["a"] = look
        async with bench.life(world.step("a")) as operations:
            assert (await operations.wait(begun.id)).made == {"volume": "v1"}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_kind_and_step_has_its_words_on_the_page(autojump_clock: MockClock, language: str) -> None:
    async with open_yard() as yard, yard.life() as docker:
        kinds = docker.operations.kinds
        wanted = {f"work.step.{step.name}" for steps in kinds.values() for step in steps}
        wanted |= {f"work.{words}.{kind}" for words in ("kind", "title", "verdict.succeeded") for kind in kinds}
        assert {"work.step.check", "work.title.upgrade", "work.kind.adopt"} <= wanted
        assert wanted - set(catalogue(language)) == set()
