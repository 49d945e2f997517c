"""The search index: what it holds, and when words get into it.

Its rowid is the message's seq, so that FTS5's own order is "newest first" and a search over all bots reads only the
newest matches. Each text begins with a token that stands for its bot, the filter for searches in some bots. FTS5 reads
a phrase's lists from the top until the first match, whatever else is asked; so the index is cut into `SHARDS` tables by
bot, which divides what a phrase that hardly occurs costs in one bot, and multiplies the start of a search over all.
(Measured at a million messages: a table for all costs 50 ms for a phrase in a small bot, a rowid that begins with the
bot's number 110 ms for a phrase over fifty bots.)

Words are indexed by the writer (see `Indexer`), in batches: 5,000 at once cost half of what 5,000 times one costs. What
is not indexed yet is known from `search_state` and `search_queue`, written in the transaction of the message, so a
crash loses nothing: the next start goes on.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable
from typing import Final

from edgebotd.store import words

_log = logging.getLogger(__name__)

SHARDS: Final = 4
"""As in the schema."""

AT_ONCE: Final = 200
"""While no write waits, so many messages are indexed in their own transaction: found as soon as they are stored."""

BEHIND_SECONDS: Final = 0.5
BEHIND_MESSAGES: Final = 10_000
"""While writes wait, words are indexed after this time or number: found about a second after they are stored."""

BATCH: Final = 5_000
BATCH_CHARACTERS: Final = 4_000_000
"""What one transaction indexes at most: some 0.2 s in which no other write goes on."""

_BOT: Final = "\ue000"
"""Private-use characters are no part of a word, so nobody can write or ask for a bot's token."""


def shard_of(bot_number: int) -> int:
    """Return which of the tables has a bot's words."""
    return bot_number % SHARDS


def bot_token(bot_number: int) -> str:
    """Return the token that each text of a bot begins with."""
    return f"{_BOT}{bot_number}"


def text_for_index(bot_number: int, parts: str) -> str:
    """Return what the index gets for a message, of its parts as they are stored."""
    return f"{_BOT}{bot_number} {words.index_text(words.text_of_stored(parts))}"


def requeue(conn: sqlite3.Connection, seq: int, bot_number: int, old_parts: str) -> None:
    """Note that a message's words change or go away; `old_parts` are those before. In the transaction of the change."""
    indexed = conn.execute("SELECT indexed_seq FROM search_state").fetchone()[0]
    if seq <= indexed:
        # A row that waits already knows what the index has: the text before the first change.
        conn.execute(
            "INSERT OR IGNORE INTO search_queue VALUES (?, ?, ?)",
            (seq, bot_number, text_for_index(bot_number, old_parts)),
        )


def pending(conn: sqlite3.Connection) -> int:
    """Return about how many messages wait for the index."""
    row = conn.execute(
        "SELECT max(0, coalesce((SELECT max(seq) FROM messages), 0) - (SELECT indexed_seq FROM search_state))"
        " + (SELECT count(*) FROM search_queue)"
    ).fetchone()
    return int(row[0])


def index_batch(conn: sqlite3.Connection) -> int:
    """Index messages that wait, oldest first, up to a batch; return how many. Inside a transaction."""
    # FTS5 wants ascending rowids: a smaller one after a bigger one makes it write a segment. Changed ones are older.
    return _index_changed(conn) + _index_new(conn)


def _index_changed(conn: sqlite3.Connection) -> int:
    changed = conn.execute(
        "SELECT q.seq, q.bot_number, q.old, m.parts FROM search_queue AS q LEFT JOIN messages AS m ON m.seq = q.seq"
        " ORDER BY q.seq LIMIT ?",
        (BATCH // 2,),
    ).fetchall()
    for seq, bot_number, old, parts in changed:
        table = f"message_words_{shard_of(bot_number)}"
        conn.execute(f"INSERT INTO {table} ({table}, rowid, words) VALUES ('delete', ?, ?)", (seq, old))
        if parts is not None:
            text = text_for_index(bot_number, parts)
            conn.execute(f"INSERT INTO {table} (rowid, words) VALUES (?, ?)", (seq, text))
    if changed:
        conn.execute("DELETE FROM search_queue WHERE seq <= ?", (changed[-1][0],))
    return len(changed)


def _index_new(conn: sqlite3.Connection) -> int:
    waiting = conn.execute(
        "SELECT seq, bot_number, parts FROM messages WHERE seq > (SELECT indexed_seq FROM search_state) ORDER BY seq"
    )
    shards: list[list[tuple[int, str]]] = [[] for _ in range(SHARDS)]
    count = characters = last = 0
    for last, bot_number, parts in waiting:
        text = text_for_index(bot_number, parts)
        shards[shard_of(bot_number)].append((last, text))
        count += 1
        characters += len(text)
        if count == BATCH or characters > BATCH_CHARACTERS:
            break
    waiting.close()
    for number, rows in enumerate(shards):
        if rows:
            conn.execute(_INSERT[number], (json.dumps(rows, ensure_ascii=False),))
    if count:
        conn.execute("UPDATE search_state SET indexed_seq = ?", (last,))
    return count


# One statement for all rows: it runs without the interpreter's lock, so the event loop goes on beside it. (FTS5 writes
# what it has gathered before each statement that has several rows, so statements of fifty rows cost twice as much.)
_INSERT: Final = tuple(
    f"INSERT INTO message_words_{number} (rowid, words) SELECT value ->> 0, value ->> 1 FROM json_each(?)"
    for number in range(SHARDS)
)


def index_all(conn: sqlite3.Connection) -> None:
    """Index all that waits."""
    while index_batch(conn):
        pass


def check(conn: sqlite3.Connection) -> None:
    """Run FTS5's own check of the index; raises `sqlite3.DatabaseError` if it is damaged. Needs a writer.

    Reads all of it: some seconds for a million messages.
    """
    for number in range(SHARDS):
        conn.execute(f"INSERT INTO message_words_{number} (message_words_{number}) VALUES ('integrity-check')")


def reset(conn: sqlite3.Connection) -> None:
    """Empty the index, so that all messages wait for it; `Indexer` fills it again, a million in about a minute."""
    for number in range(SHARDS):
        conn.execute(f"INSERT INTO message_words_{number} (message_words_{number}) VALUES ('delete-all')")
    conn.execute("DELETE FROM search_queue")
    conn.execute("UPDATE search_state SET indexed_seq = 0, rules = ?", (words.RULES,))


def outdated(conn: sqlite3.Connection) -> bool:
    """Tell whether the index was made by other rules: its words would be looked for in vain, and changed wrongly."""
    return bool(conn.execute("SELECT rules FROM search_state").fetchone()[0] != words.RULES)


def damaged(error: sqlite3.Error) -> bool:
    """Tell whether an error says that a file or an index is damaged."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT


class Indexer:
    """Decides for the writer when words are indexed. A failure of it never fails a write: messages are the truth."""

    def __init__(self, conn: sqlite3.Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self._conn = conn
        self._clock = clock
        self._enabled = conn.execute("SELECT 1 FROM sqlite_schema WHERE name = 'search_state'").fetchone() is not None
        self._since = clock()
        self._was_reset = False
        self.behind = self._enabled and pending(conn) > 0
        """Whether messages wait: `step` when there is nothing else to do."""

    def at_commit(self, *, busy: bool) -> None:
        """Index a small group's messages in its own transaction. The last thing before its COMMIT."""
        if not self._enabled:
            return
        waiting = pending(self._conn)
        if waiting and waiting <= AT_ONCE and not busy and not self.behind:
            self._conn.execute("SAVEPOINT words")
            try:
                index_batch(self._conn)
                waiting = 0
            except sqlite3.Error as error:
                if not self._conn.in_transaction:
                    raise
                self._conn.execute("ROLLBACK TO words")
                _log.warning("search: a message's words are not in the index yet: %s", error)
            self._conn.execute("RELEASE words")
        if waiting and not self.behind:
            self._since = self._clock()
        self.behind = waiting > 0

    @property
    def due(self) -> bool:
        """Whether `step` must be called now, even while writes wait."""
        late = self.behind and self._clock() - self._since >= BEHIND_SECONDS
        return late or (self.behind and pending(self._conn) >= BEHIND_MESSAGES)

    def step(self) -> None:
        """Index one batch in a transaction of its own; between transactions."""
        try:
            self._conn.execute("BEGIN IMMEDIATE")
            index_batch(self._conn)
            self.behind = pending(self._conn) > 0
            self._conn.execute("COMMIT")
        except sqlite3.Error as error:
            if self._conn.in_transaction:
                self._conn.execute("ROLLBACK")
            self._failed(error)
        self._since = self._clock()

    def _failed(self, error: sqlite3.Error) -> None:
        # Not tried again until the next group of writes: a full disk must not keep the writer spinning.
        self.behind = False
        if not damaged(error):
            _log.error("search: words of stored messages cannot be indexed now; tried again later: %s", error)
            return
        if self._was_reset:
            self._enabled = False
            _log.error("search: the index is damaged again; new messages are not found until a restart: %s", error)
            return
        self._was_reset = True
        _log.error("search: the index is damaged and made anew from the messages: %s", error)
        try:
            self._conn.execute("BEGIN IMMEDIATE")
            reset(self._conn)
            self._conn.execute("COMMIT")
            self.behind = True
        except sqlite3.Error as again:
            if self._conn.in_transaction:
                self._conn.execute("ROLLBACK")
            self._enabled = False
            _log.error("search: the index cannot be emptied; new messages are not found: %s", again)
