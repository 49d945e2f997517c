"""Podman's socket in place of Docker's, for what it answers alike: states, the life of a container, logs, commands.

What it lacks without systemd (health checks), and says otherwise (events' names, statuses), must not be taken amiss.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from edgebotd.docker.engine import open_engine
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.protocol.docker.images import parse_reference
from edgebotd.protocol.docker.streams import OutputLine
from tests.peers.install import PeerUnavailable
from tests.peers.podman import PLAIN, Podman, running_podman
from tests.peers.test_engine_states import NAME, call, do, watching
from tests.support import require_or_skip

SECONDS = 60


@pytest.fixture(scope="module")
def service() -> Iterator[Podman]:
    try:
        with running_podman() as running:
            yield running
    except PeerUnavailable as error:
        require_or_skip(str(error))


@pytest.fixture
def podman(service: Podman) -> Podman:
    service.clear()
    return service


async def test_the_states_of_a_life(podman: Podman) -> None:
    async with watching(podman) as one:
        assert one.containers.engine_status.kind == "Podman"
        await one.until("missing")
        await do(podman.run, NAME, PLAIN, start=False, Env=["TERM_CODE=5"])
        await one.until("created")
        await do(call(podman, "start"))
        assert (await one.until("running")).health is None
        await do(call(podman, "pause"))
        await one.until("paused")
        await do(call(podman, "unpause"))
        await one.until("running")
        await do(call(podman, "stop?t=5"))
        assert (await one.until("exited")).exit_code == 5
        await do(podman.api, "DELETE", f"/containers/{NAME}?force=1")
        await one.until("missing")


async def test_its_service_ends_and_comes_back(podman: Podman) -> None:
    await do(podman.run, NAME, PLAIN)
    async with watching(podman) as one:
        running = await one.until("running")
        await do(podman.stop)
        await one.until_engine("down")
        await one.until("unknown")
        await do(podman.start)
        await one.until_engine("up")
        # There is no daemon over its containers that could take them along.
        assert (await one.until("running")).since_at == running.since_at


async def test_calls_that_it_answers_alike(podman: Podman) -> None:
    async with open_engine(podman.socket) as api:
        with trio.fail_after(SECONDS):
            assert (await api.version()).kind == "Podman"
            await api.create(NAME, {"Image": PLAIN, "Labels": {"edgebotd.calls": "yes"}})
            with pytest.raises(EngineError, match="already in use"):
                await api.create(NAME, {"Image": PLAIN})
            (listed,) = await api.containers(label="edgebotd.calls=yes")
            assert (listed.name, listed.state) == (NAME, "created")
            await api.start(NAME)
            await api.start(NAME)
            assert await api.processes(NAME) >= 1
            done = await api.run(NAME, ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"])
            assert (done.exit_code, done.output, done.errors) == (3, "out", "err")
            lines: list[OutputLine] = []
            await api.logs(await api.inspect(NAME), lines.append, tail=None)
            assert any(line.text.startswith("bot: start") for line in lines)
            await api.rename(NAME, f"{NAME}-2")
            await api.rename(f"{NAME}-2", NAME)
            await api.stop(NAME, 5)
            await api.stop(NAME, 5)
            # It says 500 where Docker says 409.
            await api.kill(NAME)
            await api.create_volume(NAME, {"edgebotd.calls": "yes"})
            assert (await api.volume(NAME))["Name"] == NAME
            await api.remove_volume(NAME)
            await api.remove(NAME, force=True)
            await api.remove(NAME, force=True)
            with pytest.raises(EngineError) as caught:
                await api.inspect(NAME)
            assert caught.value.trouble is Trouble.MISSING
            assert PLAIN in {tag for image in await api.images() for tag in image.tags}
            # It answers with 200 whatever comes.
            with pytest.raises(EngineError, match="could not be pulled"):
                await api.pull(parse_reference("127.0.0.1:1/edgebotd-test/none:1"), lambda _: None)
