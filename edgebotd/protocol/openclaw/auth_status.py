"""What `models.authStatus` tells of a gateway's own logins. No IO."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from edgebotd.protocol.fields import mapping, milliseconds, objects, words
from edgebotd.protocol.logins import profile_name, provider_id

MOST: Final = 200
"""Logins of one gateway; more are no logins."""
Type = Literal["oauth", "token", "api_key"]
_TYPES: Final[Mapping[str, Type]] = {"oauth": "oauth", "api_key": "api_key"}
_DEAD: Final[Mapping[str, str]] = {"expired": "It has expired", "missing": "There is no secret"}
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,60}")


@dataclass(frozen=True, slots=True)
class OwnLogin:
    """One login that a gateway has.

    Attributes:
        id: `<provider>:<name>`, without anything that could not be an id here.
        lasting: it does not expire.
        trouble: why it does not work, for a person; None where it does.
    """

    id: str
    provider: str
    type: Type
    lasting: bool
    expires_at: int | None
    trouble: str | None


def parse_auth_status(payload: Mapping[str, Any]) -> list[OwnLogin]:
    """Return the logins, by id. What stands in the gateway's configuration as a key is none, unless it is missing."""
    found: dict[str, OwnLogin] = {}
    for row in objects(payload.get("providers")):
        for one in _of_provider(row):
            if len(found) < MOST:
                found.setdefault(one.id, one)
    return [found[profile_id] for profile_id in sorted(found)]


def _of_provider(row: Mapping[str, Any]) -> Iterator[OwnLogin]:
    provider = provider_id(words(row.get("provider")) or "")
    if not provider:
        return
    profiles = [one for one in objects(row.get("profiles")) if words(one.get("profileId"))]
    for one in profiles:
        name = (words(one.get("profileId")) or "").rpartition(":")[2]
        yield _login(provider, profile_name(name) or "default", one)
    if not profiles and words(row.get("status")) in _DEAD:
        yield _login(provider, "default", row)


def _login(provider: str, name: str, row: Mapping[str, Any]) -> OwnLogin:
    status, reason = words(row.get("status")) or "", words(row.get("reasonCode"))
    trouble = _DEAD.get(status)
    if trouble is not None:
        told = reason is not None and reason != status and _CODE.fullmatch(reason) is not None
        trouble = f"{trouble} ({reason})." if told else f"{trouble}."
    expires_at = milliseconds(mapping(row.get("expiry")).get("at"))
    kind = _TYPES.get(words(row.get("type")) or "", "token")
    return OwnLogin(f"{provider}:{name}", provider, kind, status == "static", expires_at, trouble)
