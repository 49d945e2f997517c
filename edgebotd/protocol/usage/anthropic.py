"""Anthropic's `/api/oauth/usage`: one member for each limit, and in newer answers a list of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from edgebotd.protocol.fields import mapping, objects
from edgebotd.protocol.usage.model import Billing, UnreadableUsage, Usage, Window
from edgebotd.protocol.usage.reading import HOUR, WEEK, ahead, distinct, number, percent, slug, text

_PERIODS: Final = (("five_hour", 5 * HOUR, "5 hours"), ("seven_day", WEEK, "7 days"))
_CENTS: Final = 100


def read_anthropic(answer: Mapping[str, Any], now: int) -> Usage:
    """Read an answer.

    Raises:
        UnreadableUsage: it has none of the members.
    """
    known = any(key == "limits" or key.startswith(("five_hour", "seven_day")) for key in answer)
    if not known and "extra_usage" not in answer:
        raise UnreadableUsage("the answer has no limits that are known of Anthropic")
    windows = distinct((*_members(answer, now), *_limits(answer, now)))
    return Usage(windows, _extra(mapping(answer.get("extra_usage"))), text(answer.get("plan")))


def _members(answer: Mapping[str, Any], now: int) -> Iterator[Window]:
    for key, value in answer.items():
        used = percent(mapping(value).get("utilization"))
        if key == "extra_usage" or used is None:
            continue
        resets_at = ahead(mapping(value).get("resets_at"), now)
        for start, seconds, label in _PERIODS:
            if key == start:
                yield Window(key, label, used, seconds, resets_at)
            elif key.startswith(start + "_"):
                scope = key.removeprefix(start + "_").replace("_", " ").capitalize()
                yield Window(_id(start, scope), f"{label}, {scope}", used, seconds, resets_at, scope)
            else:
                continue
            break
        else:
            # A limit that is not known yet is shown all the same.
            name = text(key.replace("_", " ")) or "limit"
            yield Window(slug(key), name.capitalize(), used, None, resets_at)


def _limits(answer: Mapping[str, Any], now: int) -> Iterator[Window]:
    for limit in objects(answer.get("limits")):
        used = percent(limit.get("percent"))
        if used is None or limit.get("is_active") is False:
            continue
        scope = mapping(mapping(limit.get("scope")).get("model"))
        model = text(scope.get("display_name")) or text(scope.get("id"))
        kind = f"{text(limit.get('kind')) or ''} {text(limit.get('group')) or ''}".lower()
        resets_at = ahead(limit.get("resets_at"), now)
        if "session" in kind or "five_hour" in kind:
            start, seconds, label = _PERIODS[0]
        elif "week" in kind or "seven_day" in kind:
            start, seconds, label = _PERIODS[1]
        else:
            name = text(limit.get("kind")) or "limit"
            yield Window(_id(slug(name), model), _label(name.replace("_", " "), model), used, None, resets_at, model)
            continue
        # With the ids of the members, so that a limit that moved over goes on in its history, and is there once.
        yield Window(_id(start, model), _label(label, model), used, seconds, resets_at, model)


def _id(start: str, scope: str | None) -> str:
    return start if scope is None else f"{start}_{slug(scope)}"


def _label(label: str, scope: str | None) -> str:
    return label if scope is None else f"{label}, {scope}"


def _extra(extra: Mapping[str, Any]) -> tuple[Billing, ...]:
    used, limit = number(extra.get("used_credits")), number(extra.get("monthly_limit"))
    if extra.get("is_enabled") is not True or used is None or used < 0:
        return ()
    unit = (text(extra.get("currency")) or "USD").upper()
    # A limit of 0 or null is none.
    if limit is None or limit <= 0:
        return (Billing("spend", unit, used=used / _CENTS, period="month"),)
    return (Billing("budget", unit, used=used / _CENTS, limit=limit / _CENTS, period="month"),)
