"""Sessions of browsers: server-side, found by the SHA-256 of a 256-bit random secret."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

_COLUMNS = "id, user_id, secret_hash, created_at, expires_at, seen_at, address, user_agent"


@dataclass(frozen=True, slots=True)
class Session:
    """One login. `secret_hash` is the SHA-256 of its secret (32 bytes)."""

    id: str
    user_id: str
    secret_hash: bytes = field(repr=False)
    created_at: int
    expires_at: int
    seen_at: int
    address: str | None = None
    user_agent: str | None = None


def add(conn: sqlite3.Connection, session: Session) -> None:
    """Store a new session."""
    values = (
        session.id,
        session.user_id,
        session.secret_hash,
        session.created_at,
        session.expires_at,
        session.seen_at,
        session.address,
        session.user_agent,
    )
    conn.execute(f"INSERT INTO sessions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


def get(conn: sqlite3.Connection, session_id: str) -> Session | None:
    """Return a session by its id."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM sessions WHERE id = ?", (session_id,)).fetchone()
    return None if row is None else Session(*row)


def all_sessions(conn: sqlite3.Connection) -> list[Session]:
    """Return all sessions, expired ones too, newest first."""
    return [Session(*row) for row in conn.execute(f"SELECT {_COLUMNS} FROM sessions ORDER BY created_at DESC, id")]


def of_user(conn: sqlite3.Connection, user_id: str) -> list[Session]:
    """Return a user's sessions, expired ones too, newest first."""
    query = f"SELECT {_COLUMNS} FROM sessions WHERE user_id = ? ORDER BY created_at DESC, id"
    return [Session(*row) for row in conn.execute(query, (user_id,))]


def touch(conn: sqlite3.Connection, seen: Iterable[tuple[str, int]]) -> None:
    """Note when sessions were last used: pairs of id and time."""
    conn.executemany("UPDATE sessions SET seen_at = max(seen_at, ?2) WHERE id = ?1", seen)


def delete(conn: sqlite3.Connection, session_id: str) -> bool:
    """End a session; return whether there was one."""
    return conn.execute("DELETE FROM sessions WHERE id = ?", (session_id,)).rowcount > 0


def delete_of_user(conn: sqlite3.Connection, user_id: str, *, keep: str | None = None) -> int:
    """End a user's sessions, but not the one with the id `keep`; return how many."""
    return conn.execute("DELETE FROM sessions WHERE user_id = ? AND id IS NOT ?", (user_id, keep)).rowcount


def purge(conn: sqlite3.Connection, now: int) -> int:
    """Delete expired sessions; return how many."""
    return conn.execute("DELETE FROM sessions WHERE expires_at <= ?", (now,)).rowcount
