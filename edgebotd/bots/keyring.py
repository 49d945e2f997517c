"""Secrets of bots that were connected at run time: files of mode 0600, never in the database."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from pydantic import SecretStr

from edgebotd import logs
from edgebotd.errors import Problem


class Keyring:
    """`<state_dir>/bots/<id>/`: the token, and whatever key a connector makes for itself. Small files: no thread."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def directory(self, bot_id: str) -> Path:
        """Return the bot's own directory, made with mode 0700 where it is missing."""
        path = self._root / bot_id
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def token(self, bot_id: str) -> SecretStr | None:
        """Return the bot's token, None where it has none."""
        try:
            text = (self._root / bot_id / "token").read_text().strip()
        except OSError:
            return None
        if text:
            logs.register_secret(text)
        return SecretStr(text) if text else None

    def set_token(self, bot_id: str, token: SecretStr | None) -> None:
        """Keep a token; it appears whole or not at all.

        Raises:
            Problem: 503, the disk does not take it.
        """
        if token is not None:
            logs.register_secret(token.get_secret_value())
        try:
            target = self.directory(bot_id) / "token"
            if token is None:
                target.unlink(missing_ok=True)
                return
            part = target.with_name(f"token.{secrets.token_hex(4)}.part")
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(token.get_secret_value())
                file.flush()
                os.fsync(file.fileno())
            part.rename(target)
        except OSError as exc:
            detail = f"The token could not be stored ({exc.strerror}). Look at the disk of the state directory."
            raise Problem(503, "storage_failed", detail) from exc

    def remove(self, bot_id: str) -> None:
        """Forget all secrets of a bot."""
        shutil.rmtree(self._root / bot_id, ignore_errors=True)
