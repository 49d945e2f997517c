"""Ids that this daemon mints: lower case, unique, in the order of time."""

from __future__ import annotations

import base64
import secrets
from typing import Literal


def new_id(prefix: Literal["c_", "m_", "r_"], now: int) -> str:
    """Return a new id of a conversation, message or run: the prefix and 20 of `[a-z0-9]` (CHANNEL section 5).

    The time comes first, 52 random bits follow: rows that are stored together then lie together in the store's indexes,
    where random ids would make it write two pages for each message.

    Args:
        now: Unix milliseconds.
    """
    return prefix + base64.b32hexencode(now.to_bytes(6, "big") + secrets.token_bytes(7))[:20].decode().lower()
