"""Bots that are down or silent. Times are the monotonic clock's: a machine that slept has missed nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import trio

from edgebotd.alerting.board import Board
from edgebotd.config import AlertsSettings
from edgebotd.events import BotState, BotSummary


@dataclass(frozen=True)
class BotsSeen:
    """What the rule asks of the rest of the house; the daemon puts it together.

    Attributes:
        summaries: how each bot is.
        heard: of each run of a bot that goes on, how often something came of it.
        excused: bots that are away on purpose: stopped, worked on, or left stopped by what has an alert of its own.
    """

    summaries: Callable[[], Sequence[BotSummary]]
    heard: Callable[[str], Mapping[str, int]]
    excused: Callable[[], Awaitable[Collection[str]]]


@dataclass(frozen=True, slots=True)
class _Progress:
    """How often a run was heard of, since when it is no more, and whether it ever was more than at first sight."""

    count: int
    since: float
    moved: bool


class BotRule:
    """Opens and resolves `bot:<id>:down` and `bot:<id>:silent`."""

    def __init__(self, board: Board, seen: BotsSeen, settings: AlertsSettings) -> None:
        self._board = board
        self._seen = seen
        self._down_seconds = settings.down_seconds
        self._silent_seconds = settings.silent_seconds
        self._down_since: dict[str, float] = {}
        self._progress: dict[tuple[str, str], _Progress] = {}

    async def look(self) -> None:
        """Do one round."""
        excused = await self._seen.excused()
        summaries = {bot.bot_id: bot for bot in self._seen.summaries()}
        for bot in summaries.values():
            await self._look_down(bot, away=bot.bot_id in excused)
            await self._look_silent(bot, away=bot.bot_id in excused)
        for alert_id in [one for one in self._board.open if one.startswith("bot:")]:
            bot_id = alert_id.split(":")[1]
            if bot_id not in summaries:
                await self._board.resolve(alert_id, f"{bot_id} was removed")
        self._down_since = {bot_id: at for bot_id, at in self._down_since.items() if bot_id in summaries}
        self._progress = {key: at for key, at in self._progress.items() if key[0] in summaries}

    async def _look_down(self, bot: BotSummary, *, away: bool) -> None:
        alert_id, now = f"bot:{bot.bot_id}:down", trio.current_time()
        if bot.state is BotState.CONNECTED:
            self._down_since.pop(bot.bot_id, None)
            await self._board.resolve(alert_id, f"{bot.name} is connected again")
        elif away:
            self._down_since.pop(bot.bot_id, None)
            await self._board.resolve(alert_id, f"{bot.name} is away on purpose now")
        elif now - self._down_since.setdefault(bot.bot_id, now) >= self._down_seconds:
            title = f"{bot.name} has not been connected for {span(self._down_seconds)}"
            await self._board.raise_alert(alert_id, "critical", title, bot.detail, bot_id=bot.bot_id)

    async def _look_silent(self, bot: BotSummary, *, away: bool) -> None:
        alert_id, now = f"bot:{bot.bot_id}:silent", trio.current_time()
        there = bot.state is BotState.CONNECTED and not away
        heard = self._seen.heard(bot.bot_id) if there else {}
        before = {run_id: at for (bot_id, run_id), at in self._progress.items() if bot_id == bot.bot_id}
        for run_id in before.keys() - heard.keys():
            del self._progress[bot.bot_id, run_id]
        for run_id, count in heard.items():
            known = before.get(run_id)
            if known is None or known.count != count:
                self._progress[bot.bot_id, run_id] = _Progress(count, now, moved=known is not None)
        runs = [at for (bot_id, _), at in self._progress.items() if bot_id == bot.bot_id]
        silent = any(now - run.since >= self._silent_seconds for run in runs)
        if silent:
            title = f"{bot.name} is silent: nothing has come of what it does for {span(self._silent_seconds)}"
            detail = "It is connected and has not ended its run. Stop the run, or look at what it waits for."
            await self._board.raise_alert(alert_id, "warning", title, detail, bot_id=bot.bot_id)
        elif not there:
            await self._board.resolve(
                alert_id, f"{bot.name} is not connected any more", "That has an alert of its own, if it stays so."
            )
        elif all(run.moved for run in runs):
            # Of one that has not moved since a restart nobody knows for how long it is silent: not mended by that.
            await self._board.resolve(alert_id, f"{bot.name} goes on")


def span(seconds: float) -> str:
    """Write a duration with its largest unit."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
