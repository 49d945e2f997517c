"""A file in a container's state directory: whole at any moment, of its gateway's user, in containers of ours only."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from trio.testing import MockClock

from edgebotd.docker.answers import ExecResult
from edgebotd.docker.containers import Containers
from edgebotd.docker.spec import BOT_LABEL, INSTALLATION_LABEL, STATE_PATH
from edgebotd.docker.state_file import StateFile, state_file
from edgebotd.errors import Conflict
from tests.docker.fake_engine import FakeEngine, open_fake_engine
from tests.docker.house import INSTALLATION
from tests.web.house import Clock

PATH = "edge-secrets.json"


def packed(name: str, content: bytes, uid: int) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        file = tarfile.TarInfo(name)
        file.size, file.uid = len(content), uid
        tar.addfile(file, io.BytesIO(content))
    return data.getvalue()


def put(engine: FakeEngine) -> tuple[tarfile.TarInfo, bytes]:
    """Return what was put into the state directory last."""
    with tarfile.open(fileobj=io.BytesIO(engine.named("claw").files[STATE_PATH])) as tar:
        member = tar.getmembers()[0]
        file = tar.extractfile(member)
        assert file is not None
        return member, file.read()


@asynccontextmanager
async def furnished(installation: str = INSTALLATION) -> AsyncIterator[tuple[FakeEngine, Containers]]:
    clock = Clock()
    async with open_fake_engine(clock) as engine:
        labels = {BOT_LABEL: "claw", INSTALLATION_LABEL: installation}
        one = engine.add("claw", {"Labels": labels})
        one.files[f"{STATE_PATH}/openclaw.json"] = packed("openclaw.json", b"{}", 1234)
        containers = Containers(engine, lambda _: None, installation=INSTALLATION, now=clock)
        containers.learn(await engine.inspect("claw"), "list", None)
        containers.bind("claw", "claw")
        yield engine, containers


def of_claw(containers: Containers) -> StateFile:
    file = state_file(containers, "claw", PATH)
    assert file is not None
    return file


async def test_in_a_running_one_it_is_put_beside_and_moved_over(autojump_clock: MockClock) -> None:
    async with furnished() as (engine, containers):
        await engine.start("claw")
        await of_claw(containers).write(b"canary")
        member, content = put(engine)
        assert (member.name, member.mode, member.uid, content) == (f".{PATH}.new", 0o600, 1234, b"canary")
        moved = [call for call in engine.calls if call.startswith("exec ")]
        assert moved[0].endswith(f" mv -f {STATE_PATH}/.{PATH}.new {STATE_PATH}/{PATH}")
        engine.exec_answers.append(ExecResult(1, "", "canary"))
        with pytest.raises(Conflict) as refused:
            await of_claw(containers).write(b"canary")
        assert "canary" not in str(refused.value)


async def test_in_a_stopped_one_it_is_put_where_it_belongs(autojump_clock: MockClock) -> None:
    async with furnished() as (engine, containers):
        await of_claw(containers).write(b"canary")
        member, _ = put(engine)
        assert member.name == PATH and not [call for call in engine.calls if call.startswith("exec ")]
        assert await of_claw(containers).read() is None
        engine.named("claw").files[f"{STATE_PATH}/{PATH}"] = packed(PATH, b"there", 1234)
        assert await of_claw(containers).read() == b"there"
        assert of_claw(containers).place.startswith("claw (")


async def test_in_containers_of_others_nothing_is_put(autojump_clock: MockClock) -> None:
    async with furnished("another") as (_, containers):
        assert state_file(containers, "claw", PATH) is None
        assert state_file(containers, "nobody", PATH) is None
    async with furnished() as (engine, containers):
        del engine.named("claw").files[f"{STATE_PATH}/openclaw.json"]
        with pytest.raises(Conflict, match=r"openclaw\.json"):
            await of_claw(containers).write(b"canary")
