"""OpenRouter's `/api/v1/key` (what a key may spend) and `/api/v1/credits` (what the account has)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from edgebotd.protocol.fields import mapping
from edgebotd.protocol.usage.model import Billing, UnreadableUsage, Usage, Window
from edgebotd.protocol.usage.reading import DAY, WEEK, number, share, text

_UNIT: Final = "USD"
_PERIODS: Final = {"daily": "day", "weekly": "week", "monthly": "month"}


def read_openrouter(answer: Mapping[str, Any], now: int) -> Usage:
    """Read an answer of either of the two.

    Raises:
        UnreadableUsage: it is neither.
    """
    data = mapping(answer.get("data"))
    total, spent = number(data.get("total_credits")), number(data.get("total_usage"))
    if total is not None and spent is not None:
        return Usage(billing=(Billing("balance", _UNIT, amount=round(total - spent, 6)),))
    used, limit, left = (number(data.get(name)) for name in ("usage", "limit", "limit_remaining"))
    if used is None:
        raise UnreadableUsage("the answer is neither of a key nor of credits of OpenRouter")
    plan = "free" if data.get("is_free_tier") is True else None
    if limit is None or limit <= 0:
        return Usage(billing=(Billing("spend", _UNIT, used=used),), plan=plan)
    period = _PERIODS.get((text(data.get("limit_reset")) or "").lower())
    # `usage` is of all time, so that of a limit which starts anew only what is left says how much is used.
    of_limit = limit - left if left is not None else used if period is None else None
    if of_limit is None:
        return Usage(billing=(Billing("spend", _UNIT, used=used),), plan=plan)
    billing = Billing("budget", _UNIT, used=max(0.0, round(of_limit, 6)), limit=limit, period=period)
    percent = share(of_limit, limit)
    begins, ends = _period(period, now)
    seconds = None if begins is None or ends is None else (ends - begins) // 1000
    windows = () if percent is None else (Window("key", "Limit of the key", percent, seconds, ends),)
    return Usage(windows, (billing,), plan)


def _period(period: str | None, now: int) -> tuple[int | None, int | None]:
    """Return begin and end of the present one; they change at midnight UTC, weeks on Mondays."""
    try:
        today = datetime.fromtimestamp(now / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if period == "day":
            return _ms(today), _ms(today + timedelta(seconds=DAY))
        if period == "week":
            monday = today - timedelta(days=today.weekday())
            return _ms(monday), _ms(monday + timedelta(seconds=WEEK))
        if period == "month":
            first = today.replace(day=1)
            return _ms(first), _ms((first + timedelta(days=32)).replace(day=1))
    except (OverflowError, ValueError):  # at the ends of the calendar
        pass
    return None, None


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
