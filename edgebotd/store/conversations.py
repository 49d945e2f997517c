"""Conversations, and how far each user has read them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from edgebotd.errors import NotFound
from edgebotd.events import Conversation, Message
from edgebotd.store import messages

_COLUMNS = "id, bot_id, title, source, created_at, updated_at, deleted_at"

UNREAD_CEILING = 100
"""Unread messages are counted up to this; a list shows more as "99+"."""

UNREAD_CONVERSATIONS = 2000
"""How many conversations of a bot are looked through for what is unread, those that changed last first."""

UNREAD_ROWS = 2000
"""How many messages behind the read markers are looked at: a user's own ones, which do not count, are among them."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of a user's list of conversations."""

    conversation: Conversation
    unread: int
    """Messages of others after the read marker, at most `UNREAD_CEILING`."""
    read_seq: int
    """The user's read marker, 0 for none."""
    last: Message | None
    """The newest message, for a preview."""


def _conversation(row: tuple[Any, ...]) -> Conversation:
    conversation_id, bot_id, title, source, created_at, updated_at, deleted_at = row
    return Conversation(
        id=conversation_id,
        bot_id=bot_id,
        title=title,
        source=source,
        created_at=created_at,
        updated_at=updated_at,
        deleted_at=deleted_at,
    )


def insert(conn: sqlite3.Connection, conversation: Conversation, session_key: str) -> None:
    """Store a new conversation; (bot, session key) must be new."""
    conn.execute(
        f"INSERT INTO conversations ({_COLUMNS}, session_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            conversation.id,
            conversation.bot_id,
            conversation.title,
            conversation.source,
            conversation.created_at,
            conversation.updated_at,
            conversation.deleted_at,
            session_key,
        ),
    )


def get(conn: sqlite3.Connection, conversation_id: str) -> Conversation | None:
    """Return a conversation, a deleted one too (`deleted_at`)."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
    return None if row is None else _conversation(row)


def by_session_key(conn: sqlite3.Connection, bot_id: str, session_key: str) -> Conversation | None:
    """Return the conversation of a session of the bot's, a deleted one too."""
    query = f"SELECT {_COLUMNS} FROM conversations WHERE bot_id = ? AND session_key = ?"
    row = conn.execute(query, (bot_id, session_key)).fetchone()
    return None if row is None else _conversation(row)


def session_key_of(conn: sqlite3.Connection, conversation_id: str) -> str | None:
    """Return the bot's own key of a conversation."""
    row = conn.execute("SELECT session_key FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
    return None if row is None else str(row[0])


def all_of_bot(conn: sqlite3.Connection, bot_id: str) -> list[tuple[str, Conversation]]:
    """Return all conversations of a bot with their session keys, deleted ones too, oldest first."""
    query = f"SELECT session_key, {_COLUMNS} FROM conversations WHERE bot_id = ? ORDER BY created_at, id"
    return [(row[0], _conversation(row[1:])) for row in conn.execute(query, (bot_id,))]


def _change(conn: sqlite3.Connection, conversation_id: str, assignment: str, value: str | int | None) -> Conversation:
    row = conn.execute(
        f"UPDATE conversations SET {assignment} WHERE id = ?2 RETURNING {_COLUMNS}", (value, conversation_id)
    ).fetchone()
    if row is None:
        raise NotFound("conversation")
    return _conversation(row)


def rename(conn: sqlite3.Connection, conversation_id: str, title: str | None) -> Conversation:
    """Set the title and return the conversation. Raises `NotFound`."""
    return _change(conn, conversation_id, "title = ?1", title)


def touch(conn: sqlite3.Connection, conversation_id: str, at: int) -> None:
    """Note that something happened at a time; an older time changes nothing."""
    conn.execute("UPDATE conversations SET updated_at = ?1 WHERE id = ?2 AND updated_at < ?1", (at, conversation_id))


def delete(conn: sqlite3.Connection, conversation_id: str, now: int) -> Conversation:
    """Mark a conversation as deleted and return it: gone from lists and search at once. Raises `NotFound`.

    The row stays, so that the bot's own history of it is not captured again. To delete its messages, repeat
    `messages.delete_of_conversation` until it returns 0.
    """
    return _change(conn, conversation_id, "deleted_at = coalesce(deleted_at, ?1)", now)


def restore(conn: sqlite3.Connection, conversation_id: str) -> Conversation:
    """Take the mark of deletion away. Raises `NotFound`."""
    return _change(conn, conversation_id, "deleted_at = ?1", None)


def delete_of_bot(conn: sqlite3.Connection, bot_id: str) -> int:
    """Delete all conversations of a bot for good, once their messages are deleted; return how many."""
    return conn.execute("DELETE FROM conversations WHERE bot_id = ?", (bot_id,)).rowcount


def page(
    conn: sqlite3.Connection,
    bot_id: str,
    user_id: str | None,
    *,
    before: tuple[int, str] | None = None,
    limit: int = 50,
) -> list[Listed]:
    """Return up to `limit` conversations that are not deleted, newest first by (updated_at, id).

    `before` is the pair of the last one of the page before. Without a user nothing counts as read or unread.
    """
    bound = before or (2**62, "")
    query = (
        f"SELECT {_COLUMNS} FROM conversations WHERE bot_id = ? AND deleted_at IS NULL"
        " AND (updated_at, id) < (?, ?) ORDER BY updated_at DESC, id DESC LIMIT ?"
    )
    found = [_conversation(row) for row in conn.execute(query, (bot_id, *bound, limit))]
    return [_listed(conn, conversation, user_id) for conversation in found]


def _listed(conn: sqlite3.Connection, conversation: Conversation, user_id: str | None) -> Listed:
    read_seq = 0 if user_id is None else read_marker(conn, user_id, conversation.id)
    newest = messages.page(conn, conversation.bot_id, conversation.id, limit=1)
    return Listed(
        conversation,
        0 if user_id is None else unread(conn, user_id, conversation.id),
        read_seq,
        newest[0] if newest else None,
    )


def read_marker(conn: sqlite3.Connection, user_id: str, conversation_id: str) -> int:
    """Return the seq up to which the user has read, 0 for none."""
    query = "SELECT seq FROM read_markers WHERE user_id = ? AND conversation_id = ?"
    row = conn.execute(query, (user_id, conversation_id)).fetchone()
    return 0 if row is None else int(row[0])


def set_read(conn: sqlite3.Connection, user_id: str, conversation_id: str, seq: int) -> bool:
    """Move the user's read marker forward; return whether it moved (an older seq changes nothing)."""
    changed = conn.execute(
        "INSERT INTO read_markers VALUES (?, ?, ?) ON CONFLICT (user_id, conversation_id)"
        " DO UPDATE SET seq = excluded.seq WHERE excluded.seq > seq",
        (user_id, conversation_id, seq),
    )
    return changed.rowcount > 0


def unread(conn: sqlite3.Connection, user_id: str, conversation_id: str) -> int:
    """Count messages of others after the user's read marker, up to `UNREAD_CEILING`."""
    return messages.count_after(
        conn, conversation_id, read_marker(conn, user_id, conversation_id), not_by=user_id, ceiling=UNREAD_CEILING
    )


def unread_of_bot(conn: sqlite3.Connection, user_id: str, bot_id: str) -> int:
    """Count messages of others after the user's read markers in all of a bot's conversations, up to `UNREAD_CEILING`.

    Indexes alone answer it, and the bounds keep it short: all read, each conversation costs two look-ups.
    """
    # CROSS JOIN: the conversations first, by their index, whatever the planner's statistics say.
    query = (
        "SELECT count(*) FROM (SELECT 1 FROM ("
        "SELECT m.user_id FROM ("
        "SELECT number, id FROM conversations WHERE bot_id = ?1 AND deleted_at IS NULL"
        " ORDER BY updated_at DESC, id DESC LIMIT ?3"
        ") AS c CROSS JOIN messages AS m ON m.conversation_number = c.number AND m.seq > coalesce("
        "(SELECT seq FROM read_markers WHERE user_id = ?2 AND conversation_id = c.id), 0) LIMIT ?4"
        ") WHERE user_id IS NOT ?2 LIMIT ?5)"
    )
    bounds = (UNREAD_CONVERSATIONS, UNREAD_ROWS, UNREAD_CEILING)
    return int(conn.execute(query, (bot_id, user_id, *bounds)).fetchone()[0])
