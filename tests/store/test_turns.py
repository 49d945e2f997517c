"""Turns: their states, their keys, what a restart finds."""

import sqlite3
from dataclasses import replace

from edgebotd.events import RunState
from edgebotd.store import turns
from edgebotd.store.turns import Turn
from tests.store.made import conversation_id


def turn(run_id: str, *, bot_id: str = "anna", key: str | None = None, created_at: int = 100) -> Turn:
    return Turn(
        run_id,
        bot_id,
        conversation_id(bot_id),
        "user:ada",
        key,
        "fingerprint",
        f"m-{run_id}",
        RunState.QUEUED,
        "queue",
        created_at,
    )


def test_a_turn_comes_back_as_it_was_stored(conn: sqlite3.Connection) -> None:
    stored = replace(turn("r1", key="k"), mode="interrupt", detail="why")
    turns.insert(conn, stored)
    assert turns.get(conn, "r1") == stored
    assert turns.get(conn, "r2") is None


def test_a_turn_notes_when_it_started_and_ended_and_an_end_is_for_ever(conn: sqlite3.Connection) -> None:
    turns.insert(conn, turn("r1"))
    queued = turns.set_state(conn, "r1", RunState.QUEUED, 150, "waits")
    assert queued == replace(turn("r1"), detail="waits")
    turns.set_state(conn, "r1", RunState.STARTED, 200)
    streaming = turns.set_state(conn, "r1", RunState.STREAMING, 300)
    assert streaming == replace(turn("r1"), state=RunState.STREAMING, started_at=200)
    ended = turns.set_state(conn, "r1", RunState.FAILED, 400, "broke")
    assert ended == replace(turn("r1"), state=RunState.FAILED, started_at=200, ended_at=400, detail="broke")
    assert turns.set_state(conn, "r1", RunState.FINISHED, 500) is None
    assert turns.get(conn, "r1") == ended
    assert turns.set_state(conn, "r9", RunState.FINISHED, 500) is None


def test_a_turn_that_is_to_be_stopped_stays_so_until_it_ends(conn: sqlite3.Connection) -> None:
    turns.insert(conn, turn("r1"))
    turns.note_stop(conn, "r1")
    assert turns.get(conn, "r1") == replace(turn("r1"), state=RunState.STOPPING)
    started = turns.set_state(conn, "r1", RunState.STARTED, 200, "why")
    assert started == replace(turn("r1"), state=RunState.STOPPING, started_at=200, detail="why")
    ended = turns.set_state(conn, "r1", RunState.FINISHED, 300)
    assert ended is not None and ended.state is RunState.FINISHED
    turns.note_stop(conn, "r1")
    assert turns.get(conn, "r1") == ended


def test_a_key_counts_per_bot_and_principal_and_not_for_ever(conn: sqlite3.Connection) -> None:
    turns.insert(conn, turn("r1", key="k", created_at=100))
    turns.insert(conn, turn("r2", key="k", created_at=200))
    turns.insert(conn, turn("r3", key="k", bot_id="bert", created_at=300))
    turns.insert(conn, turn("r4", created_at=400))

    def run_of(bot_id: str, principal: str, key: str, not_before: int) -> str | None:
        found = turns.by_key(conn, bot_id, principal, key, not_before)
        return None if found is None else found.run_id

    assert run_of("anna", "user:ada", "k", 0) == "r2"
    assert run_of("bert", "user:ada", "k", 0) == "r3"
    assert run_of("anna", "user:ada", "k", 200) == "r2"
    assert run_of("anna", "user:ada", "k", 201) is None
    assert run_of("anna", "user:ben", "k", 0) is None
    assert run_of("anna", "user:ada", "other", 0) is None


def test_a_restart_finds_the_turns_that_have_not_ended_in_their_order(conn: sqlite3.Connection) -> None:
    for run_id, at in (("late", 300), ("b", 100), ("a", 100), ("over", 50)):
        turns.insert(conn, turn(run_id, created_at=at))
    turns.insert(conn, turn("other", bot_id="bert"))
    turns.set_state(conn, "over", RunState.ABORTED, 60)
    turns.set_state(conn, "b", RunState.STARTED, 110)
    assert [found.run_id for found in turns.open_of_bot(conn, "anna")] == ["b", "a", "late"]


def test_only_turns_that_ended_long_ago_are_purged(conn: sqlite3.Connection) -> None:
    for run_id in ("old", "young", "open"):
        turns.insert(conn, turn(run_id, created_at=1))
    turns.set_state(conn, "old", RunState.FINISHED, 99)
    turns.set_state(conn, "young", RunState.FINISHED, 100)
    assert turns.purge(conn, 100) == 1
    assert turns.get(conn, "old") is None
    assert turns.get(conn, "young") is not None
    assert turns.get(conn, "open") is not None
