"""Stops, crash loops and logs on a real engine: what the fake one of tests/docker only claims."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from edgebotd.config import DockerSettings
from edgebotd.daemon import wall_clock
from edgebotd.docker.lifecycle import Halt
from edgebotd.docker.logs import Wanted
from edgebotd.store.operations import Operation
from tests.bots.house import open_store
from tests.docker.house import docker_on
from tests.docker.scout import ANN, BusyBots, store_scout
from tests.docker.screen import Screen
from tests.peers.engine import DockerEngine

NAME = "edgebotd-scout"
SECONDS = 60
ALWAYS = {"RestartPolicy": {"Name": "unless-stopped"}}


class Ship:
    """The containers' floor over the real engine, with the bot scout whose container runs."""

    def __init__(self, engine: DockerEngine, docker: Any, bots: BusyBots, screen: Screen) -> None:
        self.engine = engine
        self.docker = docker
        self.bots = bots
        self.screen = screen

    async def until(self, holds: Callable[[Any], bool]) -> Any:
        return await self.docker.containers.wait("scout", lambda status: status is not None and holds(status))

    async def done(self, begun: Operation) -> Operation:
        ended: Operation = await self.docker.operations.wait(begun.id)
        assert ended.state == "succeeded", ended.reason
        return ended


@asynccontextmanager
async def open_ship(
    engine: DockerEngine,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    env: dict[str, str],
    settings: DockerSettings | None = None,
    **body: Any,
) -> AsyncIterator[Ship]:
    """Open it on a container with this environment."""
    variables = [f"{name}={value}" for name, value in env.items()]
    make = partial(engine.run, NAME, Env=variables, **body)
    try:
        with trio.fail_after(SECONDS):
            async with open_store(folder / "store.db") as (database, hub):
                await store_scout(database)
                screen = Screen(hub, monkeypatch)
                bots = BusyBots(names={"scout": "Scout"})
                async with (
                    docker_on(database, hub, wall_clock, socket=engine.socket, bots=bots, settings=settings) as docker,
                    trio.open_nursery() as nursery,
                ):
                    bots.nursery = nursery
                    for run in docker.jobs.values():
                        nursery.start_soon(run)
                    while docker.containers.engine_status.state != "up":  # noqa: ASYNC110  of the engine none is told
                        await trio.sleep(0.05)
                    await trio.to_thread.run_sync(make)
                    ship = Ship(engine, docker, bots, screen)
                    await ship.until(lambda status: status.container_id is not None)
                    yield ship
                    nursery.cancel_scope.cancel()
    finally:
        engine.api("DELETE", f"/containers/{NAME}?force=1&v=1")


async def test_one_that_ignores_its_signal_is_hurried_and_killed(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_ship(engine, tmp_path, monkeypatch, env={"IGNORE_TERM": "1"}, HostConfig=ALWAYS) as ship:
        lifecycle = ship.docker.lifecycle
        began = trio.current_time()
        operation = await lifecycle.stop("scout", Halt(), ANN)
        await ship.until(lambda status: "waits for it to end" in (status.doing or ""))
        for _ in range(2):
            # In the middle of the engine's own waiting, twice: ten seconds, then none.
            await lifecycle.stop("scout", Halt(now=True), ANN)
            await ship.until(lambda status: "at most" in (status.doing or "") and "330" not in status.doing)
        await ship.done(operation)
        assert trio.current_time() - began < 20
        status = ship.docker.containers.of_bot("scout")
        assert (status.state, status.exit_code) == ("exited", 137)
        assert status.detail == "It was killed (SIGKILL), by somebody or by the machine."
        assert not await ship.docker.breaker.crashes("scout")


async def test_one_that_obeys_is_stopped_and_started_again(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_ship(engine, tmp_path, monkeypatch, env={"TERM_CODE": "4"}, HostConfig=ALWAYS) as ship:
        states: list[str] = []
        ship.docker.containers.subscribe(lambda change: states.append(change.now.state))
        await ship.done(await ship.docker.lifecycle.stop("scout", Halt(), ANN))
        # Told as stopping up to the end, and as ended without a step in between.
        seen = [state for state, before in zip(states, [None, *states], strict=False) if state != before]
        assert seen[seen.index("stopping") :] == ["stopping", "exited"]
        assert ship.docker.containers.of_bot("scout").exit_code == 4
        await ship.done(await ship.docker.lifecycle.start("scout", ANN))
        assert ship.docker.containers.of_bot("scout").state == "running"
        await trio.to_thread.run_sync(partial(engine.api, "POST", f"/containers/{NAME}/pause"))
        await ship.until(lambda status: status.state == "paused")
        await ship.done(await ship.docker.lifecycle.start("scout", ANN))
        await ship.until(lambda status: status.state == "running")
        assert not await ship.docker.breaker.crashes("scout")


async def test_a_paused_one_can_be_stopped(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_ship(engine, tmp_path, monkeypatch, env={}, HostConfig=ALWAYS) as ship:
        await trio.to_thread.run_sync(partial(engine.api, "POST", f"/containers/{NAME}/pause"))
        await ship.until(lambda status: status.state == "paused")
        operation = await ship.docker.lifecycle.stop("scout", Halt(now=True), ANN)
        await ship.until(lambda status: "at most" in (status.doing or ""))
        await ship.docker.lifecycle.stop("scout", Halt(now=True), ANN)
        await ship.done(operation)
        assert ship.docker.containers.of_bot("scout").state == "exited"


async def test_a_crash_loop_is_broken_for_good_until_a_person_starts_it(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = DockerSettings(crash_limit=2, crash_seconds=60)
    env = {"EXIT_AFTER": "1", "EXIT_CODE": "3", "API_TOKEN": "exiting"}
    async with open_ship(engine, tmp_path, monkeypatch, env=env, settings=settings, HostConfig=ALWAYS) as ship:
        status = await ship.until(lambda status: status.crash_loop and status.doing is None)
        assert (status.state, status.restarts) == ("exited", 3)
        kept = await ship.docker.breaker.crashes("scout")
        assert {crash.exit_code for crash in kept} == {3}
        # Of each life its own lines, and none of what its environment keeps secret.
        for crash in kept:
            texts = sorted(line for line in crash.lines if "pid=" not in line)
            assert texts == ["bot: [redacted] 3", "bot: tick 1", "bot: to stderr"]
        begun = await ship.docker.lifecycle.start("scout", ANN)
        await ship.docker.operations.wait(begun.id)
        # It is let live, and crash, anew.
        await ship.until(lambda status: not status.crash_loop)
        await ship.until(lambda status: status.crash_loop and status.doing is None)


async def test_too_little_memory_is_told_as_that(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"Memory": 32 * 1024 * 1024, "MemorySwap": 32 * 1024 * 1024}
    command = ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"]
    async with open_ship(engine, tmp_path, monkeypatch, env={}, HostConfig=small, Cmd=command) as ship:
        status = await ship.until(lambda status: status.state == "exited")
        assert (status.oom_killed, status.detail) == (True, "It needed more memory than it may have, and was killed.")
        while not (kept := await ship.docker.breaker.crashes("scout")):  # noqa: ASYNC110  nor of what is stored
            await trio.sleep(0.05)
        assert [(crash.exit_code, crash.oom_killed) for crash in kept] == [(137, True)]


async def test_a_log_is_followed_over_restarts_without_a_line_twice_or_lost(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_ship(engine, tmp_path, monkeypatch, env={"TICK": "0.02"}, HostConfig=ALWAYS) as ship:
        ship.screen.watch("scout")
        await ship.screen.more(10)
        for halt in (Halt(), Halt(now=True)):
            await ship.done(await ship.docker.lifecycle.restart("scout", halt, ANN))
            await ship.screen.more(10)
        await ship.done(await ship.docker.lifecycle.stop("scout", Halt(), ANN))
        await ship.screen.until(lambda texts: texts.count("bot: got TERM") == 3)
        said = await ship.docker.logs.read("scout", 5000, Wanted())
        told = [line for event in ship.screen.events for line in event.lines]
        first = told[0]
        for stream in ("stdout", "stderr"):
            # The two are not in order of each other; each of them is.
            whole = [line for line in said if line.stream == stream and line.at >= first.at]
            assert [line for line in told if line.stream == stream] == whole
        assert not any(event.missed for event in ship.screen.events)
        file = b"".join([piece async for piece in await ship.docker.logs.download("scout", Wanted())]).decode()
        assert [line.partition(" ")[2].partition(" ")[2] for line in file.splitlines()] == [line.text for line in said]
