"""Writes, reads and groups: the same on a file and in memory."""

import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import outcome
import pytest
import trio
import trio.testing

from edgebotd.errors import NotFound
from edgebotd.store import database as database_module
from edgebotd.store.database import Database, DatabaseError, StoreBusy, StoreClosed, Transaction, open_database
from edgebotd.store.writer import GROUP_WRITES


@pytest.fixture(params=["file", "memory"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "store.db" if request.param == "file" else None) as opened:
        await opened.write(lambda tx: tx.connection.execute("CREATE TABLE t (n INTEGER UNIQUE) STRICT"))
        yield opened


def insert(number: int) -> Callable[[Transaction], int]:
    def write(transaction: Transaction) -> int:
        transaction.connection.execute("INSERT INTO t VALUES (?)", (number,))
        return number

    return write


def numbers(conn: sqlite3.Connection) -> list[int]:
    return [row[0] for row in conn.execute("SELECT n FROM t ORDER BY rowid")]


async def test_a_write_returns_its_result_and_is_read_back(database: Database) -> None:
    assert await database.write(insert(7)) == 7
    assert await database.read(numbers) == [7]


async def test_a_failing_write_is_rolled_back_alone_and_raises_at_its_caller(database: Database) -> None:
    def half(transaction: Transaction) -> None:
        insert(2)(transaction)
        raise NotFound("bot")

    results: list[outcome.Outcome[int | None]] = []
    database.submit(insert(1), results.append)
    with pytest.raises(NotFound):
        await database.write(half)
    await database.write(insert(3))
    assert [result.unwrap() for result in results] == [1]
    assert await database.read(numbers) == [1, 3]


async def test_writes_of_a_group_in_which_one_fails_happen_once_each(database: Database) -> None:
    """They run again after the failure; what they left the first time is gone."""
    results: list[outcome.Outcome[object]] = []
    last = trio.Event()
    go_on = threading.Event()

    def count(transaction: Transaction) -> int:
        transaction.connection.execute("INSERT INTO t SELECT coalesce(max(n), 0) + 1 FROM t")
        return int(transaction.connection.execute("SELECT max(n) FROM t").fetchone()[0])

    def fail(transaction: Transaction) -> None:
        count(transaction)
        raise NotFound("bot")

    # In one group: the writer is held up until all of them are queued.
    database.submit(lambda _: go_on.wait(5), lambda _: None)
    for write in (count, count, fail, count, fail, count):
        database.submit(write, results.append)
    database.submit(lambda _: None, lambda _: last.set())
    go_on.set()
    await last.wait()
    assert [result.unwrap() for result in results if isinstance(result, outcome.Value)] == [1, 2, 3, 4]
    assert [type(result) for result in results].index(outcome.Error) == 2
    assert await database.read(numbers) == [1, 2, 3, 4]


async def test_an_error_of_a_constraint_stays_what_it_is(database: Database) -> None:
    await database.write(insert(1))
    with pytest.raises(sqlite3.IntegrityError):
        await database.write(insert(1))
    assert await database.read(numbers) == [1]


async def test_outcomes_come_in_the_order_of_submission(database: Database) -> None:
    order: list[int] = []
    count = GROUP_WRITES * 2 + 50
    for number in range(count):
        database.submit(insert(number), lambda result: order.append(result.unwrap()))
    await database.write(lambda _: None)
    assert order == list(range(count))
    assert await database.read(numbers) == order


async def test_done_is_never_called_inside_submit(database: Database) -> None:
    called: list[object] = []
    database.submit(insert(1), called.append)
    assert called == []
    await database.write(lambda _: None)
    assert len(called) == 1


async def test_what_done_submits_is_written_too(database: Database) -> None:
    finished = trio.Event()

    def then(_: outcome.Outcome[int]) -> None:
        database.submit(insert(2), lambda _: finished.set())

    database.submit(insert(1), then)
    await finished.wait()
    assert await database.read(numbers) == [1, 2]


async def test_a_cancelled_waiter_does_not_undo_its_write(database: Database) -> None:
    async with trio.open_nursery() as nursery:
        entered = trio.Event()

        async def write() -> None:
            entered.set()
            await database.write(insert(5))

        nursery.start_soon(write)
        await entered.wait()
        nursery.cancel_scope.cancel()
    await database.write(lambda _: None)
    assert await database.read(numbers) in ([5], []), "cancelled before or after it was queued"


async def test_a_write_cancelled_before_it_was_queued_does_not_happen(database: Database) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await database.write(insert(5))
    assert scope.cancelled_caught
    await database.write(lambda _: None)
    assert await database.read(numbers) == []


async def test_a_full_queue_refuses_with_store_busy(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "WAITING_WRITES", 3)
    for number in range(3):
        database.submit(insert(number), lambda _: None)
    with pytest.raises(StoreBusy) as refused:
        database.submit(insert(4), lambda _: None)
    assert refused.value.status == 503
    assert "3 writes" in refused.value.detail
    await database.read(numbers)
    monkeypatch.undo()
    await database.write(insert(4))
    assert await database.read(numbers) == [0, 1, 2, 4]


async def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(DatabaseError):
        await database.read(lambda conn: conn.execute("INSERT INTO t VALUES (1)"))
    await database.write(insert(1))
    assert await database.read(numbers) == [1]


async def test_a_group_that_does_not_fit_fails_whole_in_words_and_the_store_lives(database: Database) -> None:
    def limit(pages: int) -> Callable[[Transaction], None]:
        return lambda tx: tx.connection.execute(f"PRAGMA max_page_count = {pages}").close()

    def fill(transaction: Transaction) -> None:
        transaction.connection.execute("CREATE TABLE big AS SELECT zeroblob(2000000) AS b")

    await database.write(limit(1))  # as small as what is there
    with pytest.raises(DatabaseError, match="disk is full"):
        await database.write(fill)
    await database.write(limit(1_000_000))
    await database.write(insert(1))
    assert await database.read(numbers) == [1]


async def test_a_commit_that_fails_reaches_every_write_of_the_group(database: Database) -> None:
    await database.write(
        lambda tx: tx.connection.execute(
            "CREATE TABLE child (n INTEGER REFERENCES t (n) DEFERRABLE INITIALLY DEFERRED)"
        )
    )
    results: list[outcome.Outcome[object]] = []
    both = trio.Event()
    may_go = threading.Event()

    def orphan(transaction: Transaction) -> None:
        transaction.connection.execute("INSERT INTO child VALUES (99)")

    def hold(_: Transaction) -> None:
        may_go.wait(5)

    def last(result: outcome.Outcome[object]) -> None:
        results.append(result)
        both.set()

    # Both are in one group: the writer is held up until they are queued.
    database.submit(hold, lambda _: None)
    database.submit(insert(1), results.append)
    database.submit(orphan, last)
    may_go.set()
    await both.wait()
    assert [type(result) for result in results] == [outcome.Error, outcome.Error]
    with pytest.raises(DatabaseError):
        results[0].unwrap()
    assert await database.read(numbers) == []
    await database.write(insert(2))
    assert await database.read(numbers) == [2]


async def test_emit_without_a_hub_is_refused(database: Database) -> None:
    with pytest.raises(RuntimeError, match=r"Hub\.transact"):
        await database.write(lambda tx: tx.emit("a", None))  # type: ignore[arg-type]  # never looked at


async def test_a_closed_store_takes_no_write_and_has_written_what_waited(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with open_database(path) as database:
        database.submit(lambda tx: tx.connection.execute("CREATE TABLE t (n INTEGER)").close(), lambda _: None)
        for number in range(500):
            database.submit(insert(number), lambda _: None)
    with pytest.raises(StoreClosed):
        database.submit(insert(1), lambda _: None)
    async with open_database(path) as database:
        assert await database.read(numbers) == list(range(500))


async def test_reads_run_beside_a_long_write_and_see_the_state_before_it(tmp_path: Path) -> None:
    async with open_database(tmp_path / "store.db") as database:
        await database.write(lambda tx: tx.connection.execute("CREATE TABLE t (n INTEGER)").close())
        inside, go_on = threading.Event(), threading.Event()

        def long(transaction: Transaction) -> None:
            insert(1)(transaction)
            inside.set()
            go_on.wait(10)

        database.submit(long, lambda _: None)
        await trio.to_thread.run_sync(inside.wait)
        assert await database.read(numbers) == []
        go_on.set()
        await database.write(lambda _: None)
        assert await database.read(numbers) == [1]


async def test_in_memory_it_works_under_virtual_time(autojump_clock: trio.testing.MockClock) -> None:
    async with open_database(None) as database:
        await database.write(lambda tx: tx.connection.execute("CREATE TABLE t (n INTEGER)").close())
        begun = trio.current_time()
        with trio.fail_after(1):
            for number in range(20):
                await database.write(insert(number))
        assert trio.current_time() == begun, "no virtual time passes in a write"
        await trio.sleep(3600)
        assert await database.read(numbers) == list(range(20))
