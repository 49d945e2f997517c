"""Which container is which bot's, what it is made from, how it crashed, and what it used."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from edgebotd.errors import Conflict

Origin = Literal["provisioned", "adopted", "file"]
Wanted = Literal["running", "stopped", "any"]

_COLUMNS = "bot_id, name, container_id, origin, wanted, spec, created_at, changed_at"


@dataclass(frozen=True, slots=True)
class StoredContainer:
    """A bot's container. `spec` is what it is (re)made from, JSON without secrets, empty for one that was adopted."""

    bot_id: str
    name: str
    container_id: str | None
    origin: Origin
    wanted: Wanted = "any"
    spec: dict[str, Any] = field(default_factory=dict)
    created_at: int = 0
    changed_at: int = 0


@dataclass(frozen=True, slots=True)
class Crash:
    """How a container ended by itself, with its last lines."""

    bot_id: str
    at: int
    exit_code: int | None
    oom_killed: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a container used: its memory at a time, processor (100 is one) and network (bytes) on average before it."""

    at: int
    cpu_percent: float | None
    memory_bytes: int
    received_per_second: float | None
    sent_per_second: float | None


def _container(row: tuple[Any, ...]) -> StoredContainer:
    bot_id, name, container_id, origin, wanted, spec, created_at, changed_at = row
    return StoredContainer(bot_id, name, container_id, origin, wanted, json.loads(spec), created_at, changed_at)


def put(conn: sqlite3.Connection, container: StoredContainer) -> None:
    """Store a bot's container, in place of the one before.

    Raises:
        Conflict: another bot has a container of that name.
    """
    taken = conn.execute(
        "SELECT bot_id FROM containers WHERE name = ? AND bot_id <> ?", (container.name, container.bot_id)
    ).fetchone()
    if taken is not None:
        raise Conflict("container_taken", f"The container '{container.name}' is that of the bot '{taken[0]}'.")
    conn.execute(
        f"INSERT INTO containers ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (bot_id) DO UPDATE SET name = excluded.name, container_id = excluded.container_id,"
        " origin = excluded.origin, wanted = excluded.wanted, spec = excluded.spec, changed_at = excluded.changed_at",
        (
            container.bot_id,
            container.name,
            container.container_id,
            container.origin,
            container.wanted,
            json.dumps(container.spec),
            container.created_at,
            container.changed_at,
        ),
    )


def get(conn: sqlite3.Connection, bot_id: str) -> StoredContainer | None:
    """Return a bot's container."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM containers WHERE bot_id = ?", (bot_id,)).fetchone()
    return None if row is None else _container(row)


def all_containers(conn: sqlite3.Connection) -> list[StoredContainer]:
    """Return all of them, in order of the bot's id."""
    return [_container(row) for row in conn.execute(f"SELECT {_COLUMNS} FROM containers ORDER BY bot_id")]


def set_wanted(conn: sqlite3.Connection, bot_id: str, wanted: Wanted, now: int) -> None:
    """Keep what a person asked for last."""
    conn.execute("UPDATE containers SET wanted = ?, changed_at = ? WHERE bot_id = ?", (wanted, now, bot_id))


def see(conn: sqlite3.Connection, bot_ids: Iterable[str], at: int) -> None:
    """Keep that these bots' containers are there."""
    conn.executemany("UPDATE containers SET seen_at = ? WHERE bot_id = ?", [(at, bot_id) for bot_id in bot_ids])


def last_seen(conn: sqlite3.Connection) -> dict[str, int]:
    """Return when each bot's container was last kept to be there."""
    return dict(conn.execute("SELECT bot_id, seen_at FROM containers WHERE seen_at IS NOT NULL"))


def set_crash_loop(conn: sqlite3.Connection, bot_id: str, since_at: int | None) -> None:
    """Keep that it ended by itself again and again; None: it does no longer."""
    conn.execute("UPDATE containers SET crash_loop_at = ? WHERE bot_id = ?", (since_at, bot_id))


def crash_loops(conn: sqlite3.Connection) -> list[str]:
    """Return the bots whose container ended by itself again and again."""
    rows = conn.execute("SELECT bot_id FROM containers WHERE crash_loop_at IS NOT NULL ORDER BY bot_id")
    return [bot_id for (bot_id,) in rows]


def remove(conn: sqlite3.Connection, bot_id: str) -> None:
    """Forget a bot's container, its crashes, its use, and what of it needed a person."""
    # No event ends these alerts; to channels they count as mended, or the same one would never be told again.
    conn.execute(
        "UPDATE alerts_known SET state = 'resolved'"
        " WHERE alert_id IN (SELECT alert_id FROM open_alerts WHERE bot_id = ?)",
        (bot_id,),
    )
    for table in ("containers", "crashes", "resource_use", "open_alerts"):
        conn.execute(f"DELETE FROM {table} WHERE bot_id = ?", (bot_id,))


def add_crash(conn: sqlite3.Connection, crash: Crash, *, keep: int) -> None:
    """Keep a crash, and of the bot's older ones the newest."""
    conn.execute(
        "INSERT OR REPLACE INTO crashes (bot_id, at, exit_code, oom_killed, lines) VALUES (?, ?, ?, ?, ?)",
        (crash.bot_id, crash.at, crash.exit_code, crash.oom_killed, json.dumps(crash.lines)),
    )
    conn.execute(
        "DELETE FROM crashes WHERE bot_id = ?1 AND at NOT IN"
        " (SELECT at FROM crashes WHERE bot_id = ?1 ORDER BY at DESC LIMIT ?2)",
        (crash.bot_id, keep),
    )


def crashes(conn: sqlite3.Connection, bot_id: str) -> list[Crash]:
    """Return a bot's crashes, newest first."""
    rows = conn.execute(
        "SELECT bot_id, at, exit_code, oom_killed, lines FROM crashes WHERE bot_id = ? ORDER BY at DESC", (bot_id,)
    )
    return [Crash(of, at, code, bool(oom), tuple(json.loads(lines))) for of, at, code, oom, lines in rows]


def add_sample(conn: sqlite3.Connection, bot_id: str, sample: Sample) -> None:
    """Keep what a container used around a time."""
    conn.execute(
        "INSERT OR REPLACE INTO resource_use"
        " (bot_id, at, cpu_percent, memory_bytes, received_per_second, sent_per_second) VALUES (?, ?, ?, ?, ?, ?)",
        (
            bot_id,
            sample.at,
            sample.cpu_percent,
            sample.memory_bytes,
            sample.received_per_second,
            sample.sent_per_second,
        ),
    )


def samples(conn: sqlite3.Connection, bot_id: str, since_at: int) -> list[Sample]:
    """Return what a container used since then, oldest first."""
    rows = conn.execute(
        "SELECT at, cpu_percent, memory_bytes, received_per_second, sent_per_second FROM resource_use"
        " WHERE bot_id = ? AND at >= ? ORDER BY at",
        (bot_id, since_at),
    )
    return [Sample(*row) for row in rows]


def trim_samples(conn: sqlite3.Connection, before_at: int) -> int:
    """Delete what is older; return how many."""
    return conn.execute("DELETE FROM resource_use WHERE at < ?", (before_at,)).rowcount
