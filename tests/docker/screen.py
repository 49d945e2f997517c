"""Pages that show logs or resource use, as far as the daemon knows of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import pytest
import trio

from edgebotd.events import BotLog, BotStats
from edgebotd.hub.entry import Watched
from edgebotd.hub.hub import Hub
from tests.docker.scout import Scout, open_scout

Told = TypeVar("Told", BotLog, BotStats)


class Page(Generic[Told]):
    """What a page gets of one type of event, and a hand on what it watches."""

    def __init__(
        self,
        hub: Hub,
        monkeypatch: pytest.MonkeyPatch,
        type_: type[Told],
        watched: Callable[[frozenset[str]], Watched],
    ) -> None:
        self.events: list[Told] = []
        self.at: list[float] = []
        self._told = trio.Event()
        self._watched = Watched()
        self._of = watched
        self._hub = hub
        publish = hub.publish

        def listen(bot_id: str, event: Any) -> None:
            if isinstance(event, type_):
                assert bot_id == event.bot_id
                self.events.append(event)
                self.at.append(trio.current_time())
                self._told.set()
                self._told = trio.Event()
            publish(bot_id, event)

        monkeypatch.setattr(hub, "publish", listen)
        monkeypatch.setattr(hub, "watched_bots", lambda: self._watched)

    def watch(self, *bots: str) -> None:
        self._watched = self._of(frozenset(bots))
        for changed in self._hub._watch_listeners:
            changed()

    async def wait(self, holds: Callable[[], bool]) -> None:
        """Wait until what came is as wanted."""
        while not holds():
            await self._told.wait()


class Screen(Page[BotLog]):
    """What an operator's page would show of `bot-log`."""

    def __init__(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(hub, monkeypatch, BotLog, lambda bots: Watched(logs=bots))

    async def until(self, holds: Callable[[list[str]], bool]) -> None:
        """Wait until the texts are as wanted."""
        await self.wait(lambda: holds(self.texts))

    async def more(self, count: int) -> None:
        """Wait for so many further lines."""
        whole = len(self.texts) + count
        await self.until(lambda texts: len(texts) >= whole)

    @property
    def texts(self) -> list[str]:
        return [line.text for event in self.events for line in event.lines]


class Gauge(Page[BotStats]):
    """What a page that watches resource use would show."""

    def __init__(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(hub, monkeypatch, BotStats, lambda bots: Watched(stats=bots))

    async def more(self, count: int) -> None:
        """Wait for so many further events."""
        whole = len(self.events) + count
        await self.wait(lambda: len(self.events) >= whole)


@asynccontextmanager
async def open_screen(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Scout, Screen]]:
    """Open the scout, with a page that has begun to watch its log."""
    async with open_scout() as scout:
        screen = Screen(scout.hub, monkeypatch)
        screen.watch("scout")
        await trio.sleep(1)
        yield scout, screen


@asynccontextmanager
async def open_gauge(monkeypatch: pytest.MonkeyPatch, **behaviour: Any) -> AsyncIterator[tuple[Scout, Gauge]]:
    """Open the scout, with a page that begins to watch what it uses."""
    async with open_scout(**behaviour) as scout:
        gauge = Gauge(scout.hub, monkeypatch)
        gauge.watch("scout")
        yield scout, gauge
