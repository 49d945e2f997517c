"""What a token endpoint's answer means for the login, as one of a closed set of outcomes.

What tells them apart is whether the refresh token may be sent again: after `NotSent` and `Delayed` it may, after
`Ambiguous` nobody knows whether it was spent, and a spent one, sent again, ends the whole login at providers that look
for reuse. Reasons are words of ours; nothing that a provider wrote is in them but error codes that are listed here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edgebotd.protocol.fields import string
from edgebotd.protocol.oauth.clocks import date_header, jwt_expiry, number, retry_after

REJECTED_CODES: Final = frozenset(
    {"invalid_grant", "refresh_token_reused", "refresh_token_expired", "refresh_token_invalidated"}
)
"""The login is over. The last three are those of OpenAI's endpoint."""

MISCONFIGURED_CODES: Final = frozenset({"invalid_client", "unauthorized_client", "invalid_scope"})

_OTHER_CODES: Final = frozenset(
    {
        "access_denied",
        "authorization_pending",
        "expired_token",
        "invalid_request",
        "invalid_target",
        "rate_limited",
        "server_error",
        "slow_down",
        "temporarily_unavailable",
        "unsupported_grant_type",
    }
)
"""Further ones that may be named in a reason."""

_LONGEST_TOKEN: Final = 16 * 1024
_LONGEST_LIFE_S: Final = 10 * 366 * 86_400


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider gave.

    Attributes:
        refresh: the next one; None: the one that was sent stays.
        expires_at: of the access token, by our clock, Unix milliseconds; None: not told.
        lifetime_ms: how long it lives from the request on.
    """

    access: str = field(repr=False)
    refresh: str | None = field(default=None, repr=False)
    identity: str | None = field(default=None, repr=False)
    expires_at: int | None = None
    lifetime_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """The provider gave what was asked for."""

    tokens: Tokens
    skew_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Partial:
    """It gave a new refresh token and nothing usable beside it: that one must be kept, and is asked with again."""

    refresh: str = field(repr=False)
    reason: str
    skew_ms: int | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """No byte of the request went out: the same token is safe."""

    reason: str


@dataclass(frozen=True, slots=True)
class Delayed:
    """It was refused for now, without being looked at: the same token is safe, later.

    Attributes:
        retry_after_ms: how long the provider wishes us to wait.
    """

    reason: str
    status: int
    code: str | None = None
    retry_after_ms: int | None = None
    skew_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """It was sent, and nobody knows what became of it."""

    reason: str
    status: int | None = None
    skew_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The refresh token, or the code, is not taken any more; a person must log in again."""

    reason: str
    status: int
    code: str
    skew_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """The provider refuses the client: a matter of the settings, not of the login."""

    reason: str
    status: int
    code: str
    skew_ms: int | None = None


Outcome = Granted | Partial | NotSent | Delayed | Ambiguous | Rejected | Misconfigured


def read_token_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    sent_at: int,
    received_at: int,
    jwt: bool = False,
) -> Outcome:
    """Return what an answer means. Never raises, whatever the bytes are.

    Args:
        sent_at: when the request was sent, from which lifetimes count, Unix milliseconds.
        jwt: take the end of an access token from itself where the answer does not tell it.
    """
    date = date_header(headers)
    skew = None if date is None else date - received_at
    document = read_object(body)
    code = error_code(document)
    if 200 <= status < 300 and code is None:
        return _success(document, status, sent_at, skew, jwt=jwt)
    told = code if code in REJECTED_CODES | MISCONFIGURED_CODES | _OTHER_CODES else None
    # Some answer 200 with an error; one that we do not know says nothing of whether the token was spent.
    clear = 400 <= status < 500 and status not in (408, 429)
    if told in REJECTED_CODES and (clear or 200 <= status < 300):
        return Rejected(f"The provider does not take the login any more ({told}).", status, told, skew)
    if told in MISCONFIGURED_CODES and (clear or 200 <= status < 300):
        return Misconfigured(f"The provider refuses the client ({told}).", status, told, skew)
    if 200 <= status < 300 and told not in _OTHER_CODES:
        return Ambiguous("The provider's answer could not be understood.", status, skew)
    named = f"{status}, {told}" if told else str(status)
    wait = retry_after(headers, received_at if date is None else date)
    return Delayed(f"The provider refuses for now ({named}).", status, told, wait, skew)


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return a JSON object, None for anything else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def error_code(document: Mapping[str, Any] | None) -> str | None:
    """Return the error's code: `{"error": code}` as the RFC has it, or `{"error": {"code": code}}`."""
    error = None if document is None else document.get("error")
    if isinstance(error, dict):
        error = error.get("code") or error.get("type") or "unnamed"
    return string(error) or None


def _success(document: Mapping[str, Any] | None, status: int, sent_at: int, skew: int | None, *, jwt: bool) -> Outcome:
    given = document or {}
    access, refresh = _token(given.get("access_token")), _token(given.get("refresh_token"))
    lifetime = _lifetime_ms(given.get("expires_in"))
    kind = given.get("token_type")
    wrong: str | None = None
    if access is None:
        wrong = "it holds no access token"
    elif kind is not None and (not isinstance(kind, str) or kind.lower() != "bearer"):
        # Not every provider says it; whoever says something else means it.
        wrong = "its token is of another type than bearer"
    elif lifetime is None and jwt and (expiry := jwt_expiry(access)) is not None:
        lifetime = expiry - (skew or 0) - sent_at
    if wrong is None and lifetime is None and given.get("expires_in") is not None:
        wrong = "it does not say how long its token lives"
    elif wrong is None and lifetime is not None and lifetime <= 0:
        wrong = "its token has ended already"
    if wrong is None:
        assert access is not None
        ends = None if lifetime is None else sent_at + lifetime
        return Granted(Tokens(access, refresh, _token(given.get("id_token")), ends, lifetime), skew)
    reason = f"The provider's answer cannot be used: {wrong}."
    return Ambiguous(reason, status, skew) if refresh is None else Partial(refresh, reason, skew)


def _token(value: object) -> str | None:
    """Return a token that can stand in a header."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TOKEN:
        return None
    return value if all("!" <= char <= "~" for char in value) else None


def _lifetime_ms(value: object) -> int | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    seconds = number(value)
    return int(min(seconds, _LONGEST_LIFE_S) * 1000) if seconds is not None and seconds > 0 else None
