"""Messages: stored once by (bot, conversation, run, role), in the order in which they came."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from edgebotd.errors import Conflict, NotFound
from edgebotd.events import Message, Part
from edgebotd.store import words

SEQ_BITS: Final = 40
SEQ_MASK: Final = (1 << SEQ_BITS) - 1
"""A key is (number of the bot << SEQ_BITS) | seq; seq counts the messages of all bots, so it orders them too."""

_PARTS: Final[TypeAdapter[tuple[Part, ...]]] = TypeAdapter(tuple[Part, ...])

_SELECT: Final = (
    "SELECT m.key, m.id, b.id, m.conversation_id, m.run_id, m.role, m.parts, m.state, m.source, m.user_id,"
    " m.created_at, m.edited_at FROM messages AS m JOIN bots AS b ON b.number = m.bot_number"
)


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
    key, message_id, bot_id, conversation_id, run_id, role, parts, state, source, user_id, created_at, edited_at = row
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
        seq=key & SEQ_MASK,
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
    number, seq = _next_seq(conn, message)
    row = _row(message, number, seq, parts)
    # New in all but a few cases, so it is tried first; the seq of one that was there already is never used.
    if conn.execute(_INSERT, row).rowcount:
        conn.execute(_QUEUE_NEW, row[:1])
        put_ = Put(_with_seq(message, seq), "created")
    else:
        put_ = _put_again(conn, message, number, parts, now)
    if external_keys:
        key = number << SEQ_BITS | (put_.message.seq or 0)
        conn.executemany(
            "INSERT OR REPLACE INTO external_keys VALUES (?, ?, ?)",
            [(number, external, key) for external in external_keys],
        )
    return put_


def put_many(conn: sqlite3.Connection, batch: Sequence[Message], *, now: int | None = None) -> list[Put]:
    """Store many messages, as `put` does, in their order; about twice as fast where all of them are new.

    Meant for some hundred at a time, such as a page of a bot's own history: other writes wait meanwhile.
    """
    first = conn.execute("UPDATE message_seq SET value = value + ? RETURNING value", (len(batch),)).fetchone()[0]
    first -= len(batch) - 1
    numbers: dict[tuple[str, str], int] = {}
    rows = []
    for seq, message in enumerate(batch, first):
        of = (message.bot_id, message.conversation_id)
        if of not in numbers:
            numbers[of] = _number_in(conn, message)
        rows.append(_row(message, numbers[of], seq, _stored(message.parts)))
    conn.execute("SAVEPOINT many")
    if conn.executemany(_INSERT, rows).rowcount == len(rows):
        conn.executemany(_QUEUE_NEW, [row[:1] for row in rows])
        conn.execute("RELEASE many")
        return [Put(_with_seq(message, seq), "created") for seq, message in enumerate(batch, first)]
    conn.execute("ROLLBACK TO many")
    conn.execute("RELEASE many")
    return [put(conn, message, now=now) for message in batch]


_QUEUE_NEW: Final = "INSERT INTO search_queue VALUES (?, NULL)"
_INSERT: Final = "INSERT OR IGNORE INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _row(message: Message, number: int, seq: int, parts: str) -> tuple[Any, ...]:
    return (
        number << SEQ_BITS | seq,
        message.id,
        number,
        message.conversation_id,
        message.run_id,
        message.role,
        message.state,
        message.source,
        message.user_id,
        message.created_at,
        message.edited_at,
        parts,
    )


def _with_seq(message: Message, seq: int) -> Message:
    # model_copy() costs as much as an insert.
    return Message.model_construct(message.model_fields_set | {"seq"}, **{**message.__dict__, "seq": seq})


def _next_seq(conn: sqlite3.Connection, message: Message) -> tuple[int, int]:
    """Take the next seq; return it behind the bot's number."""
    number, seq = conn.execute(
        f"UPDATE message_seq SET value = value + 1 RETURNING ({_NUMBER}), value",
        (message.conversation_id, message.bot_id),
    ).fetchone()
    if number is None:
        raise NotFound("conversation")
    return number, seq


_NUMBER: Final = "SELECT b.number FROM conversations AS c JOIN bots AS b ON b.id = c.bot_id WHERE c.id = ? AND b.id = ?"


def _number_in(conn: sqlite3.Connection, message: Message) -> int:
    row = conn.execute(_NUMBER, (message.conversation_id, message.bot_id)).fetchone()
    if row is None:
        raise NotFound("conversation")
    return int(row[0])


def _put_again(conn: sqlite3.Connection, message: Message, number: int, parts: str, now: int | None) -> Put:
    old = conn.execute(
        f"{_SELECT} WHERE m.run_id = ? AND m.role = ? AND m.conversation_id = ?",
        (message.run_id, message.role, message.conversation_id),
    ).fetchone()
    if old is None:
        old = conn.execute(f"{_SELECT} WHERE m.id = ? AND m.bot_number = ?", (message.id, number)).fetchone()
        if (old[3], old[5]) != (message.conversation_id, message.role):
            raise Conflict(
                "message_id_used", f"The bot '{message.bot_id}' has another message with the id '{message.id[:64]}'."
            )
    if old[6] == parts and old[7] == message.state:
        return Put(_message(old), None)
    return Put(_edit(conn, old, message, parts, now), "edited")


def _edit(conn: sqlite3.Connection, old: tuple[Any, ...], message: Message, parts: str, now: int | None) -> Message:
    key, old_parts = old[0], old[6]
    edited_at = message.edited_at or message.created_at if now is None else now
    conn.execute(
        "UPDATE messages SET parts = ?, state = ?, edited_at = ?, user_id = coalesce(user_id, ?) WHERE key = ?",
        (parts, message.state, edited_at, message.user_id, key),
    )
    if parts != old_parts:
        _requeue(conn, key, old_parts)
    return _message(conn.execute(f"{_SELECT} WHERE m.key = ?", (key,)).fetchone())


def _requeue(conn: sqlite3.Connection, key: int, old_parts: str) -> None:
    # A row that waits already knows what the index has: nothing for a new message, else the text before the first edit.
    conn.execute(
        "INSERT OR IGNORE INTO search_queue VALUES (?, ?)", (key, words.index_text(words.text_of(parts_of(old_parts))))
    )


def known_external(conn: sqlite3.Connection, bot_id: str, keys: Iterable[str]) -> dict[str, str]:
    """Return the message ids of those of the keys that are stored."""
    query = (
        "SELECT m.id FROM bots AS b JOIN external_keys AS e ON e.bot_number = b.number"
        " JOIN messages AS m ON m.key = e.message_key WHERE b.id = ? AND e.key = ?"
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
    rows = conn.execute(f"{_SELECT} WHERE m.run_id = ? AND b.id = ? ORDER BY m.key", (run_id, bot_id))
    return [_message(row) for row in rows]


def by_keys(conn: sqlite3.Connection, keys: Iterable[int]) -> list[Message]:
    """Return the messages with these keys, in their order; for `search`."""
    return [_message(conn.execute(f"{_SELECT} WHERE m.key = ?", (key,)).fetchone()) for key in keys]


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
    row = conn.execute("SELECT number FROM bots WHERE id = ?", (bot_id,)).fetchone()
    if row is None:
        return []
    base = row[0] << SEQ_BITS
    low = base + (0 if after_seq is None else min(after_seq, SEQ_MASK - 1) + 1)
    high = base + (SEQ_MASK if before_seq is None else min(before_seq, SEQ_MASK) - 1)
    # With a conversation, its index is in order of the key already; `+` keeps the planner from the table's own order.
    of = "m.key BETWEEN ? AND ?" if conversation_id is None else "m.conversation_id = ? AND m.key BETWEEN ? AND ?"
    bounds = (low, high) if conversation_id is None else (conversation_id, low, high)
    forward = after_seq is not None and before_seq is None
    rows = conn.execute(
        f"{_SELECT} WHERE {of} ORDER BY m.key {'ASC' if forward else 'DESC'} LIMIT ?", (*bounds, limit)
    ).fetchall()
    return [_message(row) for row in (reversed(rows) if forward else rows)]


def newest_seq(conn: sqlite3.Connection, number: int) -> int:
    """Return the seq of the newest message of the bot with this number, 0 for none."""
    query = "SELECT max(key) FROM messages WHERE key BETWEEN ? AND ?"
    key = conn.execute(query, (number << SEQ_BITS, (number << SEQ_BITS) + SEQ_MASK)).fetchone()[0]
    return 0 if key is None else int(key) & SEQ_MASK


def count_after(
    conn: sqlite3.Connection, conversation_id: str, seq: int, *, not_by: str | None = None, ceiling: int = 100
) -> int:
    """Count the messages of a conversation after a seq, those of the user `not_by` left out, up to `ceiling`."""
    query = (
        "SELECT count(*) FROM (SELECT 1 FROM messages WHERE conversation_id = ?1 AND (?3 IS NULL OR user_id IS NOT ?3)"
        " AND key > ?2 + ((SELECT b.number FROM conversations AS c JOIN bots AS b ON b.id = c.bot_id WHERE c.id = ?1)"
        f" << {SEQ_BITS}) LIMIT ?4)"
    )
    return int(conn.execute(query, (conversation_id, seq, not_by, ceiling)).fetchone()[0])


def delete_of_conversation(conn: sqlite3.Connection, conversation_id: str, *, limit: int = 2000) -> int:
    """Delete the messages of a conversation; return how many, at most `limit`: repeat until 0.

    Each call should be a write of its own: a long one holds up all others.
    """
    return _delete(conn, "conversation_id = ?", (conversation_id,), limit)


def delete_of_bot(conn: sqlite3.Connection, bot_id: str, *, limit: int = 2000) -> int:
    """Delete the messages of a bot; return how many, at most `limit`: repeat until 0."""
    row = conn.execute("SELECT number FROM bots WHERE id = ?", (bot_id,)).fetchone()
    if row is None:
        return 0
    base = row[0] << SEQ_BITS
    return _delete(conn, "key BETWEEN ? AND ?", (base, base + SEQ_MASK), limit)


def delete_older(conn: sqlite3.Connection, created_before: int, *, limit: int = 2000) -> int:
    """Delete messages made before a time (retention); return how many, at most `limit`: repeat until 0."""
    return _delete(conn, "created_at < ?", (created_before,), limit)


def _delete(conn: sqlite3.Connection, condition: str, values: tuple[int | str, ...], limit: int) -> int:
    query = (
        "SELECT m.key, m.id, b.id, m.parts FROM messages AS m JOIN bots AS b ON b.number = m.bot_number"
        f" WHERE m.key IN (SELECT key FROM messages WHERE {condition} LIMIT ?)"
    )
    doomed = conn.execute(query, (*values, limit)).fetchall()
    for key, message_id, bot_id, parts in doomed:
        _requeue(conn, key, parts)
        conn.execute("DELETE FROM messages WHERE key = ?", (key,))
        conn.execute("DELETE FROM attachment_links WHERE bot_id = ? AND message_id = ?", (bot_id, message_id))
    return len(doomed)
