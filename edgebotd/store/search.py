"""Full-text search over messages: newest first, in the bots that the asker may see."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from edgebotd.events import Message


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of a message's text. `ranges` are (offset, length) of the matches in it, in UTF-16 code units."""

    text: str
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """One message found."""

    message: Message
    snippet: Snippet


def search(
    conn: sqlite3.Connection,
    text: str,
    bot_ids: frozenset[str] | None,
    *,
    conversation_id: str | None = None,
    before_seq: int | None = None,
    limit: int = 20,
) -> list[Hit]:
    """Return up to `limit` messages that hold all words of `text`, newest first (by seq).

    `bot_ids` None stands for all bots. Words in double quotes must stand together; a `*` at the end of a word of two
    or more letters finds all words that begin so; case and accents do not count; in scripts without spaces any piece
    of text is found. Nothing else in `text` has a meaning; a text without a word finds nothing. `before_seq` continues
    after the last hit's `message.seq`.
    """
    raise NotImplementedError
