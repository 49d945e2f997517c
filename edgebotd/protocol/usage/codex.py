"""OpenAI's `wham/usage`, by which Codex shows what is left of a ChatGPT plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgebotd.protocol.fields import mapping, objects
from edgebotd.protocol.usage.model import Billing, UnreadableUsage, Usage, Window
from edgebotd.protocol.usage.reading import ahead, distinct, number, percent, seconds_of, slug, span, text


def read_codex(answer: Mapping[str, Any], now: int) -> Usage:
    """Read an answer.

    Raises:
        UnreadableUsage: it has none of the members.
    """
    if not {"rate_limit", "plan_type", "additional_rate_limits", "credits"} & answer.keys():
        raise UnreadableUsage("the answer has no limits that are known of Codex")
    windows = [*_windows(mapping(answer.get("rate_limit")), None, now)]
    for more in objects(answer.get("additional_rate_limits")):
        name = text(more.get("limit_name")) or text(more.get("metered_feature")) or "Other"
        windows += _windows(mapping(more.get("rate_limit")), name, now)
    windows += _windows(mapping(answer.get("code_review_rate_limit")), "Code review", now)
    return Usage(distinct(windows), tuple(_billing(answer)), text(answer.get("plan_type")))


def _windows(rate_limit: Mapping[str, Any], scope: str | None, now: int) -> Iterator[Window]:
    for slot in ("primary", "secondary"):
        window = mapping(rate_limit.get(f"{slot}_window"))
        used = percent(window.get("used_percent"))
        if used is None:
            continue
        seconds = seconds_of(window.get("limit_window_seconds"))
        name, label = (slot, slot.capitalize()) if seconds is None else span(seconds)
        resets_at = ahead(window.get("reset_at"), now)
        if resets_at is None and (after := seconds_of(window.get("reset_after_seconds"))) is not None:
            resets_at = now + after * 1000
        if scope is not None:
            name, label = f"{slug(scope)}_{name}", f"{label}, {scope}"
        yield Window(name, label, used, seconds, resets_at, scope)


def _billing(answer: Mapping[str, Any]) -> Iterator[Billing]:
    credits = mapping(answer.get("credits"))
    balance = number(credits.get("balance"))
    # Without credits the balance is a 0 that nobody has spent down to.
    if balance is not None and credits.get("has_credits") is not False and credits.get("unlimited") is not True:
        yield Billing("balance", "credits", amount=balance)
    spend = mapping(mapping(answer.get("spend_control")).get("individual_limit"))
    used, limit, left = (number(spend.get(name)) for name in ("used", "limit", "remaining"))
    if used is None and limit is not None and left is not None:
        used = limit - left
    if used is not None and limit is not None and limit > 0:
        yield Billing("budget", text(spend.get("unit")) or "credits", used=max(0.0, used), limit=limit)
