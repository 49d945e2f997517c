"""The audit log: who did what to which bot, when, from where. Append-only; only retention deletes."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from typing import Any

_COLUMNS = "id, at, actor, actor_kind, action, subject, bot_id, address, detail"


@dataclass(frozen=True, slots=True)
class Entry:
    """One act. `id` is set by the store (0 before). `detail` is a JSON object and holds no secret.

    `actor` is a user id or another name of who acted, `actor_kind` how it proved that (session, token, local, system).
    """

    at: int
    actor: str
    actor_kind: str
    action: str
    subject: str
    bot_id: str | None = None
    address: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    id: int = 0


def append(conn: sqlite3.Connection, entry: Entry) -> int:
    """Store an entry and return its id."""
    row = conn.execute(
        "INSERT INTO audit (at, actor, actor_kind, action, subject, bot_id, address, detail)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            entry.at,
            entry.actor,
            entry.actor_kind,
            entry.action,
            entry.subject,
            entry.bot_id,
            entry.address,
            json.dumps(entry.detail),
        ),
    ).fetchone()
    return int(row[0])


def page(
    conn: sqlite3.Connection, *, before_id: int | None = None, limit: int = 50, bot_id: str | None = None
) -> list[Entry]:
    """Return up to `limit` entries, newest first, older than the one with id `before_id`; of one bot, where asked."""
    bot, values = ("", ()) if bot_id is None else (" AND bot_id = ?", (bot_id,))
    query = f"SELECT {_COLUMNS} FROM audit WHERE id < ?{bot} ORDER BY id DESC LIMIT ?"
    bound = 2**63 - 1 if before_id is None else before_id
    return [_entry(row) for row in conn.execute(query, (bound, *values, limit))]


def purge(conn: sqlite3.Connection, before_at: int) -> int:
    """Delete the entries from before a time (retention); return how many."""
    conn.execute("INSERT INTO audit_retention VALUES (?)", (before_at,))
    deleted = conn.execute("DELETE FROM audit WHERE at < ?", (before_at,)).rowcount
    conn.execute("DELETE FROM audit_retention")
    return deleted


def _entry(row: tuple[Any, ...]) -> Entry:
    entry_id, at, actor, actor_kind, action, subject, bot_id, address, detail = row
    return Entry(at, actor, actor_kind, action, subject, bot_id, address, json.loads(detail), entry_id)
