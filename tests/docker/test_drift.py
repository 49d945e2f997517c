"""Containers that are not as they should be are found by themselves, and nothing else happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest
import trio
from pydantic import SecretStr
from trio.testing import MockClock

from edgebotd.config import DockerSettings
from edgebotd.docker.drift import PERIOD_SECONDS, spec_of
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.house import Docker
from edgebotd.docker.profile import body
from edgebotd.docker.spec import Spec, container_name
from edgebotd.events import ContainerStatus
from edgebotd.store import bots as bot_rows
from edgebotd.store import containers as rows
from edgebotd.store.bots import StoredBot
from edgebotd.store.containers import StoredContainer
from edgebotd.store.database import Database, Transaction, open_database
from tests.bots.house import now
from tests.docker.fake_container import FakeContainer
from tests.docker.fake_engine import FakeEngine, open_fake_engine
from tests.docker.fake_store import DIGEST
from tests.docker.house import INSTALLATION, FakeBots, docker_on
from tests.docker.samples import SPEC
from tests.hub.support import hub_on

OWN = SPEC.model_copy(update={"image": "fake/bot:1", "pinned": f"fake/bot@{DIGEST}"})


@dataclass
class House:
    docker: Docker
    engine: FakeEngine
    database: Database

    async def has(self, bot_id: str, spec: Spec | None) -> FakeContainer:
        """Have a bot whose container runs, as it was made."""
        name = container_name(bot_id)
        made = body(
            OWN,
            bot_id=bot_id,
            installation=INSTALLATION,
            operation_id="op_1",
            settings=DockerSettings(),
            secrets={"s": SecretStr("s")},
        )
        container = self.engine.add(name, made)
        self.engine.begin(container)
        stored = StoredContainer(
            bot_id,
            name,
            container.id,
            "adopted" if spec is None else "provisioned",
            spec={} if spec is None else spec.model_dump(mode="json"),
        )
        await self.database.write(lambda tx: rows.put(tx.connection, stored))
        self.docker.containers.bind(bot_id, name)
        return container

    def status(self, bot_id: str) -> ContainerStatus:
        status = self.docker.containers.of_bot(bot_id)
        assert status is not None
        return status


def add_bot(stored: StoredBot, tx: Transaction) -> None:
    bot_rows.add(tx.connection, stored)


@asynccontextmanager
async def open_house() -> AsyncIterator[House]:
    async with (
        open_database(None, now=1) as database,
        hub_on(database) as hub,
        open_fake_engine(now) as engine,
        docker_on(database, hub, now, engine=engine, bots=FakeBots({"a": "A", "b": "B"})) as docker,
        trio.open_nursery() as nursery,
    ):
        for bot_id in ("a", "b"):
            stored = StoredBot(bot_id, "openclaw", bot_id, {}, created_at=1)
            await database.write(partial(add_bot, stored))
        engine.have_image("fake/bot:1")
        nursery.start_soon(docker.run)
        nursery.start_soon(docker.drift.run)
        yield House(docker, engine, database)
        nursery.cancel_scope.cancel()


async def test_what_is_changed_by_hand_is_found_within_the_period(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        container = await house.has("a", OWN)
        await trio.sleep(5)
        assert house.status("a").drift == ()
        # As `docker update` does.
        container.body["HostConfig"]["PidsLimit"] = 0
        await trio.sleep(PERIOD_SECONDS + 31)
        assert house.status("a").drift == ("It may start any number of processes.",)
        container.body["HostConfig"]["PidsLimit"] = 512
        await trio.sleep(PERIOD_SECONDS + 31)
        assert house.status("a").drift == ()
        assert house.status("a").state == "running"


async def test_another_container_of_the_name_is_looked_at_at_once(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.has("a", OWN)
        await house.has("b", None)
        await trio.sleep(5)
        assert (house.status("a").drift, house.status("b").drift) == ((), ())
        await house.engine.remove(container_name("a"), force=True)
        await trio.sleep(1)
        made = house.engine.add(container_name("a"), {"Image": "fake/bot:1", "HostConfig": {"Privileged": True}})
        house.engine.begin(made)
        await trio.sleep(1)
        assert "It is privileged: it may do everything with this machine." in house.status("a").drift


async def test_work_on_a_container_is_not_held_against_it(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        container = await house.has("a", OWN)
        await trio.sleep(5)
        house.docker.containers.overlay("a", doing="is being made anew")
        container.body["HostConfig"]["Memory"] = 0
        await trio.sleep(PERIOD_SECONDS + 31)
        assert house.status("a").drift == ()
        house.docker.containers.overlay("a", doing="")
        await trio.sleep(1)
        assert house.status("a").drift == ("It may take all of this machine's memory.",)


async def test_an_engine_that_is_away_changes_nothing(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        container = await house.has("a", OWN)
        container.body["HostConfig"]["Memory"] = 0
        await trio.sleep(5)
        assert house.status("a").drift != ()
        house.engine.go_away(EngineError(Trouble.DOWN, "It is down."))
        await trio.sleep(PERIOD_SECONDS + 31)
        assert house.status("a").drift != ()


async def test_a_volume_that_is_a_folder_and_a_user_that_is_not_the_images_are_found(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        house.engine.have_image("fake/bot:1", config={"User": "node"})
        volume = SPEC.volumes[0].name
        house.engine.volumes_here[volume] = {"Name": volume, "Options": {"device": "/etc", "o": "bind"}, "Labels": {}}
        container = await house.has("a", OWN)
        container.body["User"] = "0"
        await trio.sleep(5)
        assert house.status("a").drift == (
            "It runs as root, which its image does not.",
            "It has this machine's /etc at /home/node/.openclaw.",
        )


def test_a_spec_of_a_newer_edgebotd_is_none(caplog: pytest.LogCaptureFixture) -> None:
    assert spec_of(StoredContainer("a", "x", None, "adopted")) is None
    assert spec_of(StoredContainer("a", "x", None, "provisioned", spec=OWN.model_dump(mode="json"))) == OWN
    assert spec_of(StoredContainer("a", "x", None, "provisioned", spec={"image": 1})) is None
    assert "cannot be read" in caplog.text
