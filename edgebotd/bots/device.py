"""A bot's device identity: an Ed25519 key made once, and the token that the gateway gave it, in files of mode 0600."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgebotd.bots.connector import ConnectorError, Trouble
from edgebotd.protocol.openclaw import Device, device_of, load_device


def load_or_make(path: Path) -> Device:
    """Return the device whose key is in the file, made where there is none. Small files: no thread.

    Raises:
        ConnectorError: CONFIGURATION; the file is no key, or the disk does not take it. A key is never replaced: its
            pairing would be lost.
    """
    try:
        return load_device(path.read_bytes())
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        detail = f"The device key {path} cannot be used ({reason}). Restore it, or remove it to pair anew."
        raise ConnectorError(Trouble.CONFIGURATION, detail, reason="device_key") from None
    device = device_of(Ed25519PrivateKey.generate())
    try:
        _write(path, device.pem())
    except OSError as exc:
        detail = f"The device key {path} cannot be written ({exc.strerror}). Look at the disk of the state directory."
        raise ConnectorError(Trouble.CONFIGURATION, detail, reason="device_key") from exc
    return device


def load_token(path: Path) -> str | None:
    """Return the token that the gateway gave this device, None where it has not."""
    try:
        return _token_path(path).read_text().strip() or None
    except (OSError, ValueError):
        return None


def keep_token(path: Path, token: str) -> None:
    """Keep the device's token beside its key; where the disk does not take it, the gateway hands it out again."""
    if load_token(path) == token:
        return
    try:
        _write(_token_path(path), token.encode())
    except OSError:
        return


def _token_path(path: Path) -> Path:
    return path.with_suffix(".token")


def _write(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all, readable by its owner only."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
