"""Each call of the engine's closed list, answered by a real engine; and what is said where there is none that fits."""

from __future__ import annotations

import io
import json
import os
import socket
import tarfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from edgebotd import logs
from edgebotd.docker.engine import Engine, open_engine
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.protocol.docker.containers import ContainerEvent
from edgebotd.protocol.docker.images import Progress, parse_reference
from edgebotd.protocol.docker.streams import OutputLine
from edgebotd.protocol.docker.usage import Usage
from tests.peers.engine import PLAIN, REGISTRY, REMOTE, DockerEngine

NAME = "engine-calls"
SECONDS = 30


@pytest.fixture
async def api(engine: DockerEngine) -> AsyncIterator[Engine]:
    async with open_engine(engine.socket) as opened:
        with trio.move_on_after(SECONDS) as scope:
            yield opened
            await opened.remove(NAME, force=True)
        assert not scope.cancelled_caught


@contextmanager
def trouble(kind: Trouble, words: str = "") -> Iterator[None]:
    with pytest.raises(EngineError) as caught:
        yield
    assert caught.value.trouble is kind
    assert words in caught.value.detail


async def test_it_says_who_it_is(api: Engine) -> None:
    await api.ping()
    version = await api.version()
    assert version.kind == "Docker" and version.os == "linux"
    assert tuple(int(part) for part in version.api.split(".")) >= (1, 41)
    assert set(await api.disk_use()) >= {"Images", "Containers", "Volumes"}


async def test_a_container_is_made_run_and_removed(api: Engine) -> None:
    made = await api.create(NAME, {"Image": PLAIN, "Labels": {"edgebotd.calls": "yes"}})
    with trouble(Trouble.CONFLICT, "already in use"):
        await api.create(NAME, {"Image": PLAIN})
    (listed,) = await api.containers(label="edgebotd.calls=yes")
    looked = await api.inspect(NAME)
    assert (listed.id, listed.name, listed.state) == (looked.id, looked.name, looked.state) == (made, NAME, "created")
    assert await api.processes(NAME) == 0
    with trouble(Trouble.REFUSED, "not paused"):
        await api.unpause(NAME)
    await api.start(NAME)
    await api.start(NAME)
    assert (await api.inspect(NAME)).state == "running"
    assert await api.processes(NAME) >= 1
    await api.rename(NAME, f"{NAME}-2")
    assert (await api.inspect(made)).name == f"{NAME}-2"
    await api.rename(made, NAME)
    with trouble(Trouble.CONFLICT, "running"):
        await api.remove(NAME)
    await api.stop(NAME, 5)
    await api.stop(NAME, 5)
    assert (await api.inspect(NAME)).exit_code == 0
    await api.kill(NAME)
    await api.start(NAME)
    await api.kill(NAME)
    await api.remove(NAME)
    await api.remove(NAME)
    with trouble(Trouble.MISSING, NAME):
        await api.inspect(NAME)
    with trouble(Trouble.MISSING):
        await api.start("../../images/json?x=")
    with trouble(Trouble.MISSING, "No such image"):
        await api.create(NAME, {"Image": "edgebotd-test/none:1"})


async def test_a_container_that_does_not_hear_is_killed_after_its_time(api: Engine) -> None:
    await api.create(NAME, {"Image": PLAIN, "Env": ["IGNORE_TERM=1"]})
    await api.start(NAME)
    await api.stop(NAME, 1)
    assert (await api.inspect(NAME)).exit_code == 137


async def test_a_command_runs_in_a_container(api: Engine) -> None:
    await api.create(NAME, {"Image": PLAIN})
    await api.start(NAME)
    done = await api.run(NAME, ["/bin/sh", "-c", "id -u; echo to stderr >&2; printf unended; exit 3"], user="1000")
    assert (done.exit_code, done.output, done.errors) == (3, "1000\nunended", "to stderr")
    assert (await api.run(NAME, ["/no/such/program"])).exit_code in (126, 127)
    with trouble(Trouble.REFUSED, "did not end within 1 s"):
        await api.run(NAME, ["/bin/sleep", "100"], seconds=1)
    await api.kill(NAME)
    with trouble(Trouble.CONFLICT, "not running"):
        await api.run(NAME, ["/bin/true"])


@pytest.mark.parametrize("tty", [False, True])
async def test_its_output_comes_line_by_line(api: Engine, tty: bool) -> None:
    script = "echo one; echo two >&2; printf 'h\\303\\244lf'"
    await api.create(NAME, {"Image": PLAIN, "Tty": tty, "Cmd": ["/bin/sh", "-c", script]})
    await api.start(NAME)
    lines: list[OutputLine] = []
    # Ends by itself, with the container.
    await api.logs(await api.inspect(NAME), lines.append, tail=None, follow=True)
    # The engine (20.10) may end the stream before a last line without its end is written: `LogFollow` looks once more.
    whole = ["h\u00e4lf", "one", "two"]
    assert {"one", "two"} <= {line.text for line in lines} <= set(whole)
    read: list[OutputLine] = []
    with trio.fail_after(10):
        while sorted(line.text for line in read) != whole:
            read.clear()
            await api.logs(await api.inspect(NAME), read.append, tail=None)
    assert {line.stream for line in lines} == ({"stdout"} if tty else {"stdout", "stderr"})
    now = time.time() * 1000
    assert all(line.at is not None and abs(line.at - now) < 60_000 for line in lines)
    last: list[OutputLine] = []
    await api.logs(await api.inspect(NAME), last.append, tail=1)
    assert len(last) == 1
    later: list[OutputLine] = []
    await api.logs(await api.inspect(NAME), later.append, tail=None, since_at=int(now) + 60_000)
    assert later == []


async def test_a_long_line_comes_as_it_was_written(api: Engine) -> None:
    script = "head -c 40000 /dev/zero | tr '\\0' x; echo; echo next"
    await api.create(NAME, {"Image": PLAIN, "Cmd": ["/bin/sh", "-c", script]})
    await api.start(NAME)
    lines: list[OutputLine] = []
    await api.logs(await api.inspect(NAME), lines.append, tail=None, follow=True)
    assert [line.text for line in lines] == ["x" * 40_000, "next"]


async def test_its_resource_use_is_told(api: Engine) -> None:
    await api.create(NAME, {"Image": PLAIN})
    await api.start(NAME)
    used: list[Usage] = []
    with trio.CancelScope() as scope:

        def take(usage: Usage) -> None:
            used.append(usage)
            if len(used) == 2:
                scope.cancel()

        await api.usage(NAME, take)
    assert used[0].cpu_percent is None and used[1].cpu_percent is not None
    assert used[1].memory_bytes > 0 and used[1].received_bytes is not None and (used[1].pids or 0) >= 1


async def test_what_happens_is_told_and_health_checks_are_not(api: Engine) -> None:
    told: list[ContainerEvent] = []
    begun = trio.Event()
    with trio.CancelScope() as scope:

        def take(event: ContainerEvent) -> None:
            if event.name == NAME:
                told.append(event)
                if event.action == "destroy":
                    scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: api.events(take, started=begun.set))
            await begun.wait()
            await api.create(NAME, {"Image": PLAIN})
            await api.start(NAME)
            await api.run(NAME, ["/bin/true"])
            await api.remove(NAME, force=True)
    actions = [event.action for event in told]
    assert actions[:2] == ["create", "start"] and actions[-1] == "destroy" and "die" in actions
    assert not {action for action in actions if action.startswith("exec")}


async def test_files_go_in_and_out(api: Engine) -> None:
    await api.create(NAME, {"Image": PLAIN})
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("given")
        entry.size, entry.uid = 5, 1000
        tar.addfile(entry, io.BytesIO(b"hello"))
    await api.put_archive(NAME, "/tmp", packed.getvalue())
    pieces: list[bytes] = []

    async def take(piece: bytes) -> None:
        await trio.lowlevel.checkpoint()
        pieces.append(piece)

    await api.get_archive(NAME, "/tmp/given", take)
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        file = tar.extractfile("given")
        assert file is not None and file.read() == b"hello"
        assert tar.getmember("given").uid == 1000
    with trouble(Trouble.MISSING):
        await api.get_archive(NAME, "/no/such/file", take)


async def test_volumes_are_made_once_and_removed(api: Engine) -> None:
    for _ in range(2):
        await api.create_volume(NAME, {"edgebotd.calls": "yes"})
    assert (await api.volume(NAME))["Labels"] == {"edgebotd.calls": "yes"}
    assert [volume["Name"] for volume in await api.volumes(label="edgebotd.calls=yes")] == [NAME]
    await api.remove_volume(NAME)
    await api.remove_volume(NAME)
    with trouble(Trouble.MISSING):
        await api.volume(NAME)


async def test_an_image_is_pulled_with_its_bytes_told(breakable_engine: DockerEngine, api: Engine) -> None:
    big = parse_reference(f"{REMOTE}:big")
    seen: list[Progress] = []
    await api.pull(big, seen.append)
    image = await api.image(str(big))
    assert image.tags == (str(big),) and image.size > 16 << 20
    (digest,) = image.digests
    assert image.id in {other.id for other in await api.images()}
    assert seen[-1].layers_done == seen[-1].layers >= 2
    assert seen[-1].bytes_done == seen[-1].bytes_total and (seen[-1].bytes_total or 0) > 16 << 20
    assert [one.bytes_done for one in seen] == sorted(one.bytes_done for one in seen)
    # By digest, which is how bots are pinned, and when it is there already.
    await api.pull(parse_reference(digest), seen.append)
    assert image.config["Labels"]["edgebotd.test"] == "1"
    await api.remove_image(image.id)
    with trouble(Trouble.MISSING):
        await api.image(str(big))


async def test_pulls_that_fail_say_why(breakable_engine: DockerEngine, api: Engine) -> None:
    engine = breakable_engine
    with trouble(Trouble.MISSING, "not found"):
        await api.pull(parse_reference(f"{REMOTE}:none"), lambda _: None)
    # Begun with status 200, and then: a layer is not there.
    manifest = json.loads(_manifest(engine, "big"))
    lost = engine.blob(manifest["layers"][-1]["digest"])
    kept = lost.rename(lost.with_suffix(".kept"))
    try:
        with trouble(Trouble.REFUSED, "could not be pulled"):
            await api.pull(parse_reference(f"{REMOTE}:big"), lambda _: None)
    finally:
        kept.rename(lost)
    engine.stop_registry()
    with trouble(Trouble.REFUSED, "connection refused"):
        await api.pull(parse_reference(f"{REGISTRY}/edgebotd-test/other:1"), lambda _: None)


def _manifest(engine: DockerEngine, tag: str) -> bytes:
    digest = (engine.repository("edgebotd-test/bot") / f"_manifests/tags/{tag}/current/link").read_text()
    return engine.blob(digest).read_bytes()


# Where there is no engine, or none that fits


async def test_no_socket_says_how_to_start_one(tmp_path: Path) -> None:
    async with open_engine(tmp_path / "none.sock") as api:
        with trouble(Trouble.DOWN, "systemctl start docker"):
            await api.ping()


async def test_a_socket_that_nobody_listens_on_is_an_engine_that_stopped(tmp_path: Path) -> None:
    place = tmp_path / "old.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(place))
    async with open_engine(place) as api:
        with trouble(Trouble.DOWN, "has stopped"):
            await api.ping()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_a_socket_that_may_not_be_opened_says_which_group(tmp_path: Path) -> None:
    async with answering(tmp_path, {}) as api:
        api.socket.chmod(0o600)
        for folder in (tmp_path, *tmp_path.parents):
            folder.chmod(folder.stat().st_mode | 0o001)
        os.seteuid(65534)
        try:
            with trouble(Trouble.DOWN, "add it to the group"):
                await api.ping()
        finally:
            os.seteuid(0)


@asynccontextmanager
async def answering(folder: Path, answer: dict[str, Any], *, status: str = "200 OK") -> AsyncIterator[Engine]:
    """Open an engine that answers everything alike, and that closes then."""
    body = json.dumps(answer).encode()
    place = folder / "engine.sock"

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65536)
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            await stream.send_all(head.encode() + body)

    listening = trio.socket.socket(trio.socket.AF_UNIX)
    await listening.bind(str(place))
    listening.listen()
    async with trio.open_nursery() as nursery, open_engine(place) as api:
        await nursery.start(trio.serve_listeners, serve, [trio.SocketListener(listening)])
        yield api
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"ApiVersion": "1.40", "MinAPIVersion": "1.12"}, "speaks API 1.40"),
        ({"ApiVersion": "1.60", "MinAPIVersion": "1.55"}, "speaks API 1.55 and newer only"),
        ({"Something": "else"}, "does not answer as a container engine does"),
    ],
)
async def test_an_engine_of_another_age_is_refused(tmp_path: Path, answer: dict[str, str], words: str) -> None:
    async with answering(tmp_path, answer) as api:
        with trouble(Trouble.REFUSED, words):
            await api.containers()


async def test_a_newer_engine_is_spoken_to_as_we_know_it(tmp_path: Path) -> None:
    async with answering(tmp_path, {"ApiVersion": "1.99", "MinAPIVersion": "1.44", "Version": "99"}) as api:
        assert (await api.version()).api == "1.51"


async def test_something_else_that_speaks_http_is_no_engine(tmp_path: Path) -> None:
    async with answering(tmp_path, {"message": "page not found"}, status="404 Not Found") as api:
        with trouble(Trouble.REFUSED, "does not answer as a container engine does"):
            await api.version()


async def test_an_answer_that_breaks_off_is_lost(tmp_path: Path) -> None:
    async with answering(tmp_path, {}, status="200 OK\r\nTransfer-Encoding: chunked") as api:
        with trouble(Trouble.LOST, "in the middle of an answer. If it does not come back: systemctl"):
            await api.ping()


async def test_an_engine_that_says_nothing_is_frozen(tmp_path: Path) -> None:
    place = tmp_path / "still.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(place))
        bound.listen()
        async with open_engine(place) as api:
            with trouble(Trouble.FROZEN, "did not answer within 0 s"):
                await api.ping(0.1)


async def test_a_secret_that_the_engine_quotes_is_not_told(tmp_path: Path) -> None:
    secret = "a-token-that-edgebotd-knows"
    logs.register_secret(secret)
    try:
        async with answering(tmp_path, {"message": f"bad: {secret}", "ApiVersion": "1.41"}, status="400 Bad") as api:
            api._transport.prefix = "/v1.41"
            with pytest.raises(EngineError, match="bad: ") as caught:
                await api.containers()
    finally:
        logs.forget_secret(secret)
    assert secret not in f"{caught.value} {caught.value.detail}"
