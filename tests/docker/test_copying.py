"""A volume's content is copied whole, or the copy fails: a part never counts as the whole."""

from __future__ import annotations

import io
import tarfile

import pytest
import trio
from trio.testing import MockClock

from edgebotd.docker.copying import copy_folder
from edgebotd.docker.errors import EngineError, Trouble
from tests.docker.fake_engine import FakeEngine, open_fake_engine
from tests.web.house import Clock

PATH = "/state"


def packed(size: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo("big")
        entry.size = size
        tar.addfile(entry, io.BytesIO(bytes(size)))
    return out.getvalue()


def two(engine: FakeEngine, content: bytes) -> tuple[str, str]:
    made = []
    for name in ("one", "two"):
        mount = {"Type": "volume", "Source": f"v-{name}", "Target": PATH}
        made.append(engine.add(name, {"HostConfig": {"Mounts": [mount]}}).id)
    engine.contents["v-one"] = content
    return made[0], made[1]


async def quiet(_text: str) -> None:
    await trio.lowlevel.checkpoint()


async def test_everything_arrives(autojump_clock: MockClock) -> None:
    async with open_fake_engine(Clock()) as engine:
        content = packed(100_000)
        assert await copy_folder(engine, *two(engine, content), PATH, quiet) == len(content)
        assert engine.contents["v-two"] == content


async def test_an_answer_that_ends_too_early_is_no_copy(autojump_clock: MockClock) -> None:
    async with open_fake_engine(Clock()) as engine:
        # As Docker does where it fails in the middle: its words, and then an ordinary end.
        broken = packed(100_000)[:50_000] + b'{"message":"no space"}'
        with pytest.raises(EngineError, match="broke off its copy of /state after 50022 bytes"):
            await copy_folder(engine, *two(engine, broken), PATH, quiet)
        assert "v-two" not in engine.contents


async def test_what_the_target_refuses_is_told_in_its_words(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(container: str, path: str, tar: object) -> None:
        await trio.sleep(1)
        raise EngineError(Trouble.REFUSED, "no space left on device")

    async with open_fake_engine(Clock()) as engine:
        monkeypatch.setattr(engine, "put_archive", full)
        with pytest.raises(EngineError, match="no space left"):
            await copy_folder(engine, *two(engine, packed(100_000)), PATH, quiet)


async def test_an_engine_that_has_enough_before_the_end_has_no_copy(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def content(container: str, path: str, tar: object) -> None:
        await trio.sleep(1)

    async with open_fake_engine(Clock()) as engine:
        monkeypatch.setattr(engine, "put_archive", content)
        with pytest.raises(EngineError, match="took 0 bytes"):
            await copy_folder(engine, *two(engine, packed(100_000)), PATH, quiet)


async def test_how_far_it_is_is_told_while_it_takes_long(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    async def say(text: str) -> None:
        await trio.lowlevel.checkpoint()
        said.append(text)

    async with open_fake_engine(Clock()) as engine:
        put = engine.put_archive

        async def slow(container: str, path: str, tar: trio.MemoryReceiveChannel[bytes]) -> None:
            async def pieces() -> None:
                async for _ in tar:
                    await trio.sleep(1)

            await pieces()
            await put(container, path, b"")

        monkeypatch.setattr(engine, "put_archive", slow)
        await copy_folder(engine, *two(engine, packed(3 << 15)), PATH, say)
        assert len(said) > 2 and said[0].endswith("MiB are copied.")
