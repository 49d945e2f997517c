"""What could be adopted: the engine's containers that look like an OpenClaw gateway, and one on this machine itself.

Everything here only looks. What stands against the profile is shown, and keeps nothing from being adopted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import trio

from edgebotd.config import DockerSettings
from edgebotd.docker.containers import Containers
from edgebotd.docker.drift import look_around
from edgebotd.docker.engine import Engine
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.host import HostSigns, look
from edgebotd.docker.looks import (
    address_of,
    config_paths,
    obstacle,
    reasons,
    suggested_id,
    url_of,
)
from edgebotd.docker.probe import gateway_answers
from edgebotd.docker.spec import GATEWAY_PORT, INSTALLATION_LABEL
from edgebotd.docker.violations import violations
from edgebotd.errors import Conflict, NotFound
from edgebotd.events import Model
from edgebotd.protocol.docker.containers import Container
from edgebotd.store import bots as bot_rows
from edgebotd.store.database import Database

LOOKS_AT_ONCE: Final = 8

Reach = Callable[[str, int], Awaitable[bool]]
"""Asks whether a gateway answers at an address and port."""
LookAtHost = Callable[[], Awaitable[HostSigns]]


class Candidate(Model):
    """Something that looks like an OpenClaw gateway.

    Attributes:
        container: its name; None: it runs on this machine itself.
        suggested_id: for the bot; free at this moment.
        bot_id: of the bot that it is already.
        why: what makes it look like one.
        url: where edgebotd would connect; None: nowhere.
        reachable: whether it answers there.
        obstacle: what has to be done before it can be adopted.
        notes: what to know before.
        violations: what stands against the profile for containers. Adopting changes nothing of it.
        config: where its configuration is, with its token, as far as that can be said without opening it.
    """

    kind: Literal["container", "host"]
    container: str | None = None
    suggested_id: str
    bot_id: str | None = None
    image: str | None = None
    state: str | None = None
    why: tuple[str, ...] = ()
    url: str | None = None
    reachable: bool = False
    obstacle: str | None = None
    notes: tuple[str, ...] = ()
    violations: tuple[str, ...] = ()
    config: tuple[str, ...] = ()


class AdoptableList(Model):
    """All of them, those that can be adopted first. `detail` says why the engine's containers are not among them."""

    items: tuple[Candidate, ...]
    detail: str | None = None


@dataclass(frozen=True)
class Found:
    """A candidate with what it was made from."""

    candidate: Candidate
    container: Container | None = None
    host: HostSigns | None = None


async def look_at_host() -> HostSigns:
    """Look at this machine, in a thread."""
    return await trio.to_thread.run_sync(look)


class Candidates:
    """Made by `open_docker`."""

    def __init__(
        self,
        database: Database,
        containers: Containers,
        settings: DockerSettings,
        installation: str,
        *,
        reach: Reach = gateway_answers,
        look_at_host: LookAtHost = look_at_host,
    ) -> None:
        self._database = database
        self._containers = containers
        self._settings = settings
        self._installation = installation
        self.reach = reach
        self.look_at_host = look_at_host

    async def all(self) -> AdoptableList:
        """Look for all of them now."""
        bots = await self._bots()
        found: list[Candidate] = []
        detail: str | None = None
        try:
            found = await self._in_containers(self._containers.usable(), bots)
        except EngineError as exc:
            detail = exc.detail
        if (host := await self._on_host(bots, found)) is not None:
            found.append(host.candidate)
        found.sort(
            key=lambda one: (one.bot_id is not None, one.obstacle is not None, -len(one.why), one.container or "")
        )
        return AdoptableList(items=tuple(found), detail=detail)

    async def container(self, name: str) -> Found:
        """Look at one container by name or id, whether it looks like a gateway or not.

        Raises:
            EngineError: MISSING, or the engine is away.
        """
        engine = self._containers.usable()
        container = await engine.inspect(name)
        return Found(await self._candidate(engine, container, await self._bots()), container=container)

    async def host(self) -> Found:
        """Look at this machine itself.

        Raises:
            NotFound: nothing looks like a gateway.
        """
        bots = await self._bots()
        found = await self._on_host(bots, [])
        if found is None:
            raise NotFound("gateway on this machine")
        return found

    async def _bots(self) -> _Bots:
        stored = await self._database.read(lambda conn: bot_rows.all_bots(conn, removed=True))
        urls = {
            str(bot.settings["url"]).rstrip("/").replace("//localhost:", "//127.0.0.1:"): bot.id
            for bot in stored
            if bot.removed_at is None and bot.settings.get("url")
        }
        return _Bots(frozenset(bot.id for bot in stored), urls)

    async def _in_containers(self, engine: Engine, bots: _Bots) -> list[Candidate]:
        waiting = [container.id for container in await engine.containers()]
        found: list[Candidate] = []

        async def take() -> None:
            while waiting:
                try:
                    container = await engine.inspect(waiting.pop())
                    if reasons(container):
                        found.append(await self._candidate(engine, container, bots))
                except EngineError as exc:
                    if exc.trouble is not Trouble.MISSING:
                        raise

        try:
            async with trio.open_nursery() as nursery:
                for _ in range(min(LOOKS_AT_ONCE, len(waiting))):
                    nursery.start_soon(take, name="look for gateways")
        except* EngineError as group:
            raise next(_errors(group)) from None
        return found

    async def _candidate(self, engine: Engine, container: Container, bots: _Bots) -> Candidate:
        bot_id = self._containers.bot_of(container)
        address = address_of(container)
        url = None if address is None else url_of(address)
        if bot_id is None and url is not None and container.state == "running":
            bot_id = bots.urls.get(url)
        around = await look_around(engine, container)
        in_the_way = obstacle(container)
        reachable = in_the_way is None and address is not None and await self.reach(*address)
        notes = []
        maker = container.labels.get(INSTALLATION_LABEL)
        if maker is not None and maker != self._installation:
            notes.append("It was made by another edgebotd, which may still look after it.")
        if in_the_way is None and not reachable:
            notes.append(
                "It does not answer yet: it may still be starting, or its gateway listens to its own loopback."
            )
        return Candidate(
            kind="container",
            container=container.name,
            suggested_id=suggested_id(container.name, bots.ids),
            bot_id=bot_id,
            image=container.image or None,
            state=container.state,
            why=reasons(container),
            url=url,
            reachable=reachable,
            obstacle=in_the_way,
            notes=tuple(notes),
            violations=violations(container, bot_id=bot_id, settings=self._settings, spec=None, around=around),
            config=tuple(config_paths(container)[:2]),
        )

    async def _on_host(self, bots: _Bots, others: list[Candidate]) -> Found | None:
        """Return what runs on this machine itself, unless a container's port is what was seen."""
        signs = await self.look_at_host()
        addresses = [
            address for address in signs.addresses if url_of((address, GATEWAY_PORT)) not in {one.url for one in others}
        ]
        address = next(iter(addresses), None)
        answers = address is not None and await self.reach(address, GATEWAY_PORT)
        why = list(_host_reasons(signs, answers))
        if not why:
            return None
        url = None if address is None else url_of((address, GATEWAY_PORT))
        missing = f"Nothing listens on port {GATEWAY_PORT}. Start the gateway (openclaw gateway), then look again."
        candidate = Candidate(
            kind="host",
            suggested_id=suggested_id("openclaw", bots.ids),
            bot_id=None if url is None else bots.urls.get(url),
            why=tuple(why),
            url=url,
            reachable=answers,
            obstacle=missing if address is None else None,
            config=tuple(map(str, signs.configs)),
        )
        return Found(candidate, host=signs)


@dataclass(frozen=True)
class _Bots:
    """`ids` of all that ever were; `urls` of those that are, with the bot's id."""

    ids: frozenset[str]
    urls: dict[str, str]


def _host_reasons(signs: HostSigns, answers: bool) -> Iterator[str]:
    if answers:
        yield f"a gateway answers on port {GATEWAY_PORT}"
    if signs.processes:
        yield f"a process looks like a gateway ({signs.processes[0]})"
    if signs.configs:
        yield f"its configuration is at {signs.configs[0]}"


def _errors(group: BaseExceptionGroup[EngineError]) -> Iterator[EngineError]:
    for exc in group.exceptions:
        if isinstance(exc, EngineError):
            yield exc
        elif isinstance(exc, BaseExceptionGroup):
            yield from _errors(exc)


def _order(one: Candidate) -> tuple[bool, bool, int, str]:
    return one.bot_id is not None, one.obstacle is not None, -len(one.why), one.container or ""


def adoptable(found: Found) -> str:
    """Return where to connect. Raises `Conflict` where something has to be done first."""
    one = found.candidate
    if one.obstacle is not None or one.url is None:
        raise Conflict("not_adoptable", one.obstacle or "It cannot be reached.")
    if one.bot_id is not None:
        raise Conflict("already_a_bot", f"It is the bot '{one.bot_id}' already.")
    return one.url
