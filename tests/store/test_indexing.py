"""The index of words follows the messages: at once when idle, soon when busy, whole after a crash."""

import logging
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebotd.events import TextPart
from edgebotd.store import connection, indexing, messages, search, words
from edgebotd.store.database import Database, Transaction, open_database
from edgebotd.store.indexing import Indexer
from tests.store.made import conversation_id, furnish, index_text, message


def found(conn: sqlite3.Connection, text: str) -> list[str]:
    return [hit.message.run_id for hit in search.search(conn, text, None, limit=1000)]


def put(transaction: Transaction, text: str, run_id: str) -> None:
    messages.put(transaction.connection, message(text, run_id))


async def opened(database: Database) -> None:
    await database.write(lambda tx: furnish(tx.connection))


async def test_a_message_is_found_as_soon_as_it_is_stored_while_nothing_else_goes_on(tmp_path: Path) -> None:
    async with open_database(tmp_path / "store.db") as database:
        await opened(database)
        for text in ("needle", "another needle", "no more"):
            await database.write(lambda tx, text=text: put(tx, text, "r1"))  # type: ignore[misc]
            assert await database.read(lambda conn: found(conn, "needle")) == (["r1"] if "needle" in text else [])


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fill(conn: sqlite3.Connection, count: int, word: str = "needle") -> None:
    conn.execute("BEGIN")
    for number in range(count):
        messages.put(conn, message(f"{word} {number}", f"r{word}{number}"))
    conn.execute("COMMIT")


def test_while_writes_wait_words_are_indexed_after_half_a_second(conn: sqlite3.Connection) -> None:
    clock = Clock()
    indexer = Indexer(conn, clock)
    fill(conn, 3)
    indexer.at_commit(busy=True)
    assert (indexer.behind, indexer.due) == (True, False)
    assert found(conn, "needle") == []
    clock.now += indexing.BEHIND_SECONDS
    assert (indexer.behind, indexer.due) == (True, True)
    indexer.step()
    assert (indexer.behind, indexer.due) == (False, False)
    assert len(found(conn, "needle")) == 3


def test_too_many_messages_are_indexed_at_once_even_while_writes_wait(
    conn: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "BEHIND_MESSAGES", 5)
    indexer = Indexer(conn, Clock())
    fill(conn, 4)
    indexer.at_commit(busy=True)
    assert (indexer.behind, indexer.due) == (True, False)
    fill(conn, 1, "more")
    indexer.at_commit(busy=True)
    assert (indexer.behind, indexer.due) == (True, True)


def test_batches_are_bounded_in_messages_and_in_characters(
    conn: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(conn, 10)
    with monkeypatch.context() as patched:
        patched.setattr(indexing, "BATCH", 4)
        assert indexing.index_batch(conn) == 4
        patched.setattr(indexing, "BATCH_CHARACTERS", 20)
        assert indexing.index_batch(conn) == 2
    assert indexing.pending(conn) == 4
    assert len(found(conn, "needle")) == 6
    assert indexing.index_batch(conn) == 4
    assert indexing.index_batch(conn) == 0


def damage(conn: sqlite3.Connection, *, above: int) -> None:
    """Overwrite the blocks of the index with a greater id; that with the id 10 says where all others are."""
    for shard in range(indexing.SHARDS):
        conn.execute(f"UPDATE message_words_{shard}_data SET block = x'ffffffffffffffff' WHERE id > ?", (above,))


def test_a_damaged_index_is_made_anew_while_the_daemon_runs_and_no_message_is_lost(
    conn: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    fill(conn, 300)
    indexing.index_all(conn)
    damage(conn, above=9)
    messages.put(conn, message("changed", "rneedle7"))
    indexer = Indexer(conn)
    assert indexer.behind
    for _ in range(10):
        if indexer.behind:
            indexer.step()
    assert "made anew" in caplog.text
    assert found(conn, "changed") == ["rneedle7"]
    assert len(found(conn, "needle")) == 299
    indexing.check(conn)


def test_a_damaged_index_is_found_after_an_unclean_stop_and_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store.db"
    conn = connection.open_writer(path, 0)
    furnish(conn)
    fill(conn, 20)
    indexing.index_all(conn)
    damage(conn, above=10)
    conn.close()  # not marked as clean
    with caplog.at_level(logging.WARNING):
        conn = connection.open_writer(path, 0)
    assert "made anew" in caplog.text
    assert indexing.pending(conn) == 20
    indexing.index_all(conn)
    assert len(found(conn, "needle")) == 20
    conn.close()


def test_an_index_by_other_rules_is_made_anew_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    conn = connection.open_writer(path, 0)
    furnish(conn)
    fill(conn, 20)
    indexing.index_all(conn)
    connection.close_writer(conn)
    conn = connection.open_writer(path, 0)
    assert indexing.pending(conn) == 0, "the same rules: nothing to do"
    connection.close_writer(conn)
    monkeypatch.setattr(words, "RULES", "2, Unicode 99")
    conn = connection.open_writer(path, 0)
    assert indexing.pending(conn) == 20
    indexing.index_all(conn)
    assert len(found(conn, "needle")) == 20
    assert not indexing.outdated(conn)
    conn.close()


TEXTS = st.lists(st.sampled_from(["alpha", "beta", "Gamma", "délta", "日本語"]), max_size=3).map(" ".join)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 5), TEXTS),
        st.tuples(st.sampled_from(["delete", "commit", "index", "crash", "damage"]), st.integers(0, 1), st.just("")),
    ),
    max_size=25,
)


@settings(max_examples=25)
@given(STEPS)
def test_after_any_history_with_crashes_search_finds_exactly_what_is_stored(steps: list[tuple[str, int, str]]) -> None:
    """A crash is what a loss of power leaves: the files as they are at that moment, opened by the next start."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "0.db")
        conn = connection.open_writer(path, 0)
        conn.execute("BEGIN")
        furnish(conn)
        conn.execute("COMMIT")
        durable: dict[tuple[int, str], str] = {}
        pending: dict[tuple[int, str], str] = {}
        for number, (what, which, text) in enumerate(steps):
            if what in ("put", "delete") and not conn.in_transaction:
                conn.execute("BEGIN IMMEDIATE")
                pending = dict(durable)
            if what == "put":
                messages.put(conn, message(text, f"r{which}", number=which % 2))
                pending[which % 2, f"r{which}"] = text
            elif what == "delete":
                messages.delete_of_conversation(conn, conversation_id("anna", which))
                pending = {key: kept for key, kept in pending.items() if key[0] != which}
            elif what == "crash":
                crashed = Path(folder, f"{number + 1}.db")
                for end in ("", "-wal"):
                    shutil.copy(f"{path}{end}", f"{crashed}{end}")
                conn.close()
                path, conn = crashed, connection.open_writer(crashed, 0)
                pending = durable
            elif conn.in_transaction:
                conn.execute("COMMIT")
                durable = pending
            if what == "index" or (what == "damage" and which):
                conn.execute("BEGIN IMMEDIATE")
                indexing.index_batch(conn)
                conn.execute("COMMIT")
        if conn.in_transaction:
            conn.execute("COMMIT")
            durable = pending
        held = index_text(conn)
        for word in ("alpha", "gamma", "delta", "日本", '"alpha beta"'):
            wanted = word.strip('"')
            holding = {run for (_, run), text in durable.items() if wanted in text.lower().replace("é", "e")}
            assert set(found(conn, word)) == holding
        indexing.check(conn)
        indexing.reset(conn)
        assert index_text(conn) == held, "the index is that of the messages, nothing else"
        conn.close()


CHILD = """
import sys, trio
from pathlib import Path
from edgebotd.store import messages
from edgebotd.store.database import open_database
from tests.store.made import furnish, message

async def main():
    async with open_database(Path(sys.argv[1])) as database:
        await database.write(lambda tx: furnish(tx.connection))

        async def producer(first):
            for number in range(first, 1_000_000, 50):
                text = f"needle w{number}"
                await database.write(lambda tx: messages.put(tx.connection, message("draft " + text, f"r{number}")))
                await database.write(lambda tx: messages.put(tx.connection, message(text, f"r{number}")))
                sys.stdout.write(f"{number}\\n")
                sys.stdout.flush()

        async with trio.open_nursery() as nursery:
            for first in range(50):
                nursery.start_soon(producer, first)

trio.run(main)
"""


async def test_after_kill_9_every_acknowledged_message_is_found_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    def run_and_kill() -> list[int]:
        with subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            acknowledged = [int(child.stdout.readline()) for _ in range(1000)]
            child.send_signal(signal.SIGKILL)
            return acknowledged + [int(line) for line in child.stdout.read().split("\n")[:-1]]

    acknowledged = await trio.to_thread.run_sync(run_and_kill)
    async with open_database(path) as database:
        with trio.fail_after(20):
            while await database.read(indexing.pending):
                await database.write(lambda _: None)
        stored = await database.read(lambda conn: messages.page(conn, "anna", limit=100_000))
        texts = {one.run_id: part.text for one in stored for part in one.parts if isinstance(part, TextPart)}
        hits = await database.read(lambda conn: search.search(conn, "needle", None, limit=100_000))
        drafts = await database.read(lambda conn: search.search(conn, "draft", None, limit=100_000))
        newest = max(acknowledged)
        one = await database.read(lambda conn: found(conn, f"w{newest}"))
    assert {f"r{number}" for number in acknowledged} <= texts.keys()
    assert {hit.message.run_id for hit in hits} == texts.keys()
    assert {hit.message.run_id for hit in drafts} == {run for run, text in texts.items() if text.startswith("draft")}
    assert len(drafts) <= 50, "at most what was in flight"
    assert one == [f"r{newest}"]
