"""What went wrong with a gateway, in kinds that a client acts on and words that a person understands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from edgebotd.protocol.fields import integer, mapping, strings, words


class Kind(Enum):
    """What a client has to do about a trouble."""

    RESTARTING = "restarting"
    """The gateway starts, restarts or drains: come back soon."""
    UNAVAILABLE = "unavailable"
    """It cannot do this just now: the same request may work later."""
    LOST = "lost"
    """The connection broke."""
    NEEDS_PAIRING = "needs_pairing"
    BAD_CREDENTIALS = "bad_credentials"
    PROTOCOL_MISMATCH = "protocol_mismatch"
    ORIGIN_REFUSED = "origin_refused"
    NO_RIGHTS = "no_rights"
    CONFLICT = "conflict"
    """The idempotency key stands for another text."""
    INVALID = "invalid"
    UNKNOWN_METHOD = "unknown_method"

    @property
    def needs_person(self) -> bool:
        """Whether trying again is useless until somebody changed something."""
        return self in _NEEDS_PERSON


_NEEDS_PERSON = frozenset(
    {Kind.NEEDS_PAIRING, Kind.BAD_CREDENTIALS, Kind.PROTOCOL_MISMATCH, Kind.ORIGIN_REFUSED, Kind.NO_RIGHTS}
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One trouble. `detail` is for a person and holds no secret; the pairing fields are set for NEEDS_PAIRING."""

    kind: Kind
    detail: str
    code: str | None = None
    retry_after_ms: int | None = None
    request_id: str | None = None
    device_id: str | None = None
    reason: str | None = None
    missing_scopes: tuple[str, ...] = ()

    @property
    def approve_command(self) -> str | None:
        """The command that approves the pairing, to be run beside the gateway."""
        return None if self.request_id is None else f"openclaw devices approve {self.request_id}"


_PAIRING_WORDS = {
    "not-paired": "This gateway does not know edgebotd yet: somebody has to approve the connection once.",
    "scope-upgrade": "edgebotd asks this gateway for more rights than it was approved for; approve it again.",
    "role-upgrade": "edgebotd asks this gateway for another role than it was approved for; approve it again.",
    "metadata-upgrade": "This gateway knows edgebotd as another kind of device; approve it again.",
}
_BAD_CREDENTIALS = {
    "AUTH_TOKEN_MISMATCH": "The gateway refuses the token. Set the token that its `gateway.auth.token` names.",
    "AUTH_TOKEN_MISSING": "The gateway wants a token. Set the one that its `gateway.auth.token` names.",
    "AUTH_DEVICE_TOKEN_MISMATCH": "The gateway refuses the device's token. Set the gateway's own token again.",
    "DEVICE_IDENTITY_REQUIRED": "The gateway wants a token or a paired device, and got neither.",
    "AUTH_RATE_LIMITED": "The gateway has locked this address out after too many wrong tokens. Wait 5 minutes.",
}


def classify(error: Mapping[str, Any]) -> Trouble:
    """Classify the `error` of a response."""
    details = mapping(error.get("details"))
    code = words(details.get("code")) or words(error.get("code"))
    reason = words(details.get("reason"))
    message = _shown(error.get("message"))
    retry_after_ms = integer(error.get("retryAfterMs"))
    if retry_after_ms is not None:
        # An answer may not park a client for ever, nor make it spin.
        retry_after_ms = min(max(retry_after_ms, 0), 300_000)
    if code == "PAIRING_REQUIRED" or (words(error.get("code")) == "NOT_PAIRED" and code != "DEVICE_IDENTITY_REQUIRED"):
        return Trouble(
            Kind.NEEDS_PAIRING,
            _PAIRING_WORDS.get(reason or "", _PAIRING_WORDS["not-paired"]),
            code,
            request_id=_identifier(details.get("requestId")),
            device_id=_identifier(details.get("deviceId")),
            reason=reason,
            missing_scopes=tuple(strings(details.get("requestedScopes"))),
        )
    if code in _BAD_CREDENTIALS:
        return Trouble(Kind.BAD_CREDENTIALS, _BAD_CREDENTIALS[code], code, reason=reason)
    if code is not None and code.startswith(("AUTH_", "DEVICE_AUTH_")):
        return Trouble(Kind.BAD_CREDENTIALS, f"The gateway refuses our credentials: {message}", code, reason=reason)
    if code == "PROTOCOL_MISMATCH":
        spoken = integer(details.get("expectedProtocol"))
        word = "another protocol" if spoken is None else f"protocol {spoken}"
        return Trouble(Kind.PROTOCOL_MISMATCH, f"The gateway speaks {word}, edgebotd 3 and 4. Update one.", code)
    if code == "CONTROL_UI_ORIGIN_NOT_ALLOWED":
        detail = "The gateway refuses the connection's Origin header. Is there a proxy in between that adds one?"
        return Trouble(Kind.ORIGIN_REFUSED, detail, code)
    if code == "MISSING_SCOPE" or message.startswith("missing scope"):
        missing = strings([details.get("missingScope")]) or strings(details.get("requiredScopes"))
        return Trouble(
            Kind.NO_RIGHTS, f"The gateway does not allow this: {message}", code, missing_scopes=tuple(missing)
        )
    if reason == "chat-request-conflict":
        return Trouble(Kind.CONFLICT, "This message id was already used for another text.", code, reason=reason)
    if code == "UNAVAILABLE" or error.get("retryable") is True:
        restarting = reason in ("gateway-restarting", "startup-sidecars", "gateway-stopping", "gateway-draining")
        restarting = restarting or "restart" in message or "gateway starting" in message
        kind = Kind.RESTARTING if restarting else Kind.UNAVAILABLE
        return Trouble(kind, f"The gateway is not available: {message}", code, retry_after_ms, reason=reason)
    if message.startswith("unknown method"):
        return Trouble(Kind.UNKNOWN_METHOD, f"The gateway is too old or too new for this: {message}", code)
    return Trouble(Kind.INVALID, f"The gateway refuses the request: {message}", code, reason=reason)


def no_rights(missing: list[str]) -> Trouble:
    """Return the trouble of a hello whose scopes do not allow chat."""
    detail = (
        "Connected, but the gateway granted no rights for chat. It does so for a connection that does not come from "
        "its own loopback (a container's published port) and has no paired device."
    )
    return Trouble(Kind.NO_RIGHTS, detail, "NO_SCOPES", missing_scopes=tuple(missing))


def classify_close(code: int | None, reason: str | None = None) -> Trouble:
    """Classify a close of the connection: its code (None: none was given) and reason.

    1008 tells less than the error that comes before it: use this only when there was none.
    """
    said = f" ({_shown(reason)})" if reason else ""
    name = None if code is None else str(code)
    if code == 1002:
        return Trouble(
            Kind.PROTOCOL_MISMATCH, f"The gateway speaks another protocol{said}. Update one of the two.", name
        )
    if code == 1008:
        text = (reason or "").lower()
        if "pairing required" in text:
            return Trouble(Kind.NEEDS_PAIRING, _PAIRING_WORDS["not-paired"], name)
        if "origin" in text:
            return Trouble(Kind.ORIGIN_REFUSED, f"The gateway refuses the connection's origin{said}.", name)
        if "slow consumer" in text:
            return Trouble(Kind.LOST, "The gateway dropped the connection because it was read too slowly.", name)
        return Trouble(Kind.BAD_CREDENTIALS, f"The gateway refuses the connection{said}.", name)
    if code == 1009:
        return Trouble(Kind.INVALID, "A message was too big for the gateway.", name)
    if code == 1012:
        return Trouble(Kind.RESTARTING, f"The gateway restarts or stops{said}.", name)
    if code == 1013:
        return Trouble(Kind.RESTARTING, f"The gateway is starting{said}.", name, 500)
    if code in (1000, 1001):
        return Trouble(Kind.LOST, f"The gateway closed the connection{said}.", name)
    return Trouble(Kind.LOST, f"The connection to the gateway broke{said}.", name)


def classify_http(status: int) -> Trouble:
    """Classify an HTTP status that refused the WebSocket upgrade."""
    name = f"HTTP_{status}"
    if status == 503:
        return Trouble(Kind.RESTARTING, "The gateway restarts or drains (HTTP 503).", name, 1000)
    if status == 429:
        return Trouble(Kind.UNAVAILABLE, "The gateway asks us to come back later (HTTP 429).", name, 60_000)
    if status in (401, 403):
        detail = f"The gateway, or a proxy before it, refuses the connection (HTTP {status})."
        if status == 403:
            detail += " A proxy that adds X-Forwarded-For must stand in the gateway's `gateway.trustedProxies`."
        return Trouble(Kind.BAD_CREDENTIALS if status == 401 else Kind.ORIGIN_REFUSED, detail, name)
    if status >= 500:
        return Trouble(Kind.LOST, f"What answers at the gateway's address is broken (HTTP {status}).", name)
    detail = f"What answers at this address is no gateway (HTTP {status}). Check the URL: host, port, and path `/`."
    return Trouble(Kind.INVALID, detail, name)


def _shown(message: object) -> str:
    """Return somebody else's message as one bounded line."""
    line = " ".join((words(message) or "no reason given").split())
    return line if len(line) <= 300 else line[:299] + "…"


def _identifier(value: object) -> str | None:
    """Return an id that is safe in a command line; anything else as None."""
    text = words(value)
    if text is None or len(text) > 128 or text.startswith("-"):
        return None
    return (
        text if all(character.isascii() and (character.isalnum() or character in "-_.") for character in text) else None
    )
