"""Conversations: pages, read markers, what is unread, deletion."""

import sqlite3

import pytest

from edgebotd.errors import NotFound
from edgebotd.events import Conversation
from edgebotd.store import conversations, messages
from edgebotd.store.conversations import UNREAD_CEILING
from tests.store.made import conversation_id, message

HOME = conversation_id("anna")
OTHER = conversation_id("anna", 1)


def add(conn: sqlite3.Connection, number: int, updated_at: int) -> str:
    made = Conversation(id=conversation_id("anna", number), bot_id="anna", created_at=1, updated_at=updated_at)
    conversations.insert(conn, made, f"key {number}")
    return made.id


def seq_of(conn: sqlite3.Connection, run_id: str) -> int:
    return int(conn.execute("SELECT seq FROM messages WHERE run_id = ?", (run_id,)).fetchone()[0])


def test_a_conversation_comes_back_by_id_and_by_its_bots_key(conn: sqlite3.Connection) -> None:
    made = Conversation(
        id=conversation_id("bert", 9), bot_id="bert", title="T", source="cron", created_at=1, updated_at=2
    )
    conversations.insert(conn, made, "agent:main:cron:1")
    assert conversations.get(conn, made.id) == made
    assert conversations.by_session_key(conn, "bert", "agent:main:cron:1") == made
    assert conversations.by_session_key(conn, "anna", "agent:main:cron:1") is None
    assert conversations.session_key_of(conn, made.id) == "agent:main:cron:1"
    assert conversations.session_key_of(conn, "c_none") is None
    assert [key for key, _ in conversations.all_of_bot(conn, "bert")] == [
        "agent:main:cron:1",
        "agent:main:0",
        "agent:main:1",
    ]


def test_a_bots_key_belongs_to_one_conversation(conn: sqlite3.Connection) -> None:
    add(conn, 5, 1)
    again = Conversation(id=conversation_id("anna", 6), bot_id="anna", created_at=1, updated_at=1)
    with pytest.raises(sqlite3.IntegrityError):
        conversations.insert(conn, again, "key 5")


def test_pages_are_newest_first_without_gap_or_double_where_times_are_equal(conn: sqlite3.Connection) -> None:
    for number in range(2, 12):
        add(conn, number, 200 + number // 4)
    everything = [listed.conversation for listed in conversations.page(conn, "anna", None)]
    assert everything == sorted(everything, key=lambda one: (one.updated_at, one.id), reverse=True)
    assert len(everything) == 12
    paged: list[Conversation] = []
    before = None
    while page := conversations.page(conn, "anna", None, before=before, limit=3):
        paged += [listed.conversation for listed in page]
        before = (paged[-1].updated_at, paged[-1].id)
    assert paged == everything


def test_what_happens_in_a_conversation_moves_it_up_and_never_down(conn: sqlite3.Connection) -> None:
    conversations.touch(conn, HOME, 500)
    conversations.touch(conn, HOME, 400)
    first = conversations.page(conn, "anna", None)[0].conversation
    assert (first.id, first.updated_at) == (HOME, 500)


def test_a_list_shows_the_newest_message_and_what_others_wrote_since_the_user_read(conn: sqlite3.Connection) -> None:
    for number in range(6):
        messages.put(conn, message(f"text {number}", f"r{number}", user_id=("ada", "ben", None)[number % 3]))
    conversations.set_read(conn, "ada", HOME, seq_of(conn, "r1"))
    by_id = {listed.conversation.id: listed for listed in conversations.page(conn, "anna", "ada")}
    assert (by_id[HOME].unread, by_id[HOME].read_seq) == (3, 2), "r2, r4 and r5, as r3 is her own"
    last = by_id[HOME].last
    assert last is not None
    assert last.run_id == "r5"
    assert (by_id[OTHER].unread, by_id[OTHER].read_seq, by_id[OTHER].last) == (0, 0, None)
    assert {listed.conversation.id: listed.unread for listed in conversations.page(conn, "anna", "ben")}[HOME] == 4
    assert {listed.unread for listed in conversations.page(conn, "anna", None)} == {0}


def test_unread_messages_are_counted_up_to_a_ceiling(conn: sqlite3.Connection) -> None:
    for number in range(UNREAD_CEILING + 5):
        messages.put(conn, message("x", f"r{number}"))
    assert conversations.unread(conn, "ada", HOME) == UNREAD_CEILING
    assert messages.count_after(conn, HOME, 0, ceiling=1000) == UNREAD_CEILING + 5


def test_unread_messages_are_counted_without_reading_them(conn: sqlite3.Connection) -> None:
    asked: list[str] = []
    conn.set_trace_callback(asked.append)
    messages.count_after(conn, HOME, 0, not_by="ada")
    conn.set_trace_callback(None)
    plan = " ".join(row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {asked[0]}"))
    assert "COVERING INDEX messages_of_conversation" in plan


def test_a_read_marker_only_goes_forward_and_is_the_users_own(conn: sqlite3.Connection) -> None:
    assert conversations.read_marker(conn, "ada", HOME) == 0
    assert conversations.set_read(conn, "ada", HOME, 5)
    assert not conversations.set_read(conn, "ada", HOME, 5)
    assert not conversations.set_read(conn, "ada", HOME, 4)
    assert conversations.set_read(conn, "ada", HOME, 6)
    assert conversations.read_marker(conn, "ada", HOME) == 6
    assert conversations.read_marker(conn, "ben", HOME) == 0
    assert conversations.read_marker(conn, "ada", OTHER) == 0


def test_a_deleted_conversation_leaves_the_list_keeps_its_key_and_can_come_back(conn: sqlite3.Connection) -> None:
    assert conversations.delete(conn, HOME, 50).deleted_at == 50
    assert conversations.delete(conn, HOME, 60).deleted_at == 50, "the first deletion counts"
    assert [listed.conversation.id for listed in conversations.page(conn, "anna", None)] == [OTHER]
    kept = conversations.by_session_key(conn, "anna", "agent:main:0")
    assert kept is not None
    assert kept.id == HOME
    assert conversations.restore(conn, HOME).deleted_at is None
    assert len(conversations.page(conn, "anna", None)) == 2


def test_what_is_not_there_cannot_be_changed(conn: sqlite3.Connection) -> None:
    assert conversations.rename(conn, HOME, "New").title == "New"
    assert conversations.rename(conn, HOME, None).title is None
    with pytest.raises(NotFound):
        conversations.rename(conn, "c_none", "New")
    with pytest.raises(NotFound):
        conversations.delete(conn, "c_none", 1)


def test_deleting_a_bots_conversations_takes_their_markers_and_needs_its_messages_gone(
    conn: sqlite3.Connection,
) -> None:
    messages.put(conn, message("x", "r1"))
    conversations.set_read(conn, "ada", HOME, 1)
    with pytest.raises(sqlite3.IntegrityError):
        conversations.delete_of_bot(conn, "anna")
    messages.delete_of_bot(conn, "anna")
    assert conversations.delete_of_bot(conn, "anna") == 2
    assert conn.execute("SELECT count(*) FROM read_markers").fetchone()[0] == 0
    assert len(conversations.page(conn, "bert", None)) == 2
