"""What of an alert goes to a channel: once each time that it opens, grows worse or is mended, nothing in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from edgebotd.config import AlertChannelSettings
from edgebotd.events import Alert, encode
from edgebotd.store import deliveries, profiles
from edgebotd.store.deliveries import Known, Severity

RANK: Final[dict[Severity, int]] = {"info": 0, "warning": 1, "critical": 2}
BATCH: Final = 500
"""Alerts that are taken in one write."""


def take_told(conn: sqlite3.Connection, channels: dict[str, AlertChannelSettings], reopen_ms: int, now: int) -> int:
    """Hand what was told in the house to each channel; return how many alerts that were, at most `BATCH`."""
    found = deliveries.told(conn, BATCH)
    users = profiles.bots_of(conn) if any(one.alert_id.startswith("profile:") for _, one in found) else {}
    for _, alert in found:
        bots = _bots_of(alert, users)
        for channel_id, channel in channels.items():
            mine = not channel.bots or bool(bots.intersection(channel.bots))
            _offer(conn, channel_id, channel, alert, reopen_ms, now, mine=mine)
    if found:
        deliveries.take(conn, found[-1][0])
    return len(found)


def _bots_of(alert: Alert, users: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Return the bots that an alert is about: its own, or those that use the account that it is about."""
    if alert.bot_id is not None:
        return {alert.bot_id}
    return {bot for profile, bots in users.items() if alert.alert_id.startswith(f"profile:{profile}:") for bot in bots}


def _offer(
    conn: sqlite3.Connection,
    channel_id: str,
    channel: AlertChannelSettings,
    alert: Alert,
    reopen_ms: int,
    now: int,
    *,
    mine: bool,
) -> None:
    """Hand an alert to a channel; `mine`: it is about what the channel is for."""
    if not mine and alert.state == "open":
        return
    known = deliveries.known(conn, channel_id, alert.alert_id)
    waiting = deliveries.pending(conn, channel_id, alert.alert_id)
    newest = waiting[-1] if waiting else None
    # What the channel will know once all that waits has gone.
    is_open = newest.kind == "open" if newest is not None else known is not None and known.state == "open"
    next_at = now
    if alert.state == "open":
        severity = newest.severity if newest is not None else known.severity if known is not None else "info"
        if is_open and RANK[alert.severity] <= RANK[severity]:
            return
        untold = newest is not None and newest.state == "waiting" and not newest.attempts
        if newest is not None and untold and newest.kind == "resolved":
            # That it was mended was not told yet, so that it is back is no news either.
            deliveries.end(conn, newest.id, "dropped", now)
            if RANK[alert.severity] <= RANK[severity]:
                return
        elif RANK[alert.severity] < RANK[channel.min_severity]:
            return
        elif newest is not None and untold:
            # The worse word takes its place.
            deliveries.end(conn, newest.id, "dropped", now)
        elif newest is None and known is not None and RANK[alert.severity] <= RANK[known.severity]:
            # It is back so soon: told only if it stays.
            next_at = max(now, known.at + reopen_ms)
    elif not is_open:
        return
    elif newest is not None and newest.state == "waiting" and not newest.attempts:
        # It came and went before anybody was told.
        deliveries.end(conn, newest.id, "dropped", now)
        before = waiting[-2] if len(waiting) > 1 else None
        if not (before.kind == "open" if before is not None else known is not None and known.state == "open"):
            return
    deliveries.add(
        conn,
        channel_id,
        alert.alert_id,
        alert.state,
        _worst(alert, None if newest is None else newest.severity, known),
        encode(alert),
        next_at=next_at,
        now=now,
    )


def _worst(alert: Alert, waiting: Severity | None, known: Known | None) -> Severity:
    """Return how severe a message is: that something is mended is as severe as the worst that was told of it."""
    if alert.state == "open":
        return alert.severity
    told = known.severity if known is not None and known.state == "open" else None
    return max((one for one in (alert.severity, waiting, told) if one is not None), key=RANK.__getitem__)
