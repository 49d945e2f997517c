"""An operator's page that shows logs, as far as the daemon knows of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from edgebotd.events import BotLog
from edgebotd.hub.entry import Watched
from edgebotd.hub.hub import Hub


class Screen:
    """What an operator's page would show of `bot-log`."""

    def __init__(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[BotLog] = []
        self.at: list[float] = []
        self.told = trio.Event()
        self._watched = Watched()
        publish = hub.publish

        def listen(bot_id: str, event: Any) -> None:
            if isinstance(event, BotLog):
                assert bot_id == event.bot_id
                self.events.append(event)
                self.at.append(trio.current_time())
                self.told.set()
                self.told = trio.Event()
            publish(bot_id, event)

        monkeypatch.setattr(hub, "publish", listen)
        monkeypatch.setattr(hub, "watched_bots", lambda: self._watched)
        self._hub = hub

    async def until(self, holds: Callable[[list[str]], bool]) -> None:
        """Wait until the texts are as wanted."""
        while not holds(self.texts):
            await self.told.wait()

    async def more(self, count: int) -> None:
        """Wait for so many further lines."""
        whole = len(self.texts) + count
        await self.until(lambda texts: len(texts) >= whole)

    def watch(self, *bots: str) -> None:
        self._watched = Watched(frozenset(bots), frozenset())
        for changed in self._hub._watch_listeners:
            changed()

    @property
    def texts(self) -> list[str]:
        return [line.text for event in self.events for line in event.lines]
