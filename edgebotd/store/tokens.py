"""API tokens, found by the SHA-256 of a 256-bit random secret."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from edgebotd.access import Scope

_COLUMNS = "id, user_id, name, secret_hash, scopes, bots, created_at, expires_at, used_at, profile_id"


@dataclass(frozen=True, slots=True)
class Token:
    """Acts as its user, within its scopes and bots (None: all of the user's). Without a time it never expires.

    With `profile_id` it is handed that login's access token and may nothing else.
    """

    id: str
    user_id: str
    name: str
    secret_hash: bytes = field(repr=False)
    scopes: frozenset[Scope]
    bots: frozenset[str] | None
    created_at: int
    expires_at: int | None = None
    used_at: int | None = None
    profile_id: str | None = None


def _token(row: tuple[Any, ...]) -> Token:
    token_id, user_id, name, secret_hash, scopes, bots, created_at, expires_at, used_at, profile_id = row
    return Token(
        token_id,
        user_id,
        name,
        secret_hash,
        frozenset(Scope(word) for word in json.loads(scopes)),
        None if bots is None else frozenset(json.loads(bots)),
        created_at,
        expires_at,
        used_at,
        profile_id,
    )


def add(conn: sqlite3.Connection, token: Token) -> None:
    """Store a new token."""
    values = (
        token.id,
        token.user_id,
        token.name,
        token.secret_hash,
        json.dumps(sorted(scope.value for scope in token.scopes)),
        None if token.bots is None else json.dumps(sorted(token.bots)),
        token.created_at,
        token.expires_at,
        token.used_at,
        token.profile_id,
    )
    conn.execute(f"INSERT INTO tokens ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def get(conn: sqlite3.Connection, token_id: str) -> Token | None:
    """Return a token by its id."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM tokens WHERE id = ?", (token_id,)).fetchone()
    return None if row is None else _token(row)


def all_tokens(conn: sqlite3.Connection) -> list[Token]:
    """Return all tokens, expired ones too, newest first."""
    return [_token(row) for row in conn.execute(f"SELECT {_COLUMNS} FROM tokens ORDER BY created_at DESC, id")]


def of_user(conn: sqlite3.Connection, user_id: str) -> list[Token]:
    """Return a user's tokens, expired ones too, newest first."""
    query = f"SELECT {_COLUMNS} FROM tokens WHERE user_id = ? ORDER BY created_at DESC, id"
    return [_token(row) for row in conn.execute(query, (user_id,))]


def touch(conn: sqlite3.Connection, used: Iterable[tuple[str, int]]) -> None:
    """Note when tokens were last used: pairs of id and time."""
    conn.executemany("UPDATE tokens SET used_at = max(coalesce(used_at, 0), ?2) WHERE id = ?1", used)


def delete(conn: sqlite3.Connection, token_id: str) -> bool:
    """Revoke a token; return whether there was one."""
    return conn.execute("DELETE FROM tokens WHERE id = ?", (token_id,)).rowcount > 0


def delete_of_user(conn: sqlite3.Connection, user_id: str) -> int:
    """Revoke all tokens of a user; return how many."""
    return conn.execute("DELETE FROM tokens WHERE user_id = ?", (user_id,)).rowcount


def of_profile(conn: sqlite3.Connection, profile_id: str) -> list[Token]:
    """Return the tokens that open a login, expired ones too."""
    query = f"SELECT {_COLUMNS} FROM tokens WHERE profile_id = ? ORDER BY id"
    return [_token(row) for row in conn.execute(query, (profile_id,))]


def forget_expired(conn: sqlite3.Connection, user_id: str, now: int) -> None:
    """Revoke a user's expired tokens that open a login: sessions make many of them, which nobody looks at."""
    conn.execute("DELETE FROM tokens WHERE user_id = ? AND profile_id IS NOT NULL AND expires_at <= ?", (user_id, now))
