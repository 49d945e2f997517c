"""What an administrator sees of the channels, and the test button."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from edgebotd.alerting.delivery import Outbox
from edgebotd.alerting.senders import NotDelivered
from edgebotd.config import AlertChannelSettings
from edgebotd.errors import NotFound, Problem
from edgebotd.store import deliveries
from edgebotd.store.database import Database
from edgebotd.store.deliveries import Delivery


@dataclass(frozen=True)
class Channel:
    """One channel as it is.

    Attributes:
        where: the server without a path, of Apprise the scheme: the rest may be a key.
        quiet_until: when the quiet hours end, None outside of them.
        waiting, held: messages that are to be sent, and that quiet hours keep back.
        last: the message that was sent last, or failed for good.
        error, since_at: why what waits has not arrived at the last attempt, and since when it waits.
    """

    id: str
    settings: AlertChannelSettings
    where: str
    quiet_until: int | None
    waiting: int
    held: int
    last: Delivery | None
    error: str | None
    since_at: int | None


class Channels:
    """From `house.py`. Whoever calls has checked for an administrator."""

    def __init__(self, database: Database, outbox: Outbox, now: Callable[[], int]) -> None:
        self._database = database
        self._outbox = outbox
        self._now = now

    @property
    def counts(self) -> Mapping[tuple[str, ...], float]:
        """How attempts to send have ended, by channel and outcome."""
        return self._outbox.counts

    async def all(self) -> list[Channel]:
        """Return every channel, in the order of the settings."""

        def read(conn: sqlite3.Connection) -> list[Channel]:
            return [self._one(conn, channel_id) for channel_id in self._outbox.channels]

        return await self._database.read(read)

    async def test(self, channel_id: str) -> None:
        """Send a test message now, and wait until it has arrived.

        Raises:
            NotFound: no such channel.
            Problem: 502, it did not arrive; why, in words.
        """
        if channel_id not in self._outbox.channels:
            raise NotFound("channel", channel_id)
        try:
            await self._outbox.test(channel_id)
        except NotDelivered as exc:
            raise Problem(502, "not_delivered", f"The test did not arrive: {exc.detail}") from None

    def _one(self, conn: sqlite3.Connection, channel_id: str) -> Channel:
        channel, quiet = self._outbox.channels[channel_id], self._outbox.quiet(channel_id)
        rows = deliveries.pending(conn, channel_id)
        failing = next((row for row in rows if row.error is not None), None)
        return Channel(
            channel_id,
            channel,
            where(channel),
            None if quiet is None else quiet.until(self._now()),
            sum(row.state == "waiting" for row in rows),
            sum(row.state == "held" for row in rows),
            deliveries.last(conn, channel_id),
            None if failing is None else failing.error,
            None if failing is None else failing.created_at,
        )


def where(channel: AlertChannelSettings) -> str:
    """Return as much of a channel's URL as is no secret."""
    if channel.url is None:
        return ""
    url = channel.url.get_secret_value()
    if channel.kind == "apprise":
        return f"{url.partition('://')[0]}://…"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
