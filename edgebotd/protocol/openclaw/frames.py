"""The three frame shapes of the gateway's WebSocket: request, response, event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgebotd.protocol.fields import integer, mapping, string, words

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""What a client should accept: the gateway sends up to 26,214,400 bytes, hello and session rows are big."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to the request of the same id: a payload, or an error."""

    id: str
    ok: bool
    payload: Any
    error: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `seq` counts per connection from 1; `connect.challenge` has none."""

    name: str
    payload: Mapping[str, Any]
    seq: int | None


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The gateway is about to close its connections (event `shutdown`)."""

    reason: str
    restarting: bool
    restart_expected_ms: int | None


def parse_frame(text: str | bytes) -> Response | Event | None:
    """Parse one frame; None for anything that is not a response or an event, which a client ignores."""
    try:
        frame = mapping(json.loads(text))
    except (ValueError, RecursionError):
        return None
    if frame.get("type") == "res" and isinstance(frame.get("id"), str):
        return Response(frame["id"], frame.get("ok") is True, frame.get("payload"), mapping(frame.get("error")))
    if frame.get("type") == "event" and isinstance(frame.get("event"), str):
        return Event(frame["event"], mapping(frame.get("payload")), integer(frame.get("seq")))
    return None


def request(id: str, method: str, params: Mapping[str, Any]) -> str:
    """Write one request frame. Params are closed objects: a property that the method does not know is an error."""
    return json.dumps({"type": "req", "id": id, "method": method, "params": params}, separators=(",", ":"))


def parse_shutdown(payload: Mapping[str, Any]) -> Shutdown:
    """Read the payload of a `shutdown` event."""
    reason = words(payload.get("reason")) or "gateway stopping"
    expected = integer(payload.get("restartExpectedMs"))
    return Shutdown(reason, expected is not None or "restart" in reason, expected)


def canonical_session_key(key: str, *, agent_id: str = "main", main_key: str = "main") -> str:
    """Return the form in which the gateway keeps a session's key: `agent:<agent>:<rest>`, lower case."""
    key = key.strip().lower()
    agent_id = agent_id.lower()
    if key.startswith("agent:") and key.count(":") >= 2:
        return key
    if key in ("", "main"):
        return f"agent:{agent_id}:{main_key.lower()}"
    return f"agent:{agent_id}:{key}"


def session_key_of(payload: Mapping[str, Any], *, agent_id: str, main_key: str) -> str | None:
    """Return the canonical session key of an event's payload, None where it has none."""
    key = string(payload.get("sessionKey"))
    if not key:
        return None
    return canonical_session_key(key, agent_id=words(payload.get("agentId")) or agent_id, main_key=main_key)
