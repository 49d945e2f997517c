"""Alerts on their way out: what was told in the house, what goes to which channel, and what each channel knows."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from edgebotd.events import Alert

Severity = Literal["info", "warning", "critical"]
Kind = Literal["open", "resolved", "summary"]
DeliveryState = Literal["waiting", "held", "sent", "summed", "dropped", "failed"]

_COLUMNS = "id, channel, alert_id, kind, severity, data, state, attempts, next_at, created_at, ended_at, error"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one channel. Times are Unix milliseconds; nothing in it is a secret.

    Attributes:
        alert_id: empty for a summary.
        data: JSON: an alert's event, or a list of them.
        next_at: not before then.
        error: why the last attempt failed, in our own words.
    """

    id: int
    channel: str
    alert_id: str
    kind: Kind
    severity: Severity
    data: str
    state: DeliveryState
    attempts: int
    next_at: int
    created_at: int
    ended_at: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """What a channel was last told of an alert."""

    state: Literal["open", "resolved"]
    severity: Severity
    at: int


def told(conn: sqlite3.Connection, limit: int) -> list[tuple[int, Alert]]:
    """Return the alerts that nobody has taken yet, oldest first, with their numbers."""
    rows = conn.execute("SELECT number, data FROM alerts_told ORDER BY number LIMIT ?", (limit,))
    return [(number, Alert.model_validate_json(data)) for number, data in rows]


def take(conn: sqlite3.Connection, up_to: int) -> None:
    """Forget the alerts up to a number: all channels have them."""
    conn.execute("DELETE FROM alerts_told WHERE number <= ?", (up_to,))


def add(
    conn: sqlite3.Connection,
    channel: str,
    alert_id: str,
    kind: Kind,
    severity: Severity,
    data: str,
    *,
    next_at: int,
    now: int,
) -> None:
    """Queue a message."""
    conn.execute(
        "INSERT INTO alert_deliveries (channel, alert_id, kind, severity, data, state, next_at, created_at)"
        " VALUES (?, ?, ?, ?, ?, 'waiting', ?, ?)",
        (channel, alert_id, kind, severity, data, next_at, now),
    )


def pending(conn: sqlite3.Connection, channel: str, alert_id: str | None = None) -> list[Delivery]:
    """Return what has not gone to a channel yet, of one alert or of all, oldest first."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM alert_deliveries WHERE state IN ('waiting', 'held') AND channel = ?1"
        " AND (?2 IS NULL OR alert_id = ?2) ORDER BY id",
        (channel, alert_id),
    )
    return [Delivery(*row) for row in rows]


def begin(conn: sqlite3.Connection, delivery_id: int) -> None:
    """Keep that an attempt begins."""
    conn.execute("UPDATE alert_deliveries SET attempts = attempts + 1 WHERE id = ?", (delivery_id,))


def put_off(conn: sqlite3.Connection, delivery_id: int, next_at: int, error: str) -> None:
    """Keep that an attempt failed, and when the next one is."""
    conn.execute("UPDATE alert_deliveries SET next_at = ?, error = ? WHERE id = ?", (next_at, error, delivery_id))


def hold(conn: sqlite3.Connection, delivery_id: int) -> None:
    """Keep a message back over quiet hours."""
    conn.execute("UPDATE alert_deliveries SET state = 'held' WHERE id = ?", (delivery_id,))


def end(
    conn: sqlite3.Connection, delivery_id: int, state: DeliveryState, now: int, *, error: str | None = None
) -> None:
    """Keep how it ended."""
    conn.execute(
        "UPDATE alert_deliveries SET state = ?, ended_at = ?, error = ? WHERE id = ?", (state, now, error, delivery_id)
    )


def known(conn: sqlite3.Connection, channel: str, alert_id: str) -> Known | None:
    """Return what a channel knows of an alert."""
    row = conn.execute(
        "SELECT state, severity, at FROM alerts_known WHERE channel = ? AND alert_id = ?", (channel, alert_id)
    ).fetchone()
    return None if row is None else Known(*row)


def know(conn: sqlite3.Connection, channel: str, alert_id: str, known: Known) -> None:
    """Keep what a channel knows of an alert."""
    conn.execute(
        "INSERT OR REPLACE INTO alerts_known (channel, alert_id, state, severity, at) VALUES (?, ?, ?, ?, ?)",
        (channel, alert_id, known.state, known.severity, known.at),
    )


def last(conn: sqlite3.Connection, channel: str) -> Delivery | None:
    """Return the message that was sent last, or failed for good."""
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM alert_deliveries WHERE channel = ? AND state IN ('sent', 'failed')"
        " ORDER BY ended_at DESC, id DESC LIMIT 1",
        (channel,),
    ).fetchone()
    return None if row is None else Delivery(*row)


def keep_channels(conn: sqlite3.Connection, channels: Collection[str]) -> None:
    """Forget everything of channels that are no longer there."""
    marks = ", ".join("?" * len(channels))
    for table in ("alert_deliveries", "alerts_known"):
        conn.execute(f"DELETE FROM {table} WHERE channel NOT IN ({marks})", tuple(channels))


def trim(conn: sqlite3.Connection, before_at: int) -> None:
    """Forget what ended before, and what is known of alerts that were mended before."""
    conn.execute("DELETE FROM alert_deliveries WHERE ended_at < ?", (before_at,))
    conn.execute("DELETE FROM alerts_known WHERE state = 'resolved' AND at < ?", (before_at,))
