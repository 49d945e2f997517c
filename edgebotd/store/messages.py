"""Messages: stored once by (bot, conversation, run, role), in the order in which they came."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from edgebotd.errors import Conflict, NotFound
from edgebotd.events import Message, Part
from edgebotd.store import indexing

MAX_SEQ: Final = 2**63 - 1
"""SQLite's greatest row id, for "no bound"."""

_NEWEST_LOOKED_AT: Final = 500
"""How far back `newest` looks."""

_PARTS: Final[TypeAdapter[tuple[Part, ...]]] = TypeAdapter(tuple[Part, ...])

_SELECT: Final = (
    "SELECT m.seq, m.id, b.id, c.id, m.run_id, m.role, m.parts, m.state, m.source, m.user_id, m.created_at, m.edited_at"
    " FROM messages AS m CROSS JOIN bots AS b ON b.number = m.bot_number"
    " CROSS JOIN conversations AS c ON c.number = m.conversation_number"
)
"""CROSS JOIN: always the messages first, by one of their indexes, whatever the planner's statistics say."""


@dataclass(frozen=True, slots=True)
class Put:
    """What became of a message: the stored one, and whether this made or changed it (None: it was there already)."""

    message: Message
    change: Literal["created", "edited"] | None


def parts_of(text: str) -> tuple[Part, ...]:
    """Return the parts of a message from their stored form."""
    return _PARTS.validate_json(text)


def _stored(parts: tuple[Part, ...]) -> str:
    return _PARTS.dump_json(parts, by_alias=True).decode()


def _message(row: tuple[Any, ...]) -> Message:
    seq, message_id, bot_id, conversation_id, run_id, role, parts, state, source, user_id, created_at, edited_at = row
    return Message(
        id=message_id,
        bot_id=bot_id,
        conversation_id=conversation_id,
        run_id=run_id,
        role=role,
        parts=parts_of(parts),
        state=state,
        source=source,
        user_id=user_id,
        created_at=created_at,
        edited_at=edited_at,
        seq=seq,
    )


def put(
    conn: sqlite3.Connection, message: Message, *, external_keys: Iterable[str] = (), now: int | None = None
) -> Put:
    """Store a message, or what is new about a stored one.

    The same message is one with the same bot, conversation, run and role; else one with the same id in the same
    conversation and role. It keeps its id, run, seq, source and `created_at`; other parts or another state make it
    `edited`, at `now` (else at the message's own `edited_at` or `created_at`). What is equal changes nothing.

    Args:
        external_keys: ids of the rows in the bot's own history that this message is made of.

    Raises:
        NotFound: no such bot, or no such conversation of it.
        Conflict: the id belongs to another message of the bot.
    """
    parts = _stored(message.parts)
    bot_number, conversation_number = _numbers_in(conn, message)
    row = (
        message.id,
        bot_number,
        conversation_number,
        message.run_id,
        message.role,
        message.state,
        message.source,
        message.user_id,
        message.created_at,
        message.edited_at,
        parts,
    )
    # New in all but a few cases, so it is tried first.
    cursor = conn.execute(_INSERT, row)
    if cursor.rowcount:
        put_ = Put(message.model_copy(update={"seq": cursor.lastrowid}), "created")
    else:
        put_ = _put_again(conn, message, bot_number, conversation_number, parts, now)
    if external_keys:
        conn.executemany(
            "INSERT OR REPLACE INTO external_keys VALUES (?, ?, ?)",
            [(bot_number, external, put_.message.seq) for external in external_keys],
        )
    return put_


_INSERT: Final = (
    "INSERT OR IGNORE INTO messages (id, bot_number, conversation_number, run_id, role, state, source, user_id,"
    " created_at, edited_at, parts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
"""Of values: from a query it would cost twice as much, because SQLite then keeps copies of pages for the statement."""


def _numbers_in(conn: sqlite3.Connection, message: Message) -> tuple[int, int]:
    """Return the numbers of a message's bot and conversation."""
    row = conn.execute(
        "SELECT b.number, c.number FROM conversations AS c JOIN bots AS b ON b.id = c.bot_id"
        " WHERE c.id = ? AND b.id = ?",
        (message.conversation_id, message.bot_id),
    ).fetchone()
    if row is None:
        raise NotFound("conversation")
    return row[0], row[1]


def _put_again(
    conn: sqlite3.Connection, message: Message, number: int, conversation_number: int, parts: str, now: int | None
) -> Put:
    old = conn.execute(
        f"{_SELECT} WHERE m.run_id = ? AND m.role = ? AND m.conversation_number = ?",
        (message.run_id, message.role, conversation_number),
    ).fetchone()
    if old is None:
        old = conn.execute(f"{_SELECT} WHERE m.id = ? AND m.bot_number = ?", (message.id, number)).fetchone()
        if (old[3], old[5]) != (message.conversation_id, message.role):
            raise Conflict(
                "message_id_used", f"The bot '{message.bot_id}' has another message with the id '{message.id[:64]}'."
            )
    if old[6] == parts and old[7] == message.state:
        return Put(_message(old), None)
    return Put(_edit(conn, old, number, message, parts, now), "edited")


def _edit(
    conn: sqlite3.Connection, old: tuple[Any, ...], number: int, message: Message, parts: str, now: int | None
) -> Message:
    seq, old_parts = old[0], old[6]
    edited_at = message.edited_at or message.created_at if now is None else now
    conn.execute(
        "UPDATE messages SET parts = ?, state = ?, edited_at = ?, user_id = coalesce(user_id, ?) WHERE seq = ?",
        (parts, message.state, edited_at, message.user_id, seq),
    )
    if parts != old_parts:
        indexing.requeue(conn, seq, number, old_parts)
    return _message(conn.execute(f"{_SELECT} WHERE m.seq = ?", (seq,)).fetchone())


def known_external(conn: sqlite3.Connection, bot_id: str, keys: Iterable[str]) -> dict[str, str]:
    """Return the message ids of those of the keys that are stored."""
    query = (
        "SELECT m.id FROM bots AS b JOIN external_keys AS e ON e.bot_number = b.number"
        " JOIN messages AS m ON m.seq = e.message_seq WHERE b.id = ? AND e.key = ?"
    )
    found = {}
    for key in keys:
        row = conn.execute(query, (bot_id, key)).fetchone()
        if row is not None:
            found[key] = str(row[0])
    return found


def get(conn: sqlite3.Connection, bot_id: str, message_id: str) -> Message | None:
    """Return a message by its id."""
    row = conn.execute(f"{_SELECT} WHERE m.id = ? AND b.id = ?", (message_id, bot_id)).fetchone()
    return None if row is None else _message(row)


def by_run(conn: sqlite3.Connection, bot_id: str, run_id: str) -> list[Message]:
    """Return the messages of a run, in the order in which they were stored."""
    rows = conn.execute(f"{_SELECT} WHERE m.run_id = ? AND b.id = ? ORDER BY m.seq", (run_id, bot_id))
    return [_message(row) for row in rows]


def by_seqs(conn: sqlite3.Connection, seqs: Iterable[int]) -> list[Message]:
    """Return the messages with these seqs, in their order; for `search`."""
    return [_message(conn.execute(f"{_SELECT} WHERE m.seq = ?", (seq,)).fetchone()) for seq in seqs]


def page(
    conn: sqlite3.Connection,
    bot_id: str,
    conversation_id: str | None = None,
    *,
    before_seq: int | None = None,
    after_seq: int | None = None,
    limit: int = 50,
) -> list[Message]:
    """Return up to `limit` messages of a bot or one of its conversations, newest first.

    With `before_seq` the newest ones before it. With `after_seq` the oldest ones after it (newest first, too), so that
    a reader who goes forward misses none.
    """
    if conversation_id is None:
        row = conn.execute("SELECT number FROM bots WHERE id = ?", (bot_id,)).fetchone()
        of = "m.bot_number = ?"
    else:
        row = conn.execute(
            "SELECT c.number FROM conversations AS c JOIN bots AS b ON b.id = c.bot_id WHERE c.id = ? AND b.id = ?",
            (conversation_id, bot_id),
        ).fetchone()
        of = "m.conversation_number = ?"
    if row is None:
        return []
    low = 0 if after_seq is None else min(after_seq, MAX_SEQ - 1) + 1
    high = MAX_SEQ if before_seq is None else min(before_seq, MAX_SEQ) - 1
    forward = after_seq is not None and before_seq is None
    rows = conn.execute(
        f"{_SELECT} WHERE {of} AND m.seq BETWEEN ? AND ? ORDER BY m.seq {'ASC' if forward else 'DESC'} LIMIT ?",
        (row[0], low, high, limit),
    ).fetchall()
    return [_message(row) for row in (reversed(rows) if forward else rows)]


def newest(conn: sqlite3.Connection, bot_id: str) -> Message | None:
    """Return a bot's newest message, one whose conversation was deleted (and whose own deletion goes on) left out."""
    # Bounded: a conversation of 100,000 messages takes a while to be deleted.
    query = (
        f"{_SELECT} WHERE m.seq = (SELECT n.seq FROM (SELECT seq, conversation_number FROM messages"
        " WHERE bot_number = (SELECT number FROM bots WHERE id = ?) ORDER BY seq DESC LIMIT ?) AS n"
        " CROSS JOIN conversations AS k ON k.number = n.conversation_number"
        " WHERE k.deleted_at IS NULL ORDER BY n.seq DESC LIMIT 1)"
    )
    row = conn.execute(query, (bot_id, _NEWEST_LOOKED_AT)).fetchone()
    return None if row is None else _message(row)


def count_after(
    conn: sqlite3.Connection, conversation_id: str, seq: int, *, not_by: str | None = None, ceiling: int = 100
) -> int:
    """Count the messages of a conversation after a seq, those of the user `not_by` left out, up to `ceiling`."""
    query = (
        "SELECT count(*) FROM (SELECT 1 FROM messages WHERE (?3 IS NULL OR user_id IS NOT ?3) AND seq > ?2"
        " AND conversation_number = (SELECT number FROM conversations WHERE id = ?1) LIMIT ?4)"
    )
    return int(conn.execute(query, (conversation_id, seq, not_by, ceiling)).fetchone()[0])


def delete_of_conversation(conn: sqlite3.Connection, conversation_id: str, *, limit: int = 2000) -> int:
    """Delete the messages of a conversation; return how many, at most `limit`: repeat until 0.

    Each call should be a write of its own: a long one holds up all others.
    """
    return _delete(
        conn, "conversation_number = (SELECT number FROM conversations WHERE id = ?)", (conversation_id,), limit
    )


def delete_of_bot(conn: sqlite3.Connection, bot_id: str, *, limit: int = 2000) -> int:
    """Delete the messages of a bot; return how many, at most `limit`: repeat until 0."""
    return _delete(conn, "bot_number = (SELECT number FROM bots WHERE id = ?)", (bot_id,), limit)


def delete_older(conn: sqlite3.Connection, created_before: int, *, limit: int = 2000) -> int:
    """Delete messages made before a time (retention); return how many, at most `limit`: repeat until 0."""
    return _delete(conn, "created_at < ?", (created_before,), limit)


def _delete(conn: sqlite3.Connection, condition: str, values: tuple[int | str, ...], limit: int) -> int:
    query = (
        "SELECT m.seq, m.id, m.bot_number, b.id, m.parts FROM messages AS m JOIN bots AS b ON b.number = m.bot_number"
        f" WHERE m.seq IN (SELECT seq FROM messages WHERE {condition} LIMIT ?)"
    )
    doomed = conn.execute(query, (*values, limit)).fetchall()
    for seq, message_id, number, bot_id, parts in doomed:
        indexing.requeue(conn, seq, number, parts)
        conn.execute("DELETE FROM messages WHERE seq = ?", (seq,))
        conn.execute("DELETE FROM attachment_links WHERE bot_id = ? AND message_id = ?", (bot_id, message_id))
    return len(doomed)
