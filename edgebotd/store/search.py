"""Full-text search over messages: newest first, in the bots that the asker may see.

The index (store/indexing.py) gives the matches of each of its tables newest first; they are merged and read only as far
as there are enough.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Final

from edgebotd.events import Message
from edgebotd.store import indexing, messages, words

SNIPPET_BEFORE: Final = 40
SNIPPET_CHARACTERS: Final = 200
SNIPPET_SEARCHED: Final = 50_000
"""Characters of a message in which a snippet is looked for; behind that the beginning is shown."""


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

    `bot_ids` None stands for all bots that are not removed. Words in double quotes must stand together; a `*` at the
    end of a word of two or more letters finds all words that begin so; case and accents do not count; in scripts
    without spaces any piece of text is found. Nothing else in `text` has a meaning; a text without a word finds
    nothing. Messages of deleted conversations are not found. `before_seq` continues after the last hit's
    `message.seq`.
    """
    terms = words.parse_query(text)
    if not terms or limit < 1:
        return []
    seqs = _newest(conn, words.match_expression(terms), _Scope(conn, bot_ids, conversation_id), before_seq, limit)
    return [Hit(message, snippet(words.text_of(message.parts), terms)) for message in messages.by_seqs(conn, seqs)]


class _Scope:
    """Where is searched: numbers of bots, those that are left out, and perhaps a conversation."""

    def __init__(self, conn: sqlite3.Connection, bot_ids: frozenset[str] | None, conversation_id: str | None) -> None:
        self.conversation: int | None = None
        only: str | None = None
        if conversation_id is not None:
            row = conn.execute("SELECT number, bot_id FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
            self.conversation, only = (0, "") if row is None else row
        self.inside: set[int] = set()
        self.outside: set[int] = set()
        for number, bot_id, removed_at in conn.execute("SELECT number, id, removed_at FROM bots"):
            asked = bot_id in bot_ids if bot_ids is not None else removed_at is None or only is not None
            inside = asked and only in (None, bot_id)
            (self.inside if inside else self.outside).add(number)

    def expression(self, shard: int, words_: str) -> str | None:
        """Return the expression for one table: the words, and the filter of bots; None where no bot of it is inside."""
        inside, outside = (
            [number for number in sorted(side) if indexing.shard_of(number) == shard]
            for side in (self.inside, self.outside)
        )
        if not inside:
            return None
        if not outside:
            return words_
        if len(inside) <= len(outside):
            return f"({_any_of(inside)}) AND ({words_})"
        return f"({words_}) NOT ({_any_of(outside)})"


def _any_of(numbers: list[int]) -> str:
    return " OR ".join(f'"{indexing.bot_token(number)}"' for number in numbers)


def _newest(conn: sqlite3.Connection, expression: str, scope: _Scope, before_seq: int | None, limit: int) -> list[int]:
    """Return the seqs of the newest matches."""
    before = messages.MAX_SEQ if before_seq is None else min(before_seq, messages.MAX_SEQ)
    with ExitStack() as cursors:
        matches: list[Iterator[tuple[int]]] = []
        for shard in range(indexing.SHARDS):
            of_shard = scope.expression(shard, expression)
            if of_shard is not None:
                # Each row costs its share of the walk, so no more are taken than are shown.
                cursor = conn.execute(_MATCHES[shard], (of_shard, before, scope.conversation))
                matches.append(cursors.enter_context(closing(cursor)))
        return [row[0] for row in islice(merge(*matches, reverse=True), limit)]


# CROSS JOIN fixes the order of the loops: matches first, newest first.
_MATCHES: Final = tuple(
    f"SELECT w.rowid FROM message_words_{shard} AS w CROSS JOIN messages AS m ON m.seq = w.rowid"
    " CROSS JOIN conversations AS c ON c.number = m.conversation_number"
    f" WHERE message_words_{shard} MATCH ?1 AND w.rowid < ?2 AND c.deleted_at IS NULL"
    " AND (?3 IS NULL OR m.conversation_number = ?3) ORDER BY w.rowid DESC"
    for shard in range(indexing.SHARDS)
)


# Snippets


def snippet(text: str, terms: tuple[words.Term, ...]) -> Snippet:
    """Return a piece of the text around the first match; cut ends are marked with an ellipsis."""
    found = words.find(text[:SNIPPET_SEARCHED], terms)
    start = max(0, found[0][0] - SNIPPET_BEFORE) if found else 0
    if start:
        # From the next space on, if there is one before the match.
        space = text.find(" ", start, found[0][0])
        start = space + 1 if space >= 0 else start
    end = min(len(text), start + SNIPPET_CHARACTERS)
    if found and found[0][1] > end:
        end = found[0][1]
    head, tail = "…" if start else "", "…" if end < len(text) else ""
    cut = text[start:end]
    ranges = tuple((len(head) + _units(text[start:a]), _units(text[a:b])) for a, b in found if a >= start and b <= end)
    return Snippet(head + cut.translate(_SPACES) + tail, ranges)


# One for one, so that offsets stay right.
_SPACES: Final = {ord(character): " " for character in "\t\n\r\v\f\0\u0085\u2028\u2029"}


def _units(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)
