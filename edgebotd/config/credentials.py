"""Secrets: given as a value, in a file or as a systemd credential, of which exactly one may be there."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edgebotd.errors import EdgebotdError
from edgebotd.systemd import SystemdError, credential

MAX_SECRET_BYTES: Final = 16 * 1024
"""A token goes into one HTTP header or frame; servers take 8 to 16 KiB of it."""


class SecretError(EdgebotdError):
    """A secret cannot be used. The message holds where it should be, never what was found there."""


def check_secret(text: str) -> str:
    """Return the secret without the line break that editors leave at the end of a file.

    Raises:
        SecretError: it is blank, or cannot stand in an HTTP header.
    """
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret.strip():
        raise SecretError("is blank")
    if not all("!" <= char <= "~" for char in secret):
        raise SecretError("is malformed: a token has printable ASCII characters only, no spaces and one line")
    if len(secret) > MAX_SECRET_BYTES:
        raise SecretError(f"is malformed: longer than {MAX_SECRET_BYTES} characters")
    return secret


def read_secret_file(path: Path) -> tuple[str, str | None]:
    """Read a secret from a file; returns it and a warning about the file's mode.

    Raises:
        SecretError: the file is missing, unreadable, readable for everyone, or what it holds is no secret.
    """
    try:
        # O_NONBLOCK: a FIFO at this path must not hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SecretError(f"{path} is not a file")
            raw = file.read(MAX_SECRET_BYTES + 3)
    except OSError as exc:
        raise SecretError(f"{path} cannot be read: {exc.strerror}") from exc
    if status.st_mode & 0o007:
        raise SecretError(f"{path} is open to every user of the machine; run: chmod 600 {path}")
    secret = check_secret(_decoded(raw, str(path)))
    return secret, f"{path} is open to its group; run: chmod 600 {path}" if open_to_group(status) else None


def open_to_group(status: os.stat_result) -> bool:
    """Whether a group may read a file that its owner alone should.

    What belongs to another user, root of all things, we read through its group: 640 is then as tight as it can be.
    """
    ours = status.st_uid == os.geteuid() or status.st_gid not in (os.getegid(), *os.getgroups())
    return bool(status.st_mode & 0o070) and (ours or bool(status.st_mode & 0o030))


def read_secret_credential(name: str, env: Mapping[str, str]) -> str:
    """Read a secret that systemd passed on.

    Raises:
        SecretError: it is missing, unreadable, or no secret.
    """
    try:
        raw = credential(name, env)
    except SystemdError as exc:
        raise SecretError(str(exc)) from exc
    if raw is None:
        raise SecretError(
            f"no credential {name!r}: put it into /etc/edgebotd/credentials/{name}, or give the unit a line "
            f"LoadCredential={name}:/path/of/the/file"
            if env.get("CREDENTIALS_DIRECTORY")
            else "there are no credentials: this was not started by a systemd unit with LoadCredential=. To check by "
            "hand, as root: CREDENTIALS_DIRECTORY=/etc/edgebotd/credentials edgebotd check"
        )
    return check_secret(_decoded(raw, f"the credential {name}"))


def _decoded(raw: bytes, what: str) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as exc:
        # `from None` would hide the cause, but the cause holds the secret's bytes.
        del exc
    raise SecretError(f"{what} is malformed: a token has printable ASCII characters only")
