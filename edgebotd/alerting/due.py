"""Which message goes to a channel next: in order of each alert, not in quiet hours, and summed up after them."""

from __future__ import annotations

import sqlite3

from edgebotd.alerting.intake import RANK
from edgebotd.alerting.message import ALERTS
from edgebotd.config import AlertChannelSettings
from edgebotd.events import Alert
from edgebotd.store import deliveries
from edgebotd.store.deliveries import Delivery, Known


def next_of(
    conn: sqlite3.Connection,
    channel_id: str,
    channel: AlertChannelSettings,
    now: int,
    quiet_until: int | None,
    give_up_ms: int,
) -> Delivery | int | None:
    """Return the message that is due, else when one will be (Unix milliseconds), None where nothing waits."""
    rows = deliveries.pending(conn, channel_id)
    if quiet_until is None and (held := [row for row in rows if row.state == "held"]):
        _sum_up(conn, channel_id, held, now)
        rows = deliveries.pending(conn, channel_id)
    times: list[int] = []
    earlier: set[str] = set()
    held_open: set[str] = set()
    for row in rows:
        if row.state == "held":
            assert quiet_until is not None
            times.append(quiet_until)
            held_open |= {row.alert_id} if row.kind == "open" else set()
            continue
        if row.kind != "summary" and row.alert_id in earlier:
            continue
        earlier.add(row.alert_id)
        if row.next_at > now:
            times.append(row.next_at)
        elif row.kind == "resolved" and row.alert_id not in held_open and not _knows_it_open(conn, row):
            # What it would mend was never heard of there.
            deliveries.end(conn, row.id, "dropped", now)
            earlier.discard(row.alert_id)
        elif quiet_until is not None and not (channel.critical_passes and row.severity == "critical"):
            if row.kind == "summary":
                times.append(quiet_until)
                continue
            deliveries.hold(conn, row.id)
            held_open |= {row.alert_id} if row.kind == "open" else set()
            earlier.discard(row.alert_id)
            times.append(quiet_until)
        elif row.attempts and now - row.created_at >= give_up_ms:
            deliveries.end(conn, row.id, "failed", now, error=row.error)
            earlier.discard(row.alert_id)
        else:
            return row
    return min(times, default=None)


def settle_sent(conn: sqlite3.Connection, delivery: Delivery, now: int) -> None:
    """Keep that a message has arrived, and what its channel knows by it."""
    deliveries.end(conn, delivery.id, "sent", now)
    if delivery.kind != "summary":
        known = Known(delivery.kind, delivery.severity, now)
        deliveries.know(conn, delivery.channel, delivery.alert_id, known)


def _knows_it_open(conn: sqlite3.Connection, row: Delivery) -> bool:
    known = deliveries.known(conn, row.channel, row.alert_id)
    return known is not None and known.state == "open"


def _sum_up(conn: sqlite3.Connection, channel_id: str, held: list[Delivery], now: int) -> None:
    """Put one message in the place of all that was held, with each alert as it is now."""
    latest: dict[str, Delivery] = {}
    worst = held[0].severity
    for row in held:
        latest.pop(row.alert_id, None)
        latest[row.alert_id] = row
        worst = max(worst, row.severity, key=RANK.__getitem__)
        deliveries.end(conn, row.id, "summed", now)
    alerts: list[Alert] = []
    for row in latest.values():
        known = deliveries.known(conn, channel_id, row.alert_id)
        if known is not None and known.at >= row.created_at:
            continue  # it grew critical meanwhile, which was told at once
        assert row.kind != "summary"
        # Known from now on: what mends it must not be dropped for that this is still on its way.
        deliveries.know(conn, channel_id, row.alert_id, Known(row.kind, row.severity, now))
        alerts.append(Alert.model_validate_json(row.data))
    if alerts:
        data = ALERTS.dump_json(alerts, by_alias=True).decode()
        deliveries.add(conn, channel_id, "", "summary", worst, data, next_at=now, now=now)
