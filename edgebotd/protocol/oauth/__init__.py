"""OAuth 2.0 as a client that logs people in and refreshes their tokens: RFC 6749, 7636 (PKCE) and 8628 (device code).

Values in, requests out; status, headers and body in, one of a closed set of outcomes out. No IO, no clock, no chance.
"""

from edgebotd.protocol.oauth.answers import (
    Ambiguous,
    Delayed,
    Granted,
    Misconfigured,
    NotSent,
    Outcome,
    Partial,
    Rejected,
    Tokens,
    read_token_answer,
)
from edgebotd.protocol.oauth.clocks import date_header, jwt_expiry, retry_after
from edgebotd.protocol.oauth.device import DeviceCode, DeviceState, read_device_answer, read_device_poll
from edgebotd.protocol.oauth.pkce import Landing, LandingError, authorize_url, challenge_of, read_landing
from edgebotd.protocol.oauth.requests import Client, Request, code_request, device_poll, device_request, refresh_request

__all__ = [
    "Ambiguous",
    "Client",
    "Delayed",
    "DeviceCode",
    "DeviceState",
    "Granted",
    "Landing",
    "LandingError",
    "Misconfigured",
    "NotSent",
    "Outcome",
    "Partial",
    "Rejected",
    "Request",
    "Tokens",
    "authorize_url",
    "challenge_of",
    "code_request",
    "date_header",
    "device_poll",
    "device_request",
    "jwt_expiry",
    "read_device_answer",
    "read_device_poll",
    "read_landing",
    "read_token_answer",
    "refresh_request",
    "retry_after",
]
