"""What a gateway reads its providers' keys from: a file of secret references (2026.9.6), or the store of logins that
older ones keep as JSON. No IO.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SECRETS_FILE: Final = "edge-secrets.json"
PROFILES_FILE: Final = "auth-profiles.json"
LAST_WITH_FILES: Final = (2026, 5, 28)
"""The newest version that was seen to keep its logins in a file; a file beside a newer one keeps it from starting."""
_OF_OURS: Final = frozenset({"token", "api_key"})
_VERSION: Final = re.compile(r"(\d{4})\.(\d{1,2})\.(\d{1,3})(?:\D|$)")


class NotProfiles(ValueError):
    """The file is no store of logins. Holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Given:
    """What one login is given as.

    Attributes:
        is_key: an API key, in place of a token.
        expires_at: Unix milliseconds.
    """

    profile_id: str
    provider: str
    secret: str = field(repr=False)
    is_key: bool = False
    expires_at: int | None = None


def keeps_files(version: str) -> bool:
    """Whether a gateway of this version reads its logins from `auth-profiles.json`."""
    match = _VERSION.match(version)
    return match is not None and tuple(map(int, match.groups())) <= LAST_WITH_FILES


def secret_file(logins: Iterable[Given]) -> bytes:
    """Return the file of secret references: `/<provider>:<name>` for each, `/<provider>` for its first one."""
    values: dict[str, str] = {}
    for one in logins:
        values[one.profile_id] = one.secret
        values.setdefault(one.provider, one.secret)
    return _bytes(values)


def merged_profiles(text: bytes, logins: Iterable[Given], gone: Iterable[str]) -> bytes:
    """Return a store of logins with ours in it, and everything else as it was.

    Args:
        gone: logins that were ours, and shall not be there any more.

    Raises:
        NotProfiles: it is no such store.
    """
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        raise NotProfiles from None
    profiles = whole.get("profiles") if isinstance(whole, dict) else None
    if not isinstance(profiles, dict):
        raise NotProfiles
    for profile_id in gone:
        if _is_ours(profiles.get(profile_id)):
            del profiles[profile_id]
    for one in logins:
        profiles[one.profile_id] = _entry(one)
    return _bytes(whole)


def _is_ours(entry: object) -> bool:
    """Whether an entry has the shape that we write: one with a refresh token is the gateway's, whatever its name."""
    return isinstance(entry, dict) and entry.get("type") in _OF_OURS


def _entry(one: Given) -> Mapping[str, Any]:
    if one.is_key:
        return {"type": "api_key", "provider": one.provider, "key": one.secret}
    # As a token it is never refreshed by the gateway.
    more = {} if one.expires_at is None else {"expires": one.expires_at}
    return {"type": "token", "provider": one.provider, "token": one.secret, **more}


def _bytes(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode(errors="surrogatepass") + b"\n"
