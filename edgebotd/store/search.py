"""Full-text search over messages: newest first, in the bots that the asker may see.

The index's rowid is the message's key: number of the bot, then seq. So a bot is a range of every word's list, and a
search in one bot never walks over another's matches. Over several bots the newest matches of each are merged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from heapq import nlargest
from typing import Final

from edgebotd.events import Message
from edgebotd.store import messages, words

PROBED: Final = 200
"""So many matches are read without regard to order; a search that has fewer is answered by them alone."""

PREFIX_LENGTHS: Final = (2, 3, 4)
"""Prefixes that the index has lists for, as in the schema."""

WINDOW: Final = 1 << 14
"""The newest so many messages are searched first."""

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


@dataclass(frozen=True, slots=True)
class _Query:
    expression: str
    conversation_id: str | None
    before: int
    limit: int
    terms: tuple[words.Term, ...]


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
    before = messages.SEQ_MASK if before_seq is None else before_seq
    query = _Query(words.match_expression(terms), conversation_id, before, limit, terms)
    keys = _keys(conn, query, _numbers(conn, bot_ids, conversation_id))
    return [Hit(message, snippet(words.text_of(message.parts), terms)) for message in messages.by_keys(conn, keys)]


def _numbers(conn: sqlite3.Connection, bot_ids: frozenset[str] | None, conversation_id: str | None) -> list[int]:
    if conversation_id is not None:
        query = "SELECT b.number, b.id FROM conversations AS c JOIN bots AS b ON b.id = c.bot_id WHERE c.id = ?"
        rows = conn.execute(query, (conversation_id,)).fetchall()
    elif bot_ids is None:
        rows = conn.execute("SELECT number, id FROM bots WHERE removed_at IS NULL").fetchall()
    else:
        rows = conn.execute("SELECT number, id FROM bots").fetchall()
    return [number for number, bot_id in rows if bot_ids is None or bot_id in bot_ids]


def _keys(conn: sqlite3.Connection, query: _Query, numbers: list[int]) -> list[int]:
    """Return the keys of the newest matches in these bots, newest first."""
    if not numbers:
        return []
    if len(numbers) == 1:
        return _of_bot(conn, query, numbers[0], after=0)
    matches = conn.execute(
        "SELECT rowid FROM message_words WHERE message_words MATCH ? LIMIT ?", (query.expression, PROBED)
    )
    probed = [row[0] for row in matches]
    if len(probed) < PROBED:
        return _newest(conn, query, probed, frozenset(numbers))
    if any(term.open_ended and len(term.tokens[-1]) not in PREFIX_LENGTHS for term in query.terms):
        # FTS5 merges the lists of all words with this prefix for each query: once, then, instead of once a bot.
        return _sorted(conn, query, numbers)
    return _merged(conn, query, numbers)


_SHOWN: Final = (
    " CROSS JOIN messages AS m ON m.key = w.rowid"
    " CROSS JOIN conversations AS c ON c.id = m.conversation_id AND c.deleted_at IS NULL"
    " AND (?1 IS NULL OR c.id = ?1)"
)
"""CROSS JOIN fixes the order of the loops: matches first, newest first, until there are enough."""


def _of_bot(conn: sqlite3.Connection, query: _Query, number: int, *, after: int) -> list[int]:
    low = (number << messages.SEQ_BITS) + after + 1
    high = (number << messages.SEQ_BITS) + query.before - 1
    rows = conn.execute(
        f"SELECT w.rowid FROM message_words AS w{_SHOWN} WHERE message_words MATCH ?2"
        " AND w.rowid BETWEEN ?3 AND ?4 ORDER BY w.rowid DESC LIMIT ?5",
        (query.conversation_id, query.expression, low, high, query.limit),
    )
    return [row[0] for row in rows]


def _newest(conn: sqlite3.Connection, query: _Query, keys: Iterable[int], numbers: frozenset[int]) -> list[int]:
    allowed = [key for key in keys if key >> messages.SEQ_BITS in numbers and key & messages.SEQ_MASK < query.before]
    found: list[int] = []
    for key in sorted(allowed, key=_seq, reverse=True):
        shown = conn.execute(f"SELECT 1 FROM (SELECT ?2 AS rowid) AS w{_SHOWN}", (query.conversation_id, key))
        if shown.fetchone() is not None:
            found.append(key)
        if len(found) == query.limit:
            break
    return found


def _merged(conn: sqlite3.Connection, query: _Query, numbers: list[int]) -> list[int]:
    """Merge the newest matches of all bots, going back in windows of seqs that grow while too little is found.

    Without windows each bot would be searched for as many matches as all together need, back to its first message.
    """
    newest = {number: messages.newest_seq(conn, number) for number in numbers}
    found: list[int] = []
    high, width = min(query.before, max(newest.values()) + 1), WINDOW
    while high > 0 and len(found) < query.limit:
        low = max(0, high - width)
        inside = replace(query, before=high, limit=query.limit - len(found))
        matches: list[int] = []
        for number in numbers:
            if newest[number] >= low:
                matches += _of_bot(conn, inside, number, after=low - 1)
        found += nlargest(inside.limit, matches, key=_seq)
        high, width = low, width * 8
    return found


def _sorted(conn: sqlite3.Connection, query: _Query, numbers: list[int]) -> list[int]:
    """Sort all matches of these bots by seq, in SQL, and return the newest."""
    chunk = 10 * query.limit
    while True:
        rows = conn.execute(
            "SELECT rowid FROM message_words WHERE message_words MATCH ? AND rowid & ? < ?"
            f" AND rowid >> {messages.SEQ_BITS} IN ({','.join(map(str, numbers))}) ORDER BY rowid & ? DESC LIMIT ?",
            (query.expression, messages.SEQ_MASK, query.before, messages.SEQ_MASK, chunk),
        ).fetchall()
        found = _newest(conn, query, (row[0] for row in rows), frozenset(numbers))
        # Only where nearly all of them are of deleted conversations is one chunk not enough.
        if len(found) == query.limit or len(rows) < chunk:
            return found
        chunk *= 10


def _seq(key: int) -> int:
    return key & messages.SEQ_MASK


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


# The index


def index_queued(conn: sqlite3.Connection) -> None:
    """Bring the index up to date with `search_queue`; the last thing in each group of writes.

    FTS5 wants ascending rowids: a smaller one after a bigger one makes it write a segment.
    """
    queued = conn.execute(
        "SELECT q.key, q.old, m.parts FROM search_queue AS q LEFT JOIN messages AS m ON m.key = q.key ORDER BY q.key"
    ).fetchall()
    if not queued:
        return
    stale = [(key, old) for key, old, _ in queued if old is not None]
    if stale:
        conn.executemany("INSERT INTO message_words (message_words, rowid, words) VALUES ('delete', ?, ?)", stale)
    conn.executemany(_INDEX, [_indexed(key, parts) for key, _, parts in queued if parts is not None])
    conn.execute("DELETE FROM search_queue")


_INDEX: Final = "INSERT INTO message_words (rowid, words) VALUES (?, ?)"


def _indexed(key: int, parts: str) -> tuple[int, str]:
    return key, words.index_text(words.text_of(messages.parts_of(parts)))


def rebuild(conn: sqlite3.Connection) -> None:
    """Make the index anew from the messages; takes about a minute for a million."""
    conn.execute("INSERT INTO message_words (message_words) VALUES ('delete-all')")
    conn.execute("DELETE FROM search_queue")
    rows = conn.execute("SELECT key, parts FROM messages ORDER BY key")
    conn.executemany(_INDEX, (_indexed(key, parts) for key, parts in rows))


def check(conn: sqlite3.Connection) -> None:
    """Run FTS5's own check of the index; raises `sqlite3.DatabaseError` if it is damaged. Needs a writer."""
    conn.execute("INSERT INTO message_words (message_words) VALUES ('integrity-check')")
