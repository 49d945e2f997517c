"""GitHub's `copilot_internal/user`: quotas of a month, of which a paid plan has other names than a free one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from edgebotd.protocol.fields import mapping
from edgebotd.protocol.usage.model import Billing, UnreadableUsage, Usage, Window
from edgebotd.protocol.usage.reading import ahead, distinct, number, percent, share, slug, text

_LABELS: Final = {"premium_interactions": "Premium requests", "chat": "Chat", "completions": "Completions"}


def read_copilot(answer: Mapping[str, Any], now: int) -> Usage:
    """Read an answer.

    Raises:
        UnreadableUsage: it has none of the members.
    """
    snapshots, left = mapping(answer.get("quota_snapshots")), mapping(answer.get("limited_user_quotas"))
    plan = text(answer.get("copilot_plan"))
    if not snapshots and not left and plan is None:
        raise UnreadableUsage("the answer has no quotas that are known of Copilot")
    names = ("quota_reset_date_utc", "quota_reset_date", "limited_user_reset_date")
    resets_at = next((at for name in names if (at := ahead(answer.get(name), now)) is not None), None)
    windows = [*_snapshots(snapshots, resets_at), *_limited(left, mapping(answer.get("monthly_quotas")), resets_at)]
    return Usage(distinct(windows), tuple(_overage(snapshots)), plan)


def _snapshots(snapshots: Mapping[str, Any], resets_at: int | None) -> Iterator[Window]:
    for name, value in snapshots.items():
        quota = mapping(value)
        entitlement = number(quota.get("entitlement"))
        # One of 0 is a place for a quota that the plan does not have.
        if quota.get("unlimited") is True or entitlement == 0:
            continue
        left = number(quota.get("percent_remaining"))
        used = percent(100 - left) if left is not None else _used(quota.get("remaining"), entitlement)
        if used is not None:
            yield _window(name, used, resets_at)


def _limited(left: Mapping[str, Any], quotas: Mapping[str, Any], resets_at: int | None) -> Iterator[Window]:
    for name, value in left.items():
        used = _used(value, number(quotas.get(name)))
        if used is not None:
            yield _window(name, used, resets_at)


def _used(remaining: object, entitlement: float | None) -> float | None:
    left = number(remaining)
    return None if left is None or entitlement is None else share(entitlement - left, entitlement)


def _window(name: str, used: float, resets_at: int | None) -> Window:
    label = _LABELS.get(name) or (text(name.replace("_", " ")) or "quota").capitalize()
    return Window(slug(name), label, used, _month_before(resets_at), resets_at)


def _month_before(resets_at: int | None) -> int | None:
    """Return how long the month is that ends then."""
    if resets_at is None:
        return None
    end = datetime.fromtimestamp(resets_at / 1000, UTC)
    year, month = (end.year, end.month - 1) if end.month > 1 else (end.year - 1, 12)
    if year < 1:
        return None
    return round((end.replace(day=1) - end.replace(year=year, month=month, day=1)).total_seconds())


def _overage(snapshots: Mapping[str, Any]) -> Iterator[Billing]:
    over = number(mapping(snapshots.get("premium_interactions")).get("overage_count"))
    if over is not None and over > 0:
        yield Billing("spend", "requests", used=over, period="month")
