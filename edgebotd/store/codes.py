"""One-time codes of setup and login links, kept as SHA-256 of the code."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Literal

Purpose = Literal["setup", "login"]


@dataclass(frozen=True, slots=True)
class Code:
    """`setup` makes the first admin or a new user's password, `login` opens a session of `user_id`."""

    hash: bytes = field(repr=False)
    purpose: Purpose
    user_id: str | None
    expires_at: int
    used_at: int | None = None


def add(conn: sqlite3.Connection, code: Code) -> None:
    """Store a new code."""
    conn.execute(
        "INSERT INTO codes VALUES (?, ?, ?, ?, ?)",
        (code.hash, code.purpose, code.user_id, code.expires_at, code.used_at),
    )


def find(conn: sqlite3.Connection, code_hash: bytes, now: int) -> Code | None:
    """Return a code that `take` would take, and leave it as it is."""
    row = conn.execute(
        "SELECT hash, purpose, user_id, expires_at, used_at FROM codes"
        " WHERE hash = ? AND used_at IS NULL AND expires_at > ?",
        (code_hash, now),
    ).fetchone()
    return None if row is None else Code(*row)


def take(conn: sqlite3.Connection, code_hash: bytes, now: int) -> Code | None:
    """Use a code up and return it; None for an unknown, used or expired one.

    Single use holds because only one writer exists and the change is one statement.
    """
    row = conn.execute(
        "UPDATE codes SET used_at = ?2 WHERE hash = ?1 AND used_at IS NULL AND expires_at > ?2"
        " RETURNING hash, purpose, user_id, expires_at, used_at",
        (code_hash, now),
    ).fetchone()
    return None if row is None else Code(*row)


def purge(conn: sqlite3.Connection, now: int) -> int:
    """Delete codes that are used or expired; return how many."""
    return conn.execute("DELETE FROM codes WHERE used_at IS NOT NULL OR expires_at <= ?", (now,)).rowcount
