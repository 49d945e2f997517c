"""Upgrades on a real engine: volumes copied as they are, what does not come up rolled back, over any crash."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import trio

from edgebotd.docker import upgrade as upgrading
from edgebotd.docker.copying import copy_folder
from edgebotd.docker.engine import open_engine
from edgebotd.docker.errors import EngineError
from edgebotd.docker.house import Docker
from edgebotd.docker.operations import Step, Work
from edgebotd.docker.spec import STATE_PATH
from edgebotd.docker.upgrade import UpgradeRequest
from edgebotd.store import containers as rows
from edgebotd.store.operations import Operation
from tests.peers.engine import REMOTE, DockerEngine
from tests.peers.image import bot_image
from tests.peers.test_provision import ACTOR, Site, make, open_site, texts

OLD, NEW, BAD = (f"{REMOTE}:{tag}" for tag in ("1", "2", "bad"))
FILL = f"""
cd {STATE_PATH} && mkdir -p deep/er && echo kept > deep/er/memory && chmod 640 deep/er/memory
ln -s deep/er/memory link && ln deep/er/memory hard && : > 'a name with spaces äö'
"""
LOOK = f"cd {STATE_PATH} && find . ! -name openclaw.json -exec stat -c '%n %a %u:%g %s %F %h' {{}} + | sort; cat link"


async def begin(docker: Docker, image: str | None = NEW, *, back: bool = False) -> Operation:
    return await docker.upgrading.begin("atlas", UpgradeRequest(image=image, back=back), ACTOR)


async def upgrade(docker: Docker, image: str | None = NEW, *, back: bool = False) -> Operation:
    with trio.fail_after(90):
        return await docker.operations.wait((await begin(docker, image, back=back)).id)


def look(engine: DockerEngine) -> tuple[str, str, str]:
    """Return what a bot is: the image that it is made from, its state, and what its volume holds."""
    (container,) = json.loads(engine.api("GET", "/containers/json?all=1"))
    assert container["Names"] == ["/edgebotd-atlas"]
    return container["ImageID"], container["State"], engine.shell("edgebotd-atlas", LOOK)


async def stands(site: Site, *, volumes: int) -> None:
    """What the store says of the bot is what the engine has, and nothing else is there."""
    (container,) = site.containers()
    stored = await site.database.read(lambda conn: rows.get(conn, "atlas"))
    assert stored is not None and stored.container_id == container["Id"]
    assert [mount["Name"] for mount in container["Mounts"]] == [one["name"] for one in stored.spec["volumes"]]
    assert len(site.volumes()) == volumes


async def test_a_bot_goes_to_the_next_image_with_its_volume_and_back(breakable_engine: DockerEngine) -> None:
    async with open_site(breakable_engine) as site, site.life(image=OLD) as docker:
        assert (await make(docker)).state == "succeeded"
        breakable_engine.shell("edgebotd-atlas", FILL)
        image, _, content = look(breakable_engine)
        assert "./hard 640 0:0 5 regular file 2" in content and content.endswith("kept\n")
        operation = await upgrade(docker)
        assert operation.state == "succeeded", operation.reason
        new_image, state, copied = look(breakable_engine)
        assert (new_image != image, state, copied) == (True, "running", content)
        await stands(site, volumes=2)
        assert any(text.startswith("Its volumes are copied") for text in await texts(docker, operation))

        breakable_engine.shell("edgebotd-atlas", f"rm -r {STATE_PATH}/deep")
        operation = await upgrade(docker, None, back=True)
        assert operation.state == "succeeded", operation.reason
        assert look(breakable_engine) == (image, "running", content)
        await stands(site, volumes=2)

        same = await upgrade(docker, OLD)
        assert (same.state, same.made.get("same")) == ("succeeded", True)
        assert look(breakable_engine) == (image, "running", content)


async def test_an_image_that_never_gets_healthy_is_rolled_back(
    breakable_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrading, "HEALTHY_SECONDS", 4.0)
    bad = bot_image(BAD)
    script = f"echo spoiled > {STATE_PATH}/deep/er/memory; rm {STATE_PATH}/link; echo bot: cannot; exec sleep 600"
    more = {"Env": ["PATH=/bin:/usr/bin", "HEALTHY=0"], "Cmd": ["/bin/sh", "-c", script]}
    breakable_engine.publish(dataclasses.replace(bad, config={**bad.config, **more}))
    async with open_site(breakable_engine) as site, site.life(image=OLD) as docker:
        await make(docker)
        breakable_engine.shell("edgebotd-atlas", FILL)
        before = look(breakable_engine)
        operation = await upgrade(docker, BAD)
        assert (operation.state, operation.step) == ("failed", "healthy")
        assert operation.reason == "The new version is unhealthy after 4 s."
        assert "| bot: cannot" in await texts(docker, operation)
        assert look(breakable_engine) == before
        await stands(site, volumes=1)
        assert (await upgrade(docker)).state == "succeeded"


def hang(docker: Docker, name: str) -> trio.Event:
    """Let a step stop after what it does; the event tells that it is there."""
    there = trio.Event()

    def hanging(step: Step) -> Step:
        async def run(work: Work) -> None:
            await step.run(work)
            there.set()
            await trio.sleep_forever()

        return Step(step.name, math.inf, run, step.undo, step.final) if step.name == name else step

    docker.operations.register("upgrade", [hanging(step) for step in docker.operations.kinds["upgrade"]])
    return there


@pytest.mark.parametrize("back", [False, True], ids=["on", "back"])
@pytest.mark.parametrize(
    "step",
    [
        "snapshot",
        "start",
        *(pytest.param(name, marks=pytest.mark.heavy) for name in ("create", "stop", "healthy", "probe", "commit")),
    ],
)
async def test_a_daemon_that_dies_in_a_step_ends_it_whole_in_its_next_life(
    breakable_engine: DockerEngine, step: str, back: bool
) -> None:
    async with open_site(breakable_engine) as site:
        async with site.life(image=OLD) as docker:
            await make(docker)
            breakable_engine.shell("edgebotd-atlas", FILL)
            image, _, content = look(breakable_engine)
            there = hang(docker, step)
            operation = await begin(docker)
            with trio.fail_after(60):
                await there.wait()
            back = back and step != "commit"
            if back:
                await docker.operations.cancel(operation.id)
        async with site.life(image=OLD) as docker:
            with trio.fail_after(90):
                ended = await docker.operations.wait(operation.id)
            assert ended.state == ("cancelled" if back else "succeeded"), ended.reason
            new_image, state, now = look(breakable_engine)
            assert (new_image == image, state, now) == (back, "running", content)
            await stands(site, volumes=1 if back else 2)


async def test_a_copy_is_exact_and_an_engine_that_goes_in_the_middle_fails_it(breakable_engine: DockerEngine) -> None:
    async def say(text: str) -> None:
        await trio.lowlevel.checkpoint()

    made: list[str] = []
    for name in ("one", "two"):
        mount = {"Type": "volume", "Source": f"copy-{name}", "Target": STATE_PATH}
        made.append(breakable_engine.run(name, HostConfig={"Mounts": [mount]}))
    one, two = made
    script = f"cd {STATE_PATH} && dd if=/dev/urandom of=big bs=1M count=32 && sync"
    breakable_engine.shell("one", script)
    for name in ("one", "two"):
        breakable_engine.api("POST", f"/containers/{name}/stop?t=0")
    async with open_engine(breakable_engine.socket) as engine:
        size = await copy_folder(engine, one, two, STATE_PATH, say)
        assert size > 32 << 20
        for name in ("one", "two"):
            breakable_engine.api("POST", f"/containers/{name}/start")
        summed = f"md5sum {STATE_PATH}/big"
        assert breakable_engine.shell("one", summed) == breakable_engine.shell("two", summed)
        with pytest.raises(EngineError):
            await copy_folder(engine, one, two, "/nowhere", say)
        with pytest.RaisesGroup(EngineError):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(copy_folder, engine, one, two, STATE_PATH, say)
                await trio.sleep(0.02)
                await trio.to_thread.run_sync(breakable_engine.kill)
