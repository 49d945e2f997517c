"""What a bot's row in a list asks of the store: what a user has not read in all conversations, the newest message."""

import sqlite3
from collections.abc import Callable

import pytest

from edgebotd.events import Conversation
from edgebotd.store import conversations, messages
from edgebotd.store.conversations import UNREAD_CEILING, UNREAD_CONVERSATIONS, UNREAD_ROWS
from tests.store.made import conversation_id, message

HOME = conversation_id("anna")
OTHER = conversation_id("anna", 1)


def fill(conn: sqlite3.Connection, rows: list[tuple[int, str | None]]) -> None:
    """Store many messages of anna's, each of a conversation's number and a user, without the ways of `put`."""
    begin = conn.execute("SELECT count(*) FROM messages").fetchone()[0]
    conn.executemany(
        "INSERT INTO messages (id, bot_number, conversation_number, run_id, role, state, source, user_id, created_at,"
        " parts) VALUES (?1, 1, ?2, ?1, 'user', 'final', 'edgebotd', ?3, 1, '[]')",
        [(f"f{begin + place}", number, user_id) for place, (number, user_id) in enumerate(rows)],
    )


def steps(conn: sqlite3.Connection, ask: Callable[[], object]) -> int:
    """Return how many thousands of instructions of SQLite's machine a query took: time, without a clock."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    conn.set_progress_handler(step, 1000)
    try:
        ask()
    finally:
        conn.set_progress_handler(None, 0)
    return count


def test_the_unread_of_a_bot_is_the_sum_over_its_conversations(conn: sqlite3.Connection) -> None:
    for number in range(6):
        messages.put(conn, message(f"text {number}", f"r{number}", user_id=("ada", "ben", None)[number % 3]))
    messages.put(conn, message("elsewhere", "r6", number=1))
    messages.put(conn, message("another bot's", "r7", bot_id="bert"))
    assert conversations.unread_of_bot(conn, "ada", "anna") == 5
    conversations.set_read(conn, "ada", HOME, 2)
    assert conversations.unread_of_bot(conn, "ada", "anna") == 4, "three of HOME, as the list of conversations says"
    assert sum(row.unread for row in conversations.page(conn, "anna", "ada")) == 4
    assert conversations.unread_of_bot(conn, "ben", "anna") == 5, "each user's own marker"
    conversations.delete(conn, OTHER, 9)
    assert conversations.unread_of_bot(conn, "ada", "anna") == 3
    conversations.set_read(conn, "ada", HOME, 99)
    assert conversations.unread_of_bot(conn, "ada", "anna") == 0
    assert conversations.unread_of_bot(conn, "ada", "nobody") == 0


def test_the_unread_of_a_bot_is_counted_up_to_a_ceiling(conn: sqlite3.Connection) -> None:
    fill(conn, [(number % 2 + 1, "ben") for number in range(250)])
    assert conversations.unread_of_bot(conn, "ada", "anna") == UNREAD_CEILING


def test_the_unread_of_a_bot_of_many_conversations_takes_no_scan(conn: sqlite3.Connection) -> None:
    conn.execute("BEGIN")
    for number in range(2, UNREAD_CONVERSATIONS + 500):
        made = Conversation(id=conversation_id("anna", number), bot_id="anna", created_at=1, updated_at=number)
        conversations.insert(conn, made, f"key {number}")
    numbers = [row[0] for row in conn.execute("SELECT number FROM conversations WHERE bot_id = 'anna'")]
    fill(conn, [(numbers[place % len(numbers)], None) for place in range(100_000)])
    newest = messages.newest(conn, "anna")
    assert newest is not None and newest.seq is not None
    # The worst case: everything is read, so that nothing ends the search early.
    conn.execute("INSERT INTO read_markers SELECT 'ada', id, ? FROM conversations WHERE bot_id = 'anna'", (newest.seq,))
    conn.execute("COMMIT")
    assert steps(conn, lambda: conversations.unread_of_bot(conn, "ada", "anna")) <= 100
    assert conversations.unread_of_bot(conn, "ada", "anna") == 0
    assert steps(conn, lambda: messages.newest(conn, "anna")) <= 10
    assert conversations.unread_of_bot(conn, "ben", "anna") == UNREAD_CEILING
    assert steps(conn, lambda: conversations.unread_of_bot(conn, "ben", "anna")) <= 10


def test_a_users_own_messages_are_not_searched_without_end(conn: sqlite3.Connection) -> None:
    conn.execute("BEGIN")
    fill(conn, [(1, "ada")] * 50_000 + [(1, None)])
    conn.execute("COMMIT")
    assert conversations.unread_of_bot(conn, "ada", "anna") == 0, f"beyond the {UNREAD_ROWS} that are looked at"
    assert steps(conn, lambda: conversations.unread_of_bot(conn, "ada", "anna")) <= 60


@pytest.mark.parametrize("deleted", [0, 3])
def test_the_newest_message_is_none_of_a_deleted_conversation(conn: sqlite3.Connection, deleted: int) -> None:
    assert messages.newest(conn, "anna") is None
    messages.put(conn, message("kept", "r1"))
    for number in range(deleted):
        messages.put(conn, message("gone", f"g{number}", number=1))
    messages.put(conn, message("another bot's", "r9", bot_id="bert"))
    conversations.delete(conn, OTHER, 5)
    found = messages.newest(conn, "anna")
    assert found is not None
    assert found.run_id == "r1"
