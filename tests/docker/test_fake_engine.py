"""The fake engine with the real follower: what a real one was seen to do, in the order in which it does it."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from edgebotd.protocol.docker.containers import ContainerEvent
from tests.bots.house import now
from tests.docker.fake_engine import open_fake_engine


async def test_events_come_in_the_order_of_a_real_engine(autojump_clock: MockClock) -> None:
    async with open_fake_engine(now) as engine, trio.open_nursery() as nursery:
        told: list[ContainerEvent] = []

        async def follow() -> None:
            await engine.events(told.append, started=lambda: None)

        nursery.start_soon(follow)
        await trio.sleep(1)
        deaf = engine.add("deaf", stop_seconds=None)
        await engine.start("deaf")
        await engine.stop("deaf", 10)
        assert [event.action for event in told] == ["create", "start", "kill", "kill", "die", "stop"]
        assert (deaf.state, deaf.exit_code, await engine.processes("deaf")) == ("exited", 137, 0)
        crash = engine.add("crash", lives=[1, 1])
        await engine.start("crash")
        told.clear()
        await trio.sleep(5)
        assert [event.action for event in told] == ["die", "start", "die", "start"]
        assert ((await engine.inspect("crash")).state, crash.restarts) == ("running", 2)
        nursery.cancel_scope.cancel()
