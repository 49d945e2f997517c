"""The journal: positions in order, retention from the old end, a horizon that says what may be missing."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebotd.store import journal
from edgebotd.store.journal import JournalRow
from tests.store.made import furnished


def row(life: int, seq: int, at: int = 100) -> JournalRow:
    return JournalRow(life, seq, at, "anna", "chat-message", f'{{"seq":{seq}}}')


def append(conn: sqlite3.Connection, *rows: JournalRow) -> None:
    for one in rows:
        journal.append(conn, one.life, one.seq, one.at, one.bot_id, one.type, one.data)


def test_an_empty_journal_has_no_newest_event_and_a_horizon_at_the_beginning(conn: sqlite3.Connection) -> None:
    assert journal.newest(conn) is None
    assert journal.count(conn) == 0
    assert journal.horizon(conn) == (0, 0)
    assert journal.after(conn, 0, 0, 10) == []
    assert journal.trim(conn, 10**15, 0) == 0


def test_events_after_a_position_come_in_order_over_lives_a_page_at_a_time(conn: sqlite3.Connection) -> None:
    rows = [row(1, 5), row(1, 70_000), row(2, 1), row(2, 9), row(3, 2)]
    append(conn, *rows)
    assert journal.after(conn, 0, 0, 10) == rows
    assert journal.after(conn, 1, 5, 2) == rows[1:3]
    assert journal.after(conn, 1, 2**48, 10) == rows[2:]
    assert journal.after(conn, 2, 9, 10) == rows[4:]
    assert journal.after(conn, 3, 2, 10) == []
    assert journal.newest(conn) == (3, 2)
    assert journal.count(conn) == 5


def test_a_position_is_taken_once(conn: sqlite3.Connection) -> None:
    append(conn, row(1, 1))
    with pytest.raises(sqlite3.IntegrityError):
        append(conn, row(1, 1))


def test_trimming_by_age_and_by_number_moves_the_horizon_to_the_last_that_went(conn: sqlite3.Connection) -> None:
    append(conn, *(row(1, seq, at=seq) for seq in range(1, 11)))
    assert journal.trim(conn, 4, keep=100) == 3
    assert journal.horizon(conn) == (1, 3)
    assert journal.trim(conn, 4, keep=100) == 0
    assert journal.trim(conn, 0, keep=2) == 5
    assert journal.horizon(conn) == (1, 8)
    assert [one.seq for one in journal.after(conn, 1, 0, 99)] == [9, 10]
    assert journal.count(conn) == 2


def test_trimming_goes_in_bounded_steps_from_the_old_end(conn: sqlite3.Connection) -> None:
    append(conn, *(row(1, seq, at=seq) for seq in range(1, 8)))
    assert [journal.trim(conn, 6, keep=100, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert journal.horizon(conn) == (1, 5)


def test_an_old_event_behind_a_young_one_waits_so_that_no_hole_appears(conn: sqlite3.Connection) -> None:
    append(conn, row(1, 1, at=10), row(1, 2, at=1000), row(1, 3, at=20))
    assert journal.trim(conn, 100, keep=100) == 1
    assert [one.seq for one in journal.after(conn, 1, 0, 9)] == [2, 3]


def test_a_journal_that_was_trimmed_whole_keeps_its_horizon_and_goes_on(conn: sqlite3.Connection) -> None:
    append(conn, row(1, 1), row(1, 2))
    assert journal.trim(conn, 10**15, keep=100) == 2
    assert (journal.count(conn), journal.newest(conn), journal.horizon(conn)) == (0, None, (1, 2))
    append(conn, row(2, 1))
    assert journal.after(conn, 1, 2, 9) == [row(2, 1)]


STEP = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 5), st.integers(0, 100)),
    st.tuples(st.just("trim"), st.integers(0, 100), st.integers(0, 10)),
)


@settings(max_examples=60)
@given(st.lists(STEP, max_size=40))
def test_what_came_after_the_horizon_is_whole(steps: list[tuple[str, int, int]]) -> None:
    with furnished() as conn:
        everything: list[JournalRow] = []
        seq = 0
        for what, one, other in steps:
            if what == "append":
                seq += one
                everything.append(row(1, seq, at=other))
                append(conn, everything[-1])
            else:
                journal.trim(conn, one, other, limit=3)
            horizon = journal.horizon(conn)
            kept = [event for event in everything if (event.life, event.seq) > horizon]
            assert journal.after(conn, 0, 0, 1000) == kept
            assert journal.count(conn) == len(kept)
