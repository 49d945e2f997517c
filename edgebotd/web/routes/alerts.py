"""What needs a person now, where that is sent, and whether it arrives; the channel's `alert` goes on from there."""

from __future__ import annotations

from typing import Literal

from edgebotd.alerting.channels import Channel
from edgebotd.errors import NotFound, Problem
from edgebotd.events import Alert, AtMs, BotId, Model
from edgebotd.events.catalogue import CATALOGUE
from edgebotd.people.audit import entry
from edgebotd.store.alerts import open_alerts
from edgebotd.web.route import Call, Route, route
from edgebotd.web.services import Services


class Alerts(Model):
    """Newest first."""

    items: list[Alert]


class LastDelivery(Model):
    """The message that was sent last, or failed for good."""

    state: Literal["sent", "failed"]
    kind: Literal["open", "resolved", "summary"]
    at: AtMs
    attempts: int
    error: str | None = None


class AlertChannel(Model):
    """Where alerts are sent.

    Attributes:
        where: the server without a path, of Apprise the scheme: the rest may be a key.
        quiet_until: when the quiet hours end that it is now, null outside of them.
        waiting: messages that are to be sent.
        held: messages that quiet hours keep back.
        error: why what waits has not arrived at the last attempt; since_at: since when it waits.
    """

    id: str
    name: str
    kind: Literal["webhook", "ntfy", "apprise"]
    where: str
    min_severity: Literal["info", "warning", "critical"]
    bots: tuple[BotId, ...]
    quiet: str | None = None
    timezone: str | None = None
    critical_passes: bool
    quiet_until: AtMs | None = None
    waiting: int
    held: int
    last: LastDelivery | None = None
    error: str | None = None
    since_at: AtMs | None = None


class AlertChannels(Model):
    """In the order of the settings."""

    items: list[AlertChannel]


class AlertRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """Return the rows."""
        return [
            route("GET", "/api/alerts", self.list_alerts),
            route("GET", "/api/alerts/channels", self.list_channels),
            route("POST", "/api/alerts/channels/{channel_id}/test", self.test),
        ]

    async def list_alerts(self, call: Call) -> Alerts:
        """List what needs a person: of one's own bots, for administrators of the whole house."""
        allowed, viewer = CATALOGUE["alert"].allowed, call.principal.access_class()
        assert allowed is not None
        # An alert may outlive its bot.
        there = {None, *(bot.bot_id for bot in self._services.registry.listed(call.principal))}
        found = await self._services.database.read(open_alerts)
        return Alerts(items=[alert for alert in found if allowed(alert, viewer) and alert.bot_id in there])

    async def list_channels(self, call: Call) -> AlertChannels:
        """List where alerts are sent, and whether they arrive."""
        return AlertChannels(items=[_shown(channel) for channel in await self._services.alert_channels.all()])

    async def test(self, call: Call) -> None:
        """Send a test message by a channel, and wait until it has arrived."""
        channel_id = call.parameters["channel_id"]
        failed: Problem | None = None
        try:
            await self._services.alert_channels.test(channel_id)
        except NotFound:
            raise
        except Problem as problem:
            failed = problem
        act = entry(call.actor, self._services.now(), "alert.test", channel_id, arrived=failed is None)
        await self._services.people.audit(act)
        if failed is not None:
            raise failed


def _shown(channel: Channel) -> AlertChannel:
    settings, last = channel.settings, channel.last
    told = None
    if last is not None and last.ended_at is not None and last.state in ("sent", "failed"):
        told = LastDelivery(
            state="sent" if last.state == "sent" else "failed",
            kind=last.kind,
            at=last.ended_at,
            attempts=last.attempts,
            error=last.error,
        )
    return AlertChannel(
        id=channel.id,
        name=settings.name or channel.id,
        kind=settings.kind,
        where=channel.where,
        min_severity=settings.min_severity,
        bots=settings.bots,
        quiet=settings.quiet,
        timezone=settings.timezone,
        critical_passes=settings.critical_passes,
        quiet_until=channel.quiet_until,
        waiting=channel.waiting,
        held=channel.held,
        last=told,
        error=channel.error,
        since_at=channel.since_at,
    )
