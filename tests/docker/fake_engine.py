"""An engine that is a few dictionaries: `docker.engine.Engine`'s methods on virtual time, misbehaving on order.

What it answers goes through the same parsing as a real engine's. What Docker 20.10 was seen to do is in comments.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trio
from typing_extensions import override

from edgebotd.docker.answers import EngineVersion, ExecResult, Image
from edgebotd.docker.errors import EngineError, Trouble, lost
from edgebotd.protocol.docker.containers import Container, ContainerEvent, parse_inspection
from edgebotd.protocol.docker.streams import OutputLine
from edgebotd.protocol.docker.usage import Usage
from tests.docker.fake_container import FakeContainer
from tests.docker.fake_store import FakeStore

CONFLICT, MISSING, REFUSED = Trouble.CONFLICT, Trouble.MISSING, Trouble.REFUSED


class FakeEngine(FakeStore):
    """From `open_fake_engine`. `calls` has what was asked for, as "stop scout 10"; `down` is raised by every call."""

    def __init__(self, nursery: trio.Nursery, clock: Callable[[], int]) -> None:
        self.socket = Path("/run/fake.sock")
        self.calls: list[str] = []
        self.down: EngineError | None = None
        self.all: dict[str, FakeContainer] = {}
        self.images_here: dict[str, Image] = {}
        self.volumes_here: dict[str, dict[str, Any]] = {}
        self.digests: dict[str, str] = {}
        self.contents: dict[str, bytes] = {}
        self.pull_error: EngineError | None = None
        self.pull_seconds = 1.0
        self.cpus: int | None = 4
        self.exec_answers: list[ExecResult] = []
        self._nursery = nursery
        self._clock = clock
        self._ears: list[Callable[[ContainerEvent], None]] = []
        self._gone = trio.Event()
        self._made = 0

    # For tests

    def add(self, name: str, body: Mapping[str, Any] | None = None, **more: Any) -> FakeContainer:
        """Have a container, created at once."""
        self._made += 1
        container_id = f"{self._made:064x}"
        made = FakeContainer(container_id, name, {"Image": "fake/bot:1", **(body or {})}, **more)
        made.created_at = self._time()
        if (image := self.images_here.get(made.body["Image"])) is not None:
            made.image_id = image.id
        self.all[container_id] = made
        self._tell(made, "create")
        return made

    def begin(self, container: FakeContainer) -> None:
        """Let it run, as if somebody had started it in a shell."""
        container.state, container.started_at, container.exit_code, container.oom = "running", self._time(), 0, False
        container.error, container.ended = "", trio.Event()
        self._tell(container, "start")
        if container.lives:
            self._nursery.start_soon(self._live, container, container.lives.pop(0))

    def end(self, container: FakeContainer, code: int = 0, *, oom: bool = False, signal: int | None = None) -> None:
        """Let it end: by itself, or by a signal that somebody had the engine send."""
        if not container.running:
            return
        if signal is not None:
            self._tell(container, "kill", signal=str(signal))
        if oom:
            self._tell(container, "oom")
        container.state, container.exit_code, container.oom = "exited", code, oom
        container.finished_at, container.gone_at = self._time(), trio.current_time() + container.linger_seconds
        container.ended.set()
        self._tell(container, "die", exitCode=str(code))

    def say(self, container: FakeContainer, text: str, stream: str = "stdout", at: int | None = None) -> None:
        """Let it write a line."""
        line = OutputLine("stderr" if stream == "stderr" else "stdout", text, self._clock() if at is None else at)
        container.output.append(line)
        container.said.set()
        container.said = trio.Event()

    def named(self, name: str) -> FakeContainer:
        """Return a container by name or id. Raises `EngineError`, MISSING where there is none."""
        for one in self.all.values():
            if name in (one.id, one.name):
                return one
        raise EngineError(MISSING, f"No such container: {name}")

    def go_away(self, error: EngineError) -> None:
        """Refuse everything with this, and end the streams."""
        self.down = error
        self._gone.set()
        self._gone = trio.Event()

    async def _live(self, container: FakeContainer, seconds: float) -> None:
        life = container.ended
        with trio.move_on_after(seconds):
            await life.wait()
        if life.is_set():
            return
        code, oom = container.dies_with
        self.end(container, code, oom=oom)
        if container.restarts_by_itself:
            container.state = "restarting"
            await trio.sleep(min(0.1 * 2**container.restarts, 60))
            if container.state == "restarting":
                container.restarts += 1
                self.begin(container)

    def _tell(self, container: FakeContainer, action: str, **attributes: str) -> None:
        labels = container.body.get("Labels") or {}
        event = ContainerEvent(
            container.id, container.name, action, "", {"name": container.name, **labels, **attributes}, self._clock()
        )
        for ear in list(self._ears):
            ear(event)

    @override
    def _time(self) -> str:
        return datetime.fromtimestamp(self._clock() / 1000, UTC).isoformat().replace("+00:00", "Z")

    @override
    async def _asked(self, *words: object) -> None:
        self.calls.append(" ".join(map(str, words)))
        await trio.lowlevel.checkpoint()
        if self.down is not None:
            raise self.down

    # The engine itself

    @override
    async def ping(self, seconds: float = 5) -> None:
        await trio.lowlevel.checkpoint()
        if self.down is not None:
            raise self.down

    @override
    async def version(self) -> EngineVersion:
        await self._asked("version")
        return EngineVersion("20.10.24", "1.41", "Docker", "linux", "amd64")

    @override
    async def processors(self) -> int | None:
        await self._asked("info")
        return self.cpus

    @override
    async def disk_use(self) -> Mapping[str, Any]:
        await self._asked("df")
        return {"Images": [], "Containers": [], "Volumes": []}

    @override
    async def events(self, take: Callable[[ContainerEvent], None], *, started: Callable[[], None]) -> None:
        await self._asked("events")
        self._ears.append(take)
        try:
            started()
            await self._gone.wait()
        finally:
            self._ears.remove(take)
        raise lost(self.socket)

    # Containers

    @override
    async def containers(self, *, label: str | None = None) -> list[Container]:
        await self._asked("list")
        found = [parse_inspection(one.inspection()) for one in self.all.values()]
        if label is None:
            return found
        name, _, value = label.partition("=")
        return [one for one in found if name in one.labels and (not value or one.labels[name] == value)]

    @override
    async def inspect(self, container: str) -> Container:
        await trio.lowlevel.checkpoint()
        if self.down is not None:
            raise self.down
        return parse_inspection(self.named(container).inspection())

    @override
    async def create(self, name: str, body: Mapping[str, Any]) -> str:
        await self._asked("create", name)
        if any(one.name == name for one in self.all.values()):
            raise EngineError(CONFLICT, f'Conflict. The container name "/{name}" is already in use.')
        if self.cpus is not None and body["HostConfig"]["NanoCpus"] > self.cpus * 1_000_000_000:
            raise EngineError(REFUSED, f"Range of CPUs is from 0.01 to {self.cpus}.00")
        return self.add(name, body).id

    @override
    async def start(self, container: str) -> None:
        await self._asked("start", container)
        one = self.named(container)
        if one.state == "paused":
            raise EngineError(CONFLICT, "cannot start a paused container, try unpause instead")
        if one.start_error is not None:
            # No event at all: neither start nor die.
            one.error, one.exit_code = one.start_error.detail, 127
            raise one.start_error
        if one.state != "running":
            one.manually_stopped, one.restarts = False, 0
            self.begin(one)

    @override
    async def stop(self, container: str, seconds: int) -> None:
        await self._asked("stop", container, seconds)
        one = self.named(container)
        one.manually_stopped, life = True, one.ended
        if one.state == "restarting":
            one.state = "exited"
        if not one.running:
            return
        self._tell(one, "kill", signal="15")
        with trio.move_on_after(seconds if one.stop_seconds is None else min(one.stop_seconds, seconds)):
            await life.wait()
        obeys = one.stop_seconds is not None and one.stop_seconds <= seconds
        self.end(one, 0 if obeys else 137, signal=None if obeys else 9)
        self._tell(one, "stop")
        await trio.lowlevel.checkpoint()

    @override
    async def kill(self, container: str) -> None:
        await self._asked("kill", container)
        self.end(self.named(container), 137, signal=9)

    @override
    async def unpause(self, container: str) -> None:
        await self._asked("unpause", container)
        one = self.named(container)
        one.state = "running"
        self._tell(one, "unpause")

    def pause(self, container: FakeContainer) -> None:
        """Pause it, as somebody in a shell does."""
        container.state = "paused"
        self._tell(container, "pause")

    @override
    async def rename(self, container: str, name: str) -> None:
        await self._asked("rename", container, name)
        if any(one.name == name for one in self.all.values()):
            raise EngineError(CONFLICT, f'Conflict. The container name "/{name}" is already in use.')
        one = self.named(container)
        one.name = name
        self._tell(one, "rename")

    @override
    async def remove(self, container: str, *, force: bool = False) -> None:
        await self._asked("remove", container, *(["force"] if force else []))
        one = next((one for one in self.all.values() if container in (one.id, one.name)), None)
        if one is None:
            return
        if one.running and not force:
            raise EngineError(CONFLICT, "You cannot remove a running container. Stop it first or force its removal.")
        self.end(one, 137, signal=9)
        del self.all[one.id]
        self._tell(one, "destroy")

    @override
    async def processes(self, container: str) -> int:
        await trio.lowlevel.checkpoint()
        one = next((one for one in self.all.values() if container in (one.id, one.name)), None)
        return 0 if one is None or not (one.running or trio.current_time() < one.gone_at) else 2

    @override
    async def run(
        self, container: str, argv: Sequence[str], *, user: str | None = None, seconds: float = 60
    ) -> ExecResult:
        await self._asked("exec", container, *argv)
        if not self.named(container).running:
            raise EngineError(CONFLICT, "The container is not running.")
        return self.exec_answers.pop(0) if self.exec_answers else ExecResult(0, "", "")

    @override
    async def logs(
        self,
        container: Container,
        take: Callable[[OutputLine], None],
        *,
        tail: int | None,
        follow: bool = False,
        since_at: int | None = None,
        pace: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        await self._asked("logs", container.name, *(["follow"] if follow else []))
        one = self.named(container.id)
        lines = [line for line in one.output if since_at is None or (line.at or 0) >= since_at]
        at, life = len(one.output), one.ended
        for line in lines if tail is None else lines[max(0, len(lines) - tail) :]:
            take(line)
            if pace is not None:
                await pace()
        while follow and one.running and one.ended is life:
            said = one.said
            for line in one.output[at:]:
                take(line)
            at = len(one.output)
            async with trio.open_nursery() as nursery:

                async def until(event: trio.Event, scope: trio.CancelScope = nursery.cancel_scope) -> None:
                    await event.wait()
                    scope.cancel()

                for event in (said, life, self._gone):
                    nursery.start_soon(until, event)
            if self.down is not None:
                raise self.down
        if follow:
            for line in one.output[at:]:
                take(line)

    @override
    async def usage(self, container: str, take: Callable[[Usage], None]) -> None:
        await self._asked("stats", container)
        await self.named(container).measure(take, self._clock, self._gone)
        raise self.down or lost(self.socket)

    @override
    async def put_archive(self, container: str, path: str, tar: bytes | AsyncIterator[bytes]) -> None:
        await self._asked("put", container, path)
        one = self.named(container)
        data = tar if isinstance(tar, bytes) else b"".join([piece async for piece in tar])
        if (volume := one.volume_at(path)) is not None:
            # What was there stays where nothing is put over it; this fake knows one state of a volume as a whole.
            self.contents[volume] = data
        one.files[path] = data

    @override
    async def get_archive(self, container: str, path: str, take: Callable[[bytes], Awaitable[None]]) -> None:
        await self._asked("get", container, path)
        one, folder = self.named(container), path.removesuffix("/.")
        volume = one.volume_at(folder)
        files = one.files if volume is None else {**one.files, folder: self.contents.get(volume, b"")}
        if folder not in files:
            raise EngineError(MISSING, f"Could not find the file {path} in container {container}")
        data = files[folder]
        for at in range(0, len(data), 4096):
            await take(data[at : at + 4096])


@asynccontextmanager
async def open_fake_engine(clock: Callable[[], int]) -> AsyncIterator[FakeEngine]:
    """Open one; what its containers do by themselves ends with the block."""
    async with trio.open_nursery() as nursery:
        yield FakeEngine(nursery, clock)
        nursery.cancel_scope.cancel()
