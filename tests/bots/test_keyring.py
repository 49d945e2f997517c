"""Tokens of bots that were connected at run time come out of no log."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from edgebotd import logs
from edgebotd.bots.keyring import Keyring


def test_a_token_that_is_kept_or_read_is_known_as_a_secret(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    try:
        keyring.set_token("scout", SecretStr("kept-token-1"))
        assert logs.redact("with kept-token-1") == "with [redacted]"
        (tmp_path / "scout" / "token").write_text("read-token-2\n")
        assert keyring.token("scout") == SecretStr("read-token-2")
        assert logs.redact("with read-token-2") == "with [redacted]"
    finally:
        for token in ("kept-token-1", "read-token-2"):
            logs.forget_secret(token)
