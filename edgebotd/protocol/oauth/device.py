"""The device code (RFC 8628): a person types a short code elsewhere while we ask again and again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final
from urllib.parse import urlsplit

from edgebotd.protocol.fields import words
from edgebotd.protocol.oauth.answers import (
    Ambiguous,
    Delayed,
    Misconfigured,
    Outcome,
    Rejected,
    error_code,
    read_object,
    read_token_answer,
)
from edgebotd.protocol.oauth.clocks import number

DEFAULT_INTERVAL_S: Final = 5.0
"""Section 3.2, where the answer does not say."""
SLOW_DOWN_S: Final = 5.0
"""Section 3.5: so much longer after each `slow_down`."""
_LONGEST_S: Final = 3600.0


class DeviceState(Enum):
    """What an answer says beside tokens."""

    PENDING = "pending"
    SLOW_DOWN = "slow_down"
    DENIED = "denied"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What the provider gave; the person types `user_code` at `verification_uri`.

    Attributes:
        complete_uri: the same with the code in it, where the provider has that.
    """

    device_code: str = field(repr=False)
    user_code: str
    verification_uri: str
    complete_uri: str | None
    seconds: float
    interval: float


def read_device_answer(
    status: int, headers: Mapping[str, str], body: bytes, *, sent_at: int, received_at: int
) -> DeviceCode | Outcome:
    """Return the codes, or why there are none. Never raises."""
    document = read_object(body) or {}
    if 200 <= status < 300 and error_code(document) is None:
        device, user = words(document.get("device_code")), words(document.get("user_code"))
        # Google's first endpoint had it as `verification_url`.
        where = _address(document.get("verification_uri") or document.get("verification_url"))
        if device is None or user is None or where is None or len(user) > 64:
            return Ambiguous("The provider's answer holds no device code that can be used.", status)
        return DeviceCode(
            device,
            user,
            where,
            _address(document.get("verification_uri_complete")),
            _seconds(document.get("expires_in"), 600.0),
            _seconds(document.get("interval"), DEFAULT_INTERVAL_S),
        )
    outcome = read_token_answer(status, headers, body, sent_at=sent_at, received_at=received_at)
    if isinstance(outcome, (Rejected, Misconfigured, Delayed, Ambiguous)):
        return outcome
    return Ambiguous("The provider's answer holds no device code.", status)


def read_device_poll(
    status: int, headers: Mapping[str, str], body: bytes, *, sent_at: int, received_at: int, jwt: bool = False
) -> DeviceState | Outcome:
    """Return whether the person has agreed, with the tokens if so. Never raises."""
    code = error_code(read_object(body))
    if status < 500:
        match code:
            case "authorization_pending":
                return DeviceState.PENDING
            case "slow_down":
                return DeviceState.SLOW_DOWN
            case "access_denied":
                return DeviceState.DENIED
            case "expired_token":
                return DeviceState.EXPIRED
    return read_token_answer(status, headers, body, sent_at=sent_at, received_at=received_at, jwt=jwt)


def _address(value: Any) -> str | None:
    """Return an address that a person may be sent to."""
    text = words(value)
    if text is None or len(text) > 2048 or not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("https", "http") and bool(parts.hostname)
    except ValueError:
        return None
    return text if fine else None


def _seconds(value: Any, default: float) -> float:
    seconds = number(value)
    return default if seconds is None or seconds <= 0 else min(seconds, _LONGEST_S)
