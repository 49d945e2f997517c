"""Reads the files in which other programs keep logins; changes none of them, nor their times or locks.

Blocking: for a thread, or a command.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgebotd.errors import Invalid
from edgebotd.protocol.logins import FoundLogin, Kind, NotAStore, read_logins

LARGEST_TEXT: Final = 1024 * 1024
LARGEST_DATABASE: Final = 512 * 1024 * 1024
"""A gateway keeps much more in it than logins."""

COPIES: Final = 5
"""So often a database is copied that is written to meanwhile."""

_SQLITE: Final = b"SQLite format 3\x00"
_ROWS: Final = (("config_machine_state", "authProfiles.store"), ("auth_profile_store", "primary"))
"""Table and key, of the state that all agents share and of an agent's own (OpenClaw 2026.9)."""
_OF_STATE: Final = (
    "state/openclaw.sqlite",
    "agents/*/agent/openclaw-agent.sqlite",
    "agents/*/agent/auth-profiles.json",
)
USUAL: Final[dict[Kind, str]] = {
    "openclaw": "~/.openclaw",
    "claude": "~/.claude/.credentials.json",
    "codex": "~/.codex/auth.json",
    "gemini": "~/.gemini/oauth_creds.json",
}
"""Where a program keeps its logins unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a change of a file is seen by."""

    inode: int
    size: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class FoundIn:
    """A login and the very file that it is in."""

    file: Path
    login: FoundLogin


def find_logins(kind: Kind, path: Path) -> list[FoundIn]:
    """Return what a program keeps of logins in a file, or in all files of OpenClaw's state directory.

    Raises:
        Invalid: there is no such file, it cannot be read, or it is another program's.
    """
    files = list(_files(kind, path))
    found: list[FoundIn] = []
    wrong: Invalid | None = None
    for file in files:
        try:
            found += [FoundIn(file, login) for login in _in_file(kind, file)]
        except Invalid as exc:
            wrong = exc
    if wrong is not None and not found:
        raise wrong
    return found


def read_texts(kind: Kind, path: Path) -> list[str]:
    """Return the texts that `protocol.logins` reads, for a command that sends them to the daemon.

    Raises:
        Invalid: as `find_logins`.
    """
    return [text.decode("utf-8", "replace") for file in _files(kind, path) for text in _texts(file)]


def mark_of(file: Path) -> Mark | None:
    """Return what a later change is seen by; None where there is no such file. A database changes in its log."""
    try:
        status = file.stat()
    except OSError:
        return None
    try:
        log = Path(f"{file}-wal").stat()
    except OSError:
        return Mark(status.st_ino, status.st_size, status.st_mtime_ns)
    return Mark(status.st_ino, status.st_size + log.st_size, max(status.st_mtime_ns, log.st_mtime_ns))


def _files(kind: Kind, path: Path) -> Iterator[Path]:
    path = path.expanduser()
    if kind == "openclaw" and path.is_dir():
        files = [file for pattern in _OF_STATE for file in sorted(path.glob(pattern))]
        if not files:
            raise Invalid(f"{path} has no logins of OpenClaw: it is no state directory of a gateway.")
        yield from files
    else:
        yield path


def _in_file(kind: Kind, file: Path) -> list[FoundLogin]:
    try:
        return [login for text in _texts(file) for login in read_logins(kind, text)]
    except NotAStore as exc:
        raise Invalid(f"{file} {exc}.", code="no_store") from None


def _texts(file: Path) -> list[bytes]:
    try:
        # O_NONBLOCK: a FIFO at this path must not hang anybody.
        with open(os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise Invalid(f"{file} is no file.", code="no_store")
            begin = opened.read(len(_SQLITE))
            if begin != _SQLITE:
                text = begin + opened.read(LARGEST_TEXT)
                if len(text) > LARGEST_TEXT:
                    raise Invalid(f"{file} is too large for a file of logins.", code="no_store")
                return [text]
        return _rows(file)
    except OSError as exc:
        raise Invalid(f"{file} cannot be read: {exc.strerror}.", code="unreadable") from None


def _rows(file: Path) -> list[bytes]:
    """Return the rows of a database that hold logins.

    From a copy: opening it where it is would make files beside it that are ours, which its program could not use.
    """
    with tempfile.TemporaryDirectory(prefix="edgebotd-") as folder:
        copy = Path(folder, "copy.sqlite")
        for _ in range(COPIES):
            before = mark_of(file)
            if before is None or before.size > LARGEST_DATABASE:
                raise Invalid(f"{file} is too large to be copied for reading.", code="no_store")
            shutil.copyfile(file, copy)
            log, log_copy = Path(f"{file}-wal"), Path(f"{copy}-wal")
            log_copy.unlink(missing_ok=True)
            if log.exists():
                shutil.copyfile(log, log_copy)
            if mark_of(file) == before:
                break
        try:
            with closing(sqlite3.connect(copy)) as conn:
                there = {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                return [text for table, key in _ROWS if table in there for text in _values(conn, table, key)]
        except sqlite3.Error as exc:
            raise Invalid(f"{file} cannot be read as a database: {type(exc).__name__}.", code="no_store") from None


def _values(conn: sqlite3.Connection, table: str, key: str) -> Iterator[bytes]:
    """Yield the JSON of rows with a key. Their columns are not fixed by anybody, and differ between the tables."""
    for row in conn.execute(f"SELECT * FROM {table}"):
        if key in row:
            texts = (one.encode() if isinstance(one, str) else one for one in row if isinstance(one, (str, bytes)))
            yield from (text for text in texts if text.lstrip().startswith(b"{"))
