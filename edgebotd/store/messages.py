"""Messages: stored once by (bot, conversation, run, role), in the order in which they came."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from edgebotd.errors import Conflict, NotFound
from edgebotd.events import Message, Part
from edgebotd.store import words

_COLUMNS = "key, id, conversation_id, run_id, role, state, source, user_id, created_at, edited_at, parts"

SEQ_BITS = 40
SEQ_MASK = (1 << SEQ_BITS) - 1
"""A key is (number of the bot << SEQ_BITS) | seq; seq counts the messages of all bots, so it orders them too."""

_PARTS: TypeAdapter[tuple[Part, ...]] = TypeAdapter(tuple[Part, ...])


@dataclass(frozen=True, slots=True)
class Put:
    """What became of a message: the stored one, and whether this made or changed it (None: it was there already)."""

    message: Message
    change: Literal["created", "edited"] | None


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
        NotFound: no such bot or conversation.
        Conflict: the id belongs to another message of the bot.
    """
    raise NotImplementedError


def known_external(conn: sqlite3.Connection, bot_id: str, keys: Iterable[str]) -> dict[str, str]:
    """Return the message ids of those of the keys that are stored."""
    raise NotImplementedError


def get(conn: sqlite3.Connection, bot_id: str, message_id: str) -> Message | None:
    """Return a message by its id."""
    raise NotImplementedError


def by_run(conn: sqlite3.Connection, bot_id: str, run_id: str) -> list[Message]:
    """Return the messages of a run, in the order in which they were stored."""
    raise NotImplementedError


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

    With `before_seq` the newest ones before it; with `after_seq` (alone) the oldest ones after it, newest first too,
    so that a reader who goes forward misses none.
    """
    raise NotImplementedError


def count_after(
    conn: sqlite3.Connection, conversation_id: str, seq: int, *, not_by: str | None = None, ceiling: int = 100
) -> int:
    """Count the messages of a conversation after a seq, those of the user `not_by` left out, up to `ceiling`."""
    raise NotImplementedError


def delete_of_conversation(conn: sqlite3.Connection, conversation_id: str, *, limit: int = 2000) -> int:
    """Delete the messages of a conversation; return how many, at most `limit`: repeat until 0.

    Each call should be a write of its own: a long one holds up all others.
    """
    raise NotImplementedError


def delete_of_bot(conn: sqlite3.Connection, bot_id: str, *, limit: int = 2000) -> int:
    """Delete the messages of a bot; return how many, at most `limit`: repeat until 0."""
    raise NotImplementedError


def delete_older(conn: sqlite3.Connection, created_before: int, *, limit: int = 2000) -> int:
    """Delete messages made before a time (retention); return how many, at most `limit`: repeat until 0."""
    raise NotImplementedError
