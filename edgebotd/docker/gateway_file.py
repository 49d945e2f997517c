"""Finds the token in a gateway's own configuration, which OpenClaw writes as JSON and people edit as JSON5."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import SecretStr

from edgebotd.errors import Conflict
from edgebotd.protocol.fields import mapping, string

LARGEST: Final = 4 * 1024 * 1024
TOKEN_VARIABLE: Final = "OPENCLAW_GATEWAY_TOKEN"
_REFERENCE: Final = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}")
YOURSELF: Final = "Give the token yourself."


class NoToken(Conflict):
    """The gateway's configuration has no token that could be read."""

    def __init__(self, detail: str) -> None:
        super().__init__("no_token", detail)


def token_in(text: str, environment: Mapping[str, str]) -> SecretStr:
    """Return the token by which a gateway lets in.

    Args:
        text: of its openclaw.json; empty where there is none.
        environment: of the gateway, to which the file may refer.

    Raises:
        NoToken: it says why; nothing of the file is in it.
    """
    auth = mapping(mapping(_parsed(text).get("gateway")).get("auth")) if text.strip() else {}
    mode = string(auth.get("mode"))
    if mode not in (None, "token"):
        raise NoToken(f"The gateway lets in by {mode[:20]}, not by token. Set gateway.auth.mode to token first.")
    token = _value(auth.get("token"), environment) or environment.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise NoToken(f"There is no token in the gateway's configuration. {YOURSELF}")
    return SecretStr(token)


def _value(value: object, environment: Mapping[str, str]) -> str:
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: environment.get(match[1], ""), value).strip()
    reference = mapping(value)
    if reference.get("source") == "env":
        return environment.get(string(reference.get("id")) or "", "").strip()
    if reference:
        raise NoToken(f"The gateway's token is kept elsewhere than in its configuration. {YOURSELF}")
    return ""


def _parsed(text: str) -> Mapping[str, Any]:
    for candidate in (text, plain(text)):
        try:
            return mapping(json.loads(candidate))
        except (ValueError, RecursionError):
            continue
    raise NoToken(f"The gateway's configuration cannot be read: it is no JSON. {YOURSELF}")


def plain(text: str) -> str:
    """Return JSON with comments and commas at an end as JSON without. Goes over the text once, whatever is in it."""
    kept: list[str] = []
    comma: int | None = None
    at = 0
    while at < len(text):
        if text.startswith("//", at):
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif text.startswith("/*", at):
            end = text.find("*/", at + 2)
            at = len(text) if end < 0 else end + 2
        elif text[at] == '"':
            end = _after_string(text, at)
            kept.append(text[at:end])
            at, comma = end, None
        else:
            char = text[at]
            if char in "}]" and comma is not None:
                kept[comma] = ""
            if not char.isspace():
                comma = len(kept) if char == "," else None
            kept.append(char)
            at += 1
    return "".join(kept)


def _after_string(text: str, at: int) -> int:
    at += 1
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return at + 1
