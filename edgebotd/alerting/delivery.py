"""The job that delivers: takes what was told in the house, and sends it channel by channel until it has arrived.

Each channel has a task, so that one that is down keeps no other waiting. Of one alert a channel hears in order; what it
does not take is tried again with backoff, for a day. All of it is in the store, so a restart goes on where it was; an
attempt that it cut off is made again, under the same id.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Callable, Mapping
from itertools import product
from typing import Final

import trio

from edgebotd.alerting.due import next_of, settle_sent
from edgebotd.alerting.intake import BATCH, take_told
from edgebotd.alerting.message import message_of, trial
from edgebotd.alerting.quiet import Quiet, quiet_of
from edgebotd.alerting.senders import NotDelivered, Sender
from edgebotd.config import AlertChannelSettings, AlertsSettings
from edgebotd.store import deliveries
from edgebotd.store.database import Database, Transaction
from edgebotd.store.deliveries import Delivery

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
"""How often what was told in the house is looked for; whoever cannot wait calls `wake`."""
BACKOFF_MS: Final = 5_000
BACKOFF_CAP_MS: Final = 900_000
RETRY_AFTER_CAP_MS: Final = 3_600_000
GIVE_UP_MS: Final = 86_400_000
"""News of yesterday is told by the page."""
LONGEST_WAIT: Final = 60.0
TRIM_SECONDS: Final = 3600.0
KEEP_MS: Final = 30 * 86_400_000
OUTCOMES: Final = ("sent", "retried", "failed")
"""`retried`: it is tried again; `failed`: for good."""


class Outbox:
    """From `house.py`; `run` is a job of the supervisor's."""

    def __init__(
        self,
        database: Database,
        settings: AlertsSettings,
        senders: Mapping[str, Sender],
        *,
        page: str | None,
        now: Callable[[], int],
        rng: random.Random,
    ) -> None:
        self._database = database
        self._channels = dict(settings.channels)
        self._reopen_ms = round(settings.reopen_seconds * 1000)
        self._senders = senders
        self._quiet = {channel_id: quiet_of(channel) for channel_id, channel in self._channels.items()}
        self._page = page
        self._now = now
        self._rng = rng
        self._wake = trio.Event()
        self.counts: dict[tuple[str, ...], float] = dict.fromkeys(product(self._channels, OUTCOMES), 0)
        """How attempts to send have ended, by channel and outcome."""
        self._news = {channel_id: trio.Event() for channel_id in self._channels}

    @property
    def channels(self) -> Mapping[str, AlertChannelSettings]:
        """The channels, by id."""
        return self._channels

    def quiet(self, channel_id: str) -> Quiet | None:
        """A channel's quiet hours."""
        return self._quiet[channel_id]

    def wake(self) -> None:
        """Look now: an alert was told."""
        self._wake.set()

    async def test(self, channel_id: str) -> None:
        """Send a test at once, quiet hours or not. Raises `NotDelivered`; `KeyError` where there is no such channel."""
        channel = self._channels[channel_id]
        message = trial(f"test-{secrets.token_hex(8)}", channel.name or channel_id, self._now(), self._page)
        await self._senders[channel_id].send(message)

    async def run(self) -> None:
        """Deliver until cancelled."""
        await self._database.write(lambda tx: deliveries.keep_channels(tx.connection, self._channels))
        async with trio.open_nursery() as nursery:
            for channel_id in self._channels:
                nursery.start_soon(self._serve, channel_id, name=f"alerts to {channel_id}")
            nursery.start_soon(self._trim, name="alerts are forgotten")
            await self._take()

    async def _take(self) -> None:
        while True:
            self._wake = trio.Event()
            if await self._database.read(lambda conn: bool(deliveries.told(conn, 1))):
                while await self._database.write(self._take_some) == BATCH:
                    pass
                for event in self._news.values():
                    event.set()
            with trio.move_on_after(LOOK_SECONDS):
                await self._wake.wait()

    def _take_some(self, tx: Transaction) -> int:
        return take_told(tx.connection, self._channels, self._reopen_ms, self._now())

    async def _trim(self) -> None:
        while True:
            await self._database.write(lambda tx: deliveries.trim(tx.connection, self._now() - KEEP_MS))
            await trio.sleep(TRIM_SECONDS)

    async def _serve(self, channel_id: str) -> None:
        """Send what waits for a channel, one after the other."""
        channel, quiet = self._channels[channel_id], self._quiet[channel_id]
        not_before = trio.current_time()
        while True:
            self._news[channel_id] = news = trio.Event()
            now = self._now()
            until = None if quiet is None else quiet.until(now)

            def choose(tx: Transaction, now: int = now, until: int | None = until) -> Delivery | int | None:
                return next_of(tx.connection, channel_id, channel, now, until, GIVE_UP_MS)

            waits = await self._database.read(lambda conn: bool(deliveries.pending(conn, channel_id)))
            found = await self._database.write(choose) if waits else None
            if isinstance(found, Delivery):
                if (pause := not_before - trio.current_time()) <= 0:
                    not_before = await self._attempt(channel_id, found) / 1000 + trio.current_time()
                    continue
            else:
                pause = LONGEST_WAIT if found is None else (found - now) / 1000
            # Looked at again in time also where the clock was put, or the machine slept.
            with trio.move_on_after(min(max(pause, 0), LONGEST_WAIT)):
                await news.wait()

    async def _attempt(self, channel_id: str, delivery: Delivery) -> int:
        """Send one message; return for how many milliseconds the channel is left alone."""
        await self._database.write(lambda tx: deliveries.begin(tx.connection, delivery.id))
        try:
            await self._senders[channel_id].send(message_of(delivery, self._page))
        except NotDelivered as exc:
            return await self._failed(channel_id, delivery, exc)
        now = self._now()
        await self._database.write(lambda tx: settle_sent(tx.connection, delivery, now))
        self.counts[channel_id, "sent"] += 1
        log.info("alert %s: told to %s", delivery.alert_id or "summary", channel_id)
        return 0

    async def _failed(self, channel_id: str, delivery: Delivery, error: NotDelivered) -> int:
        now = self._now()
        if error.final or now - delivery.created_at >= GIVE_UP_MS:
            self.counts[channel_id, "failed"] += 1
            log.error("alert %s: not told to %s: %s", delivery.alert_id or "summary", channel_id, error.detail)
            await self._database.write(
                lambda tx: deliveries.end(tx.connection, delivery.id, "failed", now, error=error.detail)
            )
            return 0
        pause = self._pause_ms(delivery.attempts, error.retry_after)
        self.counts[channel_id, "retried"] += 1
        log.warning("alerts to %s: %s Tried again in %d s.", channel_id, error.detail, pause // 1000)
        await self._database.write(lambda tx: deliveries.put_off(tx.connection, delivery.id, now + pause, error.detail))
        return pause

    def _pause_ms(self, attempts: int, retry_after: float | None) -> int:
        bound = min(BACKOFF_CAP_MS, BACKOFF_MS * 2 ** min(attempts, 20))
        pause = round(self._rng.uniform(bound / 2, bound))
        return pause if retry_after is None else max(pause, min(round(retry_after * 1000), RETRY_AFTER_CAP_MS))
