"""All that this part has, opened and put together. What each part is for stands in its module."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import trio

from edgebotd import logs
from edgebotd.alerting.apprise import AT_ONCE, Apprise
from edgebotd.alerting.board import Board
from edgebotd.alerting.bots import BotRule, BotsSeen
from edgebotd.alerting.channels import Channels
from edgebotd.alerting.delivery import Outbox
from edgebotd.alerting.profiles import RefreshRule, UsageRule
from edgebotd.alerting.quiet import local_zone
from edgebotd.alerting.senders import Ntfy, Sender, Webhook
from edgebotd.config import AlertChannelSettings, AlertsSettings
from edgebotd.hub.hub import Hub
from edgebotd.outgoing import Outgoing
from edgebotd.store.database import Database

LOOK_SECONDS: Final = 10.0
LONG_PIECE: Final = 12
"""Pieces of a URL from this length on are kept out of logs by themselves; shorter ones are words of its service."""


@dataclass(frozen=True)
class Alerting:
    """Rules and channels. From `make_alerting`; nothing of it must be closed.

    Attributes:
        usage: takes how much of an account is used.
    """

    board: Board
    usage: UsageRule
    refresh: RefreshRule
    bots: BotRule
    outbox: Outbox
    channels: Channels

    async def run_rules(self) -> None:
        """Look at all rules again and again, until cancelled."""
        while True:
            await self.look()
            await trio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Do one round."""
        await self.board.look()
        # First: it forgets what is gone.
        await self.refresh.look()
        await self.usage.look()
        await self.bots.look()

    @property
    def jobs(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What the supervisor runs, by name."""
        return {"alert-rules": self.run_rules, "alert-delivery": self.outbox.run}


def make_alerting(
    database: Database,
    hub: Hub,
    settings: AlertsSettings,
    seen: BotsSeen,
    *,
    page: str | None,
    outgoing: Outgoing | None = None,
    senders: Mapping[str, Sender] | None = None,
    now: Callable[[], int],
    rng: random.Random,
) -> Alerting:
    """Put rules and channels together.

    Args:
        page: under which people reach the page, for the links in messages.
        outgoing: the way out; the real one unless given.
        senders: other ways out, by channel, for tests.
    """
    outgoing = outgoing or Outgoing(allow=settings.allow_networks)
    if senders is None:
        room = trio.CapacityLimiter(AT_ONCE)
        senders = {
            channel_id: _sender(channel, settings, outgoing, room, now)
            for channel_id, channel in settings.channels.items()
        }
    outbox = Outbox(database, settings, senders, page=page, now=now, rng=rng)
    board = Board(database, hub, now, outbox.wake)
    usage = UsageRule(board, settings, local_zone(), now)
    refresh = RefreshRule(board, database, settings, now, usage.forget)
    return Alerting(
        board,
        usage,
        refresh,
        BotRule(board, seen, settings),
        outbox,
        Channels(database, outbox, now),
    )


def _sender(
    channel: AlertChannelSettings,
    settings: AlertsSettings,
    outgoing: Outgoing,
    room: trio.CapacityLimiter,
    now: Callable[[], int],
) -> Sender:
    assert channel.url is not None  # `load` has seen to it
    keep_out_of_logs(channel)
    if channel.kind == "webhook":
        return Webhook(outgoing, channel.url, channel.secret, now)
    if channel.kind == "ntfy":
        return Ntfy(outgoing, channel.url, channel.secret)
    return Apprise(channel.url, settings.allow_networks, room)


def keep_out_of_logs(channel: AlertChannelSettings) -> None:
    """Let no log have the channel's URL, whole or in those pieces that could be a key, nor its secret."""
    if channel.secret is not None:
        logs.register_secret(channel.secret.get_secret_value())
    if channel.url is None:
        return
    url = channel.url.get_secret_value()
    logs.register_secret(url)
    parts = urlsplit(url)
    pieces = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
    if channel.kind == "apprise":
        # There the host may be a key, and user and password are.
        pieces += parts.netloc.replace("@", ":").split(":")
    for piece in pieces:
        if len(piece) >= LONG_PIECE:
            logs.register_secret(piece)
