"""Does something for each bot that somebody watches, for as long as somebody does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

from edgebotd.hub.entry import Watched
from edgebotd.hub.hub import Hub


class Watching:
    """Who watches what, as tasks.

    Args:
        which: the bots, of all that is watched.
    """

    def __init__(self, hub: Hub, which: Callable[[Watched], frozenset[str]]) -> None:
        self._hub = hub
        self._which = which
        self._wake = trio.Event()
        hub.on_watch_change(self._changed)

    def _changed(self) -> None:
        self._wake.set()

    async def run(self, follow: Callable[[str], Awaitable[None]], *, name: str) -> NoReturn:
        """Run `follow` in a task for each bot that is watched, cancelled when nobody watches it any more."""
        following: dict[str, trio.CancelScope] = {}

        async def within(bot_id: str, scope: trio.CancelScope) -> None:
            with scope:
                await follow(bot_id)

        async with trio.open_nursery() as nursery:
            while True:
                watched = self._which(self._hub.watched_bots())
                for bot_id in following.keys() - watched:
                    following.pop(bot_id).cancel()
                for bot_id in watched - following.keys():
                    following[bot_id] = trio.CancelScope()
                    nursery.start_soon(within, bot_id, following[bot_id], name=f"{name} of {bot_id}")
                self._wake = trio.Event()
                await self._wake.wait()
