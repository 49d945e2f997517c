"""A file in the state directory of a bot's container, by the engine: read, and replaced with the owner it needs."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import Final

from edgebotd.docker.containers import SHORT_ID, Containers
from edgebotd.docker.engine import Engine
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.gateway import CONFIG_FILE
from edgebotd.docker.spec import STATE_PATH
from edgebotd.errors import Conflict

LARGEST: Final = 4 * 1024 * 1024
SECONDS: Final = 20.0


@dataclass(frozen=True)
class StateFile:
    """One such file. From `state_file`.

    Attributes:
        path: below the state directory.
    """

    containers: Containers
    container: str
    name: str
    path: str

    @property
    def place(self) -> str:
        """What it is called for people. Made anew, a container is another place: a copy of its volume may be old."""
        return f"{self.name} ({self.container[:SHORT_ID]}): {STATE_PATH}/{self.path}"

    @property
    def inside(self) -> str:
        """Where the gateway in the container finds it."""
        return f"{STATE_PATH}/{self.path}"

    async def read(self) -> bytes | None:
        """Return what is in it, None where there is none.

        Raises:
            EngineError, Conflict: nobody knows.
        """
        found = await _fetch(self.containers.usable(), self.container, f"{STATE_PATH}/{self.path}")
        return None if found is None else found[1]

    async def write(self, content: bytes) -> None:
        """Replace it, with mode 600 and as the property of whoever owns the gateway's configuration.

        Raises:
            EngineError, Conflict: it was not done, or not whole.
        """
        engine = self.containers.usable()
        config = await _fetch(engine, self.container, f"{STATE_PATH}/{CONFIG_FILE}")
        if config is None:
            raise Conflict("no_place", f"There is no {STATE_PATH}/{CONFIG_FILE} in the container {self.name}.")
        owner = config[0]
        folder, _, name = f"{STATE_PATH}/{self.path}".rpartition("/")
        if (await engine.inspect(self.container)).state != "running":
            await engine.put_archive(self.container, folder, _packed(name, content, owner))
            return
        # An engine unpacks into the file itself: a gateway that reads meanwhile would have half of it.
        part = f".{name}.new"
        await engine.put_archive(self.container, folder, _packed(part, content, owner))
        argv = ("mv", "-f", f"{folder}/{part}", f"{folder}/{name}")
        done = await engine.run(self.container, argv, user=str(owner), seconds=SECONDS)
        if done.exit_code != 0:
            raise Conflict("no_place", f"{folder}/{name} in the container {self.name} could not be replaced.")


def state_file(containers: Containers, bot_id: str, path: str) -> StateFile | None:
    """Return a file of a bot's container, None where it has none that edgebotd has made."""
    container = containers.container_of(bot_id)
    if container is None or not containers.is_own(container):
        return None
    return StateFile(containers, container.id, container.name, path)


async def _fetch(engine: Engine, container: str, path: str) -> tuple[int, bytes] | None:
    """Return whose a file is, and what is in it."""
    data = bytearray()

    async def take(piece: bytes) -> None:
        data.extend(piece)
        if len(data) > LARGEST:
            raise Conflict("no_place", f"{path} in the container {container[:SHORT_ID]} is too large.")

    try:
        await engine.get_archive(container, path, take)
        with tarfile.open(fileobj=io.BytesIO(bytes(data))) as archive:
            member = next((member for member in archive if member.isfile()), None)
            file = None if member is None else archive.extractfile(member)
            return None if member is None or file is None else (member.uid, file.read())
    except tarfile.TarError:
        return None
    except EngineError as exc:
        if exc.trouble is Trouble.MISSING:
            return None
        raise


def _packed(name: str, content: bytes, owner: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        file = tarfile.TarInfo(name)
        file.size, file.mode, file.uid, file.gid = len(content), 0o600, owner, owner
        tar.addfile(file, io.BytesIO(content))
    return packed.getvalue()
