"""Holds the bots' containers against the profile and their specs, now and then and when one is another: what is found
is shown. Nothing is done about it: a bot that works is worth more than a rule.
"""

from __future__ import annotations

import logging
from typing import Final

import trio
from pydantic import ValidationError

from edgebotd.config import DockerSettings
from edgebotd.docker.containers import Change, Containers
from edgebotd.docker.engine import Engine
from edgebotd.docker.errors import EngineError
from edgebotd.docker.spec import Spec
from edgebotd.docker.violations import Around, mounts_of, violations
from edgebotd.protocol.docker.containers import Container
from edgebotd.protocol.fields import mapping, string
from edgebotd.store import containers as rows
from edgebotd.store.containers import StoredContainer
from edgebotd.store.database import Database

log = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 180.0
"""Between two looks at everything. What has changed is looked at when it does."""


class Drift:
    """Made by `open_docker`; `run` is a job of the supervisor's."""

    def __init__(self, database: Database, containers: Containers, settings: DockerSettings) -> None:
        self._database = database
        self._containers = containers
        self._settings = settings
        self._changed: set[str] = set()
        self._wake = trio.Event()
        containers.subscribe(self._take)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            stored = await self._database.read(rows.all_containers)
            for one in stored:
                await self._look(one)
            with trio.move_on_after(PERIOD_SECONDS):
                while True:
                    await self._wake.wait()
                    self._wake, changed, self._changed = trio.Event(), self._changed, set()
                    for one in await self._database.read(rows.all_containers):
                        if one.bot_id in changed:
                            await self._look(one)

    def _take(self, change: Change) -> None:
        if change.now is None:
            return
        before = change.before
        other = before is None or before.container_id != change.now.container_id
        # Work on a container is not held against it before it is over.
        done = before is not None and before.doing is not None and change.now.doing is None
        began = before is not None and before.state != "running" and change.now.state == "running"
        if other or done or began:
            self._changed.add(change.bot_id)
            self._wake.set()

    async def _look(self, stored: StoredContainer) -> None:
        status = self._containers.of_bot(stored.bot_id)
        if status is None or status.doing is not None:
            return
        engine, container = self._containers.engine, self._containers.container_of(stored.bot_id)
        found: tuple[str, ...] = ()
        if container is not None and engine is not None:
            try:
                around = await look_around(engine, container)
            except EngineError as exc:
                # The engine's state is told by itself; what was found before stands.
                log.debug("what is around the container of %s could not be looked at: %s", stored.bot_id, exc)
                return
            found = violations(
                container, bot_id=stored.bot_id, settings=self._settings, spec=spec_of(stored), around=around
            )
        if found != status.drift:
            for text in found:
                if text not in status.drift:
                    log.warning("the container of %s is not as it should be: %s", stored.bot_id, text)
            self._containers.overlay(stored.bot_id, drift=found)


def spec_of(stored: StoredContainer) -> Spec | None:
    """Return what a bot's container is made from; None where edgebotd did not make it."""
    if not stored.spec:
        return None
    try:
        return Spec.model_validate(stored.spec)
    except ValidationError:
        log.warning("what the container of %s is made from cannot be read; a newer edgebotd wrote it", stored.bot_id)
        return None


async def look_around(engine: Engine, container: Container) -> Around:
    """Ask for what an inspection does not tell. Raises `EngineError`."""
    user: str | None = None
    try:
        user = string((await engine.image(container.image_id)).config.get("User")) or ""
    except EngineError as exc:
        # The image of a container may be gone, under that name or altogether.
        if exc.passing:
            raise
    disguised = {}
    for name in {mount.source for mount in mounts_of(container) if mount.kind == "volume" and mount.source}:
        try:
            options = mapping((await engine.volume(name)).get("Options"))
        except EngineError as exc:
            if exc.passing:
                raise
            continue
        if (device := string(options.get("device"))) is not None and device.startswith("/"):
            disguised[name] = device
    return Around(image_user=user, disguised=disguised)
