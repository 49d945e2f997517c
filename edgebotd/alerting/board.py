"""The alerts that are open, as the store has them: opened, made worse or better, and resolved, each change once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgebotd.events import ALL, Alert
from edgebotd.hub.hub import Hub
from edgebotd.store.alerts import open_alerts
from edgebotd.store.database import Database
from edgebotd.store.deliveries import Severity


class Board:
    """One round's view. What is open is read anew by each `look`: others open and resolve alerts too."""

    def __init__(self, database: Database, hub: Hub, now: Callable[[], int], told: Callable[[], None]) -> None:
        self._database = database
        self._hub = hub
        self._now = now
        self._told = told
        self._open: dict[str, Alert] = {}

    async def look(self) -> None:
        """Read what is open."""
        self._open = {alert.alert_id: alert for alert in await self._database.read(open_alerts)}

    @property
    def open(self) -> Mapping[str, Alert]:
        """What is open, by id."""
        return self._open

    async def raise_alert(
        self, alert_id: str, severity: Severity, title: str, detail: str | None = None, *, bot_id: str | None = None
    ) -> None:
        """Open an alert, or make it worse or better; one that is open with this severity stays as it was told."""
        known = self._open.get(alert_id)
        if known is None or known.severity != severity:
            alert = Alert(
                alert_id=alert_id,
                bot_id=bot_id,
                severity=severity,
                state="open",
                title=title,
                detail=detail,
                at=self._now(),
            )
            await self._tell(alert)
            self._open[alert_id] = alert

    async def resolve(self, alert_id: str, title: str, detail: str | None = None) -> None:
        """Resolve an alert, if it is open."""
        known = self._open.get(alert_id)
        if known is not None:
            news = {"state": "resolved", "title": title, "detail": detail, "at": self._now()}
            await self._tell(known.model_copy(update=news))
            del self._open[alert_id]

    async def _tell(self, alert: Alert) -> None:
        await self._hub.transact(lambda tx: tx.emit(alert.bot_id or ALL, alert))
        self._told()
