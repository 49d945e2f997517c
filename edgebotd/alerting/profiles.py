"""Logins at providers: windows that fill up, refreshes that keep failing. Of dead logins the refresher itself tells."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Final

from edgebotd.alerting.board import Board
from edgebotd.alerting.intake import RANK
from edgebotd.config import AlertsSettings
from edgebotd.events import AuthProfileUsage, UsageWindow
from edgebotd.store import profiles
from edgebotd.store.database import Database
from edgebotd.store.deliveries import Severity
from edgebotd.store.profiles import Profile

OWN: Final = frozenset({"login", "refresh"})
"""What ends a profile's alert that is about no window."""


def level(
    used: float, thresholds: Mapping[Severity, float], before: Severity | None, hysteresis: float
) -> Severity | None:
    """Return how severe a window's use is, None where it is not.

    Args:
        before: how severe it was; so much is given up only as far below its threshold.
    """
    for severity, threshold in sorted(thresholds.items(), key=lambda one: -RANK[one[0]]):
        reached = before is not None and RANK[severity] <= RANK[before]
        if used >= threshold - (hysteresis if reached else 0):
            return severity
    return None


class UsageRule:
    """Opens and resolves `profile:<id>:<window>`.

    Whoever publishes `auth-profiles:usage-updated` hands each event to `take`, at the start what is stored too: alerts
    of windows that nobody tells of stay as they are.
    """

    def __init__(self, board: Board, settings: AlertsSettings, zone: tzinfo, now: Callable[[], int]) -> None:
        self._board = board
        self._thresholds: dict[Severity, float] = {
            "info": settings.usage_info_percent,
            "warning": settings.usage_warning_percent,
            "critical": settings.usage_critical_percent,
        }
        self._hysteresis = settings.usage_hysteresis_percent
        self._zone = zone
        self._now = now
        self._newest: dict[str, AuthProfileUsage] = {}

    def take(self, event: AuthProfileUsage) -> None:
        """Take how much of an account is used. Looked at in the next round."""
        self._newest[event.profile_id] = event

    async def look(self) -> None:
        """Do one round."""
        for event in list(self._newest.values()):
            names = {f"profile:{event.profile_id}:{window.id}" for window in event.windows}
            for window in event.windows:
                await self._look_at(event.profile_id, window)
            for alert_id in list(self._board.open):
                # Ids of logins and of windows may both hold a colon.
                name = alert_id.removeprefix(f"profile:{event.profile_id}:")
                if name != alert_id and name not in OWN and alert_id not in names:
                    words = "has no window" if event.fetched_at is not None else "tells nothing of"
                    await self._board.resolve(alert_id, f"{event.profile_id} {words} {name} any more")

    def forget(self, profile_id: str) -> None:
        """Forget an account that is gone."""
        self._newest.pop(profile_id, None)

    async def _look_at(self, profile_id: str, window: UsageWindow) -> None:
        alert_id = f"profile:{profile_id}:{window.id}"
        if window.resets_at is not None and window.resets_at <= self._now():
            # Whatever was read before, it is of the window that is over.
            await self._board.resolve(alert_id, f"{profile_id}: {window.label} has started anew")
            return
        known = self._board.open.get(alert_id)
        severity = level(
            window.used_percent, self._thresholds, None if known is None else known.severity, self._hysteresis
        )
        if severity is None:
            await self._board.resolve(alert_id, f"{profile_id}: {window.label} is used to {window.used_percent:.0f} %")
            return
        threshold = self._thresholds[severity]
        title = f"{profile_id}: {threshold:.0f} % of {window.label} is used"
        detail = None
        if window.resets_at is not None:
            at = datetime.fromtimestamp(window.resets_at / 1000, self._zone)
            detail = f"It starts anew on {at:%a %d %b at %H:%M %Z}."
        await self._board.raise_alert(alert_id, severity, title, detail)


class RefreshRule:
    """Opens and resolves `profile:<id>:refresh`, and resolves all of a profile that is gone."""

    def __init__(
        self,
        board: Board,
        database: Database,
        settings: AlertsSettings,
        now: Callable[[], int],
        forget: Callable[[str], None],
    ) -> None:
        self._board = board
        self._database = database
        self._attempts = settings.refresh_attempts
        self._now = now
        self._forget = forget

    async def look(self) -> None:
        """Do one round."""
        known = {profile.id: profile for profile in await self._database.read(_all)}
        for profile in known.values():
            await self._look_at(profile)
        for alert_id in list(self._board.open):
            if not alert_id.startswith("profile:") or any(alert_id.startswith(f"profile:{one}:") for one in known):
                continue
            profile_id = ":".join(alert_id.split(":")[1:3])  # `<provider>:<name>`
            self._forget(profile_id)
            await self._board.resolve(alert_id, f"{profile_id} was removed")

    async def _look_at(self, profile: Profile) -> None:
        alert_id = f"profile:{profile.id}:refresh"
        failing = profile.state in ("backoff", "uncertain", "misconfigured") or (
            profile.state == "refreshing" and profile.attempts > 0
        )
        expired = failing and profile.expires_at is not None and profile.expires_at <= self._now()
        if expired:
            title = f"{profile.id} cannot be refreshed and has expired"
            await self._board.raise_alert(alert_id, "critical", title, _detail(profile))
        elif failing and (profile.attempts >= self._attempts or profile.state == "misconfigured"):
            title = f"{profile.id} cannot be refreshed; its token is still good"
            await self._board.raise_alert(alert_id, "warning", title, _detail(profile))
        elif not failing:
            needs = profile.state == "needs_login"
            words = "needs a login now" if needs else "is refreshed again"
            # Else a channel would say that nothing is left to do.
            detail = "That has an alert of its own: somebody has to log in." if needs else None
            await self._board.resolve(alert_id, f"{profile.id} {words}", detail)


def _detail(profile: Profile) -> str:
    wrong = profile.state == "misconfigured"
    todo = "Change the provider's settings and restart." if wrong else "It is tried again by itself."
    return " ".join(filter(None, (profile.reason, todo)))


def _all(conn: sqlite3.Connection) -> list[Profile]:
    return profiles.all_profiles(conn)
