"""What bots' containers use: each second while somebody watches, and once in five minutes for the day's curve.

The engine measures only what is asked for, and each open stream costs it a look at the container a second: so nothing
is open while nobody looks. For the day a short look is enough, because what is counted (processor time, bytes of the
network) is averaged over the whole time since the look before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from edgebotd.docker.containers import Containers
from edgebotd.docker.engine import Engine
from edgebotd.docker.errors import EngineError
from edgebotd.docker.watching import Watching
from edgebotd.errors import EdgebotdError
from edgebotd.events import BotStats, ContainerStatus
from edgebotd.hub.hub import Hub
from edgebotd.hub.request import HubFull
from edgebotd.protocol.docker.usage import Usage, per_second
from edgebotd.store import containers as rows
from edgebotd.store.containers import Sample
from edgebotd.store.database import Database, Transaction

log = logging.getLogger(__name__)

SAMPLE_SECONDS: Final = 300
DAY_MS: Final = 86_400_000

EVERY_SECONDS: Final = 1.0
EARLY_SECONDS: Final = 0.2
"""Docker's ticker is not exact: one that comes a little early is taken, and the next one is due no earlier for it."""
AGAIN_SECONDS: Final = 2.0
"""Pause before a stream is opened again that ended or could not be opened."""
LOOK_SECONDS: Final = 15.0
"""For one short look: Docker tells each second, Podman each five."""
LOOKS_AT_ONCE: Final = 4
LARGEST: Final = 2**63 - 1
"""What the store takes."""

RUNS: Final = frozenset({"running", "paused", "stopping"})


@dataclass(frozen=True, slots=True)
class _Seen:
    """The look before at one container."""

    container_id: str
    started_at: int | None
    usage: Usage


class Sampling:
    """From `house.py`; `run` is a job of the supervisor's."""

    def __init__(self, containers: Containers, database: Database, hub: Hub, now: Callable[[], int]) -> None:
        self._containers = containers
        self._database = database
        self._hub = hub
        self._now = now
        self._watching = Watching(hub, lambda watched: watched.stats)
        self._due: dict[str, float] = {}
        """When the next event of a bot may be told, whoever begins and ends to watch meanwhile."""
        self._seen: dict[str, _Seen] = {}

    async def samples(self, bot_id: str) -> list[Sample]:
        """Return what a bot's container used in the last 24 hours, oldest first."""
        since_at = self._now() - DAY_MS
        return await self._database.read(lambda conn: rows.samples(conn, bot_id, since_at))

    async def run(self) -> None:
        """Serve those who watch, and keep the day, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_day, name="docker usage of the day")
            await self._watching.run(self._follow, name="usage")

    # While somebody watches

    async def _follow(self, bot_id: str) -> None:
        while True:
            status = await self._containers.wait(bot_id, _runs)
            try:
                await self._stream(bot_id, None if status is None else status.container_id)
            except* EngineError as group:
                log.debug("the resource use of %s cannot be read: %s", bot_id, group.exceptions[0])
            await trio.sleep(AGAIN_SECONDS)

    async def _stream(self, bot_id: str, short_id: str | None) -> None:
        """Tell what one container uses until it ends, is another one, or the engine is away."""
        engine, container = self._containers.usable(), self._containers.container_of(bot_id)
        if container is None:
            return
        before: Usage | None = None

        def take(usage: Usage) -> None:
            nonlocal before
            self._tell(bot_id, usage, before)
            before = usage

        def over(status: ContainerStatus | None) -> bool:
            return not _runs(status) or status is None or status.container_id != short_id

        async with trio.open_nursery() as nursery:

            async def until_over() -> None:
                # Docker goes on with the stream of a container that has stopped, with empty objects.
                await self._containers.wait(bot_id, over)
                nursery.cancel_scope.cancel()

            nursery.start_soon(until_over)
            await engine.usage(container.id, take)
            nursery.cancel_scope.cancel()

    def _tell(self, bot_id: str, usage: Usage, before: Usage | None) -> None:
        now, due = trio.current_time(), self._due.get(bot_id, 0.0)
        if now < due - EARLY_SECONDS:
            return
        self._due[bot_id] = max(now, due) + EVERY_SECONDS
        stats = BotStats(
            bot_id=bot_id,
            at=usage.at,
            cpu_percent=usage.cpu_percent,
            memory_bytes=usage.memory_bytes,
            memory_limit_bytes=usage.memory_limit_bytes,
            received_per_second=per_second(usage, before, lambda one: one.received_bytes),
            sent_per_second=per_second(usage, before, lambda one: one.sent_bytes),
            pids=usage.pids,
        )
        try:
            self._hub.publish(bot_id, stats)
        except HubFull:
            pass  # the next one says more

    # For the day

    async def _keep_day(self) -> None:
        while True:
            await trio.sleep(self._pause())
            try:
                await self._sample_all()
            except EdgebotdError as exc:
                # The store's, or the engine's: those who watch are served all the same.
                log.warning("what the containers use was not kept this time: %s", exc)

    def _pause(self) -> float:
        """Return the seconds to the next sample: at the same minutes of each hour, however often the daemon starts."""
        pause = SAMPLE_SECONDS - self._now() / 1000 % SAMPLE_SECONDS
        # Woken a little early, or just started: not two of them in a row.
        return pause if pause >= SAMPLE_SECONDS / 2 else pause + SAMPLE_SECONDS

    async def _sample_all(self) -> None:
        there = {one.bot_id: one for one in self._containers.status().containers if one.bot_id and _is_there(one)}
        waiting = [bot_id for bot_id, status in there.items() if _runs(status)]
        self._seen = {bot_id: seen for bot_id, seen in self._seen.items() if bot_id in waiting}
        if not there:
            return
        engine, seen_at = self._containers.usable(), self._now()
        samples: dict[str, Sample] = {}

        async def look() -> None:
            while waiting:
                bot_id = waiting.pop()
                try:
                    sample = await self._sample(engine, bot_id)
                except EngineError as exc:
                    log.debug("what the container of %s uses could not be read: %s", bot_id, exc)
                    continue
                if sample is not None:
                    samples[bot_id] = sample

        async with trio.open_nursery() as nursery:
            for _ in range(min(LOOKS_AT_ONCE, len(waiting))):
                nursery.start_soon(look)

        def write(tx: Transaction) -> None:
            rows.see(tx.connection, there, seen_at)
            for bot_id, sample in samples.items():
                rows.add_sample(tx.connection, bot_id, sample)

        await self._database.write(write)

    async def _sample(self, engine: Engine, bot_id: str) -> Sample | None:
        container = self._containers.container_of(bot_id)
        if container is None:
            return None
        found: list[Usage] = []
        with trio.move_on_after(LOOK_SECONDS) as scope:

            def take(usage: Usage) -> None:
                found.append(usage)
                if len(found) == 2:
                    scope.cancel()

            await engine.usage(container.id, take)
        if not found:
            return None
        usage, seen = found[-1], self._seen.get(bot_id)
        same = seen is not None and (seen.container_id, seen.started_at) == (container.id, container.started_at)
        before = seen.usage if seen is not None and same else None
        self._seen[bot_id] = _Seen(container.id, container.started_at, usage)
        busy = per_second(usage, before, lambda one: one.cpu_nanoseconds)
        return Sample(
            at=self._now(),
            cpu_percent=usage.cpu_percent if busy is None else round(busy / 10_000_000, 2),
            memory_bytes=min(usage.memory_bytes, LARGEST),
            received_per_second=per_second(usage, before, lambda one: one.received_bytes),
            sent_per_second=per_second(usage, before, lambda one: one.sent_bytes),
        )


def _runs(status: ContainerStatus | None) -> bool:
    return status is not None and status.state in RUNS


def _is_there(status: ContainerStatus) -> bool:
    return status.state not in ("missing", "unknown")
