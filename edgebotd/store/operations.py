"""Work on containers in steps: what was asked for, how far it is, what it has made, and its log."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from typing import Any, Literal

from edgebotd.errors import Conflict

OperationState = Literal["running", "undoing", "succeeded", "failed", "cancelled"]

_COLUMNS = "id, bot_id, kind, request, made, step, state, reason, actor, started_at, ended_at"


@dataclass(frozen=True, slots=True)
class Operation:
    """One piece of work.

    Attributes:
        kind: create, adopt, recreate, upgrade, remove; start, stop, restart.
        request: what was asked for, JSON without secrets.
        made: what its steps have made so far, JSON without secrets: names and ids to go on with, or to clean up.
        step: the one that runs, or that it ended in.
        reason: why it failed, for a person.
        actor: who asked for it, JSON of an `Actor`.
    """

    id: str
    bot_id: str
    kind: str
    request: dict[str, Any]
    made: dict[str, Any] = field(default_factory=dict)
    step: str = ""
    state: OperationState = "running"
    reason: str | None = None
    actor: dict[str, Any] = field(default_factory=dict)
    started_at: int = 0
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an operation's log."""

    number: int
    at: int
    step: str
    text: str


def _operation(row: tuple[Any, ...]) -> Operation:
    return Operation(
        id=row[0],
        bot_id=row[1],
        kind=row[2],
        request=json.loads(row[3]),
        made=json.loads(row[4]),
        step=row[5],
        state=row[6],
        reason=row[7],
        actor=json.loads(row[8]),
        started_at=row[9],
        ended_at=row[10],
    )


def add(conn: sqlite3.Connection, operation: Operation) -> None:
    """Store a new one.

    Raises:
        Conflict: another is going on with the same bot.
    """
    busy = conn.execute(
        "SELECT kind FROM operations WHERE bot_id = ? AND ended_at IS NULL", (operation.bot_id,)
    ).fetchone()
    if busy is not None:
        detail = f"Another operation ({busy[0]}) is going on with '{operation.bot_id}'. Wait for it, or cancel it."
        raise Conflict("bot_busy", detail)
    conn.execute(
        f"INSERT INTO operations ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            operation.id,
            operation.bot_id,
            operation.kind,
            json.dumps(operation.request),
            json.dumps(operation.made),
            operation.step,
            operation.state,
            operation.reason,
            json.dumps(operation.actor),
            operation.started_at,
            operation.ended_at,
        ),
    )


def get(conn: sqlite3.Connection, operation_id: str) -> Operation | None:
    """Return one."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM operations WHERE id = ?", (operation_id,)).fetchone()
    return None if row is None else _operation(row)


def open_operations(conn: sqlite3.Connection) -> list[Operation]:
    """Return those that have not ended, oldest first: a start goes on with them."""
    return [
        _operation(row)
        for row in conn.execute(f"SELECT {_COLUMNS} FROM operations WHERE ended_at IS NULL ORDER BY started_at, id")
    ]


def newest(conn: sqlite3.Connection, *, bot_id: str | None = None, limit: int = 50) -> list[Operation]:
    """Return the newest ones, of one bot or of all, newest first."""
    return [
        _operation(row)
        for row in conn.execute(
            f"SELECT {_COLUMNS} FROM operations WHERE ?1 IS NULL OR bot_id = ?1 ORDER BY started_at DESC, id LIMIT ?2",
            (bot_id, limit),
        )
    ]


def advance(
    conn: sqlite3.Connection, operation_id: str, step: str, state: OperationState, made: dict[str, Any]
) -> None:
    """Keep how far it is."""
    conn.execute(
        "UPDATE operations SET step = ?, state = ?, made = ? WHERE id = ? AND ended_at IS NULL",
        (step, state, json.dumps(made), operation_id),
    )


def give_reason(conn: sqlite3.Connection, operation_id: str, reason: str) -> None:
    """Keep why it is being undone."""
    conn.execute("UPDATE operations SET reason = ? WHERE id = ?", (reason, operation_id))


def end(conn: sqlite3.Connection, operation_id: str, state: OperationState, reason: str | None, now: int) -> None:
    """Keep how it ended."""
    conn.execute(
        "UPDATE operations SET state = ?, reason = ?, ended_at = ? WHERE id = ?", (state, reason, now, operation_id)
    )


def add_line(conn: sqlite3.Connection, operation_id: str, at: int, step: str, text: str) -> None:
    """Append a line to its log."""
    conn.execute(
        "INSERT INTO operation_lines (operation_id, number, at, step, text) VALUES"
        " (?1, (SELECT coalesce(max(number), 0) + 1 FROM operation_lines WHERE operation_id = ?1), ?2, ?3, ?4)",
        (operation_id, at, step, text),
    )


def lines(conn: sqlite3.Connection, operation_id: str) -> list[Line]:
    """Return its log, in order."""
    rows = conn.execute(
        "SELECT number, at, step, text FROM operation_lines WHERE operation_id = ? ORDER BY number", (operation_id,)
    )
    return [Line(*row) for row in rows]


def trim(conn: sqlite3.Connection, before_at: int, limit: int) -> int:
    """Delete logs and rows of operations that ended before; return how many, at most `limit`."""
    return conn.execute(
        "DELETE FROM operations WHERE id IN (SELECT id FROM operations WHERE ended_at < ? LIMIT ?)", (before_at, limit)
    ).rowcount
