"""One-time codes: what a setup link or a login link carries in its fragment."""

from __future__ import annotations

import sqlite3

from edgebotd.people.secret import digest, new_secret
from edgebotd.store import codes
from edgebotd.store.codes import Code, Purpose


def add_code(
    conn: sqlite3.Connection, purpose: Purpose, user_id: str | None, *, now: int, lifetime_seconds: float
) -> tuple[str, int]:
    """Store a new code; return it and when it expires (Unix milliseconds).

    `setup` without a user makes the first admin, with one it sets that user's password; `login` opens a session. In a
    transaction of the caller, so `edgebotd init` can use it while no daemon runs.
    """
    secret = new_secret()
    expires_at = now + round(lifetime_seconds * 1000)
    codes.add(conn, Code(digest(secret), purpose, user_id, expires_at))
    return secret, expires_at
