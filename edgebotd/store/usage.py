"""How much of each account is used: the last answer, and how it came to it."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

THIN_MS = 3_600_000
"""What is old is kept once in so long."""


@dataclass(frozen=True, slots=True)
class StoredUsage:
    """A row. Times are Unix milliseconds.

    Attributes:
        fingerprint, generation, login_generation, account_id: of the login, when it was asked.
        good: the last good answer, as JSON; `fetched_at` tells when it came.
        error: what is wrong since then, as JSON.
        failures: that came in a row.
        asked_at: when the provider was asked last.
        next_at: when to ask again, None: not by itself.
    """

    profile_id: str
    fingerprint: str | None
    generation: int
    login_generation: int
    account_id: str | None
    good: str | None
    fetched_at: int | None
    error: str | None
    failures: int
    asked_at: int | None
    next_at: int | None


@dataclass(frozen=True, slots=True)
class Point:
    """How much of a window was used at a time."""

    window_id: str
    at: int
    used_percent: float
    resets_at: int | None = None


_NAMES = tuple(field.name for field in dataclasses.fields(StoredUsage))


def all_usage(conn: sqlite3.Connection) -> list[StoredUsage]:
    """Return the rows of all profiles."""
    return [StoredUsage(*row) for row in conn.execute(f"SELECT {', '.join(_NAMES)} FROM account_usage")]


def put(conn: sqlite3.Connection, usage: StoredUsage, points: Iterable[Point] = ()) -> None:
    """Store the row of a profile, and points of its history; of a profile that is gone nothing."""
    if conn.execute("SELECT 1 FROM profiles WHERE id = ?", (usage.profile_id,)).fetchone() is None:
        return
    marks = ", ".join("?" * len(_NAMES))
    values = tuple(getattr(usage, name) for name in _NAMES)
    conn.execute(f"INSERT OR REPLACE INTO account_usage ({', '.join(_NAMES)}) VALUES ({marks})", values)
    conn.executemany(
        "INSERT OR REPLACE INTO account_usage_history VALUES (?, ?, ?, ?, ?)",
        [(usage.profile_id, one.window_id, one.at, one.used_percent, one.resets_at) for one in points],
    )


def forget(conn: sqlite3.Connection, profile_id: str) -> None:
    """Remove what is known of a profile's use: it is another account now."""
    conn.execute("DELETE FROM account_usage WHERE profile_id = ?", (profile_id,))
    conn.execute("DELETE FROM account_usage_history WHERE profile_id = ?", (profile_id,))


def history(
    conn: sqlite3.Connection, profile_id: str, since_at: int, window_id: str | None = None
) -> dict[str, list[Point]]:
    """Return the points of a profile's windows, oldest first, of all or of one."""
    found: dict[str, list[Point]] = {}
    for row in conn.execute(
        "SELECT window_id, at, used_percent, resets_at FROM account_usage_history"
        " WHERE profile_id = ? AND window_id = coalesce(?, window_id) AND at >= ? ORDER BY window_id, at",
        (profile_id, window_id, since_at),
    ):
        point = Point(*row)
        found.setdefault(point.window_id, []).append(point)
    return found


def trim(conn: sqlite3.Connection, before: int, limit: int) -> int:
    """Drop so many points that are older; return how many there were."""
    return conn.execute(
        "DELETE FROM account_usage_history WHERE (profile_id, window_id, at) IN"
        " (SELECT profile_id, window_id, at FROM account_usage_history WHERE at < ? LIMIT ?)",
        (before, limit),
    ).rowcount


def thin(conn: sqlite3.Connection, since_at: int, before: int, limit: int) -> int:
    """Drop so many points of a time after which another one comes in the same hour; return how many there were."""
    return conn.execute(
        "DELETE FROM account_usage_history WHERE (profile_id, window_id, at) IN"
        " (SELECT old.profile_id, old.window_id, old.at FROM account_usage_history AS old"
        f"  WHERE old.at >= ? AND old.at < ? AND EXISTS (SELECT 1 FROM account_usage_history AS new"
        "   WHERE new.profile_id = old.profile_id AND new.window_id = old.window_id"
        f"   AND new.at > old.at AND new.at < (old.at / {THIN_MS} + 1) * {THIN_MS}) LIMIT ?)",
        (since_at, before, limit),
    ).rowcount


def ran_since(conn: sqlite3.Connection, bot_ids: Iterable[str], since_at: int) -> bool:
    """Say whether one of the bots has spoken with somebody since then."""
    return any(
        conn.execute(
            "SELECT 1 FROM conversations WHERE bot_id = ? AND updated_at >= ? AND deleted_at IS NULL LIMIT 1",
            (bot_id, since_at),
        ).fetchone()
        for bot_id in bot_ids
    )
