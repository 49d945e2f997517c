"""One bot, scout, with a container on the fake engine, followed: what tests of lifecycle, crashes and logs stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from typing_extensions import override

from edgebotd.config import DockerSettings
from edgebotd.docker.house import Docker
from edgebotd.events import ContainerStatus
from edgebotd.hub.hub import Hub
from edgebotd.store import bots as bot_rows
from edgebotd.store import containers as rows
from edgebotd.store.bots import StoredBot
from edgebotd.store.containers import Origin, StoredContainer, Wanted
from edgebotd.store.database import Database, Transaction
from tests.bots.house import now, open_store
from tests.docker.fake_container import FakeContainer
from tests.docker.fake_engine import FakeEngine, open_fake_engine
from tests.docker.house import FakeBots, docker_on

ANN = {"user_id": "ann", "kind": "session"}
NAME = "edgebotd-scout"


@dataclass
class BusyBots(FakeBots):
    """Bots whose runs end when they are told to, or by themselves after `abort_takes` seconds once aborted."""

    turned: trio.Event = field(default_factory=trio.Event)
    abort_takes: float | None = 0.0
    nursery: trio.Nursery | None = None
    holds: list[str | None] = field(default_factory=list)

    def run(self, bot_id: str, count: int) -> None:
        self.runs[bot_id] = count
        self.turned.set()
        self.turned = trio.Event()

    @override
    async def wait_idle(self, bot_id: str) -> None:
        while self.runs.get(bot_id):
            await self.turned.wait()

    @override
    async def abort_all(self, bot_id: str) -> None:
        self.aborted.append(bot_id)
        if self.abort_takes is not None:
            assert self.nursery is not None
            self.nursery.start_soon(self._end, bot_id, self.abort_takes)

    async def _end(self, bot_id: str, seconds: float) -> None:
        await trio.sleep(seconds)
        self.run(bot_id, 0)

    @override
    def hold(self, bot_id: str, reason: str | None) -> None:
        super().hold(bot_id, reason)
        if self.holds[-1:] != [reason]:
            self.holds.append(reason)


@dataclass
class Scout:
    """What a test has in its hands."""

    database: Database
    hub: Hub
    engine: FakeEngine
    container: FakeContainer
    bots: BusyBots
    docker: Docker
    states: list[str] = field(default_factory=list)
    """States of the container as they were told, repeated ones once."""
    doing: list[str] = field(default_factory=list)

    def status(self) -> ContainerStatus:
        found = self.docker.containers.of_bot("scout")
        assert found is not None
        return found

    async def until(self, *states: str, timeout: float = 600) -> ContainerStatus:
        with trio.fail_after(timeout):
            status = await self.docker.containers.wait("scout", lambda s: s is not None and s.state in states)
        assert status is not None
        return status

    async def wanted(self) -> Wanted:
        stored = await self.database.read(lambda conn: rows.get(conn, "scout"))
        assert stored is not None
        return stored.wanted

    async def audited(self) -> list[str]:
        return await self.database.read(
            lambda conn: [action for (action,) in conn.execute("SELECT action FROM audit ORDER BY id")]
        )


@asynccontextmanager
async def open_life(
    database: Database, hub: Hub, engine: FakeEngine, bots: BusyBots, settings: DockerSettings | None = None
) -> AsyncIterator[Scout]:
    """Open the containers' floor, as one life of the daemon, and follow the engine."""
    async with docker_on(database, hub, now, engine=engine, bots=bots, settings=settings) as docker:
        scout = Scout(database, hub, engine, engine.named(NAME), bots, docker)

        def take(status: ContainerStatus | None) -> None:
            if status is not None and scout.states[-1:] != [status.state]:
                scout.states.append(status.state)
            if status is not None and status.doing is not None and scout.doing[-1:] != [status.doing]:
                scout.doing.append(status.doing)

        docker.containers.subscribe(lambda change: take(change.now))
        async with trio.open_nursery() as nursery:
            bots.nursery = nursery
            for run in docker.jobs.values():
                nursery.start_soon(run)
            await docker.containers.wait("scout", lambda s: s is not None and s.state not in ("unknown", "missing"))
            scout.states[:-1] = []
            yield scout
            nursery.cancel_scope.cancel()


async def store_scout(database: Database, origin: Origin = "provisioned", wanted: Wanted = "running") -> None:
    """Have the bot and its container in the store."""

    def write(tx: Transaction) -> None:
        bot_rows.add(tx.connection, StoredBot("scout", "openclaw", "Scout"))
        rows.put(tx.connection, StoredContainer("scout", NAME, None, origin, wanted))

    await database.write(write)


@asynccontextmanager
async def open_scout(
    settings: DockerSettings | None = None,
    *,
    origin: Origin = "provisioned",
    wanted: Wanted = "running",
    started: bool = True,
    **behaviour: object,
) -> AsyncIterator[Scout]:
    """Open everything, with the container running."""
    async with open_store() as (database, hub), open_fake_engine(now) as engine:
        await store_scout(database, origin, wanted)
        container = engine.add(NAME)
        for name, value in behaviour.items():
            setattr(container, name, value)
        if started:
            engine.begin(container)
        async with open_life(database, hub, engine, BusyBots(names={"scout": "Scout"}), settings) as scout:
            yield scout
