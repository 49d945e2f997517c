"""A fake engine, bots with rows, and a store, over which daemons come and go: what provisioning is tested on."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from edgebotd.config import DockerSettings
from edgebotd.docker.house import Docker
from edgebotd.docker.making import ProfileSecret, no_profiles
from edgebotd.docker.operations import Step, Work
from edgebotd.docker.provision import ProvisionRequest
from edgebotd.docker.spec import STATE_PATH
from edgebotd.hub.hub import Hub
from edgebotd.protocol.run import Verdict
from edgebotd.store import bots as bot_rows
from edgebotd.store import containers as rows
from edgebotd.store.database import Database, open_database
from edgebotd.store.operations import Operation
from tests.docker.fake_engine import FakeEngine, open_fake_engine
from tests.docker.house import RowedBots, docker_on
from tests.web.house import Clock, open_hub_on

ACTOR = {"user_id": "ada", "kind": "session"}
IMAGE = "registry.example/claw:1"
PAIRING = Verdict(False, "needs_pairing", "It wants to be paired.", pairing_request="req-1")
STEPS = ("validate", "pull", "create", "start", "healthy", "pair", "hello")


@dataclass
class Yard:
    """An engine, bots and a store, over which daemons come and go."""

    database: Database
    hub: Hub
    engine: FakeEngine
    clock: Clock
    settings: DockerSettings
    bots: RowedBots
    profile_secret: ProfileSecret = no_profiles

    @asynccontextmanager
    async def life(self) -> AsyncIterator[Docker]:
        async with docker_on(
            self.database,
            self.hub,
            self.clock,
            engine=self.engine,
            bots=self.bots,
            settings=self.settings,
            profile_secret=self.profile_secret,
        ) as docker:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(docker.run)
                await wait_all_tasks_blocked()
                yield docker
                nursery.cancel_scope.cancel()

    async def stored(self, bot_id: str = "atlas") -> rows.StoredContainer | None:
        return await self.database.read(lambda conn: rows.get(conn, bot_id))

    def config(self, name: str = "openclaw.json") -> dict[str, Any]:
        (container,) = self.engine.all.values()
        with tarfile.open(fileobj=io.BytesIO(container.files[STATE_PATH])) as tar:
            member = tar.getmember(name)
            assert member.mode == 0o600
            file = tar.extractfile(name)
            assert file is not None
            found: dict[str, Any] = json.loads(file.read())
            return found

    async def is_clean(self) -> None:
        """Nothing is there of a bot that did not come to be, and its id is free."""
        assert (self.engine.all, self.engine.volumes_here, self.bots.names, self.bots.tokens) == ({}, {}, {}, {})
        assert await self.stored() is None
        assert await self.database.read(lambda conn: bot_rows.number_of(conn, "atlas")) is None


@asynccontextmanager
async def open_yard(**settings: Any) -> AsyncIterator[Yard]:
    clock = Clock()
    async with open_database(None) as database, open_hub_on(database, clock) as hub, open_fake_engine(clock) as engine:
        engine.have_image(IMAGE, config={"User": "node"})
        yield Yard(database, hub, engine, clock, DockerSettings(image=IMAGE, **settings), RowedBots(database))


async def make(docker: Docker, **more: Any) -> Operation:
    request = ProvisionRequest.model_validate({"id": "atlas", **more})
    return await docker.operations.wait((await docker.provisioning.begin(request, ACTOR)).id)


async def begun(docker: Docker, **more: Any) -> Operation:
    return await docker.provisioning.begin(ProvisionRequest.model_validate({"id": "atlas", **more}), ACTOR)


async def texts(docker: Docker, operation: Operation) -> list[str]:
    return [line.text for line in (await docker.operations.get(operation.id))[1]]


def hang_after(docker: Docker, name: str, kind: str = "create") -> None:
    """Have a step do what it does and then not end."""

    def hanging(step: Step) -> Step:
        async def run(work: Work) -> None:
            await step.run(work)
            await trio.sleep_forever()

        return dataclasses.replace(step, run=run, seconds=math.inf) if step.name == name else step

    docker.operations.register(kind, [hanging(step) for step in docker.operations.kinds[kind]])
