"""Turns: what was asked of a bot, in which state it is, and the idempotency key it came under."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any, Literal

from edgebotd.events import RunState

Mode = Literal["queue", "interrupt"]

_COLUMNS = (
    "run_id, bot_id, conversation_id, principal, idempotency_key, fingerprint, message_id, state, mode, detail,"
    " created_at, started_at, ended_at"
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One run that was asked for through this daemon.

    Attributes:
        principal: text key of who asked; the idempotency key is unique per principal and bot.
        fingerprint: hash of text and attachments, to tell a repeated request from another one under the same key.
        detail: for a person: why it waits or failed.
    """

    run_id: str
    bot_id: str
    conversation_id: str
    principal: str
    idempotency_key: str | None
    fingerprint: str
    message_id: str
    state: RunState
    mode: Mode
    created_at: int
    detail: str | None = None
    started_at: int | None = None
    ended_at: int | None = None


def _turn(row: tuple[Any, ...]) -> Turn:
    run, bot, conversation, principal, key, fingerprint, message, state, mode, detail, created, started, ended = row
    return Turn(
        run,
        bot,
        conversation,
        principal,
        key,
        fingerprint,
        message,
        RunState(state),
        mode,
        created,
        detail,
        started,
        ended,
    )


def insert(conn: sqlite3.Connection, turn: Turn) -> None:
    """Store a new turn."""
    values = (
        turn.run_id,
        turn.bot_id,
        turn.conversation_id,
        turn.principal,
        turn.idempotency_key,
        turn.fingerprint,
        turn.message_id,
        turn.state.value,
        turn.mode,
        turn.detail,
        turn.created_at,
        turn.started_at,
        turn.ended_at,
    )
    conn.execute(f"INSERT INTO turns ({_COLUMNS}) VALUES ({', '.join('?' * 13)})", values)


def get(conn: sqlite3.Connection, run_id: str) -> Turn | None:
    """Return a turn by its run."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM turns WHERE run_id = ?", (run_id,)).fetchone()
    return None if row is None else _turn(row)


def by_key(conn: sqlite3.Connection, bot_id: str, principal: str, key: str, not_before: int) -> Turn | None:
    """Return the turn that came under an idempotency key at `not_before` or later, the newest of several."""
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM turns WHERE bot_id = ? AND principal = ? AND idempotency_key = ? AND created_at >= ?"
        " ORDER BY created_at DESC LIMIT 1",
        (bot_id, principal, key, not_before),
    ).fetchone()
    return None if row is None else _turn(row)


def open_of_bot(conn: sqlite3.Connection, bot_id: str) -> list[Turn]:
    """Return a bot's turns that have not ended, oldest first."""
    query = f"SELECT {_COLUMNS} FROM turns WHERE bot_id = ? AND ended_at IS NULL ORDER BY created_at, rowid"
    return [_turn(row) for row in conn.execute(query, (bot_id,))]


def set_state(
    conn: sqlite3.Connection, run_id: str, state: RunState, now: int, detail: str | None = None
) -> Turn | None:
    """Set a turn's state and detail; note when it started or ended. A turn that has ended stays as it is, and one that
    is to be stopped stays so until it ends.

    Returns the changed turn; None where there is no such turn or it had ended before.
    """
    row = conn.execute(
        "UPDATE turns SET state = CASE WHEN state = 'stopping' AND NOT ?5 THEN state ELSE ?2 END, detail = ?3,"
        " started_at = CASE WHEN ?2 = 'queued' THEN started_at ELSE coalesce(started_at, ?4) END,"
        " ended_at = CASE WHEN ?5 THEN ?4 END"
        f" WHERE run_id = ?1 AND ended_at IS NULL RETURNING {_COLUMNS}",
        (run_id, state.value, detail, now, int(state.terminal)),
    ).fetchone()
    return None if row is None else _turn(row)


def note_stop(conn: sqlite3.Connection, run_id: str) -> None:
    """Note that a turn is to be stopped, whatever else is known of it. One that has ended stays as it is."""
    conn.execute("UPDATE turns SET state = ? WHERE run_id = ? AND ended_at IS NULL", (RunState.STOPPING.value, run_id))


def purge(conn: sqlite3.Connection, ended_before: int) -> int:
    """Delete turns that ended before a time (24 h ago: their keys count no longer); return how many."""
    return conn.execute("DELETE FROM turns WHERE ended_at < ?", (ended_before,)).rowcount
