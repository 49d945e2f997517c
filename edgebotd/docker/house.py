"""All that this floor has, opened and put together. What each part is for stands in its module."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from edgebotd.config import DockerSettings
from edgebotd.docker.adopt import Adopting
from edgebotd.docker.bots import Bots
from edgebotd.docker.breaker import Breaker
from edgebotd.docker.candidates import Candidates
from edgebotd.docker.containers import ENGINE_OFF, NO_ENGINE, Change, Containers
from edgebotd.docker.drift import Drift
from edgebotd.docker.engine import Engine, open_engine
from edgebotd.docker.follow import Follower
from edgebotd.docker.images import Images
from edgebotd.docker.lifecycle import Lifecycle
from edgebotd.docker.log_follow import LogFollow
from edgebotd.docker.logs import Logs
from edgebotd.docker.making import Maker, Probe, ProfileSecret, no_profiles
from edgebotd.docker.operations import Note, Operations
from edgebotd.docker.probe import gateway_lives
from edgebotd.docker.provision import Provisioning
from edgebotd.docker.recreate import Recreating
from edgebotd.docker.removal import Removal
from edgebotd.docker.sampling import Sampling
from edgebotd.docker.services import Services
from edgebotd.docker.taking import Taking
from edgebotd.docker.upgrade import Upgrading
from edgebotd.docker.violations import check_body
from edgebotd.events import ALL
from edgebotd.hub.hub import Hub
from edgebotd.store import containers as rows
from edgebotd.store.containers import StoredContainer
from edgebotd.store.database import Database


@dataclass(frozen=True)
class Docker:
    """The containers' services. From `open_docker`, which closes it.

    Attributes:
        engine, follower: None where there is no engine.
    """

    settings: DockerSettings
    engine: Engine | None
    follower: Follower | None
    containers: Containers
    operations: Operations
    lifecycle: Lifecycle
    breaker: Breaker
    logs: Logs
    log_follow: LogFollow
    provisioning: Provisioning
    recreating: Recreating
    removal: Removal
    drift: Drift
    adopting: Adopting
    sampling: Sampling
    taking: Taking
    images: Images
    upgrading: Upgrading

    async def run(self) -> None:
        """Keep what is known true; a job of the supervisor's."""
        if self.follower is None:
            self.containers.push()
            await trio.sleep_forever()
        else:
            await self.follower.run()

    async def away_on_purpose(self, database: Database) -> set[str]:
        """Return the bots whose absence is no news: stopped by somebody, worked on, or left stopped after crashes."""
        stored = await database.read(rows.all_containers)
        given_up = {one.bot_id for one in self.containers.status().containers if one.crash_loop and one.bot_id}
        worked_on = {one.bot_id for one in stored if self.operations.running(one.bot_id) is not None}
        return given_up | worked_on | {one.bot_id for one in stored if one.wanted == "stopped"}

    @property
    def jobs(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What the supervisor runs, by name; a bug in one of them stops no other."""
        jobs: dict[str, Callable[[], Awaitable[None]]] = {"docker-status": self.run}
        if self.engine is not None:
            jobs |= {
                "docker-crashes": self.breaker.run,
                "docker-drift": self.drift.run,
                "docker-logs": self.log_follow.run,
                "docker-usage": self.sampling.run,
            }
        return jobs


@asynccontextmanager
async def open_docker(
    database: Database,
    hub: Hub,
    bots: Bots,
    settings: DockerSettings,
    *,
    socket: Path | None,
    engine: Engine | None = None,
    named: dict[str, str],
    installation: str,
    note: Note,
    now: Callable[[], int],
    probe: Probe = gateway_lives,
    profile_secret: ProfileSecret = no_profiles,
) -> AsyncIterator[Docker]:
    """Open the engine's connections and go on with what an earlier life of the daemon did not end.

    Args:
        socket: of the engine, None without one; or the engine itself, opened already.
        named: containers that the settings file names, by bot.
        installation: what edgebotd's own containers are labelled with.
        note: writes the audit entries of operations.
        probe: asks a gateway whether it lives.
        profile_secret: gives the secret of a login that a bot's environment refers to.
    """
    async with AsyncExitStack() as stack:
        if engine is None and socket is not None:
            engine = await stack.enter_async_context(open_engine(socket, check=partial(check_body, settings=settings)))
        nursery = await stack.enter_async_context(trio.open_nursery())
        containers = Containers(
            engine,
            lambda status: hub.publish(ALL, status),
            installation=installation,
            now=now,
            no_engine=ENGINE_OFF if settings.socket == "off" else NO_ENGINE,
        )
        containers.subscribe(lambda change: _tell_bot(bots, change))
        seen = await database.read(rows.last_seen)
        for stored in await _bound(database, bots, named, now()):
            containers.bind(stored.bot_id, stored.name, seen.get(stored.bot_id))
        follower = None if engine is None else Follower(engine, containers, settings.reconcile_seconds)
        operations = Operations(database, hub, nursery, at_once=settings.operations_at_once, note=note, now=now)
        refresh = _nothing if follower is None else follower.refresh
        maker = Maker(containers, settings, installation, probe, profile_secret)
        maker.know_secrets()
        services = Services(database, bots, containers, operations, maker, settings)
        lifecycle = Lifecycle(services, refresh=refresh, note=note)
        breaker = Breaker(services, hub, refresh=refresh)
        await breaker.load()
        log_follow = LogFollow(containers, database, hub, now)
        provisioning, recreating, removal = Provisioning(services), Recreating(services), Removal(services)
        drift = Drift(database, containers, settings)
        candidates = Candidates(database, containers, settings, installation)
        adopting = Adopting(services, candidates)
        upgrading = Upgrading(services, lifecycle)
        # After all kinds are registered.
        await operations.resume()
        yield Docker(
            settings,
            engine,
            follower,
            containers,
            operations,
            lifecycle,
            breaker,
            Logs(containers, database, nursery),
            log_follow,
            provisioning,
            recreating,
            removal,
            drift,
            adopting,
            Sampling(containers, database, hub, now),
            Taking(database, containers, settings),
            Images(containers, database, installation, now),
            upgrading,
        )
        nursery.cancel_scope.cancel()


async def _bound(database: Database, bots: Bots, named: dict[str, str], now: int) -> list[StoredContainer]:
    """Bring the store in line with the settings file; return every container that is a bot's."""
    ids = set(bots.ids())

    def write(conn: sqlite3.Connection) -> list[StoredContainer]:
        for stored in rows.all_containers(conn):
            left_the_file = stored.origin == "file" and stored.bot_id not in named
            if left_the_file or stored.bot_id not in ids:
                rows.remove(conn, stored.bot_id)
        for bot_id, name in named.items():
            if (known := rows.get(conn, bot_id)) is None or known.name != name:
                rows.put(conn, StoredContainer(bot_id, name, None, "file", created_at=now, changed_at=now))
        return rows.all_containers(conn)

    return await database.write(lambda tx: write(tx.connection))


async def _nothing(name: str) -> None:
    """Stand in for a look at a container where there is no engine."""


def _tell_bot(bots: Bots, change: Change) -> None:
    if change.bot_id in bots.ids():
        bots.container(change.bot_id, change.now)
