"""What a bot did while nobody listened: runs of before are settled, and sessions filled in, from its history."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import trio

from edgebotd.bots.capture import Capture
from edgebotd.bots.connector import Connector, ConnectorError, Feature, Hello
from edgebotd.bots.incoming import Complete
from edgebotd.protocol.run import History

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 60.0
"""Longest pause between two looks into the history for the end of a run."""
SLACK_MS: Final = 60_000
"""How far before a lost connection sessions are looked at again."""

BROKEN: Final = "The connection broke in the middle of this reply, and the bot knows nothing more of it."
RESTARTED: Final = "edgebotd restarted in the middle of this reply. Send the message again."


class CatchUp:
    """One bot's. What it does over one connection lives in `run`, a task of that connection's.

    Args:
        make_capture: makes the bot's capture from what it calls when a history must be read.
    """

    def __init__(
        self,
        bot_id: str,
        settle_seconds: float,
        make_capture: Callable[[Callable[[str, str | None], None]], Capture],
    ) -> None:
        self.complete: Complete | None = None
        self.capture = make_capture(self.want)
        self._bot_id = bot_id
        self._settle_seconds = settle_seconds
        self._wanted: dict[tuple[str, str | None], None] = {}
        self._want = trio.Event()

    def want(self, session_key: str, run_id: str | None) -> None:
        """Have a session's history read; with a run, until its end is known."""
        self._wanted[session_key, run_id] = None
        self._want.set()

    async def run(
        self,
        connector: Connector,
        hello: Hello,
        before: frozenset[str],
        *,
        since_at: int | None,
        settled: Callable[[], None],
    ) -> None:
        """Catch up over a new connection, then read what is wanted; until cancelled.

        Args:
            before: runs that were going on before it.
            since_at: sessions that were touched since then are filled in; None: all.
            settled: called when it is known how those runs are, so that new ones may follow.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._fetch_wanted, connector, nursery, name=f"bot {self._bot_id} history")
            await self._settle_until_known(connector, hello, before)
            settled()
            if Feature.SESSIONS in hello.features:
                await self._fill_in(connector, since_at)

    async def _settle_until_known(self, connector: Connector, hello: Hello, before: frozenset[str]) -> None:
        while True:
            try:
                await self._settle_before(connector, before, Feature.HISTORY in hello.features)
                return
            except ConnectorError as exc:
                log.info("bot %s: runs are not settled yet: %s", self._bot_id, exc.detail)
                await trio.sleep(self._settle_seconds)

    async def _fill_in(self, connector: Connector, since_at: int | None) -> None:
        try:
            for session in await connector.sessions(since_at):
                history = await self._history(connector, session.session_key)
                await self.capture.take_history(history, frozenset())
        except ConnectorError as exc:
            log.info("bot %s: not all history could be read: %s", self._bot_id, exc.detail)

    async def _history(self, connector: Connector, session_key: str) -> History:
        history = await connector.history(session_key)
        return history if self.complete is None else await self.complete(self._bot_id, connector, history)

    async def _settle_before(self, connector: Connector, before: frozenset[str], remembers: bool) -> None:
        """Settle what was going on before this connection; what the peer knows nothing of gets a second look."""
        unknown = BROKEN if remembers else RESTARTED
        for last_look in (False, True) if remembers else (True,):
            keys = sorted({run.session_key for run_id in before if (run := self.capture.live.get(run_id)) is not None})
            left = False
            for key in keys:
                history = await self._history(connector, key)
                open_runs = await self.capture.take_history(history, before, unknown=unknown if last_look else None)
                left = left or bool(set(open_runs) - history.active_run_ids)
            if not left:
                break
            await trio.sleep(self._settle_seconds)
        for run_id in before:
            if (run := self.capture.live.get(run_id)) is not None:
                self.capture.doubt(run)

    async def _fetch_wanted(self, connector: Connector, nursery: trio.Nursery) -> None:
        while True:
            while self._wanted:
                key = next(iter(self._wanted))
                del self._wanted[key]
                if key[1] is None:
                    await self._fetch(connector, *key)
                else:
                    nursery.start_soon(self._fetch, connector, *key, name=f"bot {self._bot_id} settles")
            self._want = trio.Event()
            await self._want.wait()

    async def _fetch(self, connector: Connector, session_key: str, run_id: str | None) -> None:
        settle = frozenset() if run_id is None else frozenset({run_id})
        unknown: str | None = None
        pause, gone = self._settle_seconds, False
        while True:
            if run_id is not None:
                await trio.sleep(pause)
                run = self.capture.live.get(run_id)
                if run is None or not (run.ending or run.doubtful):
                    return
                # One look may fall between the end and its message.
                unknown = "The bot ended this run without a reply." if run.ending else BROKEN if gone else None
                pause = min(pause * 1.5, max(LOOK_SECONDS, self._settle_seconds))
            try:
                history = await self._history(connector, session_key)
                left = await self.capture.take_history(history, settle, unknown=unknown)
                gone = run_id not in history.active_run_ids | {history.in_flight_run_id}
            except ConnectorError as exc:
                log.info("bot %s: the history of a session could not be read: %s", self._bot_id, exc.detail)
                if run_id is None:
                    return
                continue
            if not left:
                return
