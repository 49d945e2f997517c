"""Alerts over a real store and hub, under virtual time, with channels that only remember."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import trio
from pydantic import SecretStr

from edgebotd.alerting.bots import BotsSeen
from edgebotd.alerting.house import Alerting, make_alerting
from edgebotd.alerting.message import Message
from edgebotd.alerting.senders import NotDelivered
from edgebotd.config import AlertChannelSettings, AlertsSettings
from edgebotd.events import ALL, Alert, BotState, BotSummary
from edgebotd.hub.hub import Hub
from edgebotd.store.alerts import open_alerts
from edgebotd.store.database import Database, open_database
from tests.web.house import Clock, open_hub_on

PAGE = "https://bots.example"


def channel(**settings: Any) -> AlertChannelSettings:
    return AlertChannelSettings(kind="webhook", url=SecretStr("https://hooks.example/x"), **settings)


@dataclass
class FakeSender:
    """Fails as it is told, first to last; then takes everything."""

    fails: list[NotDelivered] = field(default_factory=list)
    came: list[Message] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    began: float = field(default_factory=trio.current_time)

    async def send(self, message: Message) -> None:
        await trio.lowlevel.checkpoint()
        self.at.append(trio.current_time() - self.began)
        if self.fails:
            raise self.fails.pop(0)
        self.came.append(message)

    @property
    def words(self) -> list[tuple[str, str]]:
        return [(message.kind, message.title) for message in self.came]


@dataclass
class FakeBots:
    summaries: dict[str, BotSummary] = field(default_factory=dict)
    runs: dict[str, dict[str, int]] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)

    def set(self, bot_id: str, state: BotState, detail: str | None = None) -> None:
        self.summaries[bot_id] = BotSummary(
            bot_id=bot_id, state=state, since_at=1, name=bot_id.title(), kind="echo", detail=detail
        )

    @property
    def seen(self) -> BotsSeen:
        async def excused() -> set[str]:
            await trio.lowlevel.checkpoint()
            return self.away

        return BotsSeen(lambda: list(self.summaries.values()), lambda bot_id: self.runs.get(bot_id, {}), excused)


@dataclass
class House:
    database: Database
    hub: Hub
    clock: Clock
    senders: dict[str, FakeSender]
    bots: FakeBots
    alerting: Alerting

    async def tell(
        self,
        alert_id: str,
        state: Literal["open", "resolved"] = "open",
        severity: Literal["info", "warning", "critical"] = "warning",
        bot_id: str | None = None,
        *,
        wake: bool = True,
    ) -> None:
        """Have somebody in the house tell of an alert."""
        title, at = f"{alert_id} {state}", self.clock()
        alert = Alert(alert_id=alert_id, bot_id=bot_id, severity=severity, state=state, title=title, at=at)
        await self.hub.transact(lambda tx: tx.emit(bot_id or ALL, alert))
        if wake:
            self.alerting.outbox.wake()

    async def open(self) -> dict[str, Alert]:
        return {alert.alert_id: alert for alert in await self.database.read(open_alerts)}


@asynccontextmanager
async def open_house(
    settings: AlertsSettings, *, database: Database | None = None, run: bool = True, clock: Clock | None = None
) -> AsyncIterator[House]:
    """Open it, with the delivery running; over a database that an earlier life left, where one is given."""
    if database is None:
        async with open_database(None) as fresh, open_house(settings, database=fresh, run=run, clock=clock) as house:
            yield house
        return
    clock = clock or Clock()
    bots, senders = FakeBots(), {channel_id: FakeSender() for channel_id in settings.channels}
    async with open_hub_on(database, clock) as hub, trio.open_nursery() as nursery:
        alerting = make_alerting(
            database, hub, settings, bots.seen, page=PAGE, senders=senders, now=clock, rng=random.Random(1)
        )
        if run:
            nursery.start_soon(alerting.outbox.run)
        yield House(database, hub, clock, senders, bots, alerting)
        nursery.cancel_scope.cancel()
