"""How much of an account is used: one model, and a reader for the shape of each provider's answer.

The endpoints are mostly not documented, so a reader takes what it knows, leaves out what it does not, and says that it
cannot read an answer which has nothing that it knows. What is not told is left out; it never becomes a 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from edgebotd.protocol.usage.anthropic import read_anthropic
from edgebotd.protocol.usage.codex import read_codex
from edgebotd.protocol.usage.copilot import read_copilot
from edgebotd.protocol.usage.gemini import read_gemini
from edgebotd.protocol.usage.generic import WindowPaths, read_json
from edgebotd.protocol.usage.model import Billing, UnreadableUsage, Usage, Window
from edgebotd.protocol.usage.openclaw import GatewayUsage, read_auth_status, read_usage_status
from edgebotd.protocol.usage.openrouter import read_openrouter
from edgebotd.protocol.usage.reading import parse_object

READERS: Final[Mapping[str, Callable[[Mapping[str, Any], int], Usage]]] = {
    "anthropic": read_anthropic,
    "codex": read_codex,
    "copilot": read_copilot,
    "gemini": read_gemini,
    "openrouter": read_openrouter,
}
"""By the kind of `[providers.<id>.usage]`."""


def read_usage(kind: str, body: bytes, now: int, windows: Sequence[WindowPaths] = ()) -> Usage:
    """Read the body of an answer.

    Args:
        kind: one of `READERS`, or "json" for one that `windows` describe.
        now: Unix milliseconds.

    Raises:
        UnreadableUsage: it is not what the kind says.
    """
    answer = parse_object(body)
    return read_json(answer, windows, now) if kind == "json" else READERS[kind](answer, now)


__all__ = [
    "READERS",
    "Billing",
    "GatewayUsage",
    "UnreadableUsage",
    "Usage",
    "Window",
    "WindowPaths",
    "read_auth_status",
    "read_usage",
    "read_usage_status",
]
