"""Seals what the store keeps of secrets: AES-256-GCM (NIST SP 800-38D) with a key that is not in the store."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from edgebotd.config.credentials import read_secret_file
from edgebotd.errors import EdgebotdError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"


class VaultLocked(EdgebotdError):
    """The key is missing or another one; nothing that is sealed can be read."""


class Cipher:
    """One key.

    Raises:
        VaultLocked: the text is no key.
    """

    def __init__(self, key: SecretStr) -> None:
        try:
            raw = base64.b64decode(key.get_secret_value(), validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != KEY_BYTES:
            raise VaultLocked(
                f"The vault's key is malformed: it is {KEY_BYTES} random bytes in base64, as made by "
                f"'openssl rand -base64 {KEY_BYTES}'."
            )
        self._gcm = AESGCM(raw)

    def seal(self, plain: bytes, place: str) -> bytes:
        """Return it sealed. `place` says where it belongs: it opens nowhere else."""
        # Random nonces are safe for 2^32 messages of one key, which is a refresh a second for a century.
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._gcm.encrypt(nonce, plain, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Return what was sealed for a place.

        Raises:
            VaultLocked: it was sealed with another key or for another place, or is damaged.
        """
        start = len(_VERSION) + _NONCE_BYTES
        with suppress(InvalidTag):
            if sealed.startswith(_VERSION) and len(sealed) > start:
                return self._gcm.decrypt(sealed[len(_VERSION) : start], sealed[start:], place.encode())
        raise VaultLocked(f"What the vault has of {place} was sealed with another key, or is damaged.")


def new_key() -> SecretStr:
    """Return a fresh key as text."""
    return SecretStr(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode())


def load_or_make(path: Path) -> SecretStr:
    """Return the key of a file of mode 0600, which is made where it is missing.

    Raises:
        SecretError, OSError: it cannot be read or made.
    """
    try:
        return SecretStr(read_secret_file(path)[0]) if path.exists() else _make(path)
    except FileExistsError:
        return SecretStr(read_secret_file(path)[0])


def _make(path: Path) -> SecretStr:
    key = new_key()
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key.get_secret_value() + "\n")
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename it fails where another process was quicker.
        os.link(part, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        part.unlink(missing_ok=True)
    return key
