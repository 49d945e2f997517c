"""The engine's API over its unix socket: a closed list of calls, each with a deadline, and streams apart from them.

Docker's (https://docs.docker.com/reference/api/engine/), and Podman's and rootless Docker's where they answer alike.
Nothing else of the engine can be reached through this program: there is no passing on of paths.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import trio

from edgebotd.docker.answers import EngineVersion, ExecResult, Image, image_of, version_of
from edgebotd.docker.errors import EngineError, Trouble, lost
from edgebotd.docker.transport import Transport, open_transport
from edgebotd.protocol.docker.containers import (
    LIFECYCLE,
    Container,
    ContainerEvent,
    parse_event,
    parse_inspection,
    parse_listed,
)
from edgebotd.protocol.docker.images import Progress, Pull, Reference
from edgebotd.protocol.docker.streams import JsonLines, Output, OutputLine
from edgebotd.protocol.docker.usage import Usage, parse_usage
from edgebotd.protocol.fields import integer, mapping, objects, string

PING_SECONDS: Final = 5.0
SLOW_SECONDS: Final = 120.0
"""For what takes a disk long: creating from a large image, removing, sizes of everything."""
STOP_SLACK_SECONDS: Final = 15.0
"""What the engine may take beyond the container's own time to stop."""
PULL_SILENCE_SECONDS: Final = 120.0
TAR: Final = "application/x-tar"

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


class Engine:
    """One engine. From `open_engine`, which closes it. Names and ids are checked before they become a path."""

    def __init__(self, transport: Transport, check: Callable[[Mapping[str, Any]], None] | None) -> None:
        self.socket = transport.socket
        self._transport = transport
        self._check = check

    # The engine itself

    async def ping(self, seconds: float = PING_SECONDS) -> None:
        """Ask whether it answers.

        Raises:
            EngineError: DOWN or FROZEN.
        """
        await self._transport.call("GET", "/_ping", seconds=seconds, bare=True)

    async def version(self) -> EngineVersion:
        """Ask who it is, and agree with it on the API's version, for all calls from then on.

        Raises:
            EngineError: unreachable, or too old.
        """
        try:
            answer = mapping(await self._transport.json("GET", "/version", bare=True))
        except EngineError as exc:
            if exc.passing:
                raise
            answer = {}
        agreed = version_of(answer, self.socket)
        self._transport.prefix = f"/v{agreed.api}"
        return agreed

    async def processors(self) -> int | None:
        """Return how many processors its machine has: Docker makes no container that may take more. None: untold."""
        return integer(mapping(await self._json("GET", "/info")).get("NCPU")) or None

    async def disk_use(self) -> Mapping[str, Any]:
        """Return `GET /system/df`: images, containers and volumes with their sizes."""
        return mapping(await self._json("GET", "/system/df", seconds=SLOW_SECONDS))

    async def events(self, take: Callable[[ContainerEvent], None], *, started: Callable[[], None]) -> None:
        """Take what happens to containers until the engine goes; then raise. To end it, cancel.

        Args:
            started: called once the engine has begun to tell: what a list says after that is missed by nothing.

        Raises:
            EngineError: DOWN or LOST.
        """
        filters = json.dumps({"type": ["container"], "event": [*LIFECYCLE]})
        lines = JsonLines()

        def feed(data: bytes) -> None:
            for line in lines.feed(data):
                if (event := parse_event(line)) is not None and event.action in LIFECYCLE:
                    take(event)

        await self._stream("GET", "/events", feed, params={"filters": filters}, started=started)
        raise lost(self.socket)

    # Containers

    async def containers(self, *, label: str | None = None) -> list[Container]:
        """List all containers, those that do not run too; without what only an inspection tells."""
        params = {"all": "1"}
        if label is not None:
            params["filters"] = json.dumps({"label": [label]})
        answer = await self._json("GET", "/containers/json", params=params)
        return [parse_listed(entry) for entry in objects(answer)]

    async def inspect(self, container: str) -> Container:
        """Return one container, by id or name. Raises `EngineError`, MISSING where there is none."""
        return parse_inspection(mapping(await self._json("GET", f"/containers/{_name(container)}/json")))

    async def create(self, name: str, body: Mapping[str, Any]) -> str:
        """Create a container and return its id. `body` comes from `docker/profile.py` alone.

        Raises:
            EngineError: CONFLICT where the name is taken, MISSING where the image is not there.
            Conflict: the body is not as the profile says; nothing was sent.
        """
        if self._check is not None:
            self._check(body)
        answer = await self._json(
            "POST", "/containers/create", params={"name": _name(name)}, body=body, seconds=SLOW_SECONDS
        )
        return string(mapping(answer).get("Id")) or ""

    async def start(self, container: str) -> None:
        """Start it; one that runs is left as it is."""
        await self._call("POST", f"/containers/{_name(container)}/start", seconds=SLOW_SECONDS, fine=(304,))

    async def stop(self, container: str, seconds: int) -> None:
        """Let it end within so many seconds, then kill it; returns when it is gone."""
        await self._call(
            "POST",
            f"/containers/{_name(container)}/stop",
            params={"t": str(seconds)},
            seconds=seconds + STOP_SLACK_SECONDS,
            fine=(304,),
        )

    async def kill(self, container: str) -> None:
        """SIGKILL it; one that does not run is left as it is."""
        refused: EngineError
        try:
            await self._call("POST", f"/containers/{_name(container)}/kill")
            return
        except EngineError as exc:
            # Podman says 500.
            if exc.trouble not in (Trouble.CONFLICT, Trouble.REFUSED):
                raise
            refused = exc
        if await self._runs(container):
            raise refused

    async def unpause(self, container: str) -> None:
        """Let a paused one go on."""
        await self._call("POST", f"/containers/{_name(container)}/unpause")

    async def rename(self, container: str, name: str) -> None:
        """Give it another name."""
        await self._call("POST", f"/containers/{_name(container)}/rename", params={"name": _name(name)})

    async def remove(self, container: str, *, force: bool = False) -> None:
        """Remove it, its named volumes not; one that is gone is fine."""
        params = {"force": "1" if force else "0", "v": "1"}
        await self._call("DELETE", f"/containers/{_name(container)}", params=params, seconds=SLOW_SECONDS, fine=(404,))

    async def processes(self, container: str) -> int:
        """Return how many processes of a running container there are; 0 for one that does not run."""
        try:
            answer = mapping(await self._json("GET", f"/containers/{_name(container)}/top"))
        except EngineError as exc:
            if exc.trouble in (Trouble.CONFLICT, Trouble.REFUSED, Trouble.MISSING):
                return 0
            raise
        processes = answer.get("Processes")
        return len(processes) if isinstance(processes, list) else 0

    async def run(
        self, container: str, argv: Sequence[str], *, user: str | None = None, seconds: float = 60
    ) -> ExecResult:
        """Run a command in a running container; return what it said. Callers' commands are constants of theirs."""
        body: dict[str, Any] = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(argv)}
        if user is not None:
            body["User"] = user
        made = mapping(await self._json("POST", f"/containers/{_name(container)}/exec", body=body))
        exec_id = _name(string(made.get("Id")) or "")
        output = Output(tty=False, timestamps=False)
        lines: list[OutputLine] = []

        def feed(data: bytes) -> None:
            lines.extend(output.feed(data))

        with trio.move_on_after(seconds) as scope:
            await self._stream("POST", f"/exec/{exec_id}/start", feed, body={"Detach": False, "Tty": False})
        if scope.cancelled_caught:
            raise EngineError(
                Trouble.REFUSED, f"The command {argv[0]} in the container did not end within {seconds:.0f} s."
            )
        lines.extend(output.end())
        state = mapping(await self._json("GET", f"/exec/{exec_id}/json"))
        code = integer(state.get("ExitCode"))
        said = {name: "\n".join(line.text for line in lines if line.stream == name) for name in ("stdout", "stderr")}
        return ExecResult(-1 if code is None else code, said["stdout"], said["stderr"])

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
        """Take a container's output, the last `tail` lines (None: all) and, with `follow`, what comes, until it stops.

        Args:
            container: inspected, since its terminal decides the framing.
            since_at: nothing older than this, Unix milliseconds.
            pace: waited for after each piece, by who cannot take them as fast as they come.
        """
        params = {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": "all" if tail is None else str(tail)}
        if follow:
            params["follow"] = "1"
        if since_at is not None:
            params["since"] = f"{since_at / 1000:.3f}"
        output = Output(tty=container.tty)

        def feed(data: bytes) -> None:
            for line in output.feed(data):
                take(line)

        async def paced(data: bytes) -> None:
            if pace is not None:
                await pace()

        take_piece = None if pace is None else paced
        path = f"/containers/{_name(container.id)}/logs"
        await self._stream("GET", path, feed, take=take_piece, params=params)
        for line in output.end():
            take(line)

    async def usage(self, container: str, take: Callable[[Usage], None]) -> None:
        """Take what a container uses, about once a second, until it stops or this is cancelled."""
        lines = JsonLines()

        def feed(data: bytes) -> None:
            for line in lines.feed(data):
                if (usage := parse_usage(line)) is not None:
                    take(usage)

        await self._stream("GET", f"/containers/{_name(container)}/stats", feed, params={"stream": "1"})

    async def put_archive(self, container: str, path: str, tar: bytes | AsyncIterator[bytes]) -> None:
        """Unpack a tar into a folder of a container, running or not; a large one comes in pieces."""
        target, params = f"/containers/{_name(container)}/archive", {"path": path, "noOverwriteDirNonDir": "1"}
        if isinstance(tar, bytes):
            await self._call("PUT", target, params=params, content=tar, content_type=TAR, seconds=SLOW_SECONDS)
        else:
            await self._agree()
            await self._transport.upload(target, tar, params=params, content_type=TAR, silence=SLOW_SECONDS)

    async def get_archive(self, container: str, path: str, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Take a file or folder of a container as a tar, piece by piece."""
        await self._stream("GET", f"/containers/{_name(container)}/archive", None, take=take, params={"path": path})

    # Images

    async def images(self) -> list[Image]:
        """List images."""
        return [image_of(entry) for entry in objects(await self._json("GET", "/images/json"))]

    async def image(self, reference: str) -> Image:
        """Return one image, by reference or id. Raises `EngineError`, MISSING where the engine does not have it."""
        return image_of(mapping(await self._json("GET", f"/images/{quote(reference, safe='/:@')}/json")))

    async def pull(self, reference: Reference, progress: Callable[[Progress], None]) -> None:
        """Pull an image, telling how far it is.

        Raises:
            EngineError: refused at once, or in the middle, in the engine's words; FROZEN when nothing comes for long.
        """
        params = {"fromImage": reference.name, "tag": reference.digest or reference.tag or "latest"}
        lines, pull = JsonLines(), Pull()

        def feed(data: bytes) -> None:
            for line in lines.feed(data):
                pull.feed(line)
            progress(pull.progress)

        await self._stream("POST", "/images/create", feed, params=params, silence=PULL_SILENCE_SECONDS)
        for line in lines.end():
            pull.feed(line)
        if pull.error is not None:
            raise EngineError(Trouble.REFUSED, f"The image {reference} could not be pulled: {pull.error}")

    async def remove_image(self, reference: str) -> None:
        """Remove an image that no container uses. Raises `EngineError`, CONFLICT where one does."""
        await self._call("DELETE", f"/images/{quote(reference, safe='/:@')}", seconds=SLOW_SECONDS)

    # Volumes

    async def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a named volume; one that is there already is left as it is."""
        await self._json("POST", "/volumes/create", body={"Name": _name(name), "Labels": dict(labels)})

    async def volume(self, name: str) -> Mapping[str, Any]:
        """Return a volume's `Name`, `Labels`, `CreatedAt`. Raises `EngineError`, MISSING where there is none."""
        return mapping(await self._json("GET", f"/volumes/{_name(name)}"))

    async def volumes(self, *, label: str | None = None) -> list[Mapping[str, Any]]:
        """List volumes."""
        params = {} if label is None else {"filters": json.dumps({"label": [label]})}
        return list(objects(mapping(await self._json("GET", "/volumes", params=params)).get("Volumes")))

    async def remove_volume(self, name: str) -> None:
        """Remove a volume; one that is gone is fine."""
        await self._call("DELETE", f"/volumes/{_name(name)}", seconds=SLOW_SECONDS, fine=(404,))

    async def _runs(self, container: str) -> bool:
        try:
            return (await self.inspect(container)).state in ("running", "paused", "restarting")
        except EngineError as exc:
            if exc.trouble is Trouble.MISSING:
                return False
            raise

    async def _call(self, method: str, path: str, **options: Any) -> bytes:
        await self._agree()
        return await self._transport.call(method, path, **options)

    async def _json(self, method: str, path: str, **options: Any) -> Any:
        await self._agree()
        return await self._transport.json(method, path, **options)

    async def _stream(self, method: str, path: str, feed: Callable[[bytes], None] | None, **options: Any) -> None:
        await self._agree()
        await self._transport.stream(method, path, feed, **options)

    async def _agree(self) -> None:
        if not self._transport.prefix:
            await self.version()


def _name(name: str) -> str:
    """Return an id or name that may stand in a path.

    Raises:
        EngineError: MISSING; an engine has nothing of such a name.
    """
    if not _ID.fullmatch(name):
        raise EngineError(Trouble.MISSING, "The engine has nothing of that name.")
    return name


@asynccontextmanager
async def open_engine(
    socket: Path, *, check: Callable[[Mapping[str, Any]], None] | None = None
) -> AsyncIterator[Engine]:
    """Open an engine's socket; connects nothing yet. Leaving closes its connections.

    Args:
        check: looks at each body that a container is to be made from, and raises where it must not be.
    """
    async with open_transport(socket) as transport:
        yield Engine(transport, check)
