"""Adopts a gateway that somebody else set up: connects to it and pairs, and changes nothing about how it runs."""

from __future__ import annotations

import io
import secrets
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import trio
from pydantic import Field, SecretStr

from edgebotd import logs
from edgebotd.docker import pairing
from edgebotd.docker.candidates import Candidates, Found, adoptable
from edgebotd.docker.containers import SHORT_ID
from edgebotd.docker.engine import Engine
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.gateway_file import LARGEST, NoToken, token_in
from edgebotd.docker.looks import config_paths, environment_of
from edgebotd.docker.operations import Step, Work
from edgebotd.docker.services import Operating, Services
from edgebotd.errors import Conflict, Invalid
from edgebotd.events import BOT_ID_PATTERN, Model, Name
from edgebotd.protocol.docker.containers import Container
from edgebotd.store import bots as bot_rows
from edgebotd.store import containers as rows
from edgebotd.store.containers import StoredContainer
from edgebotd.store.operations import Operation

KIND: Final = "adopt"
FIND_SECONDS: Final = 60.0
AGAIN_SECONDS: Final = 1.0
MOST_WAITING: Final = 64
"""Tokens that wait for their operation. More operations at once than this would be a bug; the oldest token goes."""


class AdoptRequest(Model):
    """A gateway that is to be adopted.

    Attributes:
        id: of the bot that it becomes.
        container: the container's name or id; None: the gateway on this machine itself.
        token: the gateway's.
        read_token: read it from the gateway's own configuration, in place of giving it.
    """

    id: Annotated[str, Field(pattern=BOT_ID_PATTERN)]
    name: Name | None = None
    container: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$")] | None = None
    token: Annotated[SecretStr, Field(min_length=1, max_length=4096)] | None = None
    read_token: bool = False


class Adopting(Operating):
    """Adopts gateways. From `open_docker`."""

    def __init__(self, services: Services, candidates: Candidates) -> None:
        super().__init__(services)
        self.candidates = candidates
        self._tokens: dict[str, SecretStr] = {}
        """Given by people, by a word that stands in the operation's request; in memory alone."""
        self._operations.register(
            KIND,
            (
                Step("find", FIND_SECONDS, self._find),
                Step("token", 30, self._token),
                Step("connect", 30, self._connect, self._undo_connect),
                Step("pair", pairing.PAIR_SECONDS, self._pair),
                Step("hello", pairing.HELLO_SECONDS, self._hello),
            ),
        )

    async def begin(self, request: AdoptRequest, actor: Mapping[str, Any]) -> Operation:
        """Begin to adopt.

        Raises:
            Problem: the request cannot be right, there is no such gateway, or another operation goes on with this id.
        """
        if (request.token is None) is not request.read_token:
            raise Invalid("Give the gateway's token, or have it read from the gateway's configuration: one of both.")
        await self._check_id(request.id)
        adoptable(await self._found(request.container))
        kept: dict[str, Any] = {"container": request.container, "name": request.name or request.id}
        if request.token is not None:
            kept["given"] = secrets.token_hex(8)
            logs.register_secret(request.token.get_secret_value())
            while len(self._tokens) >= MOST_WAITING:
                del self._tokens[next(iter(self._tokens))]
            self._tokens[kept["given"]] = request.token
        try:
            return await self._operations.begin(KIND, request.id, kept, actor)
        except BaseException:
            self._tokens.pop(kept.get("given", ""), None)
            raise

    async def _check_id(self, bot_id: str) -> None:
        if await self._database.read(lambda conn: bot_rows.number_of(conn, bot_id)) is not None:
            raise Conflict("bot_exists", f"The id '{bot_id}' is or was that of another bot. Choose another one.")

    async def _found(self, container: str | None) -> Found:
        return await (self.candidates.host() if container is None else self.candidates.container(container))

    # Steps

    async def _find(self, work: Work) -> None:
        told = False
        await self._check_id(work.bot_id)
        while not (found := await self._found(work.request["container"])).candidate.reachable:
            adoptable(found)
            if not told:
                told = True
                await work.log(f"Nothing answers at {found.candidate.url} yet; it is waited for.")
            await trio.sleep(AGAIN_SECONDS)
        url = adoptable(found)
        container = found.container
        await work.keep(url=url, container=None if container is None else container.id)
        what = "The gateway on this machine" if container is None else f"The container {container.name}"
        await work.log(f"{what} answers at {url}: {', '.join(found.candidate.why) or 'it was named'}.")
        for text in found.candidate.violations:
            await work.log(f"Left as it is: {text}")

    async def _token(self, work: Work) -> None:
        """Have the token in hand before anything is made."""
        await self._get_token(work)
        await work.log("The token was given." if "given" in work.request else "The token was read.")

    async def _get_token(self, work: Work) -> SecretStr:
        if (word := work.request.get("given")) is not None:
            if (token := self._tokens.get(word)) is None:
                raise Conflict(
                    "token_gone",
                    "The token that was given is kept nowhere between two attempts. Adopt it anew.",
                )
            return token
        found = await self._found(work.request["container"])
        if found.container is not None:
            token = await self._read_in_container(work, found.container)
        else:
            token = await self._read_on_host(work, found)
        logs.register_secret(token.get_secret_value())
        return token

    async def _read_in_container(self, work: Work, container: Container) -> SecretStr:
        engine = self._containers.usable()
        environment = environment_of(container)
        for path in config_paths(container):
            if (text := await _file_in(engine, container.id, path)) is not None:
                await work.log(f"The token is looked for in {path} of the container.")
                return token_in(text, environment)
        await work.log("There is no openclaw.json; the token is looked for in the container's environment.")
        return token_in("", environment)

    async def _read_on_host(self, work: Work, found: Found) -> SecretStr:
        readable = () if found.host is None else found.host.readable
        if not readable:
            raise NoToken("edgebotd's user may not read the gateway's configuration. Give the token yourself.")
        await work.log(f"The token is looked for in {readable[0]}.")
        # A small file: no thread.
        return token_in(_read(readable[0]), {})

    async def _connect(self, work: Work) -> None:
        url = work.made["url"]
        if "connected" not in work.made or work.bot_id not in self._bots.ids():
            token = await self._get_token(work)
            await self._check_id(work.bot_id)
            await work.keep(connected=True)
            await self._bots.add(work.bot_id, work.request["name"], url, token)
        if (container_id := work.made["container"]) is not None:
            container = await self._containers.usable().inspect(container_id)
            now = self._containers.now()
            stored = StoredContainer(
                work.bot_id, container.name, container.id, "adopted", created_at=now, changed_at=now
            )
            await self._database.write(lambda tx: rows.put(tx.connection, stored))
            self._containers.bind(work.bot_id, container.name)
            self._bots.container(work.bot_id, self._containers.of_bot(work.bot_id))
        await work.log(f"The bot {work.bot_id} is made, and connects to {url}.")

    async def _pair(self, work: Work) -> None:
        container = work.made["container"]
        engine = None if container is None else self._containers.usable()
        await pairing.pair(work, self._bots, engine, container)

    async def _hello(self, work: Work) -> None:
        await pairing.hello(work, self._bots)
        self._tokens.pop(work.request.get("given", ""), None)

    async def _undo_connect(self, work: Work) -> None:
        self._tokens.pop(work.request.get("given", ""), None)
        if "connected" not in work.made:
            return
        self._containers.bind(work.bot_id, None)
        stored = await self._database.read(lambda conn: rows.get(conn, work.bot_id))
        if stored is not None and stored.origin == "adopted":
            await self._database.write(lambda tx: rows.remove(tx.connection, work.bot_id))
        await self._bots.discard(work.bot_id, work.made["url"])
        await work.log(f"The bot {work.bot_id} is removed again; the gateway runs on as it did.")


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(LARGEST).decode(errors="replace")


async def _file_in(engine: Engine, container: str, path: str) -> str | None:
    """Return a text file of a container; None where there is none. Raises `EngineError`, `NoToken`."""
    data = bytearray()

    async def take(piece: bytes) -> None:
        data.extend(piece)
        if len(data) > LARGEST:
            raise NoToken(f"{path} in the container {container[:SHORT_ID]} is too large for a configuration.")

    try:
        await engine.get_archive(container, path, take)
        with tarfile.open(fileobj=io.BytesIO(bytes(data))) as archive:
            member = next((member for member in archive if member.isfile()), None)
            file = None if member is None else archive.extractfile(member)
            return None if file is None else file.read().decode(errors="replace")
    except tarfile.TarError:
        return None
    except EngineError as exc:
        if exc.trouble is Trouble.MISSING:
            return None
        raise
