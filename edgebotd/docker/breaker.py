"""Leaves a container stopped that ends by itself again and again, and keeps the last lines of each end.

The engine's events say who ended it: `kill` goes before `die` where somebody stopped or killed it by the engine, be it
edgebotd, a person in a shell, or the engine as it shut down. A `die` without one is a crash.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import trio

from edgebotd.docker.errors import EngineError
from edgebotd.docker.redact import Redact, redactor
from edgebotd.docker.services import Services
from edgebotd.events import Alert, ContainerStatus
from edgebotd.hub.hub import Hub
from edgebotd.protocol.docker.containers import Container, ContainerEvent
from edgebotd.protocol.docker.ending import FATAL, words_of_end
from edgebotd.protocol.docker.streams import OutputLine
from edgebotd.store import containers as rows
from edgebotd.store.containers import Crash
from edgebotd.store.database import Transaction

log = logging.getLogger(__name__)

KEPT_LINES: Final = 200
KEPT_LINE_CHARACTERS: Final = 2000
KEPT_CRASHES: Final = 10
READ_LINES: Final = 2000
"""Lines that are read to find the last ones of the life that ended: the next one may write already."""
READ_SECONDS: Final = 15.0
STOP_GRACE_SECONDS: Final = 10
QUEUED: Final = 64
"""Ends whose lines are still to be read. Full: the end counts, its lines are not kept."""
AT_ONCE: Final = 4


@dataclass(slots=True)
class _Record:
    """What was heard of a bot's container.

    Attributes:
        told: somebody had it end, so its next `die` is none of its own.
        ended_at: when it ended before, None where that was not heard. What it wrote since then is of this life: the
            engine tells of a start only after the first lines were written.
        ends: when it ended by itself lately, Unix milliseconds.
        deaths: how often it ended, whoever did it.
        alerted: an alert is open.
        broken_at: since when it is left stopped; what the engine tells later may be older.
        left: it is not ours to stop, so that it is up now and then is no mend.
    """

    told: bool = False
    oom: bool = False
    ended_at: int | None = None
    ends: deque[int] = field(default_factory=deque)
    deaths: int = 0
    breaking: bool = False
    alerted: bool = False
    broken_at: int | None = None
    left: bool = False


@dataclass(frozen=True, slots=True)
class _End:
    bot_id: str
    container_id: str
    at: int
    since_at: int | None
    exit_code: int | None
    oom: bool
    breaks: bool


class Breaker:
    """From `house.py`; `run` is a job of the supervisor's. `refresh` asks the engine for a container now, by name."""

    def __init__(
        self,
        services: Services,
        hub: Hub,
        *,
        refresh: Callable[[str], Awaitable[Container | None]],
    ) -> None:
        self._containers = services.containers
        self._bots = services.bots
        self._operations = services.operations
        self._database = services.database
        self._hub = hub
        self._limit = services.settings.crash_limit
        self._seconds = services.settings.crash_seconds
        self._refresh = refresh
        self._now = services.containers.now
        self._records: dict[str, _Record] = {}
        self._queue: deque[_End] = deque()
        self._wake = trio.Event()
        self._containers.listen(self._hear)

    async def load(self) -> None:
        """Learn from the store which ones an earlier life of the daemon has left stopped, or told of."""

        def read(conn: sqlite3.Connection) -> dict[str, bool]:
            return {bot_id: _is_ours(rows.get(conn, bot_id)) for bot_id in rows.crash_loops(conn)}

        for bot_id, ours in (await self._database.read(read)).items():
            self._note_loop(bot_id, ours=ours)

    async def crashes(self, bot_id: str) -> list[Crash]:
        """Return how a bot's container ended by itself, newest first."""
        return await self._database.read(lambda conn: rows.crashes(conn, bot_id))

    async def run(self) -> None:
        """Keep crashes and break loops, until cancelled."""
        room = trio.CapacityLimiter(AT_ONCE)
        watched: set[str] = set()

        async def take(end: _End) -> None:
            async with room:
                if end.breaks:
                    await self._break(end)
                await self._keep(end)

        async def watch(bot_id: str) -> None:
            await self._until_mended(bot_id)
            watched.discard(bot_id)

        async with trio.open_nursery() as nursery:
            while True:
                while self._queue:
                    nursery.start_soon(take, self._queue.popleft(), name="docker crash")
                for bot_id, record in self._records.items():
                    if record.alerted and bot_id not in watched:
                        watched.add(bot_id)
                        nursery.start_soon(watch, bot_id, name=f"docker crash loop of {bot_id}")
                self._wake = trio.Event()
                await self._wake.wait()

    # Hearing: plain functions, between two events of the engine

    def _hear(self, bot_id: str, event: ContainerEvent) -> None:
        record = self._of(bot_id)
        if event.action == "start":
            record.told, record.oom = False, False
            if record.broken_at is not None and event.at_ms > record.broken_at:
                # Whoever has started it, it was not the engine: for that it was stopped by hand.
                record.broken_at = None
                self._containers.overlay(bot_id, crash_loop=False)
        elif event.action == "kill" and event.attributes.get("signal", "") in FATAL:
            record.told = True
        elif event.action == "oom":
            record.oom = True
        elif event.action == "die":
            self._died(bot_id, record, event)

    def _died(self, bot_id: str, record: _Record, event: ContainerEvent) -> None:
        told, oom, record.told, record.oom = record.told, record.oom, False, False
        since_at, record.ended_at = record.ended_at, event.at_ms
        record.deaths += 1
        if told or record.breaking:
            return
        work = self._operations.running(bot_id)
        if work is None or work.kind == "start":
            record.ends.append(event.at_ms)
        # Else it is that operation's own business, which waits for it to become healthy.
        while record.ends and record.ends[0] < event.at_ms - self._seconds * 1000:
            record.ends.popleft()
        record.breaking = len(record.ends) > self._limit
        self._containers.overlay(bot_id, restarts=len(record.ends))
        code = event.attributes.get("exitCode", "")
        end = _End(
            bot_id,
            event.container_id,
            event.at_ms,
            None if since_at is None else since_at + 1,
            int(code) if code.isdigit() else None,
            oom,
            record.breaking,
        )
        log.warning("the container of %s ended by itself: %s", bot_id, words_of_end(end.exit_code, oom_killed=oom))
        if len(self._queue) < QUEUED or end.breaks:
            self._queue.append(end)
            self._wake.set()

    def _of(self, bot_id: str) -> _Record:
        return self._records.setdefault(bot_id, _Record())

    # Acting

    async def _keep(self, end: _End) -> None:
        lines: deque[OutputLine] = deque(maxlen=KEPT_LINES)

        def take(line: OutputLine) -> None:
            if line.at is None or line.at <= end.at:
                lines.append(line)

        redact: Redact | None = None
        with trio.move_on_after(READ_SECONDS):
            try:
                engine = self._containers.usable()
                container = await engine.inspect(end.container_id)
                redact = await redactor(self._database, end.bot_id, container)
                await engine.logs(container, take, tail=READ_LINES, since_at=end.since_at)
            except EngineError as exc:
                log.warning("the last lines of %s could not be read: %s", end.bot_id, exc.detail)
        kept = tuple(redact(line.text)[:KEPT_LINE_CHARACTERS] for line in lines) if redact is not None else ()
        crash = Crash(end.bot_id, end.at, end.exit_code, end.oom, kept)
        await self._database.write(lambda tx: rows.add_crash(tx.connection, crash, keep=KEPT_CRASHES))

    async def _break(self, end: _End) -> None:
        """Stop it for good; one that edgebotd neither made nor started is only told of."""
        bot_id, record = end.bot_id, self._of(end.bot_id)
        ours = await self._database.read(lambda conn: _is_ours(rows.get(conn, bot_id)))
        if ours:
            self._containers.overlay(bot_id, crash_loop=True, doing="is being stopped: it ends again and again")
            try:
                await self._containers.usable().stop(end.container_id, STOP_GRACE_SECONDS)
                await self._refresh(end.container_id)
            except EngineError as exc:
                # It goes on crashing, and the next end brings us here again.
                log.warning("the container of %s could not be stopped: %s", bot_id, exc.detail)
            self._containers.overlay(bot_id, doing="")
        count = len(record.ends)
        record.ends.clear()
        record.breaking = False
        self._note_loop(bot_id, ours=ours)
        self._wake.set()
        await self._tell(bot_id, "open", self._title(bot_id, count, stopped=ours), self._detail(end, stopped=ours))

    def _note_loop(self, bot_id: str, *, ours: bool) -> None:
        record = self._of(bot_id)
        record.alerted, record.left, record.broken_at = True, not ours, self._now() if ours else None
        self._containers.overlay(bot_id, crash_loop=True)

    async def _until_mended(self, bot_id: str) -> None:
        """Wait until it has been started and has stayed up, then say so."""

        record, deaths = self._of(bot_id), 0

        def up(status: ContainerStatus | None) -> bool:
            return status is None or (status.state == "running" and not record.breaking)

        def down(status: ContainerStatus | None) -> bool:
            return not up(status) or record.deaths > deaths

        while await self._containers.wait(bot_id, up) is not None:
            deaths = record.deaths
            if not record.left:
                # A person has started it again.
                self._containers.overlay(bot_id, crash_loop=False)
            with trio.move_on_after(self._seconds) as waiting:
                await self._containers.wait(bot_id, down)
            if waiting.cancelled_caught:
                break
        record.alerted = False
        record.ends.clear()
        self._containers.overlay(bot_id, restarts=0, crash_loop=False)
        await self._tell(bot_id, "resolved", f"{self._named(bot_id)} stays up again", None)

    async def _tell(self, bot_id: str, state: Literal["open", "resolved"], title: str, detail: str | None) -> None:
        now = self._now()
        alert = Alert(
            alert_id=f"crash-loop-{bot_id}",
            bot_id=bot_id,
            severity="critical",
            state=state,
            title=title,
            detail=detail,
            at=now,
        )

        def write(tx: Transaction) -> None:
            rows.set_crash_loop(tx.connection, bot_id, now if state == "open" else None)
            tx.emit(bot_id, alert)

        await self._hub.transact(write)

    def _named(self, bot_id: str) -> str:
        return self._bots.summary(bot_id).name if bot_id in self._bots.ids() else bot_id

    def _title(self, bot_id: str, count: int, *, stopped: bool) -> str:
        within = f"{self._seconds / 60:.0f} min" if self._seconds >= 120 else f"{self._seconds:.0f} s"
        left = " and is left stopped" if stopped else ""
        return f"{self._named(bot_id)} ended by itself {count} times within {within}{left}"

    def _detail(self, end: _End, *, stopped: bool) -> str:
        words = words_of_end(end.exit_code, oom_killed=end.oom)
        todo = "start it again when the cause is gone" if stopped else "edgebotd did not make it and leaves it as it is"
        return f"{words} Its last lines are kept (edgebotd bots crashes {end.bot_id}); {todo}."


def _is_ours(stored: rows.StoredContainer | None) -> bool:
    return stored is not None and (stored.origin == "provisioned" or stored.wanted == "running")
