"""The composition root: opens every service, in order, and closes them in reverse.

    trio.run(run)                 sockets bound first (or taken from systemd), settings already validated
    ├─ open_database              writer thread, group commit
    ├─ open_hub                   ring and journal, the epoll task of handed-over streams
    ├─ open_people                who exists, sessions, tokens
    ├─ open_bots                  one supervised connection task per bot
    ├─ open_accounts              logins at model providers: kept fresh, and how much of them is used
    ├─ open_docker, alerting      the bots' containers: connections, work in steps; alerts and their channels
    ├─ open_supervisor            background jobs
    └─ edge nursery               signals, web, watchdog, status; then READY=1

Stop: STOPPING=1, accept no more, `hub.drain`, a deadline for requests in flight, then the tree unwinds innermost first.
A second signal stops at once.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import trio

from edgebotd import __version__, logs, systemd
from edgebotd.accounts.cipher import VaultLocked
from edgebotd.accounts.house import ProviderAccounts, open_accounts, open_cipher
from edgebotd.accounts.refresh_lock import NAME as REFRESH_LOCK
from edgebotd.alerting.bots import BotsSeen
from edgebotd.alerting.house import make_alerting
from edgebotd.bots.gateways import Gateways
from edgebotd.bots.registry import Registry, open_bots
from edgebotd.config import Settings
from edgebotd.docker.find import find_socket
from edgebotd.docker.holding import held_bots
from edgebotd.docker.house import open_docker
from edgebotd.docker.state_file import state_file
from edgebotd.errors import EdgebotdError
from edgebotd.events import ALL, BotState, JobStatus
from edgebotd.hub.hub import Hub, open_hub
from edgebotd.hub.settings import HubSettings
from edgebotd.jobs.retention import PERIOD_SECONDS, Keep, Retention
from edgebotd.outgoing import Outgoing
from edgebotd.people.accounts import Accounts, warn_of_reserved_ids
from edgebotd.people.audit import Actor, record
from edgebotd.people.directory import People, open_people
from edgebotd.people.first import admin_code
from edgebotd.people.passwords import Passwords
from edgebotd.people.sign_in import SignIn
from edgebotd.people.tokens import Tokens
from edgebotd.store import attachments, installation
from edgebotd.store.database import Database, open_database
from edgebotd.supervisor import Job, Supervisor, open_supervisor
from edgebotd.web.app import create_app
from edgebotd.web.front import Front
from edgebotd.web.listeners import NoAdministrator, addresses, check_exposure, open_listeners, page_url
from edgebotd.web.remote_image import RemoteImages
from edgebotd.web.server import serve_web
from edgebotd.web.services import Services
from edgebotd.web.stream import EventStream

log = logging.getLogger(__name__)

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_CONFIG: Final = 78

STATUS_SECONDS: Final = 15.0
MORE_START_SECONDS: Final = 60.0
"""How far ahead a start that takes long asks for time."""
EXTRA_STOP_SECONDS: Final = 20.0
"""What a stop may take beyond the requests' deadline and providers: telling the streams, the last commits."""


@dataclass(frozen=True)
class Announcement:
    """What is told once the daemon is ready: the page's URL, and a one-time code that logs an administrator in."""

    url: str
    code: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _House:
    """What the edge tasks share."""

    settings: Settings
    hub: Hub
    people: People
    registry: Registry
    supervisor: Supervisor
    services: Services
    stopping: trio.Event


def wall_clock() -> int:
    """Return Unix milliseconds."""
    return time.time_ns() // 1_000_000


def run(settings: Settings, *, announce: Callable[[Announcement], None] | None = None) -> int:
    """Run the daemon until it is stopped; return the exit status.

    Args:
        announce: called once when everything is ready, with a fresh login code for an administrator, who is made where
            there is none. For `demo`; None makes no code.
    """
    logs.configure(settings.logging.level, settings.logging.format)
    logs.log_uncaught()
    for bot in settings.bots.values():
        if bot.token is not None:
            logs.register_secret(bot.token.get_secret_value())
    for provider in settings.providers.values():
        if provider.oauth is not None and provider.oauth.client_secret is not None:
            logs.register_secret(provider.oauth.client_secret.get_secret_value())
    status = EXIT_OK
    try:
        listeners = open_listeners(settings.server)
        try:
            # What was imported lives as long as the process: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            stopped = trio.run(_main, settings, listeners.sockets, announce)
        finally:
            listeners.close()
        status = EXIT_OK if stopped else EXIT_FAILURE
    except* (NoAdministrator, VaultLocked) as group:
        status = _say(group, EXIT_CONFIG)
    except* (EdgebotdError, OSError) as group:
        status = _say(group, EXIT_FAILURE)
    return status


def _say(group: BaseExceptionGroup[BaseException], status: int) -> int:
    """Log each expected error of a failed start or run as one line."""
    for exc in group.exceptions:
        if isinstance(exc, BaseExceptionGroup):
            _say(exc, status)
        else:
            log.error("%s", exc)
    return status


async def _main(
    settings: Settings, sockets: Sequence[socket.socket], announce: Callable[[Announcement], None] | None
) -> bool:
    """Open everything, serve, close everything. Return whether the stop was an orderly one."""
    stopping = trio.Event()
    orderly = True
    with trio.CancelScope() as everything:
        async with trio.open_nursery() as nursery:
            await nursery.start(_watch_signals, stopping, everything)
            async with AsyncExitStack() as stack:
                opening = trio.CancelScope()
                nursery.start_soon(_ask_for_time, opening, name="ask systemd for time")
                house = await _open(stack, settings, stopping)
                opening.cancel()
                check_exposure(settings.server, sockets, house.people.has_admin)
                await _serve(house, sockets, announce)
            nursery.cancel_scope.cancel()
    if everything.cancelled_caught:
        log.warning("stopped at once; not every stream and request was told, what was acknowledged is stored")
        orderly = False
    return orderly


async def _open(stack: AsyncExitStack, settings: Settings, stopping: trio.Event) -> _House:
    """Open the services in order; the stack closes them in reverse."""
    state_dir = settings.storage.state_dir
    # Nobody may guess a stream's id or a jitter.
    rng = random.SystemRandom()
    started_at = wall_clock()
    database = await stack.enter_async_context(open_database(settings.storage.database, now=started_at))
    await trio.to_thread.run_sync(attachments.sweep, state_dir / "attachments")
    identity = await database.write(lambda tx: installation.load_or_create(tx.connection, started_at))
    life = await database.write(lambda tx: installation.begin_life(tx.connection, started_at))
    hub = await stack.enter_async_context(
        open_hub(
            database, HubSettings.of(settings.channel), installation=identity, life=life, clock=wall_clock, rng=rng
        )
    )
    people = await stack.enter_async_context(open_people(database, now=wall_clock))
    people.subscribe(partial(hub.rescope, people.refresh))
    warn_of_reserved_ids(people)
    held = await held_bots(database)
    registry = await stack.enter_async_context(
        open_bots(database, hub, settings.bots, settings.chat, state_dir, held=held, now=wall_clock, rng=rng)
    )
    passwords = Passwords()
    accounts = Accounts(people, passwords)
    profiles = await stack.enter_async_context(
        open_accounts(
            database,
            settings.providers,
            hub=hub,
            cipher=await open_cipher(database, settings.accounts, state_dir, os.environ),
            now=wall_clock,
            rng=rng,
            lock=state_dir / REFRESH_LOCK,
            gateways=Gateways(registry, database),
            secret_files=settings.accounts.secret_files,
        )
    )
    docker = await stack.enter_async_context(
        open_docker(
            database,
            hub,
            Gateways(registry, database, partial(_forget_bot, accounts, profiles)),
            settings.docker,
            socket=find_socket(settings.docker.socket, os.environ),
            named={bot_id: bot.container for bot_id, bot in settings.bots.items() if bot.container is not None},
            installation=identity.id,
            note=partial(_note, wall_clock),
            now=wall_clock,
            profile_secret=profiles.secret_of,
        )
    )
    profiles.wire(Gateways(registry, database), partial(state_file, docker.containers))
    supervisor = await stack.enter_async_context(open_supervisor(partial(_publish_job, hub), now=wall_clock, rng=rng))
    supervisor.start(_retention(settings, database, hub))
    alerting = make_alerting(
        database,
        hub,
        settings.alerts,
        BotsSeen(registry.summaries, registry.heard, partial(docker.away_on_purpose, database)),
        page=settings.server.public_url,
        now=wall_clock,
        rng=rng,
    )
    profiles.usage.listen(alerting.usage.take)
    for name, run in (docker.jobs | profiles.jobs | alerting.jobs).items():
        supervisor.start(Job(name, run))
    services = Services(
        database=database,
        hub=hub,
        registry=registry,
        turns=registry.turns,
        chat=registry.chat,
        docker=docker,
        profiles=profiles,
        alert_channels=alerting.channels,
        people=people,
        accounts=accounts,
        sign_in=SignIn(
            people,
            passwords,
            session_days=settings.people.session_days,
            code_seconds=settings.people.setup_code_seconds,
            attempts=settings.people.login_attempts,
        ),
        tokens=Tokens(people),
        now=wall_clock,
        started_at=started_at,
        ready=lambda: not stopping.is_set(),
        health=lambda: _health(supervisor),
        remote_images=RemoteImages(Outgoing()) if settings.chat.remote_images else None,
    )
    return _House(settings, hub, people, registry, supervisor, services, stopping)


async def _forget_bot(accounts: Accounts, profiles: ProviderAccounts, bot_id: str) -> None:
    """Take away what people may do with a bot that was removed, and the logins that it used."""
    await accounts.forget_bot(bot_id)
    await profiles.vault.forget_bot(bot_id)


def _note(
    now: Callable[[], int],
    conn: sqlite3.Connection,
    actor: Mapping[str, Any],
    action: str,
    bot_id: str,
    detail: Mapping[str, Any],
) -> None:
    """Write the audit entry of an act on a container."""
    record(conn, Actor(**actor), now(), action, bot_id, bot_id=bot_id, **detail)


def _publish_job(hub: Hub, status: JobStatus) -> None:
    hub.publish(ALL, status)


def _retention(settings: Settings, database: Database, hub: Hub) -> Job:
    storage = settings.storage
    keep = Keep(
        turn_ms=round(settings.chat.idempotency_seconds * 1000),
        usage_days=settings.accounts.history_days,
        message_days=storage.message_days,
        audit_days=storage.audit_days,
    )
    retention = Retention(database, keep, storage.state_dir / "attachments", trim_journal=hub.trim, now=wall_clock)
    return Job("retention", retention.run, period=PERIOD_SECONDS)


def _health(supervisor: Supervisor) -> Mapping[str, Any]:
    return {"jobs": [status.model_dump(mode="json", by_alias=True) for status in supervisor.statuses()]}


async def _serve(
    house: _House, sockets: Sequence[socket.socket], announce: Callable[[Announcement], None] | None
) -> None:
    """Serve until told to stop, then stop in order."""
    server = house.settings.server
    stream = EventStream(house.hub, house.people.refresh, house.people.seen_by)
    # Before the server takes them over: afterwards their names are gone.
    places = addresses(sockets)
    page = page_url(server.public_url, sockets, tls=server.tls_certificate is not None)
    app = create_app(house.services, house.settings, stream, page_url=page)
    async with trio.open_nursery() as beside:
        beside.start_soon(_keep_watchdog, name="watchdog")
        beside.start_soon(_keep_status, house, len(sockets), name="status")
        async with trio.open_nursery() as edge:
            shutdown, drain = partial(_wait_for_stop, house), partial(_drain, house, app)
            await edge.start(partial(serve_web, app, sockets, server, shutdown=shutdown, drain=drain))
            log.info("edgebotd %s is ready on %s and %s", __version__, ", ".join(places) or "no address", server.socket)
            systemd.notify_ready(_status_words(house, len(sockets)))
            if announce is not None:
                code = await admin_code(house.people, house.services.accounts, house.services.sign_in)
                announce(Announcement(page or f"unix:{server.socket}", code))
        beside.cancel_scope.cancel()


async def _drain(house: _House, app: Front) -> None:
    """Tell all who hold a connection open that it ends: the per-bot sockets and the streams."""
    app.drain()
    await house.hub.drain()


async def _ask_for_time(opening: trio.CancelScope) -> None:
    """Keep systemd from ending a start that takes long: after a crash the whole store is checked."""
    with opening:
        while True:
            systemd.extend_timeout(MORE_START_SECONDS)
            await trio.sleep(MORE_START_SECONDS / 3)


async def _wait_for_stop(house: _House) -> None:
    await house.stopping.wait()
    systemd.notify_stopping("Stopping: telling the streams, ending requests")
    answers = house.services.profiles.begin_to_stop()
    systemd.extend_timeout(house.settings.server.graceful_seconds + EXTRA_STOP_SECONDS + answers)


async def _watch_signals(
    stopping: trio.Event, everything: trio.CancelScope, *, task_status: trio.TaskStatus[None]
) -> None:
    """Let the first SIGTERM or SIGINT stop in order and the second one at once."""
    numbers = {signal.SIGTERM, signal.SIGINT}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        # Closing the terminal stops like Ctrl-C: the store is closed, and a demo removes itself. nohup(1) ignores it.
        numbers.add(signal.SIGHUP)
    with trio.open_signal_receiver(*numbers) as signals:
        task_status.started()
        async for number in signals:
            name = signal.Signals(number).name
            if stopping.is_set() and number == signal.SIGHUP:
                continue  # shell and kernel each send one
            if stopping.is_set():
                log.warning("%s again: stopping at once", name)
                everything.cancel()
                return
            log.info("%s: stopping; a second one stops at once", name)
            stopping.set()


async def _keep_watchdog() -> None:
    """Tell systemd that the event loop turns, twice in each interval that it asks for."""
    if (interval := systemd.watchdog_interval()) is None:
        return
    while True:
        systemd.notify_watchdog()
        await trio.sleep(interval / 2)


async def _keep_status(house: _House, listeners: int) -> None:
    """Keep the one line that `systemctl status` shows true."""
    told = ""
    while not house.stopping.is_set():
        words = _status_words(house, listeners)
        if words != told:
            systemd.notify_status(words)
            told = words
        with trio.move_on_after(STATUS_SECONDS):
            await house.stopping.wait()


def _status_words(house: _House, listeners: int) -> str:
    bots = house.registry.summaries()
    connected = sum(bot.state is BotState.CONNECTED for bot in bots)
    return f"Ready: {listeners} listeners, {connected} of {len(bots)} bots connected, {house.hub.stream_count} streams"
