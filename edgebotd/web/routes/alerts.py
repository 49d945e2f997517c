"""What needs a person now; the channel's `alert` goes on from there."""

from __future__ import annotations

from edgebotd.events import Alert, Model
from edgebotd.events.catalogue import CATALOGUE
from edgebotd.store.alerts import open_alerts
from edgebotd.web.route import Call, Route, route
from edgebotd.web.services import Services


class Alerts(Model):
    """Newest first."""

    items: list[Alert]


class AlertRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """Return the rows."""
        return [route("GET", "/api/alerts", self.list_alerts)]

    async def list_alerts(self, call: Call) -> Alerts:
        """List what needs a person: of one's own bots, for administrators of the whole house."""
        allowed, viewer = CATALOGUE["alert"].allowed, call.principal.access_class()
        assert allowed is not None
        # An alert may outlive its bot.
        there = {None, *(bot.bot_id for bot in self._services.registry.listed(call.principal))}
        found = await self._services.database.read(open_alerts)
        return Alerts(items=[alert for alert in found if allowed(alert, viewer) and alert.bot_id in there])
