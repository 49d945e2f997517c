"""Gateways that somebody else set up: what looks like one, and adopting it."""

from __future__ import annotations

import dataclasses

from edgebotd.docker.adopt import AdoptRequest
from edgebotd.docker.candidates import AdoptableList
from edgebotd.events import BotId, Model
from edgebotd.web.route import Call, Route, route
from edgebotd.web.services import Services


class AdoptAnswer(Model):
    """What has begun: `GET /api/operations/{operationId}` and `provision-log` tell how far it is."""

    operation_id: str
    bot_id: BotId


class AdoptRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """Return the rows."""
        return [
            route("GET", "/api/adoptable", self.list_adoptable),
            route("POST", "/api/bots/adopt", self.adopt, status=202),
        ]

    async def list_adoptable(self, call: Call) -> AdoptableList:
        """List what looks like an OpenClaw gateway, in the engine's containers and on this machine itself."""
        return await self._services.docker.adopting.candidates.all()

    async def adopt(self, call: Call, body: AdoptRequest) -> AdoptAnswer:
        """Begin to adopt a gateway: connect to it and pair. Nothing about how it runs is changed."""
        begun = await self._services.docker.adopting.begin(body, dataclasses.asdict(call.actor))
        return AdoptAnswer(operation_id=begun.id, bot_id=begun.bot_id)
