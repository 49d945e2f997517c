"""Open alerts: the newest event of each, kept by the journal, whatever is trimmed of it."""

import sqlite3
from typing import Literal

from edgebotd.events import ALL, Alert, encode
from edgebotd.store import alerts, containers, journal


def tell(
    conn: sqlite3.Connection, seq: int, alert_id: str, state: Literal["open", "resolved"], bot_id: str | None = None
) -> Alert:
    alert = Alert(alert_id=alert_id, bot_id=bot_id, severity="warning", state=state, title=f"told at {seq}", at=seq)
    journal.append(conn, 1, seq, seq, bot_id or ALL, "alert", encode(alert))
    return alert


def test_an_alert_is_open_as_it_was_told_last_until_it_is_resolved(conn: sqlite3.Connection) -> None:
    tell(conn, 1, "disk", "open")
    loop = tell(conn, 2, "loop", "open", "anna")
    disk = tell(conn, 3, "disk", "open")
    assert alerts.open_alerts(conn) == [disk, loop]
    tell(conn, 4, "disk", "resolved")
    tell(conn, 5, "never open", "resolved")
    assert alerts.open_alerts(conn) == [loop]


def test_it_outlives_the_journal_and_ends_with_its_container(conn: sqlite3.Connection) -> None:
    loop = tell(conn, 1, "loop", "open", "anna")
    assert journal.trim(conn, 10, 0) == 1
    assert alerts.open_alerts(conn) == [loop]
    containers.remove(conn, "anna")
    assert alerts.open_alerts(conn) == []
