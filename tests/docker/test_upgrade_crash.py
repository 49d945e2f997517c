"""An upgrade whose daemon is killed, anywhere and several times, ends in one of the two whole states."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from edgebotd.docker.house import Docker
from edgebotd.docker.operations import Step, Work
from edgebotd.docker.upgrade import Upgrading
from edgebotd.errors import Conflict, Problem
from edgebotd.store.operations import Operation
from tests.docker.test_upgrade import MIGRATED, NEW, STEPS, Whole, begun, open_bot
from tests.docker.yard import IMAGE, Yard


class Points:
    """Where a daemon can die: before each call of the engine, and before each write of its progress."""

    def __init__(self, cancel_at: int | None) -> None:
        self.left = 0
        self.passed = 0
        self.cancel_at = cancel_at
        self.docker: Docker | None = None
        self.crashed = trio.Event()

    async def point(self, work: Work | None) -> None:
        await trio.lowlevel.checkpoint()
        self.left -= 1
        self.passed += 1
        if self.left == 0:
            self.crashed.set()
            await trio.sleep_forever()
        if self.passed == self.cancel_at and self.docker is not None and work is not None:
            with trio.move_on_after(0):
                # It may be too late, or in its undo.
                try:
                    await self.docker.operations.cancel(work.id)
                except Conflict:
                    pass

    @contextmanager
    def watch(self, yard: Yard, failing: str | None) -> Iterator[None]:
        keep, tell, asked, held = Work.keep, Work.log, yard.engine._asked, Upgrading._held

        async def keeping(work: Work, **made: Any) -> None:
            await self.point(work)
            await keep(work, **made)

        async def telling(work: Work, text: str) -> None:
            await self.point(work)
            await tell(work, text)

        async def asking(*words: object) -> None:
            if words[0] not in ("list", "events"):
                await self.point(None)
            await asked(*words)

        def failing_in(upgrading: Upgrading, step: Step) -> Step:
            made = held(upgrading, step)

            async def run(work: Work) -> None:
                await made.run(work)
                if step.name == failing:
                    raise Problem(502, "broken", "It broke.")

            return dataclasses.replace(made, run=run)

        with (
            patch.object(Upgrading, "_held", failing_in),
            patch.object(Work, "keep", keeping),
            patch.object(Work, "log", telling),
            patch.object(yard.engine, "_asked", asking),
        ):
            yield


@settings(max_examples=40)
@given(
    crashes=st.lists(st.integers(1, 40), max_size=6),
    failing=st.sampled_from([None, *STEPS[1:-1]]),
    cancel_at=st.one_of(st.none(), st.integers(1, 60)),
)
@example(crashes=[], failing=None, cancel_at=None)
@example(crashes=[36, 1, 1, 1, 1, 1], failing=None, cancel_at=None)
def test_whatever_crashes_come_it_is_whole_on_the_new_or_whole_on_the_old(
    crashes: list[int], failing: str | None, cancel_at: int | None
) -> None:
    async def main() -> None:
        async with open_bot() as yard:
            await _live_and_crash(yard, crashes, failing, Points(cancel_at))

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_killed_once_at_each_point_it_is_whole_on_the_new() -> None:
    async def main(point: int) -> int:
        points = Points(None)
        async with open_bot() as yard:
            ended = await _live_and_crash(yard, [point], None, points)
            assert (ended.state, ended.reason) == ("succeeded", None)
        return points.passed

    passed, point = 1, 1
    while point <= passed:
        passed = trio.run(main, point, clock=MockClock(autojump_threshold=0))
        point += 1
    assert point > 30


async def _wait(docker: Docker, operation_id: str, waiting: trio.CancelScope) -> None:
    await docker.operations.wait(operation_id)
    waiting.cancel()


async def _live_and_crash(yard: Yard, crashes: list[int], failing: str | None, points: Points) -> Operation:
    """Run lives that each end after so many points; the last one runs to the end."""
    before = await Whole.of(yard)
    begun_here: Operation | None = None
    with points.watch(yard, failing):
        for life in [*crashes, 0]:
            points.left, points.crashed, points.docker = life, trio.Event(), None
            async with yard.life() as docker:
                points.docker = docker
                if begun_here is None:
                    begun_here = await begun(docker)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_wait, docker, begun_here.id, nursery.cancel_scope)
                    await points.crashed.wait()
                    nursery.cancel_scope.cancel()
    assert begun_here is not None
    # In whatever life it was asked: it is the same turn.
    assert set(yard.bots.echoes) <= {begun_here.id, f"end {begun_here.id}", f"forget {begun_here.id}"}
    async with yard.life() as docker:
        ended, _ = await docker.operations.get(begun_here.id)
    after = await Whole.of(yard)
    if ended.state == "succeeded":
        assert failing is None
        assert (after.image, after.state) == (NEW, "running")
        # Once for each start of it.
        assert after.content.removesuffix(before.content).replace(MIGRATED, b"") == b""
        assert yard.engine.contents[before.volume] == before.content
    else:
        assert ended.state in ("failed", "cancelled")
        assert (after, after.image) == (before, IMAGE)
    return ended
