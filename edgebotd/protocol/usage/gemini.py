"""Google's `retrieveUserQuota`, by which the Gemini CLI shows what is left: a bucket for each model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edgebotd.protocol.fields import objects
from edgebotd.protocol.usage.model import UnreadableUsage, Usage, Window
from edgebotd.protocol.usage.reading import ahead, distinct, number, percent, slug, text

_FAMILIES: Final = (("flash-lite", "Flash Lite"), ("flash", "Flash"), ("pro", "Pro"))
"""The longer name first: it holds the other."""


def read_gemini(answer: Mapping[str, Any], now: int) -> Usage:
    """Read an answer; of the models of a family the one counts of which least is left.

    Raises:
        UnreadableUsage: it has no buckets, or none of them says what is left.
    """
    if not isinstance(answer.get("buckets"), list):
        raise UnreadableUsage("the answer has no quotas that are known of Gemini")
    found: dict[str, Window] = {}
    buckets = list(objects(answer["buckets"]))
    for bucket in buckets:
        left = number(bucket.get("remainingFraction"))
        used = None if left is None else percent((1 - left) * 100)
        if used is None:
            continue
        model = (text(bucket.get("modelId")) or "other").lower()
        family = next(((name, label) for name, label in _FAMILIES if name in model), (model, model))
        window = Window(slug(family[0]), family[1], used, None, ahead(bucket.get("resetTime"), now), family[1])
        if window.id not in found or used > found[window.id].used_percent:
            found[window.id] = window
    if buckets and not found:
        raise UnreadableUsage("no quota in the answer says what is left of it")
    return Usage(distinct(found.values()))
