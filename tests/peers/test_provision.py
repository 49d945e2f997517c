"""Bots made on a real engine: many at once, with everything going wrong that can, and nothing left behind."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest
import trio

from edgebotd.config import DockerSettings
from edgebotd.docker.house import Docker
from edgebotd.docker.operations import Step, Work
from edgebotd.docker.provision import ProvisionRequest
from edgebotd.docker.removal import RemoveRequest
from edgebotd.docker.spec import OPERATION_LABEL
from edgebotd.hub.hub import Hub
from edgebotd.store import bots as bot_rows
from edgebotd.store import containers as rows
from edgebotd.store.database import Database, open_database
from edgebotd.store.operations import Operation
from tests.docker.house import RowedBots, docker_on
from tests.peers.engine import BOT, PLAIN, REMOTE, DockerEngine
from tests.peers.image import bot_image
from tests.web.house import Clock, open_hub_on

ACTOR = {"user_id": "ada", "kind": "session"}
STEPS = ("validate", "pull", "create", "start", "healthy", "pair", "hello")


class Site:
    """A store that outlives daemons, beside a real engine. What gateways say is made up: the image has none."""

    def __init__(self, engine: DockerEngine, database: Database, hub: Hub, clock: Clock) -> None:
        self.engine = engine
        self.database = database
        self.hub = hub
        self.clock = clock
        self.bots = RowedBots(database)

    @asynccontextmanager
    async def life(self, **settings: Any) -> AsyncIterator[Docker]:
        """One life of the daemon; leaving is as a crash to the work that goes on."""
        chosen = DockerSettings(**{"image": PLAIN, "drain_seconds": 2, **settings})
        async with docker_on(
            self.database, self.hub, self.clock, socket=self.engine.socket, bots=self.bots, settings=chosen
        ) as docker:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(docker.run)
                yield docker
                nursery.cancel_scope.cancel()

    def containers(self) -> list[dict[str, Any]]:
        """Return the engine's containers that edgebotd made."""
        query = quote(json.dumps({"label": [OPERATION_LABEL]}))
        found: list[dict[str, Any]] = json.loads(self.engine.api("GET", f"/containers/json?all=1&filters={query}"))
        return found

    def volumes(self) -> list[str]:
        query = quote(json.dumps({"label": [OPERATION_LABEL]}))
        return [one["Name"] for one in json.loads(self.engine.api("GET", f"/volumes?filters={query}"))["Volumes"] or []]

    async def is_clean(self, bot_id: str = "atlas") -> None:
        """Nothing is there of a bot that did not come to be, and its id is free."""
        assert (self.containers(), self.volumes()) == ([], [])
        assert (self.bots.names, self.bots.tokens) == ({}, {})
        assert await self.database.read(lambda conn: rows.all_containers(conn)) == []
        assert await self.database.read(lambda conn: bot_rows.number_of(conn, bot_id)) is None


@asynccontextmanager
async def open_site(engine: DockerEngine) -> AsyncIterator[Site]:
    clock = Clock()
    async with open_database(None) as database, open_hub_on(database, clock) as hub:
        yield Site(engine, database, hub, clock)


async def begin(docker: Docker, bot_id: str = "atlas", **more: Any) -> Operation:
    return await docker.provisioning.begin(ProvisionRequest.model_validate({"id": bot_id, **more}), ACTOR)


async def make(docker: Docker, bot_id: str = "atlas", **more: Any) -> Operation:
    with trio.fail_after(60):
        return await docker.operations.wait((await begin(docker, bot_id, **more)).id)


async def texts(docker: Docker, operation: Operation) -> list[str]:
    return [line.text for line in (await docker.operations.get(operation.id))[1]]


async def test_twenty_bots_at_once_each_have_their_own(breakable_engine: DockerEngine) -> None:
    async with open_site(breakable_engine) as site, site.life(operations_at_once=5) as docker:
        names = [f"bot-{number}" for number in range(20)]
        ended: list[Operation] = []

        async def one(name: str) -> None:
            ended.append(await make(docker, name))

        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(one, name)
        assert {operation.state for operation in ended} == {"succeeded"}, [one.reason for one in ended]
        assert sorted(container["Names"][0] for container in site.containers()) == sorted(
            f"/edgebotd-{name}" for name in names
        )
        ports = {(port["IP"], port["PublicPort"]) for container in site.containers() for port in container["Ports"]}
        assert ports == {("127.0.0.1", port) for port in range(18900, 18920)}
        assert len(site.volumes()) == 20
        live = docker.containers.status()
        assert {status.bot_id for status in live.containers if status.state == "running"} == set(names)


async def test_the_gateways_configuration_is_in_its_volume_for_its_owner_only(breakable_engine: DockerEngine) -> None:
    async with open_site(breakable_engine) as site, site.life() as docker:
        await make(docker, model="fake/one")
        assert docker.engine is not None
        script = "cd /home/node/.openclaw && stat -c '%a %u' openclaw.json && cat openclaw.json"
        said = (await docker.engine.run("edgebotd-atlas", ["sh", "-c", script])).output
        mode, _, text = said.partition("\n")
        assert mode == "600 0"
        config = json.loads(text)
        assert config["gateway"]["auth"]["token"] == "token-of-atlas"
        assert config["gateway"]["bind"] == "lan"
        inspection = json.loads(breakable_engine.api("GET", "/containers/edgebotd-atlas/json"))
        assert "token-of-atlas" not in json.dumps(inspection)
        assert inspection["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


async def test_an_image_of_the_registry_is_pinned_and_its_pull_told(breakable_engine: DockerEngine) -> None:
    async with open_site(breakable_engine) as site, site.life(image=f"{REMOTE}:big") as docker:
        operation = await make(docker)
        assert operation.state == "succeeded", operation.reason
        assert operation.made["pinned"].startswith(f"{REMOTE}@sha256:")
        assert any("MiB" in text for text in await texts(docker, operation))
        # By its digest it is here: no registry is needed.
        await trio.to_thread.run_sync(breakable_engine.stop_registry)
        again = await make(docker, "bert", image=operation.made["pinned"])
        assert again.state == "succeeded", again.reason
        by_tag = await make(docker, "carl")
        assert by_tag.state == "succeeded", by_tag.reason
        assert any("that is here is taken" in text for text in await texts(docker, by_tag))
        missing = await make(docker, "dora", image=f"{REMOTE}:2")
        assert (missing.state, missing.step) == ("failed", "pull")
        assert missing.reason is not None and missing.reason.startswith(f"The image {REMOTE}:2 could not be pulled")


async def test_a_pull_that_fails_in_the_middle_of_its_answer(breakable_engine: DockerEngine) -> None:
    image = bot_image(f"{REMOTE}:torn", ballast_mib=3)
    breakable_engine.publish(image)
    breakable_engine.remove_blob(f"sha256:{image.layers[-1].digest}")
    async with open_site(breakable_engine) as site, site.life(image=f"{REMOTE}:torn") as docker:
        operation = await make(docker)
        assert (operation.state, operation.step) == ("failed", "pull")
        assert operation.reason is not None and "unknown blob" in operation.reason
        assert docker.containers.status().pulls == ()
        await site.is_clean()


async def test_a_name_that_is_taken_and_a_port_that_is_taken(breakable_engine: DockerEngine) -> None:
    stranger = breakable_engine.run("edgebotd-atlas")
    binding = {"9/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18900"}]}
    breakable_engine.run("holder", HostConfig={"PortBindings": binding}, ExposedPorts={"9/tcp": {}})
    async with open_site(breakable_engine) as site, site.life() as docker:
        operation = await make(docker)
        assert operation.state == "failed"
        assert operation.reason is not None and "did not make" in operation.reason
        await site.is_clean()
        assert json.loads(breakable_engine.api("GET", f"/containers/{stranger}/json"))["State"]["Running"]
        other = await make(docker, "bert")
        assert (other.state, other.made["port"]) == ("succeeded", 18901)
        assert "Port 18900 of 127.0.0.1 is taken; the next one is tried." in await texts(docker, other)
        assert len(site.containers()) == 1


async def test_a_bot_that_ends_by_itself_leaves_its_last_words_and_nothing_else(
    breakable_engine: DockerEngine,
) -> None:
    async with open_site(breakable_engine) as site, site.life(image=BOT) as docker:
        environment = {"EXIT_AFTER": "1", "EXIT_CODE": "78", "HEALTHY": "0"}
        operation = await make(docker, environment=environment)
        assert operation.state == "failed"
        assert operation.reason is not None and "ended by itself" in operation.reason
        assert "| bot: exiting 78" in await texts(docker, operation)
        await site.is_clean()


def hang(docker: Docker, name: str, after: bool) -> trio.Event:
    """Let a step stop before or after what it does; the event tells that it is there."""
    there = trio.Event()

    def hanging(step: Step) -> Step:
        async def run(work: Work) -> None:
            if after:
                await step.run(work)
            there.set()
            await trio.sleep_forever()

        return Step(step.name, math.inf, run, step.undo) if step.name == name else step

    docker.operations.register("create", [hanging(step) for step in docker.operations.kinds["create"]])
    return there


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_daemon_that_dies_in_a_step_ends_it_whole_in_its_next_life(
    breakable_engine: DockerEngine, step: str, after: bool
) -> None:
    async with open_site(breakable_engine) as site:
        async with site.life() as docker:
            there = hang(docker, step, after)
            operation = await begin(docker)
            with trio.fail_after(30):
                await there.wait()
        async with site.life() as docker:
            with trio.fail_after(60):
                ended = await docker.operations.wait(operation.id)
            assert ended.state == "succeeded", ended.reason
            (container,) = site.containers()
            assert (container["State"], len(site.volumes())) == ("running", 1)
            assert container["Labels"][OPERATION_LABEL] == operation.id
            stored = await site.database.read(lambda conn: rows.get(conn, "atlas"))
            assert stored is not None and stored.container_id == container["Id"]


@pytest.mark.parametrize("step", STEPS)
async def test_a_daemon_that_dies_while_it_takes_back_leaves_nothing(breakable_engine: DockerEngine, step: str) -> None:
    async with open_site(breakable_engine) as site:
        async with site.life() as docker:
            there = hang(docker, step, True)
            operation = await begin(docker)
            with trio.fail_after(30):
                await there.wait()
            await docker.operations.cancel(operation.id)
        async with site.life() as docker:
            with trio.fail_after(60):
                ended = await docker.operations.wait(operation.id)
            assert ended.state == "cancelled"
            await site.is_clean()
            assert (await make(docker)).state == "succeeded"


async def test_an_engine_that_is_killed_meanwhile_is_waited_for(breakable_engine: DockerEngine) -> None:
    async with open_site(breakable_engine) as site, site.life() as docker:
        there = hang(docker, "create", False)
        operation = await begin(docker)
        await there.wait()
        await trio.to_thread.run_sync(breakable_engine.kill)
        await docker.operations.cancel(operation.id)
        await trio.to_thread.run_sync(breakable_engine.start)
        with trio.fail_after(60):
            assert (await docker.operations.wait(operation.id)).state == "cancelled"
        await site.is_clean()


async def test_a_container_is_made_anew_with_its_volume_or_the_old_one_comes_back(
    breakable_engine: DockerEngine,
) -> None:
    async with open_site(breakable_engine) as site, site.life(image=BOT) as docker:
        made = await make(docker)
        (before,) = site.containers()
        breakable_engine.shell("edgebotd-atlas", "echo kept > /home/node/.openclaw/memory")
        with trio.fail_after(60):
            recreated = await docker.operations.wait((await docker.recreating.begin("atlas", ACTOR)).id)
        assert recreated.state == "succeeded", recreated.reason
        (after,) = site.containers()
        assert after["Id"] != before["Id"]
        assert (after["Names"], after["State"], after["Image"]) == (["/edgebotd-atlas"], "running", before["Image"])
        assert docker.engine is not None
        said = await docker.engine.run("edgebotd-atlas", ["cat", "/home/node/.openclaw/memory"])
        assert said.output == "kept"
        stored = await site.database.read(lambda conn: rows.get(conn, "atlas"))
        assert stored is not None and stored.container_id == after["Id"]

        # The new one never comes up: its port is another's by then.
        docker.operations.register(
            "recreate", [_fail_in(step, "healthy") for step in docker.operations.kinds["recreate"]]
        )
        with trio.fail_after(60):
            failed = await docker.operations.wait((await docker.recreating.begin("atlas", ACTOR)).id)
        assert (failed.state, failed.step) == ("failed", "healthy")
        (back,) = site.containers()
        assert (back["Id"], back["Names"], back["State"]) == (after["Id"], ["/edgebotd-atlas"], "running")

        with trio.fail_after(60):
            request = RemoveRequest(keep_volumes=False)
            removed = await docker.operations.wait((await docker.removal.begin("atlas", request, ACTOR)).id)
        assert removed.state == "succeeded", removed.reason
        assert (site.containers(), site.volumes()) == ([], [])
        assert made.made["volume"] not in site.volumes()


def _fail_in(step: Step, name: str) -> Step:
    async def run(work: Work) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError("no")

    return Step(step.name, step.seconds, run, step.undo) if step.name == name else step
