"""How much of each account is used, and how it came to that. Whoever sees a bot sees the windows of its logins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from pydantic import Field

from edgebotd.access import Principal
from edgebotd.errors import NotFound
from edgebotd.events import AtMs, AuthProfileUsage, Model
from edgebotd.events.catalogue import CATALOGUE
from edgebotd.people.audit import entry
from edgebotd.store.usage import Point
from edgebotd.web.metrics import LabelledFigures
from edgebotd.web.route import Call, Route, route
from edgebotd.web.services import Services

DAY_MS: Final = 86_400_000
MOST_POINTS: Final = 500
"""Of each window: more than a chart has pixels for each."""


class UsageList(Model):
    """By login; those of which nothing can be known are left out."""

    items: list[AuthProfileUsage]


class HistoryQuery(Model):
    """How far back, and of which window; all of them where it is not said."""

    days: Annotated[float, Field(gt=0, le=3660, allow_inf_nan=False)] = 7.0
    window: Annotated[str, Field(max_length=200)] | None = None


class UsagePoint(Model):
    """How much of a window was used at a time."""

    at: AtMs
    used_percent: float
    resets_at: AtMs | None


class WindowHistory(Model):
    """Oldest first. Of a long time the highest values are given, so that no peak is lost."""

    id: str
    label: str
    points: list[UsagePoint]


class UsageHistory(Model):
    """By window."""

    since_at: AtMs
    windows: list[WindowHistory]


class ProfileUsageRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._usage = services.profiles.usage

    def routes(self) -> list[Route]:
        """Return the rows."""
        one = "/api/profiles/{profile_id}"
        return [
            route("GET", "/api/usage", self.list_usage),
            route("GET", one + "/usage", self.show),
            route("POST", one + "/usage", self.ask_now),
            route("GET", one + "/usage/history", self.history),
        ]

    async def list_usage(self, call: Call) -> UsageList:
        """List how much of each account is used: an administrator all, others those that their bots use."""
        seen = (_seen(event, call.principal) for event in self._usage.all())
        return UsageList(items=[event for event in seen if event is not None])

    async def show(self, call: Call) -> AuthProfileUsage:
        """Show how much of an account is used, as it was last learned."""
        return self._of(call)

    async def ask_now(self, call: Call) -> AuthProfileUsage:
        """Ask how much of an account is used now, unless that is too soon, and show what is known then."""
        profile_id = call.parameters["profile_id"]
        event = await self._usage.ask_now(profile_id)
        act = entry(call.actor, self._services.now(), "profile.usage", profile_id)
        await self._services.people.audit(act)
        return event

    async def history(self, call: Call, query: HistoryQuery) -> UsageHistory:
        """Show how the windows of an account came to what they are."""
        event = self._of(call)
        since_at = max(0, self._services.now() - round(query.days * DAY_MS))
        found = await self._usage.history(event.profile_id, since_at, query.window)
        labels = {window.id: window.label for window in event.windows}
        return UsageHistory(
            since_at=since_at,
            windows=[
                WindowHistory(id=name, label=labels.get(name, name), points=_drawn(points))
                for name, points in found.items()
            ],
        )

    def _of(self, call: Call) -> AuthProfileUsage:
        profile_id = call.parameters["profile_id"]
        event = _seen(self._usage.of(profile_id), call.principal)
        if event is None:
            raise NotFound("login", profile_id)
        return event


def _seen(event: AuthProfileUsage, principal: Principal) -> AuthProfileUsage | None:
    """Return what the stream would tell somebody."""
    view = CATALOGUE[event.type].view
    assert view is not None
    seen = view(event, principal.access_class())
    assert seen is None or isinstance(seen, AuthProfileUsage)
    return seen


def _drawn(points: Sequence[Point]) -> list[UsagePoint]:
    """Return as many points as can be drawn, the first and the last among them."""
    each = -(-len(points) // MOST_POINTS)
    groups = [points[start : start + each] for start in range(0, len(points), max(1, each))]
    chosen = [max(group, key=lambda point: (point.used_percent, point.at)) for group in groups]
    if chosen:
        chosen[0], chosen[-1] = points[0], points[-1]
    return [UsagePoint(at=one.at, used_percent=one.used_percent, resets_at=one.resets_at) for one in chosen]


def usage_figures(services: Services) -> LabelledFigures:
    """Return what Prometheus is told, by login and window; not whose it is, nor what it costs."""
    used: dict[tuple[str, ...], float] = {}
    resets: dict[tuple[str, ...], float] = {}
    fetched: dict[tuple[str, ...], float] = {}
    failing: dict[tuple[str, ...], float] = {}
    for event in services.profiles.usage.all():
        failing[event.profile_id, ""] = float(event.error is not None and event.error.kind != "unsupported")
        if event.fetched_at is not None:
            fetched[event.profile_id, ""] = event.fetched_at / 1000
        for window in event.windows:
            used[event.profile_id, window.id] = window.used_percent
            if window.resets_at is not None:
                resets[event.profile_id, window.id] = window.resets_at / 1000
    figures: Mapping[str, Mapping[tuple[str, ...], float]] = {
        "edgebotd_account_used_percent": used,
        "edgebotd_account_resets_timestamp_seconds": resets,
        "edgebotd_account_usage_fetched_timestamp_seconds": fetched,
        "edgebotd_account_usage_failing": failing,
    }
    return figures
