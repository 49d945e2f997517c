"""What a bot's container wrote: its last lines, and a file of them; without secrets."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal

import trio
from typing_extensions import override

from edgebotd.docker.containers import Containers
from edgebotd.docker.engine import Engine
from edgebotd.docker.errors import EngineError
from edgebotd.docker.redact import Redact, redactor
from edgebotd.errors import Problem
from edgebotd.events import LogLine
from edgebotd.protocol.docker.containers import Container
from edgebotd.protocol.docker.streams import OutputLine
from edgebotd.store.database import Database

MOST_LINES: Final = 5000
LOOKED_AT: Final = 100_000
"""Lines that are looked through for those that are asked for."""
READ_SECONDS: Final = 30.0
DOWNLOAD_LINES: Final = 500_000
DOWNLOAD_BYTES: Final = 128 * 1024 * 1024
DOWNLOADS_AT_ONCE: Final = 8
"""Full: 429."""
STALLED_SECONDS: Final = 300.0
"""A download that nobody takes anything of for so long is given up."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines.

    Attributes:
        since_at: not before this, Unix milliseconds.
        contains: only lines with this text, whatever its case; it is looked for where secrets were taken out already,
            so that nobody can guess at them.
    """

    since_at: int | None = None
    contains: str | None = None
    stream: Literal["stdout", "stderr"] | None = None

    @property
    def narrow(self) -> bool:
        """Whether lines are left out besides the older ones."""
        return bool(self.contains) or self.stream is not None

    def takes(self, line: OutputLine, text: str) -> bool:
        """Return whether a line is one of them."""
        if self.stream not in (None, line.stream):
            return False
        return not self.contains or self.contains.casefold() in text.casefold()


class Logs:
    """From `house.py`, which lends its nursery for downloads. Whoever calls has checked rights."""

    def __init__(self, containers: Containers, database: Database, nursery: trio.Nursery) -> None:
        self._containers = containers
        self._database = database
        self._nursery = nursery
        self._downloads = 0

    async def read(self, bot_id: str, tail: int, wanted: Wanted) -> list[LogLine]:
        """Return the last lines, oldest first; at most `tail` and `MOST_LINES`.

        Raises:
            EngineError: no container, no engine.
            Problem: none is known; it takes too long.
        """
        engine, container, redact = await self._open(bot_id)
        most = min(tail, MOST_LINES)
        kept: deque[LogLine] = deque(maxlen=most)
        left = LOOKED_AT if wanted.narrow else most
        enough = trio.CancelScope()

        def take(line: OutputLine) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                # Written since: an engine goes on as long as there is more, and some containers write faster than this.
                enough.cancel()
                return
            text = redact(line.text)
            if wanted.takes(line, text):
                kept.append(LogLine(at=line.at or 0, stream=line.stream, text=text))

        with enough, trio.move_on_after(READ_SECONDS) as scope:
            await engine.logs(container, take, tail=left, since_at=wanted.since_at, pace=trio.lowlevel.checkpoint)
        if scope.cancelled_caught:
            raise Problem(503, "log_slow", "The log is too long to be read in time. Ask for later lines with 'since'.")
        return list(kept)

    async def download(self, bot_id: str, wanted: Wanted) -> AsyncIterator[bytes]:
        """Return the log as text, piece by piece: the last `DOWNLOAD_LINES` lines, cut after `DOWNLOAD_BYTES`.

        Raises:
            as `read`; Problem: too many go on already.
        """
        if self._downloads >= DOWNLOADS_AT_ONCE:
            raise Problem(
                429, "too_many_downloads", "Too many logs are being downloaded. Try again when they are done."
            )
        engine, container, redact = await self._open(bot_id)
        send, receive = trio.open_memory_channel[bytes](0)
        scope = trio.CancelScope()
        self._downloads += 1
        file = _File(wanted, redact, send, scope)
        self._nursery.start_soon(partial(self._write, file, engine, container), name=f"log of {bot_id}")
        return _Pieces(receive, scope)

    async def _write(self, file: _File, engine: Engine, container: Container) -> None:
        try:
            with file.scope:
                since_at = file.wanted.since_at
                try:
                    await engine.logs(container, file.take, tail=DOWNLOAD_LINES, since_at=since_at, pace=file.flush)
                except EngineError as exc:
                    file.say(f"edgebotd: the rest could not be read: {exc.detail}")
                await file.flush()
        finally:
            file.send.close()
            self._downloads -= 1

    async def _open(self, bot_id: str) -> tuple[Engine, Container, Redact]:
        name = self._containers.name_of(bot_id)
        if name is None:
            raise Problem(404, "no_container", "No container of this bot is known, so it has no log here.")
        engine = self._containers.usable()
        container = await engine.inspect(name)
        return engine, container, await redactor(self._database, bot_id, container)


class _File:
    """A log as a file of text, on its way."""

    def __init__(
        self, wanted: Wanted, redact: Redact, send: trio.MemorySendChannel[bytes], scope: trio.CancelScope
    ) -> None:
        self.wanted = wanted
        self.send = send
        self.scope = scope
        self._redact = redact
        self._parts: list[str] = []
        self._left = DOWNLOAD_BYTES
        self._lines = DOWNLOAD_LINES
        self._over = False

    def take(self, line: OutputLine) -> None:
        self._lines -= 1
        if self._lines < 0 or self._left <= 0:
            # Cut, or written since: an engine goes on as long as there is more.
            self._over = True
            return
        text = self._redact(line.text)
        if self.wanted.takes(line, text):
            at = datetime.fromtimestamp((line.at or 0) / 1000, UTC).isoformat(timespec="milliseconds")
            self.say(f"{at.replace('+00:00', 'Z')} {line.stream} {text}")
            if self._left <= 0:
                self.say("edgebotd: cut here. Ask for later lines with 'since'.")

    def say(self, text: str) -> None:
        self._parts.append(text + "\n")
        self._left -= len(text) + 1

    async def flush(self) -> None:
        """Hand over what there is; whoever takes nothing any more ends this."""
        data = "".join(self._parts).encode()
        self._parts.clear()
        if data:
            try:
                with trio.move_on_after(STALLED_SECONDS) as waiting:
                    await self.send.send(data)
            except trio.BrokenResourceError:
                self.scope.cancel()
            if waiting.cancelled_caught:
                self.scope.cancel()
        if self._over:
            self.scope.cancel()
        # Ended by cancelling alone: an exception would leave the loop over the engine's answer in the middle.
        await trio.lowlevel.checkpoint()


class _Pieces(AsyncIterator[bytes]):
    """What a response takes the file from; no generator, which a cancelled request would leave to the collector."""

    def __init__(self, receive: trio.MemoryReceiveChannel[bytes], scope: trio.CancelScope) -> None:
        self._receive = receive
        self._scope = scope

    @override
    async def __anext__(self) -> bytes:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        """End it; the framework calls this when the client has gone, too."""
        self._scope.cancel()
        self._receive.close()
        await trio.lowlevel.checkpoint()
