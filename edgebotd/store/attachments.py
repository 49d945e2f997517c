"""Files that travel with messages: stored once by their SHA-256, in the state directory beside the database.

The functions over files block: callers run them in a thread.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Attachment:
    """One file. `sha256` in lower-case hex, `size` in bytes."""

    sha256: str
    size: int
    media_type: str
    created_at: int


# Rows


def add(conn: sqlite3.Connection, attachment: Attachment) -> None:
    """Store the row of a file; one that is there already stays as it is."""
    conn.execute(
        "INSERT OR IGNORE INTO attachments VALUES (?, ?, ?, ?)",
        (attachment.sha256, attachment.size, attachment.media_type, attachment.created_at),
    )


def get(conn: sqlite3.Connection, sha256: str) -> Attachment | None:
    """Return the row of a file."""
    row = conn.execute("SELECT * FROM attachments WHERE sha256 = ?", (sha256,)).fetchone()
    return None if row is None else Attachment(*row)


def link(conn: sqlite3.Connection, sha256: str, bot_id: str, message_id: str, name: str) -> None:
    """Say that a message has this file under a name; access to a file comes from its links. The row must exist."""
    conn.execute("INSERT OR IGNORE INTO attachment_links VALUES (?, ?, ?, ?)", (sha256, bot_id, message_id, name))


def bots_of(conn: sqlite3.Connection, sha256: str) -> set[str]:
    """Return the bots in whose messages the file is."""
    return {row[0] for row in conn.execute("SELECT DISTINCT bot_id FROM attachment_links WHERE sha256 = ?", (sha256,))}


@dataclass(frozen=True, slots=True)
class Link:
    """Where a file is: in which message of which bot, under which name."""

    bot_id: str
    message_id: str
    name: str


def link_of(conn: sqlite3.Connection, sha256: str, bot_ids: Iterable[str]) -> Link | None:
    """Return one of the file's places in messages of these bots."""
    for bot_id in bot_ids:
        query = "SELECT bot_id, message_id, name FROM attachment_links WHERE sha256 = ? AND bot_id = ? LIMIT 1"
        row = conn.execute(query, (sha256, bot_id)).fetchone()
        if row is not None:
            return Link(*row)
    return None


def orphans(conn: sqlite3.Connection, created_before: int, limit: int = 500) -> list[str]:
    """Return files without a message, made before a time (younger ones may be about to be linked)."""
    query = (
        "SELECT sha256 FROM attachments AS a WHERE created_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM attachment_links AS l WHERE l.sha256 = a.sha256) LIMIT ?"
    )
    return [row[0] for row in conn.execute(query, (created_before, limit))]


def forget(conn: sqlite3.Connection, sha256: str) -> bool:
    """Delete the row of a file without links and return whether it is gone; only then remove the file."""
    query = (
        "DELETE FROM attachments WHERE sha256 = ?1 AND NOT EXISTS (SELECT 1 FROM attachment_links WHERE sha256 = ?1)"
    )
    return conn.execute(query, (sha256,)).rowcount > 0


# Files


def path_of(root: Path, sha256: str) -> Path:
    """Return where the file lives below `<state_dir>/attachments`."""
    return root / sha256[:2] / sha256


def save(root: Path, data: bytes) -> str:
    """Write a file durably, once, and return its SHA-256; raises `OSError`.

    It appears under its name only when whole: a crash leaves at most a `.part` file, which `sweep` removes. One that is
    there already is touched, so that `remove_file` leaves it to the message that will link it.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    target = path_of(root, sha256)
    try:
        os.utime(target)
    except FileNotFoundError:
        pass
    else:
        return sha256
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = target.with_name(f"{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(target)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    for directory in (target.parent, root):
        _sync_directory(directory)
    return sha256


def load(root: Path, sha256: str) -> bytes:
    """Return a file's bytes; raises `FileNotFoundError`."""
    return path_of(root, sha256).read_bytes()


def remove_file(root: Path, sha256: str, saved_before: int) -> bool:
    """Remove a file whose row is forgotten and return whether it is gone; one that was saved since (Unix ms) stays.

    It is put aside first, so that a `save` of the same bytes at this moment has either touched it, or writes it anew.
    """
    target = path_of(root, sha256)
    aside = target.with_name(f"{secrets.token_hex(8)}.part")
    try:
        target.rename(aside)
    except FileNotFoundError:
        return False
    if aside.stat().st_mtime_ns // 1_000_000 >= saved_before:
        aside.rename(target)
        return False
    aside.unlink()
    return True


def sweep(root: Path) -> int:
    """Remove what a crash left half written and return how many files; only before anything saves (at start)."""
    leftovers = list(root.glob("??/*.part"))
    for part in leftovers:
        part.unlink(missing_ok=True)
    return len(leftovers)


def _sync_directory(directory: Path) -> None:
    # The name is durable only with its directory.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
