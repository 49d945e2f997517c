"""Who this installation is, and its lives: each start of the daemon is one."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Installation:
    """Identity of this installation. `cursor_key` (32 bytes) seals cursors; it is a secret."""

    id: str
    epoch: str
    cursor_key: bytes = field(repr=False)


def new_cursor_key() -> bytes:
    """Return 32 random bytes, for `load_or_create`."""
    return secrets.token_bytes(32)


def load_or_create(conn: sqlite3.Connection, now: int, new_key: Callable[[], bytes] = new_cursor_key) -> Installation:
    """Return the identity of this installation, made at the first start from `new_key` (32 bytes a call)."""
    row = conn.execute("SELECT id, epoch, cursor_key FROM installation").fetchone()
    if row is None:
        row = (new_key().hex()[:16], new_key().hex()[:16], new_key())
        conn.execute("INSERT INTO installation VALUES (1, ?, ?, ?, 0, NULL, ?)", (*row, now))
    return Installation(*row)


def begin_life(conn: sqlite3.Connection, now: int) -> int:
    """Count this start and return its number: the Unix second, or one more than the start before it.

    A counter alone would give the starts after a backup was put back the numbers of those that the backup does not
    know, whose cursors clients still hold (CHANNEL C2, never reused). The installation must exist (`load_or_create`).
    """
    row = conn.execute(
        "UPDATE installation SET life = max(life + 1, ? / 1000), life_began_at = ? RETURNING life", (now, now)
    ).fetchone()
    return int(row[0])
