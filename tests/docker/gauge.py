"""What a page that watches resource use is sent, and a hand on what it watches."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from edgebotd.events import BotStats
from edgebotd.hub.entry import Watched
from edgebotd.hub.hub import Hub


class Gauge:
    """What a page that watches resource use would show."""

    def __init__(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[BotStats] = []
        self.at: list[float] = []
        self._watched = Watched()
        self._hub = hub
        publish = hub.publish

        def listen(bot_id: str, event: Any) -> None:
            if isinstance(event, BotStats):
                assert bot_id == event.bot_id
                self.events.append(event)
                self.at.append(trio.current_time())
            publish(bot_id, event)

        monkeypatch.setattr(hub, "publish", listen)
        monkeypatch.setattr(hub, "watched_bots", lambda: self._watched)

    def watch(self, *bots: str) -> None:
        self._watched = Watched(frozenset(), frozenset(bots))
        for changed in self._hub._watch_listeners:
            changed()
