"""Resource use, images and the disk of a real engine: what the fake one of tests/docker only claims."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from edgebotd.daemon import wall_clock
from edgebotd.docker.details import details_of
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.house import Docker
from edgebotd.docker.spec import BOT_LABEL, INSTALLATION_LABEL
from edgebotd.errors import Conflict, NotFound
from edgebotd.events import ContainerState
from edgebotd.protocol.docker.usage import Usage
from edgebotd.store.database import Database
from tests.bots.house import open_store
from tests.docker.house import INSTALLATION, FakeBots, docker_on
from tests.docker.scout import NAME, store_scout
from tests.docker.screen import Gauge
from tests.peers.engine import PLAIN, REMOTE, DockerEngine

SECONDS = 60
MEMORY = 64 << 20
BUSY = ["sh", "-c", "while :; do :; done"]
HALF = {"Memory": MEMORY, "NanoCpus": 500_000_000, "PidsLimit": 50}
WEB = "18789/tcp"


class Ship:
    """The containers' floor over the real engine, with the bot scout."""

    def __init__(self, engine: DockerEngine, docker: Docker, database: Database, gauge: Gauge) -> None:
        self.engine = engine
        self.docker = docker
        self.database = database
        self.gauge = gauge

    async def run(self, name: str = NAME, image: str = PLAIN, **body: Any) -> None:
        await trio.to_thread.run_sync(partial(self.engine.run, name, image, **body))
        if name == NAME:
            await self.until("running")

    async def ask(self, method: str, path: str) -> None:
        await trio.to_thread.run_sync(self.engine.api, method, path)

    async def until(self, state: ContainerState) -> None:
        await self.docker.containers.wait("scout", lambda status: status is not None and status.state == state)


@asynccontextmanager
async def open_ship(engine: DockerEngine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ship]:
    """Open it; the engine is left without the test's containers."""
    try:
        with trio.fail_after(SECONDS):
            async with open_store(folder / "store.db") as (database, hub):
                await store_scout(database)
                gauge = Gauge(hub, monkeypatch)
                bots = FakeBots(names={"scout": "Scout"})
                async with (
                    docker_on(database, hub, wall_clock, socket=engine.socket, bots=bots) as docker,
                    trio.open_nursery() as nursery,
                ):
                    for run in (docker.run, docker.sampling.run):
                        nursery.start_soon(run)
                    while docker.containers.engine_status.state != "up":  # noqa: ASYNC110  of the engine none is told
                        await trio.sleep(0.05)
                    yield Ship(engine, docker, database, gauge)
                    nursery.cancel_scope.cancel()
    finally:
        engine.clear()


async def test_what_is_watched_is_told_across_a_restart_and_only_while_it_runs(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_ship(engine, tmp_path, monkeypatch) as ship:
        await ship.run(Cmd=BUSY, HostConfig=HALF)
        ship.gauge.watch("scout")
        await ship.gauge.more(3)
        last = ship.gauge.events[-1]
        assert last.cpu_percent is not None and 5 < last.cpu_percent < 90, "half a processor, on a machine that is busy"
        assert 0 < last.memory_bytes < MEMORY == last.memory_limit_bytes
        assert last.pids is not None and last.pids >= 1 and last.received_per_second is not None
        await ship.ask("POST", f"/containers/{NAME}/kill")
        await ship.until("exited")
        ended = len(ship.gauge.events)
        await trio.sleep(1.5)
        assert len(ship.gauge.events) == ended
        await ship.ask("POST", f"/containers/{NAME}/start")
        await ship.gauge.more(2)
        assert all(later - before > 0.7 for before, later in zip(ship.gauge.at, ship.gauge.at[1:], strict=False))
        ship.gauge.watch()
        await trio.sleep(0.1)
        ended = len(ship.gauge.events)
        await trio.sleep(1.5)
        assert len(ship.gauge.events) == ended


async def test_the_stream_of_a_container_that_has_stopped_goes_on_and_tells_nothing(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why what is watched is followed by the container's state: the stream does not say that it has ended."""
    async with open_ship(engine, tmp_path, monkeypatch) as ship:
        await ship.run()
        found: list[Usage] = []
        with trio.move_on_after(5) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ship.docker.containers.usable().usage, NAME, found.append)
                await trio.sleep(2.5)
                await ship.ask("POST", f"/containers/{NAME}/kill")
                await ship.until("exited")
                seen = len(found)
                await trio.sleep_forever()
        assert scope.cancelled_caught and 2 <= seen <= len(found) <= seen + 1


async def test_a_sample_of_the_day_is_the_average_since_the_one_before(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_ship(engine, tmp_path, monkeypatch) as ship:
        await ship.run(HostConfig={"Memory": MEMORY})
        sampling = ship.docker.sampling
        await sampling._sample_all()
        # Work and traffic that no look falls into.
        container = ship.docker.containers.container_of("scout")
        assert container is not None
        bridge = container.raw["NetworkSettings"]["Gateway"]
        script = f"timeout 1 sh -c 'while :; do :; done'; ping -c 3 -s 1000 {bridge}"
        await trio.to_thread.run_sync(engine.shell, NAME, script)
        await sampling._sample_all()
        first, second = await sampling.samples("scout")
        assert first.sent_per_second is None and first.cpu_percent is not None
        assert second.cpu_percent is not None and second.cpu_percent > first.cpu_percent
        assert second.sent_per_second is not None and second.sent_per_second > 0
        assert 0 < second.memory_bytes < MEMORY


async def test_images_that_somebody_uses_stay_and_others_go(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = f"{REMOTE}:2"
    async with open_ship(engine, tmp_path, monkeypatch) as ship:
        images = ship.docker.images
        await trio.to_thread.run_sync(engine.pull, tag)
        await ship.run(image=tag)
        await ship.run("stranger", image=tag)
        (row,) = [row for row in await images.rows() if tag in row.tags]
        assert (row.bots, row.containers) == (("scout",), ("stranger",))
        assert (
            row.digests[0].startswith(f"{REMOTE}@sha256:") and row.size_bytes > 100_000 and row.created_at is not None
        )
        for reference in (tag, row.id, row.digests[0]):
            with pytest.raises(Conflict, match="the bot scout and the container stranger"):
                await images.remove(reference)
        with pytest.raises(EngineError) as refused:
            # The engine itself says no, too: what begins to use it after the look is safe.
            await ship.docker.containers.usable().remove_image(tag)
        assert refused.value.trouble is Trouble.CONFLICT
        await trio.to_thread.run_sync(engine.clear)
        await images.remove(tag)
        assert not [row for row in await images.rows() if tag in row.tags]
        with pytest.raises(NotFound):
            await images.remove(tag)


async def test_the_disk_and_what_a_container_is_made_of(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_ship(engine, tmp_path, monkeypatch) as ship:
        client = ship.docker.containers.usable()
        await client.create_volume("edgebotd-scout-1", {BOT_LABEL: "scout", INSTALLATION_LABEL: INSTALLATION})
        host = {
            **HALF,
            "Mounts": [{"Type": "volume", "Source": "edgebotd-scout-1", "Target": "/data"}],
            "PortBindings": {WEB: [{"HostIp": "127.0.0.1", "HostPort": ""}]},
        }
        await ship.run(HostConfig=host, ExposedPorts={WEB: {}}, Env=["TOKEN=canary"])
        await trio.to_thread.run_sync(engine.shell, NAME, "dd if=/dev/zero of=/data/x bs=1M count=3; echo x > /y")
        made = await details_of("scout", ship.docker.containers, ship.docker.operations, ship.database)
        assert made is not None and made.limits is not None and made.image is not None
        assert (made.limits.memory_bytes, made.limits.cpus, made.limits.pids) == (MEMORY, 0.5, 50)
        assert [(one.kind, one.source, one.path, one.read_only) for one in made.mounts] == [
            ("volume", "edgebotd-scout-1", "/data", False)
        ]
        ((inside, address, port),) = [(one.inside, one.address, one.port) for one in made.ports]
        assert (inside, address) == (WEB, "127.0.0.1") and port > 0
        assert (made.image.reference, made.image.digests) == (PLAIN, ())
        assert "canary" not in made.model_dump_json()

        disk = await ship.docker.images.disk()
        assert disk.images.count >= 2 and disk.images.size_bytes > 100_000
        assert disk.containers.count == 1 and disk.containers.reclaimable_bytes == 0
        (volume,) = [one for one in disk.each_volume if one.name == "edgebotd-scout-1"]
        assert volume.bot_id == "scout" and volume.used and (volume.size_bytes or 0) >= 3 << 20
        await client.remove(NAME, force=True)
        monkeypatch.setattr("edgebotd.docker.images.MEASURED_FOR_SECONDS", 0.0)
        disk = await ship.docker.images.disk()
        (volume,) = [one for one in disk.each_volume if one.name == "edgebotd-scout-1"]
        assert not volume.used and disk.volumes.reclaimable_bytes >= 3 << 20
