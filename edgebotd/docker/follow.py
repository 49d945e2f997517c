"""Keeps what is known of containers true: the engine's events are the source, a look at everything now and then is the
safety net, and a ping tells a frozen engine from a quiet one.

An event only says that something happened to a container; what it is then is asked. So nothing depends on which events
an engine makes, in which order (Docker says nothing when a health check begins anew, Podman has other words).
"""

from __future__ import annotations

import logging
from typing import Final

import trio

from edgebotd.docker.containers import SHORT_ID, Containers, Source
from edgebotd.docker.engine import Engine
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.events import EngineStatus
from edgebotd.protocol.docker.containers import Container, ContainerEvent

log = logging.getLogger(__name__)

PING_EVERY_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 1.0
AGAIN_CAP_SECONDS: Final = 5.0
"""An engine that is away is asked for again after 1 s, later each 5 s: it is a local socket."""
LOOKS_AT_ONCE: Final = 8


class Follower:
    """Follows one engine. Its tasks live in `run`, a job of the supervisor's."""

    def __init__(self, engine: Engine, containers: Containers, reconcile_seconds: float) -> None:
        self._engine = engine
        self._containers = containers
        self._reconcile_seconds = reconcile_seconds
        self._dirty: dict[str, ContainerEvent] = {}
        self._looking: set[str] = set()
        self._wake = trio.Event()
        self._asked = 0
        self._learned: dict[str, int] = {}
        """By id: which question, of those asked so far, what is known of it answers."""

    async def run(self) -> None:
        """Follow the engine until cancelled."""
        pause = AGAIN_SECONDS
        while True:
            began = trio.current_time()
            try:
                await self._follow()
            except* EngineError as group:
                self._containers.away(_first(group))
            pause = AGAIN_SECONDS if trio.current_time() - began > AGAIN_CAP_SECONDS else pause
            await trio.sleep(pause)
            pause = min(pause * 1.5, AGAIN_CAP_SECONDS)

    async def refresh(self, name: str) -> Container | None:
        """Ask for one container now, by name or id, and tell what changed; None where there is none."""
        return await self._look(name, "call", None)

    async def _follow(self) -> None:
        version = await self._engine.version()
        begun = trio.Event()
        async with trio.open_nursery() as nursery:

            async def events() -> None:
                await self._engine.events(self._take, started=begun.set)

            nursery.start_soon(events, name="docker events")
            nursery.start_soon(self._watch_over, name="docker ping")
            # What happens from here on is told; a list can only be too old by what will be told.
            await begun.wait()
            await self._look_at_all()
            up = EngineStatus(state="up", kind=version.kind, version=version.version, since_at=self._containers.now())
            self._containers.set_engine(up)
            for number in range(LOOKS_AT_ONCE):
                nursery.start_soon(self._look_at_dirty, name=f"docker look {number}")
            while True:
                await trio.sleep(self._reconcile_seconds)
                await self._look_at_all()

    async def _watch_over(self) -> None:
        """Notice an engine that holds its streams open and says nothing, and that it is back."""
        up = self._containers.engine_status
        while True:
            status = self._containers.engine_status
            # A frozen one takes a ping's whole time to say nothing.
            await trio.sleep(AGAIN_SECONDS if status.state == "frozen" else PING_EVERY_SECONDS)
            status = self._containers.engine_status
            try:
                await self._engine.ping()
            except EngineError as exc:
                if exc.trouble is not Trouble.FROZEN:
                    raise
                if status.state != "frozen":
                    up = status
                    self._containers.away(exc)
                continue
            if status.state == "frozen":
                await self._look_at_all()
                news = {"state": "up", "detail": None, "since_at": self._containers.now()}
                self._containers.set_engine(up.model_copy(update=news))

    def _take(self, event: ContainerEvent) -> None:
        self._containers.heard(event)
        self._dirty[event.container_id] = event
        self._wake.set()
        self._wake = trio.Event()

    async def _look_at_dirty(self) -> None:
        """Look at one container after the other. Several tasks do: an engine is slow with one that it is starting."""
        while True:
            container_id = next((one for one in self._dirty if one not in self._looking), None)
            if container_id is None:
                await self._wake.wait()
                continue
            event = self._dirty.pop(container_id)
            self._looking.add(container_id)
            try:
                await self._look(container_id, "event", event)
            except EngineError as exc:
                # What is not known now, the next look at everything tells.
                log.debug("the container %s could not be looked at: %s", container_id[:SHORT_ID], exc)
            finally:
                self._looking.discard(container_id)

    async def _look_at_all(self) -> None:
        waiting = [container.id for container in await self._engine.containers()]
        self._containers.keep_only(waiting)
        self._learned = {known: number for known, number in self._learned.items() if known in waiting}

        async def look() -> None:
            while waiting:
                await self._look(waiting.pop(), "list", None)

        async with trio.open_nursery() as nursery:
            for _ in range(min(LOOKS_AT_ONCE, len(waiting))):
                nursery.start_soon(look)

    async def _look(self, name: str, source: Source, event: ContainerEvent | None) -> Container | None:
        self._asked += 1
        asked = self._asked
        try:
            container = await self._engine.inspect(name)
        except EngineError as exc:
            if exc.trouble is not Trouble.MISSING:
                raise
            self._containers.forget(name, event)
            return None
        # Two may ask at once. Who asked later knows it as it is now, whichever answer comes first.
        if asked > self._learned.get(container.id, 0):
            self._learned[container.id] = asked
            self._containers.learn(container, source, event)
        return container


def _first(group: BaseExceptionGroup[EngineError]) -> EngineError:
    for exc in group.exceptions:
        if isinstance(exc, EngineError):
            return exc
        if isinstance(exc, BaseExceptionGroup):
            return _first(exc)
    raise AssertionError("a group without an error")
