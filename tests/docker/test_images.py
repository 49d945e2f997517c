"""Images: who uses them, and that none goes that somebody uses."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from edgebotd.config import DockerSettings
from edgebotd.docker.answers import Image
from edgebotd.docker.errors import EngineError
from edgebotd.docker.images import MEASURED_FOR_SECONDS
from edgebotd.docker.spec import BOT_LABEL, INSTALLATION_LABEL
from edgebotd.errors import Conflict, Invalid, NotFound
from edgebotd.store import containers as rows
from edgebotd.store import operations
from edgebotd.store.containers import StoredContainer
from edgebotd.store.database import Transaction, open_database
from edgebotd.store.operations import Operation
from tests.docker.fake_store import DIGEST
from tests.docker.house import INSTALLATION, docker_on
from tests.docker.scout import NAME, Scout, open_scout
from tests.web.house import Clock, open_hub_on

BOT_IMAGE = "sha256:" + "a" * 64
FREE = Image("sha256:" + "b" * 64, ("free:1", "free:2"), (f"free@{DIGEST}",), 5000, 1, {})
NAMELESS = Image("sha256:" + "c" * 64, (), (), 1, None, {})


def stock(scout: Scout) -> None:
    """Have the bot's image, one that nobody uses, and one without a name."""
    scout.engine.have_image("fake/bot:1")
    for image in (FREE, NAMELESS):
        scout.engine.images_here.update(dict.fromkeys((*image.tags, *image.digests, image.id), image))


async def test_each_image_is_listed_with_who_uses_it(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        stock(scout)
        scout.engine.add("stranger")
        listed = await scout.docker.images.rows()
        assert [(image.tags, image.bots, image.containers) for image in listed] == [
            (("fake/bot:1",), ("scout",), ("stranger",)),
            (("free:1", "free:2"), (), ()),
            ((), (), ()),
        ]
        assert (listed[1].size_bytes, listed[1].created_at, listed[1].digests) == (5000, 1, (f"free@{DIGEST}",))


async def test_one_that_is_used_is_not_removed_and_who_uses_it_is_said(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        stock(scout)
        scout.engine.add("stranger")
        for reference in ("fake/bot:1", BOT_IMAGE):
            with pytest.raises(Conflict) as refused:
                await scout.docker.images.remove(reference)
            assert "is used by the bot scout and the container stranger" in refused.value.detail
        assert not [call for call in scout.engine.calls if call.startswith("rmi")]


async def test_one_that_nobody_uses_is_removed_by_name_or_id(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        stock(scout)
        await scout.docker.images.remove("free:2")
        await scout.docker.images.remove(NAMELESS.id)
        assert [call for call in scout.engine.calls if call.startswith("rmi")] == ["rmi free:2", f"rmi {NAMELESS.id}"]
        with pytest.raises(NotFound, match="No such image: 'free:2'"):
            await scout.docker.images.remove("free:2")


@pytest.mark.parametrize(
    "reference", ["", "-f", "b" * 64, "sha256:B/c", "../containers/x", "a b", "a?force=1", "A" * 600]
)
async def test_what_is_no_name_of_an_image_never_reaches_the_engine(reference: str, autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        asked = list(scout.engine.calls)
        with pytest.raises(Invalid):
            await scout.docker.images.remove(reference)
        assert scout.engine.calls == asked


async def test_an_image_is_used_by_a_bot_whose_container_is_gone_and_by_work_that_goes_on(
    autojump_clock: MockClock,
) -> None:
    async with open_scout() as scout:
        stock(scout)

        def pinned(tx: Transaction) -> None:
            spec = {"image": "free:1", "pinned": f"free@{DIGEST}"}
            rows.put(tx.connection, StoredContainer("scout", NAME, None, "provisioned", "running", spec))

        def upgrading(tx: Transaction) -> None:
            made = {"before": {"id": NAMELESS.id}}
            operations.add(tx.connection, Operation("op_1", "other", "upgrade", {"image": "free:2"}, made))

        await scout.database.write(upgrading)
        assert [image.bots for image in await scout.docker.images.rows()] == [("scout",), ("other",), ("other",)]
        await scout.database.write(lambda tx: operations.end(tx.connection, "op_1", "succeeded", None, 1))
        await scout.database.write(pinned)
        with pytest.raises(Conflict, match="the bot scout"):
            await scout.docker.images.remove("free:1")
        await scout.docker.images.remove(NAMELESS.id)


async def test_without_an_engine_it_is_said(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        scout.docker.containers.engine = None
        for ask in (scout.docker.images.rows, scout.docker.images.disk):
            with pytest.raises(EngineError, match="No container engine was found"):
                await ask()


async def test_an_engine_that_the_settings_turn_off_is_not_to_be_installed() -> None:
    clock = Clock()
    async with open_database(None) as database, open_hub_on(database, clock) as hub:
        async with docker_on(database, hub, clock, settings=DockerSettings(socket="off")) as docker:
            told = docker.containers.engine_status.detail
            assert told is not None and told.startswith("Containers are turned off in the settings.")
            with pytest.raises(EngineError, match="turned off"):
                await docker.images.rows()


async def test_the_disk_is_measured_once_for_all_who_ask(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = 0
    mine = {BOT_LABEL: "scout", INSTALLATION_LABEL: INSTALLATION}

    async def disk_use() -> Any:
        nonlocal measured
        measured += 1
        await trio.sleep(60)
        volumes = [
            {"Name": "edgebotd-scout-1", "Labels": mine, "UsageData": {"Size": 70, "RefCount": 0}},
            {"Name": "other", "Labels": {**mine, INSTALLATION_LABEL: "another"}, "UsageData": {"Size": 1}},
        ]
        return {"LayersSize": 900, "Images": [{"Size": 900, "Containers": 1}], "Volumes": volumes}

    async with open_scout() as scout:
        monkeypatch.setattr(scout.engine, "disk_use", disk_use)
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(scout.docker.images.disk)
        disk = await scout.docker.images.disk()
        assert measured == 1
        assert (disk.images.size_bytes, disk.images.reclaimable_bytes, disk.volumes.reclaimable_bytes) == (900, 0, 70)
        assert [(one.bot_id, one.used) for one in disk.each_volume] == [("scout", False), (None, True)]
        await trio.sleep(MEASURED_FOR_SECONDS)
        await scout.docker.images.disk()
        assert measured == 2


async def test_who_gives_up_asking_for_the_disk_keeps_nobody_from_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def disk_use() -> Any:
        await trio.sleep(60)
        return {}

    async with open_scout() as scout:
        monkeypatch.setattr(scout.engine, "disk_use", disk_use)
        with trio.move_on_after(30):
            await scout.docker.images.disk()
        assert (await scout.docker.images.disk()).images.count == 0
