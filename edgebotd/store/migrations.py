"""Numbered migrations: the SQL files of schema/, each run once, in a transaction of its own."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from dataclasses import dataclass
from functools import cache
from importlib import resources

from edgebotd.store.errors import SchemaChanged, SchemaNewer


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `0001_start.sql` is number 1."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Tells whether the file is what it was when a database applied it."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@cache
def shipped() -> tuple[Migration, ...]:
    """Return the program's own migrations, in order."""
    found = []
    for file in resources.files("edgebotd.store").joinpath("schema").iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name)
        if match:
            found.append(Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise RuntimeError(f"schema/ must be numbered without gaps: {[m.number for m in found]}")
    return tuple(found)


def applied(conn: sqlite3.Connection) -> dict[int, str]:
    """Return the checksums of the migrations that a database has, by number."""
    if conn.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").fetchone() is None:
        return {}
    return dict(conn.execute("SELECT number, checksum FROM migrations ORDER BY number"))


def refuse_unknown(conn: sqlite3.Connection, known: tuple[Migration, ...], where: str) -> None:
    """Pass for a database that this program can use; changes nothing.

    Raises:
        SchemaNewer: it has migrations that this program does not know.
        SchemaChanged: it has one in another form.
    """
    by_number = {migration.number: migration for migration in known}
    for number, checksum in applied(conn).items():
        migration = by_number.get(number)
        if migration is None:
            raise SchemaNewer(
                f"{where}: this database is of a newer edgebotd (schema {max(applied(conn))}; this program knows "
                f"{max(by_number, default=0)}). Start the newer one again, or put back the backup from before it."
            )
        if migration.checksum != checksum:
            raise SchemaChanged(
                f"{where}: migration {number} ({migration.name}) is not the one that this database was made with. "
                "This edgebotd is not a released one, or the file was edited: reinstall it."
            )


def apply(conn: sqlite3.Connection, known: tuple[Migration, ...], now: int) -> None:
    """Bring a database to the newest schema. A migration that fails leaves no trace of itself."""
    conn.execute("BEGIN IMMEDIATE")
    conn.execute(
        "CREATE TABLE IF NOT EXISTS migrations"
        " (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"
    )
    conn.execute(
        "CREATE TABLE IF NOT EXISTS store_state"
        " (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), clean INTEGER NOT NULL) STRICT"
    )
    conn.execute("COMMIT")
    done = applied(conn)
    for migration in known:
        if migration.number in done:
            continue
        conn.execute("BEGIN IMMEDIATE")
        try:
            for statement in _statements(migration.sql):
                conn.execute(statement)
            conn.execute(
                "INSERT INTO migrations VALUES (?, ?, ?, ?)",
                (migration.number, migration.name, migration.checksum, now),
            )
            conn.execute("COMMIT")
        except BaseException:
            if conn.in_transaction:
                conn.execute("ROLLBACK")
            raise


def _statements(sql: str) -> list[str]:
    # executescript() would commit first, and each statement by itself.
    statements, begun = [], ""
    for line in sql.splitlines(keepends=True):
        begun += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(begun):
            statements.append(begun)
            begun = ""
    if begun.strip():
        raise ValueError(f"a migration ends in an unfinished statement: {begun.strip()[:60]!r}")
    return statements
