"""Many rows at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

ROWS_PER_STATEMENT: Final = 50
"""Each statement gives up the interpreter's lock and may wait for a busy event loop to get it back: few are better."""


def insert_rows(conn: sqlite3.Connection, insert: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Insert rows of equal length with `INSERT ... VALUES` (which is added here); return how many were inserted."""
    if not rows:
        return 0
    values = f"({', '.join('?' * len(rows[0]))})"
    whole = len(rows) - len(rows) % ROWS_PER_STATEMENT
    inserted = 0
    if whole:
        statement = f"{insert} VALUES {', '.join([values] * ROWS_PER_STATEMENT)}"
        for start in range(0, whole, ROWS_PER_STATEMENT):
            flat = [value for row in rows[start : start + ROWS_PER_STATEMENT] for value in row]
            inserted += conn.execute(statement, flat).rowcount
    if whole < len(rows):
        inserted += conn.executemany(f"{insert} VALUES {values}", rows[whole:]).rowcount
    return inserted
