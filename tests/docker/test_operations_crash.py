"""Operations whose daemon dies, at any point and several times: they end whole or clean."""

from __future__ import annotations

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from edgebotd.docker.operations import Operations, Work
from edgebotd.errors import Conflict, Problem
from edgebotd.store import operations as rows
from tests.docker.bench import Bench, begin, open_bench


@settings(max_examples=60)
@given(
    crashes=st.lists(st.integers(1, 12), max_size=6),
    failing=st.sampled_from([None, "a", "b", "c"]),
    cancel_at=st.one_of(st.none(), st.integers(0, 8)),
)
def test_whatever_crashes_come_an_operation_ends_whole_or_clean(
    crashes: list[int], failing: str | None, cancel_at: int | None
) -> None:
    async def main() -> None:
        async with open_bench() as bench:
            await _live_and_crash(bench, list(crashes), failing, cancel_at)

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def _wait(operations: Operations, operation_id: str, waiting: trio.CancelScope) -> None:
    await operations.wait(operation_id)
    waiting.cancel()


async def _live_and_crash(bench: Bench, crashes: list[int], failing: str | None, cancel_at: int | None) -> None:
    """Run lives that each crash after so many points; the last one runs to the end."""
    world = bench.world
    points, passed, begun = [0], [0], None
    crashed = trio.Event()
    current: list[Operations] = []

    async def point(work: Work) -> None:
        await trio.lowlevel.checkpoint()
        points[0] -= 1
        passed[0] += 1
        if points[0] == 0:
            crashed.set()
            await trio.sleep_forever()
        if passed[0] == cancel_at:
            with trio.move_on_after(0):
                # It may be in its undo already.
                try:
                    await current[0].cancel(work.id)
                except Conflict:
                    pass

    async def fail(work: Work) -> None:
        await point(work)
        raise Problem(502, "broken", "It broke.")

    for name in ("a", "b", "c"):
        for hooks in (world.before, world.after):
            hooks[name] = hooks[f"-{name}"] = point
    if failing is not None:
        world.after[failing] = fail
    steps = [world.step(name) for name in ("a", "b", "c")]
    for life in [*crashes, 0]:
        points[0], crashed = life, trio.Event()
        async with bench.life(*steps) as operations:
            current[:] = [operations]
            if begun is None:
                begun = await begin(operations)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_wait, operations, begun.id, nursery.cancel_scope)
                await crashed.wait()
                nursery.cancel_scope.cancel()
    assert begun is not None
    operation = await bench.database.read(lambda conn: rows.get(conn, begun.id))
    assert operation is not None
    assert operation.ended_at is not None
    assert world.things == (["a", "b", "c"] if operation.state == "succeeded" else [])
    assert operation.state in (("failed", "cancelled") if failing is not None else ("succeeded", "cancelled"))
    told = await bench.told()
    assert [step for step, _ in told].count("done") == 1
    assert told[-1][0] == "done"
    assert told[:-1] == await bench.lines(operation)
    begins = [step for step, text in told if text == "begins"]
    assert begins == sorted(set(begins))
    assert world.calls.count(f"audit bot.make.{operation.state}") == 1
