"""Secrets that we hand out: how they are made, and what of them is kept."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

TOKEN_PREFIX: Final = "ebt_"
"""Lets scanners of repositories recognise a leaked token."""

SECRET_BYTES: Final = 32
_ID_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


def new_token() -> str:
    """Return the secret of an API token: `ebt_` and 256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def new_secret() -> str:
    """Return the secret of a session or of a one-time code: 256 random bits."""
    return secrets.token_urlsafe(SECRET_BYTES)


def new_id(prefix: str) -> str:
    """Return a public id: the prefix, `_` and 16 of `[a-z0-9]`."""
    return prefix + "_" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(16))


def digest(secret: str) -> bytes:
    """Return the SHA-256 that stands for a secret in the store and in memory.

    A plain hash is enough: the secrets are random, there is nothing to guess. It also makes the lookup's timing
    worthless, for whoever measures it does not know the hash's next bit.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
