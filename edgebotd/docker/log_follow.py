"""What bots' containers write, as `bot-log` events, while an operator watches."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import trio

from edgebotd.docker.containers import Containers
from edgebotd.docker.errors import EngineError
from edgebotd.docker.redact import Redact, redactor
from edgebotd.docker.watching import Watching
from edgebotd.events import BotLog, LogLine
from edgebotd.hub.hub import Hub
from edgebotd.hub.request import HubFull
from edgebotd.protocol.docker.streams import OutputLine
from edgebotd.store.database import Database

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 0.1
"""At most ten events a second of a bot."""
BATCH_LINES: Final = 200
BATCH_CHARACTERS: Final = 65_536
LINE_CHARACTERS: Final = 8192
HELD_LINES: Final = 2000
"""Lines that wait for their event. Full: the oldest are left out, and counted as missed."""
AGAIN_SECONDS: Final = 2.0
"""Pause before a log is opened again that could not be read."""
SOON_SECONDS: Final = 0.2
WINDOW_MS: Final = 2000
"""How far back a log is read again when it is opened anew: stdout and stderr are not in order of their times."""
REMEMBERED: Final = 5000


class Seen:
    """Which lines were taken, so that a log that is opened again goes on where it was: none twice, none lost.

    The engine's times have more digits than are read here, so lines of one millisecond are told apart by their text.
    """

    def __init__(self, since_at: int) -> None:
        self._floor = self._newest = since_at
        self._lines: deque[OutputLine] = deque()
        self._again: Counter[OutputLine] = Counter()

    def reopen(self) -> int:
        """Return from when on to read now."""
        since_at = max(self._floor, self._newest - WINDOW_MS)
        self._again = Counter(line for line in self._lines if (line.at or 0) >= since_at)
        return since_at

    def is_new(self, line: OutputLine) -> bool:
        """Take a line; False for one that was taken before."""
        if self._again[line] > 0:
            self._again[line] -= 1
            return False
        self._lines.append(line)
        self._newest = max(self._newest, line.at or 0)
        while len(self._lines) > REMEMBERED:
            self._floor = max(self._floor, self._lines.popleft().at or 0)
        while self._lines and (self._lines[0].at or 0) < self._newest - WINDOW_MS:
            self._lines.popleft()
        return True


class LogFollow:
    """From `house.py`; `run` is a job of the supervisor's."""

    def __init__(self, containers: Containers, database: Database, hub: Hub, now: Callable[[], int]) -> None:
        self._containers = containers
        self._database = database
        self._hub = hub
        self._now = now
        self._watching = Watching(hub, lambda watched: watched.logs)

    async def run(self) -> None:
        """Follow what is watched, until cancelled."""
        await self._watching.run(self._follow, name="log")

    async def _follow(self, bot_id: str) -> None:
        batch = _Batch(bot_id, self._hub)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(batch.run)
            await self._read(bot_id, batch)

    async def _read(self, bot_id: str, batch: _Batch) -> None:
        seen = Seen(self._now())

        def take(line: OutputLine) -> None:
            if seen.is_new(line):
                batch.add(line)

        while True:
            await self._containers.wait(bot_id, lambda status: status is not None and status.state != "missing")
            name = self._containers.name_of(bot_id)
            try:
                engine = self._containers.usable()
                container = await engine.inspect(name or "")
                batch.redact = await redactor(self._database, bot_id, container)
                await engine.logs(container, take, tail=None, follow=True, since_at=seen.reopen())
            except EngineError as exc:
                log.debug("the log of %s cannot be read: %s", bot_id, exc.detail)
                await trio.sleep(AGAIN_SECONDS)
                continue
            # It ended with the container, whose last lines one more look tells, or was ended by a new start.
            if container.state in ("running", "paused"):
                await trio.sleep(SOON_SECONDS)
                continue
            await self._containers.wait(bot_id, lambda _: self._runs(bot_id))

    def _runs(self, bot_id: str) -> bool:
        container = self._containers.container_of(bot_id)
        return container is not None and container.state in ("running", "paused")


class _Batch:
    """Lines that wait to be told, a few events a second."""

    def __init__(self, bot_id: str, hub: Hub) -> None:
        self.redact: Redact | None = None
        self._bot_id = bot_id
        self._hub = hub
        self._lines: deque[OutputLine] = deque()
        self._missed = 0
        self._some = trio.Event()

    def add(self, line: OutputLine) -> None:
        if len(self._lines) >= HELD_LINES:
            self._lines.popleft()
            self._missed += 1
        self._lines.append(line)
        self._some.set()

    async def run(self) -> None:
        while True:
            while self._lines:
                self._tell()
                await trio.sleep(EVERY_SECONDS)
            self._some = trio.Event()
            await self._some.wait()

    def _tell(self) -> None:
        assert self.redact is not None
        lines: list[LogLine] = []
        room = BATCH_CHARACTERS
        while self._lines and len(lines) < BATCH_LINES and room > 0:
            line = self._lines.popleft()
            # Cut after the secrets are out: half a secret would not be known as one.
            text = self.redact(line.text)
            text = text if len(text) <= LINE_CHARACTERS else text[: LINE_CHARACTERS - 1] + "…"
            lines.append(LogLine(at=line.at or 0, stream=line.stream, text=text))
            room -= len(text)
        try:
            self._hub.publish(self._bot_id, BotLog(bot_id=self._bot_id, lines=tuple(lines), missed=self._missed))
            self._missed = 0
        except HubFull:
            self._missed += len(lines)
