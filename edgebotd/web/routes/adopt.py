"""Gateways that somebody else set up: what looks like one, and adopting it."""

from __future__ import annotations

import dataclasses

from edgebotd.docker.adopt import AdoptRequest
from edgebotd.docker.candidates import AdoptableList
from edgebotd.web.route import Call, Route, route
from edgebotd.web.routes.operations import OperationRoutes, OperationRow
from edgebotd.web.services import Services


class AdoptRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._adopting = services.docker.adopting
        self._row = OperationRoutes(services).row

    def routes(self) -> list[Route]:
        """Return the rows."""
        return [
            route("GET", "/api/adoptable", self.list_adoptable),
            route("POST", "/api/bots/adopt", self.adopt, status=202),
        ]

    async def list_adoptable(self, call: Call) -> AdoptableList:
        """List what looks like an OpenClaw gateway, in the engine's containers and on this machine itself."""
        return await self._adopting.candidates.all()

    async def adopt(self, call: Call, body: AdoptRequest) -> OperationRow:
        """Begin to adopt a gateway: connect to it and pair. Nothing about how it runs is changed."""
        return self._row(await self._adopting.begin(body, dataclasses.asdict(call.actor)))
