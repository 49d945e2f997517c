"""Opening the database file: one daemon at a time, tight modes, settings of SQLite, integrity after an unclean stop."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edgebotd.store import indexing, migrations
from edgebotd.store.errors import StoreDamaged, StoreError, StoreLocked

_log = logging.getLogger(__name__)

OLDEST_SQLITE: Final = (3, 40, 0)
"""Debian 12's, the oldest that is tested."""

BUSY_MS: Final = 5000
"""How long to wait for another program's lock (a backup, a person's sqlite3) before a group of writes fails."""

# The writer touches leaves all over the indexes of messages (run ids are random): 64 MB hold their inner and recent
# pages at a million messages. Readers walk one range each. No mmap: a disk's read error inside a mapping is a SIGBUS
# that ends the daemon, through read() it is an error in words; and the kernel's page cache serves both.
WRITER_CACHE_KIB: Final = 64 * 1024
READER_CACHE_KIB: Final = 8 * 1024

# Checkpoints run inside a commit. Ids are random, so each message touches two leaves of indexes somewhere: the longer
# the WAL, the more of them are written back once for many. 16,000 pages are 64 MB.
CHECKPOINT_PAGES: Final = 16_000
WAL_BYTES_KEPT: Final = 64 * 1024 * 1024


@contextmanager
def only_daemon(path: Path) -> Iterator[None]:
    """Hold the lock file beside the database.

    Raises:
        StoreLocked: another process holds it; the message names its pid.
    """
    lock = _lock_file(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _not_writable(path, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise StoreLocked(
                f"{path}: another edgebotd (pid {pid}) has this database open. Stop it first, or give this one a "
                "state directory of its own (storage.state_dir)."
            ) from None
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise _not_writable(path, error) from error
        # The file stays: removing it would let two daemons lock two files of the same name.
        yield
    finally:
        os.close(descriptor)


def in_use(path: Path) -> bool:
    """Say whether a daemon holds the lock; False too where this user may not look."""
    try:
        descriptor = os.open(_lock_file(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock_file(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def open_writer(
    path: Path | None, now: int, known: tuple[migrations.Migration, ...] | None = None
) -> sqlite3.Connection:
    """Open the database for writing: checked after an unclean stop, migrated, marked as in use. Blocks.

    Raises:
        StoreDamaged, SchemaNewer, SchemaChanged, StoreError: the file is left as it was.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old; edgebotd needs {wanted} or newer.")
    try:
        if path is not None:
            _make_file(path)
        conn = _connect(":memory:" if path is None else str(path), WRITER_CACHE_KIB)
        try:
            _prepare(conn, path, now, migrations.shipped() if known is None else known)
        except BaseException:
            conn.close()
            raise
        return conn
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise _damaged(path, str(error)) from error
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            # A full disk is an I/O error here: the -shm file is made by ftruncate(2) and mapped.
            raise StoreError(
                f"{path}: the database cannot be opened: the disk is full or fails ({name}). Free some space; if there "
                "is enough, look at the kernel's log and the disk."
            ) from error
        raise StoreError(f"{path}: the database cannot be opened: {error}.") from error
    except OSError as error:
        raise _not_writable(path, error) from error


def open_reader(path: Path) -> sqlite3.Connection:
    """Open another connection that cannot write. Blocks."""
    conn = _connect(str(path), READER_CACHE_KIB)
    conn.execute("PRAGMA query_only = ON")
    return conn


def close_writer(conn: sqlite3.Connection) -> None:
    """Mark the database as closed in order, fold the WAL into it, and close. Blocks."""
    try:
        conn.execute("UPDATE store_state SET clean = 1")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        conn.close()


def _make_file(path: Path) -> None:
    # SQLite would make it with the umask's mode; its -wal and -shm files take over the mode of this one.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _connect(name: str, cache_kib: int) -> sqlite3.Connection:
    # Transactions are begun and ended by hand; connections move between threads but are used by one at a time.
    conn = sqlite3.connect(
        name, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        conn.execute("PRAGMA foreign_keys = ON")
        # Savepoints keep copies of pages; in temporary files they halve the rate of writes.
        conn.execute("PRAGMA temp_store = MEMORY")
        conn.execute(f"PRAGMA cache_size = -{cache_kib}")
    except BaseException:
        conn.close()
        raise
    return conn


def _prepare(conn: sqlite3.Connection, path: Path | None, now: int, known: tuple[migrations.Migration, ...]) -> None:
    if path is not None:
        mode = conn.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(f"{path}: this file system does not take SQLite's WAL mode. Use a local disk.")
        # An acknowledged message must survive a loss of power, not only of the process.
        conn.execute("PRAGMA synchronous = FULL")
        conn.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        conn.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
    migrations.refuse_unknown(conn, known, str(path))
    unclean = _stopped_unclean(conn)
    if unclean:
        _log.warning("%s: it was not closed in order, and is checked; a million messages take some ten seconds", path)
        _check(conn, path)
    migrations.apply(conn, known, now)
    if known == migrations.shipped():
        _check_index(conn, unclean=unclean)
    conn.execute("INSERT INTO store_state VALUES (1, 0) ON CONFLICT DO UPDATE SET clean = 0")


def _stopped_unclean(conn: sqlite3.Connection) -> bool:
    if conn.execute("SELECT 1 FROM sqlite_schema WHERE name = 'store_state'").fetchone() is None:
        return False
    row = conn.execute("SELECT clean FROM store_state").fetchone()
    return row is not None and not row[0]


def _check(conn: sqlite3.Connection, path: Path | None) -> None:
    """Run SQLite's checks; the search index has its own, as it can be made anew."""
    found = [row[0] for row in conn.execute("PRAGMA quick_check(5)")]
    if found != ["ok"]:
        raise _damaged(path, "; ".join(found))
    orphans = conn.execute("PRAGMA foreign_key_check").fetchmany(5)
    if orphans:
        raise _damaged(path, "rows without what they refer to in " + ", ".join(sorted({row[0] for row in orphans})))


def _check_index(conn: sqlite3.Connection, *, unclean: bool) -> None:
    """Empty a search index that is damaged or outdated; the writer fills it again beside its work."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        if indexing.outdated(conn):
            indexing.reset(conn)
        elif unclean:
            indexing.check(conn)
    except sqlite3.Error as error:
        if not indexing.damaged(error):
            raise
        _log.warning("search: the index is damaged (%s) and made anew; until then, not all messages are found", error)
        conn.execute("ROLLBACK")
        conn.execute("BEGIN IMMEDIATE")
        indexing.reset(conn)
    finally:
        if conn.in_transaction:
            conn.execute("COMMIT")


def _not_writable(path: Path | None, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"{path}: the database cannot be opened: {error.strerror}. Free some space, then start again."
        )
    if isinstance(error, FileExistsError | NotADirectoryError):
        return StoreError(
            f"{path}: the database cannot be opened: its folder is a file. Move that away, or name another folder "
            "(storage.state_dir)."
        )
    return StoreError(
        f"{path}: the database cannot be opened: {error.strerror}. The state directory must be writable for the user "
        "that runs edgebotd."
    )


def _damaged(path: Path | None, finding: str) -> StoreDamaged:
    return StoreDamaged(
        f"{path}: the database is damaged ({finding}). It was left as it is. Either put a backup of it (with "
        f"{path}-wal, if that was saved too) in its place; or save what can be read: sqlite3 {path} .recover | "
        f"sqlite3 {path}.recovered, and put that in its place; or move {path} away, to start with an empty one."
    )
