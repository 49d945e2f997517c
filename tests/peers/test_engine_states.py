"""What is told of containers, while a real engine does with them all that it can do, and while it is away itself."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from edgebotd.docker.containers import Containers
from edgebotd.docker.engine import Engine, open_engine
from edgebotd.docker.errors import EngineError
from edgebotd.docker.follow import Follower
from edgebotd.events import ContainerStatus, DockerStatus
from tests.peers.engine import BOT, PLAIN, DockerEngine

NAME = "edgebotd-one"
SECONDS = 30
"""For a machine that has much else to do; where time is the point, it is measured."""
NEVER = 3600.0
"""The look at everything, which would hide an event that was missed, is not due within a test."""


class Watched:
    """One bot's container, followed."""

    def __init__(self, engine: Engine) -> None:
        self.containers = Containers(engine, self._publish, installation="i" * 16, now=lambda: int(time.time() * 1000))
        self.told: list[DockerStatus] = []
        self.changed = trio.Event()

    def _publish(self, status: DockerStatus) -> None:
        self.told.append(status)
        self.changed.set()
        self.changed = trio.Event()

    async def until(self, state: str, when: Callable[[ContainerStatus], bool] = lambda _: True) -> ContainerStatus:
        with trio.fail_after(SECONDS):
            status = await self.containers.wait("one", lambda now: now is not None and now.state == state and when(now))
        assert status is not None
        # What everybody is told is what is known.
        assert self.told[-1] == self.containers.status()
        return status

    async def until_engine(self, state: str, words: str = "") -> None:
        def so() -> bool:
            engine = self.told[-1].engine if self.told else None
            return engine is not None and engine.state == state and words in (engine.detail or "")

        with trio.fail_after(SECONDS):
            while not so():
                await self.changed.wait()


@asynccontextmanager
async def watching(engine: DockerEngine) -> AsyncIterator[Watched]:
    async with open_engine(engine.socket) as api, trio.open_nursery() as nursery:
        watched = Watched(api)
        watched.containers.bind("one", NAME)
        nursery.start_soon(Follower(api, watched.containers, NEVER).run)
        await watched.until_engine("up")
        yield watched
        nursery.cancel_scope.cancel()


async def do(action: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    await trio.to_thread.run_sync(lambda: action(*arguments, **named))


def call(engine: DockerEngine, what: str) -> Callable[[], bytes]:
    return lambda: engine.api("POST", f"/containers/{NAME}/{what}")


async def test_the_states_of_a_life(breakable_engine: DockerEngine) -> None:
    engine = breakable_engine
    async with watching(engine) as one:
        assert (await one.until("missing")).container_id is None
        await do(engine.run, NAME, BOT, start=False)
        assert (await one.until("created")).exit_code is None
        await do(call(engine, "start"))
        await one.until("running", lambda now: now.health == "starting")
        healthy = await one.until("running", lambda now: now.health == "healthy")
        assert healthy.source == "event"
        await do(engine.shell, NAME, "rm /tmp/healthy")
        await one.until("running", lambda now: now.health == "unhealthy")
        await do(call(engine, "pause"))
        assert (await one.until("paused")).health is None
        await do(call(engine, "unpause"))
        await one.until("running")
        await do(call(engine, "rename?name=something-else"))
        assert (await one.until("missing")).since_at >= healthy.since_at
        assert [(other.name, other.bot_id) for other in one.told[-1].containers if other.container_id] == [
            ("something-else", None)
        ]
        await do(lambda: engine.api("POST", f"/containers/something-else/rename?name={NAME}"))
        await one.until("running")
        await do(call(engine, "kill"))
        assert (await one.until("exited")).exit_code == 137
        await do(call(engine, "start"))
        await one.until("running")
        await do(engine.api, "DELETE", f"/containers/{NAME}?force=1")
        await one.until("missing")


@pytest.mark.quiet
async def test_what_is_stopped_elsewhere_is_seen_within_two_seconds(breakable_engine: DockerEngine) -> None:
    engine = breakable_engine
    await do(engine.run, NAME, PLAIN)
    async with watching(engine) as one:
        await one.until("running")
        await do(call(engine, "stop"))
        began = trio.current_time()
        assert (await one.until("exited")).exit_code == 0
        assert trio.current_time() - began < 2


async def test_ways_to_end(breakable_engine: DockerEngine) -> None:
    engine = breakable_engine

    async def again(**body: Any) -> None:
        await do(engine.clear)
        await one.until("missing")
        await do(engine.run, NAME, PLAIN, **body)

    async with watching(engine) as one:
        await again(Env=["TICK=0.1", "EXIT_AFTER=1", "EXIT_CODE=7"])
        assert (await one.until("exited")).exit_code == 7

        small = 32 << 20
        await again(Env=["EAT_MEM=200"], HostConfig={"Memory": small, "MemorySwap": small})
        # On a busy machine the engine says that it has ended before it says why.
        killed = await one.until("exited", lambda now: now.oom_killed)
        assert killed.exit_code == 137
        assert killed.detail is not None and "memory" in killed.detail

        looping = {"RestartPolicy": {"Name": "always"}}
        await again(Env=["TICK=0.1", "EXIT_AFTER=1", "EXIT_CODE=3"], HostConfig=looping)
        assert (await one.until("restarting", lambda now: now.restarts > 0)).exit_code == 3

        await do(engine.clear)
        await one.until("missing")
        await do(engine.run, NAME, PLAIN, start=False, Cmd=["/no/such/program"])
        async with open_engine(engine.socket) as api:
            with pytest.raises(EngineError, match="no such file"):
                await api.start(NAME)
        follower = Follower(one.containers.usable(), one.containers, NEVER)
        # A start that fails makes no event: whoever started it asks.
        await follower.refresh(NAME)
        failed = await one.until("created", lambda now: now.exit_code == 127)
        assert failed.detail is not None and "could not be started" in failed.detail and "no such file" in failed.detail


async def test_an_engine_that_ends_and_comes_back(breakable_engine: DockerEngine) -> None:
    engine = breakable_engine
    await do(engine.run, NAME, PLAIN)
    async with watching(engine) as one:
        await do(engine.stop)
        await one.until_engine("down", "systemctl start docker")
        assert (await one.until("unknown")).detail is not None
        await do(engine.start)
        await one.until_engine("up")
        assert (await one.until("exited")).exit_code == 0

        # From here on containers outlive it.
        await do(call(engine, "start"))
        running = await one.until("running")
        for end, words in ((engine.kill, "has stopped"), (engine.stop, "systemctl start docker")):
            await do(end)
            await one.until_engine("down", words)
            await one.until("unknown")
            await do(engine.start, live_restore=True)
            await one.until_engine("up")
            assert (await one.until("running")).since_at == running.since_at

        # Without its live-restore what ran is ended by the start that follows.
        await do(engine.kill)
        await one.until_engine("down")
        await do(engine.start)
        await one.until_engine("up")
        await one.until("exited")


async def test_an_engine_that_freezes_is_told_from_a_quiet_one(breakable_engine: DockerEngine) -> None:
    engine = breakable_engine
    await do(engine.run, NAME, PLAIN)
    async with watching(engine) as one:
        running = await one.until("running")
        engine.freeze()
        began = trio.current_time()
        await one.until_engine("frozen")
        assert trio.current_time() - began < 12
        await one.until("unknown")
        engine.thaw()
        await one.until_engine("up")
        assert (await one.until("running")).since_at == running.since_at
        # Its events go on.
        await do(call(engine, "kill"))
        await one.until("exited")
