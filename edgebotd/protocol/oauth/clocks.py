"""The times that an answer tells: how long to wait, what the provider's clock says, when a token ends."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from edgebotd.protocol.fields import LAST_MILLISECOND
from edgebotd.protocol.oauth.claims import claims_of

_SECONDS: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


def header(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header, in whichever case it was sent."""
    for given, value in headers.items():
        if given.lower() == name:
            return value
    return None


def date_header(headers: Mapping[str, str]) -> int | None:
    """Return what the provider's clock said, Unix milliseconds; the header tells whole seconds, so half of one more."""
    at = _http_date(header(headers, "date"))
    return None if at is None else at + 500


def retry_after(headers: Mapping[str, str], now: int) -> int | None:
    """Return how many milliseconds to wait, None where it is not said or is not more than nothing (RFC 9110 10.2.3).

    Args:
        now: what the provider's clock says, or ours where that is unknown.
    """
    text = (header(headers, "retry-after") or "").strip()
    if _SECONDS.fullmatch(text):
        wait = int(float(text) * 1000)
    else:
        at = _http_date(text)
        wait = 0 if at is None else at - now
    return wait if wait > 0 else None


def jwt_expiry(token: str) -> int | None:
    """Return the `exp` of a JWT (RFC 7519) by the provider's clock, Unix milliseconds; nothing is verified by it."""
    if (seconds := number(claims_of(token).get("exp"))) is None:
        return None
    at = int(seconds * 1000)
    return at if 0 < at <= LAST_MILLISECOND else None


def number(value: object) -> float | None:
    """Return a JSON number that a float can hold, anything else as None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _http_date(text: str | None) -> int | None:
    if not text:
        return None
    try:
        at = parsedate_to_datetime(text)
        seconds = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return int(seconds * 1000) if 0 < seconds * 1000 <= LAST_MILLISECOND else None


def shown_date(at: int) -> str:
    """Return Unix milliseconds as a person reads it in a reason."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
