"""Ids that this daemon mints: lower case, unguessable, unique."""

from __future__ import annotations

import secrets
import string
from typing import Final, Literal

_ALPHABET: Final = string.ascii_lowercase + string.digits


def new_id(prefix: Literal["c_", "m_", "r_"]) -> str:
    """Return a new id of a conversation, message or run: the prefix and 20 of `[a-z0-9]` (CHANNEL section 5)."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(20))
