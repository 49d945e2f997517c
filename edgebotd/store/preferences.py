"""What each user's page remembers on all devices; JSON that nobody but the page reads."""

from __future__ import annotations

import sqlite3


def get(conn: sqlite3.Connection, user_id: str) -> str | None:
    """Return a user's preferences as they were put, None where there are none."""
    row = conn.execute("SELECT data FROM preferences WHERE user_id = ?", (user_id,)).fetchone()
    return None if row is None else str(row[0])


def put(conn: sqlite3.Connection, user_id: str, data: str, now: int) -> None:
    """Keep a user's preferences, instead of those that were there."""
    conn.execute(
        "INSERT INTO preferences VALUES (?, ?, ?) ON CONFLICT (user_id)"
        " DO UPDATE SET data = excluded.data, changed_at = excluded.changed_at",
        (user_id, data, now),
    )
