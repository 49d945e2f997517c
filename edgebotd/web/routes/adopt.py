"""Gateways that somebody else set up: what looks like one, and adopting it."""

from __future__ import annotations

import dataclasses

from edgebotd.docker.adopt import AdoptRequest
from edgebotd.docker.candidates import AdoptableList
from edgebotd.docker.taking import TakeOverPlan, TakeOverRequest
from edgebotd.people.audit import entry
from edgebotd.web.route import Call, Route, route
from edgebotd.web.routes.operations import OperationRoutes, OperationRow
from edgebotd.web.services import Services


class AdoptRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._adopting, self._taking = services.docker.adopting, services.docker.taking
        self._row = OperationRoutes(services).row

    def routes(self) -> list[Route]:
        """Return the rows."""
        return [
            route("GET", "/api/adoptable", self.list_adoptable),
            route("POST", "/api/bots/adopt", self.adopt, status=202),
            route("GET", "/api/bots/{bot_id}/container/take-over", self.plan),
            route("POST", "/api/bots/{bot_id}/container/take-over", self.take_over),
        ]

    async def list_adoptable(self, call: Call) -> AdoptableList:
        """List what looks like an OpenClaw gateway, in the engine's containers and on this machine itself."""
        return await self._adopting.candidates.all()

    async def adopt(self, call: Call, body: AdoptRequest) -> OperationRow:
        """Begin to adopt a gateway: connect to it and pair. Nothing about how it runs is changed."""
        return self._row(await self._adopting.begin(body, dataclasses.asdict(call.actor)))

    async def plan(self, call: Call) -> TakeOverPlan:
        """Say what an adopted container would keep and lose when it is made anew."""
        return await self._taking.plan(call.parameters["bot_id"])

    async def take_over(self, call: Call, body: TakeOverRequest) -> TakeOverPlan:
        """Take an adopted container over, so that it can be recreated; it stays as it is until that is asked for."""
        bot_id = call.parameters["bot_id"]
        taken = await self._taking.take(bot_id, body)
        note = entry(call.actor, self._services.now(), "bot.take-over", bot_id, bot_id=bot_id)
        await self._services.people.audit(note)
        return taken
