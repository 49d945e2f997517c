"""Taking over an adopted container: from then on edgebotd knows what to make it from, and may be asked to.

The container itself stays as it is; recreating it is an act of its own.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

from pydantic import Field

from edgebotd.config import DockerSettings
from edgebotd.docker.containers import Containers
from edgebotd.docker.drift import look_around
from edgebotd.docker.spec_from import Plan, plan
from edgebotd.errors import Conflict, Problem
from edgebotd.events import Model
from edgebotd.store import containers as rows
from edgebotd.store.containers import StoredContainer
from edgebotd.store.database import Database


class TakeOverRequest(Model):
    """Take a container over. `accepted`: everything that it would lose when it is made anew, word for word."""

    accepted: Annotated[tuple[Annotated[str, Field(max_length=2000)], ...], Field(max_length=200)] = ()


class TakeOverPlan(Model):
    """What an adopted container would keep and lose when it is made anew, and what has to be done before that."""

    keeps: tuple[str, ...] = ()
    loses: tuple[str, ...] = ()
    obstacles: tuple[str, ...] = ()
    taken: bool = False


class Taking:
    """Made by `open_docker`."""

    def __init__(self, database: Database, containers: Containers, settings: DockerSettings) -> None:
        self._database = database
        self._containers = containers
        self._settings = settings

    async def plan(self, bot_id: str) -> TakeOverPlan:
        """Say what it would come to.

        Raises:
            Problem: 404, the bot has no adopted container.
            EngineError: the engine is away, or has no such container.
        """
        stored = await self._stored(bot_id)
        return TakeOverPlan(taken=True) if stored.spec else _told(await self._planned(stored))

    async def take(self, bot_id: str, request: TakeOverRequest) -> TakeOverPlan:
        """Remember what the container would be made from; one that is taken over already is left as it is.

        Raises:
            Conflict: something has to be done before, or more would be lost than was accepted.
        """
        stored = await self._stored(bot_id)
        if stored.spec:
            return TakeOverPlan(taken=True)
        found = await self._planned(stored)
        if found.spec is None:
            raise Conflict("not_takeable", " ".join(found.obstacles))
        if more := [text for text in found.loses if text not in request.accepted]:
            raise Conflict("would_lose", f"Made anew, it would be otherwise: {' '.join(more)}")
        spec = found.spec.model_dump(mode="json")
        changed = dataclasses.replace(stored, spec=spec, changed_at=self._containers.now())
        await self._database.write(lambda tx: rows.put(tx.connection, changed))
        return _told(found).model_copy(update={"taken": True})

    async def _stored(self, bot_id: str) -> StoredContainer:
        stored = await self._database.read(lambda conn: rows.get(conn, bot_id))
        if stored is None or stored.origin == "file":
            raise Problem(404, "no_container", f"The bot '{bot_id}' has no container that was adopted.")
        return stored

    async def _planned(self, stored: StoredContainer) -> Plan:
        engine = self._containers.usable()
        container = await engine.inspect(stored.name)
        image = await engine.image(container.image_id)
        around = await look_around(engine, container)
        # A limit that the container does not have comes from the settings, which may be meant for a larger machine.
        most = await engine.processors() or self._settings.cpus
        settings = self._settings.model_copy(update={"cpus": min(self._settings.cpus, most)})
        return plan(container, image, bot_id=stored.bot_id, settings=settings, around=around)


def _told(found: Plan) -> TakeOverPlan:
    return TakeOverPlan(keeps=found.keeps, loses=found.loses, obstacles=found.obstacles)
