"""The channel's own frames (CHANNEL C1, C8, C10, C11, C14)."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

from edgebotd.protocol import sse


class Verdict(Enum):
    """What a client is told about its cursor, in `hello` (CHANNEL C1)."""

    FRESH = "fresh"
    EXACT = "exact"
    GAP = "gap"


class Gap(Enum):
    """Why there is a gap."""

    EVICTED = "evicted"
    MALFORMED = "malformed"


class Bye(Enum):
    """Why the hub ends a stream, as `bye` and the counters say it."""

    SLOW = "slow"
    RESTART = "restart"
    AGE = "age"
    SESSION = "session"
    REVOKED = "revoked"


class Framing(Enum):
    """How bytes become a body: chunks of HTTP/1.1, bare for HTTP/1.0, or somebody else's task (TLS, HTTP/2)."""

    CHUNKED = "chunked"
    PLAIN = "plain"
    MAILBOX = "mailbox"


def control(name: str, data: dict[str, Any], *, cursor: str | None = None, retry_ms: int | None = None) -> bytes:
    """Return one frame of the channel's own."""
    return sse.encode(json.dumps(data, separators=(",", ":")), event=name, id=cursor, retry=retry_ms)


def heartbeat(cursor: str) -> bytes:
    """Return the heartbeat: a real event, so that every browser moves its cursor (CHANNEL C8, S13)."""
    return sse.encode("", event="hb", id=cursor)


def bye(reason: Bye, cursor: str | None, retry_ms: int | None = None) -> bytes:
    """Return the last frame of a stream."""
    return control("bye", {"reason": reason.value}, cursor=cursor, retry_ms=retry_ms)


def busy(reason: str, retry_ms: int) -> bytes:
    """Return what a newcomer over a cap gets instead of a stream."""
    return control("busy", {"reason": reason}, retry_ms=retry_ms)
