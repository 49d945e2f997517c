"""Opening the file: modes, lock, migrations, integrity."""

import errno
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edgebotd.store import connection, migrations
from edgebotd.store.connection import open_writer
from edgebotd.store.database import open_database
from edgebotd.store.errors import SchemaChanged, SchemaNewer, StoreDamaged, StoreError, StoreLocked
from edgebotd.store.migrations import Migration

ONE = Migration(1, "one", "CREATE TABLE a (n INTEGER);\nINSERT INTO a VALUES (1);\n")
TWO = Migration(2, "two", "CREATE TABLE b (n INTEGER);\n")


def clean_mark(path: Path) -> int:
    conn = sqlite3.connect(path)
    try:
        return int(conn.execute("SELECT clean FROM store_state").fetchone()[0])
    finally:
        conn.close()


async def test_file_and_directory_are_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "state" / "store.db"
    async with open_database(path) as database:
        await database.write(lambda tx: tx.connection.execute("CREATE TABLE t (n INTEGER)").close())
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert set(modes) == {"store.db", "store.db-wal", "store.db-shm", "store.db.lock"}
    assert set(modes.values()) == {0o600}


async def test_a_file_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch()
    path.chmod(0o644)
    async with open_database(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_second_daemon_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with open_database(path):
        with pytest.raises(StoreLocked, match=rf"pid {os.getpid()}\b"):
            async with open_database(path):
                raise AssertionError("both have it")
    async with open_database(path):
        pass


async def test_a_directory_that_cannot_be_written_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(StoreError, match="its folder is a file"):
        async with open_database(blocked / "store.db"):
            pass

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match=r"Permission denied\. The state directory must be writable"):
        async with open_database(tmp_path / "store.db"):
            pass


async def test_a_start_on_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(StoreError, match=rf"{path}: .*No space left on device\. Free some space"):
            async with open_database(path):
                pass

    # SQLite cannot make its -shm file, and calls that an I/O error.
    def no_room(*_: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
        raise error

    monkeypatch.setattr(connection, "_prepare", no_room)
    with pytest.raises(StoreError, match=r"the disk is full or fails \(SQLITE_IOERR_SHMSIZE\)\. Free some space"):
        async with open_database(path):
            pass


def test_whether_a_daemon_has_the_database_is_seen_without_disturbing_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    assert not connection.in_use(path)
    assert not list(tmp_path.iterdir())
    with connection.only_daemon(path):
        assert connection.in_use(path)
        assert connection.in_use(path)
    assert not connection.in_use(path)


async def test_the_store_is_marked_clean_only_after_an_orderly_close(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with open_database(path):
        assert clean_mark(path) == 0
    assert clean_mark(path) == 1


def test_each_migration_runs_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    for known in ((ONE,), (ONE,), (ONE, TWO), (ONE, TWO)):
        conn = open_writer(path, 5, known)
        assert conn.execute("SELECT count(*) FROM a").fetchone()[0] == 1
        connection.close_writer(conn)
    conn = open_writer(path, 9, (ONE, TWO))
    assert conn.execute("SELECT number, name, applied_at FROM migrations").fetchall() == [(1, "one", 5), (2, "two", 5)]
    conn.close()


def test_a_failing_migration_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    broken = Migration(2, "broken", "CREATE TABLE b (n INTEGER);\nINSERT INTO nowhere VALUES (1);\n")
    connection.close_writer(open_writer(path, 0, (ONE,)))
    with pytest.raises(StoreError, match="nowhere"):
        open_writer(path, 0, (ONE, broken))
    conn = open_writer(path, 0, (ONE, TWO))
    assert set(migrations.applied(conn)) == {1, 2}
    conn.close()


def test_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection.close_writer(open_writer(path, 0, (ONE, TWO)))
    before = path.read_bytes()
    with pytest.raises(SchemaNewer, match=r"newer edgebotd \(schema 2; this program knows 1\)"):
        open_writer(path, 0, (ONE,))
    assert path.read_bytes() == before


def test_a_changed_migration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection.close_writer(open_writer(path, 0, (ONE,)))
    with pytest.raises(SchemaChanged, match=r"migration 1 \(one\)"):
        open_writer(path, 0, (Migration(1, "one", ONE.sql + "-- edited\n"),))


def test_the_shipped_migrations_are_numbered_without_gaps_and_apply_to_an_empty_file() -> None:
    conn = open_writer(None, 0)
    assert list(migrations.applied(conn)) == [m.number for m in migrations.shipped()]
    conn.close()


def damage(path: Path, table: str) -> None:
    """Overwrite the root page of a table."""
    conn = sqlite3.connect(path)
    root = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()[0]
    size = conn.execute("PRAGMA page_size").fetchone()[0]
    conn.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\x5a" * size)


def test_damage_is_found_after_an_unclean_stop_and_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    conn = open_writer(path, 0)
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.close()  # not marked
    damage(path, "turns")
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match=re.escape(str(path))) as refused:
        open_writer(path, 0)
    assert "backup" in str(refused.value)
    assert "recover" in str(refused.value)
    assert path.read_bytes() == before


def test_rows_without_what_they_refer_to_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    conn = open_writer(path, 0)
    conn.execute("PRAGMA foreign_keys = OFF")
    conn.execute("INSERT INTO grants VALUES ('nobody', 'anna', 1)")
    conn.close()
    with pytest.raises(StoreDamaged, match="grants"):
        open_writer(path, 0)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database, " * 500)
    with pytest.raises(StoreDamaged, match="not a database"):
        open_writer(path, 0)


CHILD = """
import sys, trio
from pathlib import Path
from edgebotd.store.database import open_database

async def main():
    async with open_database(Path(sys.argv[1])) as database:
        await database.write(lambda tx: tx.connection.execute("CREATE TABLE t (n INTEGER)").close())

        async def producer(first):
            for number in range(first, 1_000_000, 20):
                await database.write(lambda tx: tx.connection.execute("INSERT INTO t VALUES (?)", (number,)).close())
                sys.stdout.write(f"{number}\\n")
                sys.stdout.flush()

        async with trio.open_nursery() as nursery:
            for first in range(20):
                nursery.start_soon(producer, first)

trio.run(main)
"""


def test_every_acknowledged_write_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(400)]
        child.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in child.stdout.read().split("\n")[:-1]]
    assert clean_mark(path) == 0
    conn = open_writer(path, 0)
    stored = {row[0] for row in conn.execute("SELECT n FROM t")}
    connection.close_writer(conn)
    assert set(acknowledged) <= stored
    assert len(stored) <= len(acknowledged) + 20, "at most what was in flight"
