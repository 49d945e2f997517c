"""Rows that the store's tests start from."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from edgebotd.events import Conversation, Message, TextPart
from edgebotd.store import bots, connection, conversations, indexing
from edgebotd.store.bots import StoredBot

BOTS = ("anna", "bert", "carl")


def conversation_id(bot_id: str, number: int = 0) -> str:
    """Return the id of one of the two conversations that each bot has."""
    return f"c_{bot_id}{number:0{20 - len(bot_id)}d}"


def message(
    text: str,
    run_id: str,
    *,
    bot_id: str = "anna",
    number: int = 0,
    role: Literal["user", "assistant"] = "user",
    message_id: str | None = None,
    created_at: int = 1000,
    user_id: str | None = None,
) -> Message:
    """Make a message of one text."""
    return Message(
        id=message_id or f"m-{bot_id}-{number}-{run_id}-{role}",
        bot_id=bot_id,
        conversation_id=conversation_id(bot_id, number),
        run_id=run_id,
        role=role,
        parts=(TextPart(text=text),),
        created_at=created_at,
        user_id=user_id,
    )


def furnish(conn: sqlite3.Connection) -> None:
    """Make three bots with two conversations each."""
    for bot_id in BOTS:
        bots.add(conn, StoredBot(bot_id, "echo", bot_id.title()))
        for number in (0, 1):
            conversation = Conversation(
                id=conversation_id(bot_id, number), bot_id=bot_id, created_at=100, updated_at=100 + number
            )
            conversations.insert(conn, conversation, f"agent:main:{number}")


@contextmanager
def furnished() -> Iterator[sqlite3.Connection]:
    """Open a database in memory with the bots of `furnish`."""
    conn = connection.open_writer(None, 0)
    try:
        furnish(conn)
        yield conn
    finally:
        conn.close()


def index_text(conn: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Return everything that the index of words holds: (word, seq, place)."""
    indexing.index_all(conn)
    held: list[tuple[object, ...]] = []
    for shard in range(indexing.SHARDS):
        conn.execute(f"CREATE VIRTUAL TABLE temp.held USING fts5vocab('main', 'message_words_{shard}', 'instance')")
        held += conn.execute("SELECT term, doc, offset FROM temp.held ORDER BY doc, offset, term").fetchall()
        conn.execute("DROP TABLE temp.held")
    return held
