"""Users and their grants on bots."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from edgebotd.access import Grant
from edgebotd.errors import Conflict, NotFound

_COLUMNS = "id, name, admin, password_hash, created_at, disabled_at"


@dataclass(frozen=True, slots=True)
class User:
    """A person. Without a password hash no login by password is possible."""

    id: str
    name: str
    admin: bool
    password_hash: str | None = field(repr=False)
    created_at: int
    disabled_at: int | None = None


def _user(row: tuple[str, str, int, str | None, int, int | None]) -> User:
    user_id, name, admin, password_hash, created_at, disabled_at = row
    return User(user_id, name, bool(admin), password_hash, created_at, disabled_at)


def add(conn: sqlite3.Connection, user: User) -> None:
    """Store a new user.

    Raises:
        Conflict: the id is taken, or was that of a removed user.
    """
    row = conn.execute("SELECT removed_at FROM users WHERE id = ?", (user.id,)).fetchone()
    if row is not None:
        raise Conflict(
            "user_exists" if row[0] is None else "user_id_used",
            f"The user '{user.id}' exists already."
            if row[0] is None
            else f"The id '{user.id}' was that of a removed user and is not given again. Choose another one.",
        )
    conn.execute(
        f"INSERT INTO users ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
        (user.id, user.name, int(user.admin), user.password_hash, user.created_at, user.disabled_at),
    )


def get(conn: sqlite3.Connection, user_id: str) -> User | None:
    """Return a user, None for an unknown or removed one."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM users WHERE id = ? AND removed_at IS NULL", (user_id,)).fetchone()
    return None if row is None else _user(row)


def all_users(conn: sqlite3.Connection) -> list[User]:
    """Return all users that are not removed, in order of the id."""
    return [_user(row) for row in conn.execute(f"SELECT {_COLUMNS} FROM users WHERE removed_at IS NULL ORDER BY id")]


def count_admins(conn: sqlite3.Connection) -> int:
    """Return how many admins can act (not removed, not disabled); the caller keeps the last one."""
    row = conn.execute("SELECT count(*) FROM users WHERE admin AND removed_at IS NULL AND disabled_at IS NULL")
    return int(row.fetchone()[0])


def _change(conn: sqlite3.Connection, user_id: str, assignment: str, value: str | int | None) -> None:
    changed = conn.execute(f"UPDATE users SET {assignment} WHERE id = ? AND removed_at IS NULL", (value, user_id))
    if changed.rowcount == 0:
        raise NotFound("user", user_id)


def set_password(conn: sqlite3.Connection, user_id: str, password_hash: str | None) -> None:
    """Set the hash of the password; None takes the password away. Raises `NotFound`."""
    _change(conn, user_id, "password_hash = ?", password_hash)


def set_admin(conn: sqlite3.Connection, user_id: str, admin: bool) -> None:
    """Give or take the role admin. Raises `NotFound`."""
    _change(conn, user_id, "admin = ?", int(admin))


def set_disabled(conn: sqlite3.Connection, user_id: str, disabled_at: int | None) -> None:
    """Shut a user out from a time on, or let the user in again (None). Raises `NotFound`."""
    _change(conn, user_id, "disabled_at = ?", disabled_at)


def rename(conn: sqlite3.Connection, user_id: str, name: str) -> None:
    """Set the display name. Raises `NotFound`."""
    _change(conn, user_id, "name = ?", name)


def remove(conn: sqlite3.Connection, user_id: str, now: int) -> bool:
    """Remove a user with grants, sessions, tokens, codes, read markers and preferences; the id stays taken.

    Returns whether there was such a user. That the last admin stays is the caller's to check (`count_admins`).
    """
    removed = conn.execute(
        "UPDATE users SET removed_at = ?, password_hash = NULL, admin = 0 WHERE id = ? AND removed_at IS NULL",
        (now, user_id),
    )
    for table in ("grants", "sessions", "tokens", "codes", "read_markers", "preferences"):
        conn.execute(f"DELETE FROM {table} WHERE user_id = ?", (user_id,))
    return removed.rowcount > 0


def set_grant(conn: sqlite3.Connection, user_id: str, bot_id: str, grant: Grant) -> None:
    """Give a user a grant on a bot, instead of the one that the user has. Raises `NotFound` for an unknown user."""
    if get(conn, user_id) is None:
        raise NotFound("user", user_id)
    conn.execute("INSERT OR REPLACE INTO grants VALUES (?, ?, ?)", (user_id, bot_id, int(grant)))


def remove_grant(conn: sqlite3.Connection, user_id: str, bot_id: str) -> bool:
    """Take a user's grant on a bot; return whether there was one."""
    return conn.execute("DELETE FROM grants WHERE user_id = ? AND bot_id = ?", (user_id, bot_id)).rowcount > 0


def remove_grants_on(conn: sqlite3.Connection, bot_id: str) -> int:
    """Take every user's grant on a bot (it was removed); return how many there were."""
    return conn.execute("DELETE FROM grants WHERE bot_id = ?", (bot_id,)).rowcount


def grants_of(conn: sqlite3.Connection, user_id: str) -> dict[str, Grant]:
    """Return a user's grants by bot id."""
    rows = conn.execute("SELECT bot_id, level FROM grants WHERE user_id = ?", (user_id,))
    return {bot_id: Grant(level) for bot_id, level in rows}


def all_grants(conn: sqlite3.Connection) -> dict[str, dict[str, Grant]]:
    """Return all grants: user id -> bot id -> grant. A user without any is not in it."""
    grants: dict[str, dict[str, Grant]] = {}
    for user_id, bot_id, level in conn.execute("SELECT user_id, bot_id, level FROM grants"):
        grants.setdefault(user_id, {})[bot_id] = Grant(level)
    return grants
