"""What a token says of itself (JWT, RFC 7519). Nothing is verified: it came from its provider."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edgebotd.protocol.fields import mapping

_LONGEST: Final = 64 * 1024


def claims_of(token: str) -> Mapping[str, Any]:
    """Return its claims; none where it is no such token."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > _LONGEST:
        return {}
    try:
        payload = parts[1].rstrip("=")
        return mapping(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
    except (binascii.Error, ValueError, RecursionError):
        return {}


def account_of(path: Sequence[str], *tokens: str | None) -> str | None:
    """Return the account's id that the first of some tokens tells, where it can stand in a header.

    Args:
        path: the names that lead to it; without any nothing is known.
    """
    for token in filter(None, tokens if path else ()):
        value: Any = claims_of(token)
        for name in path:
            value = mapping(value).get(name)
        if isinstance(value, str) and re.fullmatch(r"[!-~]{1,200}", value):
            return value
    return None


def person_of(token: str | None) -> tuple[str, str] | None:
    """Return whom an id token is about: who says so (`iss`), and by which name (`sub`)."""
    claims = {} if token is None else claims_of(token)
    issuer, subject = claims.get("iss"), claims.get("sub")
    if not isinstance(issuer, str) or not isinstance(subject, str) or not issuer or not subject:
        return None
    return issuer, subject
