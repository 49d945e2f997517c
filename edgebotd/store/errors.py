"""What can go wrong in the store, in words."""

from __future__ import annotations

import sqlite3

from edgebotd.errors import EdgebotdError, Problem


class StoreError(EdgebotdError):
    """The store cannot be opened; the text says what to do. Raised by `open_database` only."""


class StoreDamaged(StoreError):
    """The database file does not pass its check."""


class StoreLocked(StoreError):
    """Another daemon has this database open."""


class SchemaNewer(StoreError):
    """The database was written by a newer edgebotd."""


class SchemaChanged(StoreError):
    """A migration that this database has applied is no longer what it was."""


class StoreBusy(Problem):
    """Too many writes wait already. Raised by `submit` and `write`; nothing was written."""

    def __init__(self, waiting: int) -> None:
        super().__init__(
            503,
            "store_busy",
            f"The store has {waiting} writes waiting. Try again in a few seconds; if it stays so, look at the disk.",
            headers={"Retry-After": "5"},
        )


class StoreClosed(Problem):
    """The daemon is stopping. Nothing was written."""

    def __init__(self) -> None:
        super().__init__(503, "stopping", "The daemon is stopping.", headers={"Retry-After": "5"})


class DatabaseError(Problem):
    """SQLite could not do it (disk full, input/output error): nothing of the group was written, the daemon stays."""

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__(503, "storage_failed", _words(error), headers={"Retry-After": "30"})


def _words(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if name.startswith("SQLITE_FULL"):
        return "Nothing was stored: the disk is full. Free some space; no restart is needed."
    if name.startswith("SQLITE_READONLY"):
        return "Nothing was stored: the database cannot be written. Check the owner and mode of the state directory."
    if name.startswith("SQLITE_IOERR"):
        return f"Nothing was stored: the disk reports an error ({name}). Look at the kernel's log and the disk."
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f"The database is damaged ({name}). Stop the daemon and restore a backup of its state directory."
    if name.startswith("SQLITE_BUSY"):
        return "Nothing was stored: another program holds the database locked. End it; no restart is needed."
    return f"The database reports an error ({name}: {error})."
