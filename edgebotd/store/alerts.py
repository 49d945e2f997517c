"""What needs a person now. The journal's trigger keeps it: whoever emits an `alert` has nothing else to do."""

from __future__ import annotations

import sqlite3

from edgebotd.events import Alert


def open_alerts(conn: sqlite3.Connection) -> list[Alert]:
    """Return the alerts that are open, newest first."""
    rows = conn.execute("SELECT data FROM open_alerts ORDER BY at DESC, alert_id")
    return [Alert.model_validate_json(data) for (data,) in rows]
