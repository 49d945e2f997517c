"""Bots, those of the TOML too, so that history and grants have something to belong to."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from edgebotd.errors import Conflict, NotFound

_COLUMNS = "id, kind, name, settings, origin, created_at, removed_at"


@dataclass(frozen=True, slots=True)
class StoredBot:
    """A bot. `settings` is the JSON object that its kind needs, without secrets."""

    id: str
    kind: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    origin: Literal["file", "store"] = "store"
    created_at: int = 0
    removed_at: int | None = None


def _bot(row: tuple[Any, ...]) -> StoredBot:
    bot_id, kind, name, settings, origin, created_at, removed_at = row
    return StoredBot(bot_id, kind, name, json.loads(settings), origin, created_at, removed_at)


def add(conn: sqlite3.Connection, bot: StoredBot) -> None:
    """Store a new bot.

    Raises:
        Conflict: the id is taken, or was that of a removed bot.
    """
    row = conn.execute("SELECT removed_at FROM bots WHERE id = ?", (bot.id,)).fetchone()
    if row is not None and row[0] is None:
        raise Conflict("bot_exists", f"The bot '{bot.id}' exists already. Edit it, or choose another id.")
    if row is not None:
        raise Conflict(
            "bot_id_used", f"The id '{bot.id}' was that of a removed bot and is not given again. Choose another one."
        )
    conn.execute(
        f"INSERT INTO bots ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (bot.id, bot.kind, bot.name, json.dumps(bot.settings), bot.origin, bot.created_at, bot.removed_at),
    )


def upsert_file_bots(conn: sqlite3.Connection, bots: Iterable[StoredBot], now: int) -> None:
    """Make the bots of origin `file` what the TOML says at a start; those no longer in it are removed, history kept.

    A bot that comes back into the file is the same bot again. One that was connected at run time and then written into
    the file becomes the file's.
    """
    named = set()
    for bot in bots:
        named.add(bot.id)
        conn.execute(
            f"INSERT INTO bots ({_COLUMNS}) VALUES (?, ?, ?, ?, 'file', ?, NULL)"
            " ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, name = excluded.name,"
            " settings = excluded.settings, origin = 'file', removed_at = NULL",
            (bot.id, bot.kind, bot.name, json.dumps(bot.settings), now),
        )
    for bot in all_bots(conn):
        if bot.origin == "file" and bot.id not in named:
            remove(conn, bot.id, now)


def get(conn: sqlite3.Connection, bot_id: str) -> StoredBot | None:
    """Return a bot, None for an unknown or removed one."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM bots WHERE id = ? AND removed_at IS NULL", (bot_id,)).fetchone()
    return None if row is None else _bot(row)


def all_bots(conn: sqlite3.Connection, *, removed: bool = False) -> list[StoredBot]:
    """Return all bots in order of the id; with `removed`, the removed ones too."""
    query = f"SELECT {_COLUMNS} FROM bots WHERE removed_at IS NULL OR ? ORDER BY id"
    return [_bot(row) for row in conn.execute(query, (int(removed),))]


def change(
    conn: sqlite3.Connection, bot_id: str, *, name: str | None = None, settings: dict[str, Any] | None = None
) -> StoredBot:
    """Set name or settings (None: leave) and return the bot. Raises `NotFound`."""
    conn.execute(
        "UPDATE bots SET name = coalesce(?, name), settings = coalesce(?, settings)"
        " WHERE id = ? AND removed_at IS NULL",
        (name, None if settings is None else json.dumps(settings), bot_id),
    )
    bot = get(conn, bot_id)
    if bot is None:
        raise NotFound("bot", bot_id)
    return bot


def remove(conn: sqlite3.Connection, bot_id: str, now: int) -> bool:
    """Mark a bot as removed and return whether there was one; the id stays taken, history stays.

    To delete history too, repeat `messages.delete_of_bot` until it returns 0, then `conversations.delete_of_bot`.
    """
    removed = conn.execute("UPDATE bots SET removed_at = ? WHERE id = ? AND removed_at IS NULL", (now, bot_id))
    return removed.rowcount > 0


def number_of(conn: sqlite3.Connection, bot_id: str) -> int | None:
    """Return the number that stands for a bot in keys of messages, for removed bots too."""
    row = conn.execute("SELECT number FROM bots WHERE id = ?", (bot_id,)).fetchone()
    return None if row is None else int(row[0])


def url_of(conn: sqlite3.Connection, bot_id: str) -> str | None:
    """Return the address of a bot that was connected at run time, a removed one too."""
    row = conn.execute("SELECT settings FROM bots WHERE id = ? AND origin = 'store'", (bot_id,)).fetchone()
    url = None if row is None else json.loads(row[0]).get("url")
    return url if isinstance(url, str) else None


def free(conn: sqlite3.Connection, bot_id: str) -> None:
    """Delete the row of a bot that never came to be, so that its id may be given; its history has to be gone.

    A bot that people have known keeps its row: what they said of it must not become another one's.
    """
    conn.execute("DELETE FROM turns WHERE bot_id = ?", (bot_id,))
    conn.execute("DELETE FROM bots WHERE id = ?", (bot_id,))
