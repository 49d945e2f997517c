"""What the readers of all providers share: numbers that may be strings, times in four spellings, names of windows."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from edgebotd.protocol.fields import LAST_MILLISECOND, json_value, words
from edgebotd.protocol.usage.model import UnreadableUsage, Window

MOST_WINDOWS: Final = 64
"""More than any provider has; a longer list is no answer but a mistake."""
MOST_CHARACTERS: Final = 100
MOST_PERCENT: Final = 100_000.0
"""Beyond it a number is in another unit than we think."""
HOUR: Final = 3600
DAY: Final = 86_400
WEEK: Final = 7 * DAY

_MILLISECONDS_FROM: Final = 100_000_000_000
"""As seconds it would be the year 5138, as milliseconds it is 1973."""
_TEXT_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")
_FRACTION: Final = re.compile(r"\.([0-9]+)")


def parse_object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object that a body is.

    Raises:
        UnreadableUsage: it is none.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        what = "an HTML page" if body.lstrip()[:1] == b"<" else "no JSON" if body.strip() else "nothing"
        raise UnreadableUsage(f"the answer is {what}") from None
    if not isinstance(value, dict):
        raise UnreadableUsage("the answer is JSON, but no object")
    found: Mapping[str, Any] = json_value(value)
    return found


def number(value: object) -> float | None:
    """Return a finite number, also one that is written as a string; anything else as None."""
    if isinstance(value, str) and _TEXT_NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def percent(value: object) -> float | None:
    """Return a share in percent as it is shown: not below 0, and None where it can be none."""
    found = number(value)
    if found is None or found > MOST_PERCENT:
        return None
    return round(max(0.0, found), 2)


def share(used: object, limit: object) -> float | None:
    """Return how many percent of a limit are used; None without a limit: of nothing there is no share."""
    part, whole = number(used), number(limit)
    if part is None or whole is None or whole <= 0:
        return None
    return percent(part / whole * 100)


def moment(value: object) -> int | None:
    """Return a time as Unix milliseconds: of ISO 8601 text (UTC where it does not say), of Unix seconds, or of Unix
    milliseconds. 0 and what is out of range are None.
    """
    if isinstance(value, str) and (found := _parsed(value.strip())) is not None:
        return found
    at = number(value)
    if at is None or at <= 0:
        return None
    milliseconds = round(at if at >= _MILLISECONDS_FROM else at * 1000)
    return milliseconds if milliseconds <= LAST_MILLISECOND else None


def ahead(value: object, now: int) -> int | None:
    """Return when a window starts anew, None where that is past or is this very moment: some say then when they were
    asked, and some when the window that has ended began.
    """
    at = moment(value)
    return at if at is not None and at > now else None


def text(value: object) -> str | None:
    """Return a name for people, not too long."""
    found = words(value)
    return None if found is None else " ".join(found.split())[:MOST_CHARACTERS] or None


def slug(value: str) -> str:
    """Return a name as a part of a window's id."""
    return re.sub(r"[^a-z0-9.]+", "_", value.lower()).strip("_.")[:48] or "other"


def span(seconds: int) -> tuple[str, str]:
    """Return the id and the label of a window by its length, which alone says what it is: slots have changed theirs."""
    for unit, letter, name in ((DAY, "d", "day"), (HOUR, "h", "hour"), (60, "m", "minute")):
        if seconds % unit == 0 and seconds >= unit:
            count = seconds // unit
            if (letter, count) == ("d", 1):
                return "24h", "24 hours"
            return f"{count}{letter}", f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds}s", f"{seconds} seconds"


def seconds_of(value: object) -> int | None:
    """Return the length of a window in whole seconds, up to ten years."""
    found = number(value)
    return round(found) if found is not None and 1 <= found <= 3650 * DAY else None


def distinct(windows: Iterable[Window]) -> tuple[Window, ...]:
    """Return the windows with ids of their own: of two with the same id the first stays."""
    found: dict[str, Window] = {}
    for window in windows:
        found.setdefault(window.id, window)
        if len(found) > MOST_WINDOWS:
            raise UnreadableUsage(f"the answer has more than {MOST_WINDOWS} limits")
    return tuple(found.values())


def _parsed(iso: str) -> int | None:
    if len(iso) > 40 or not iso[:4].isdigit() or "-" not in iso:
        return None
    # Up to nine digits are seen, of which Python takes six.
    iso = _FRACTION.sub(lambda match: "." + match[1][:6].ljust(6, "0"), iso, count=1)
    try:
        found = datetime.fromisoformat(iso)
        at = (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return round(at * 1000) if 0 < at * 1000 <= LAST_MILLISECOND else None
