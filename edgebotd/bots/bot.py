"""One bot: its supervised connection, its status, and what happens at each (re)connect.

Whatever goes wrong here touches no other bot: what a peer does wrong is a `ConnectorError` and tried again with
backoff; anything else is a bug, logged whole, counted, and tried again too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

import trio

from edgebotd.bots.capture import Capture
from edgebotd.bots.catch_up import SLACK_MS, CatchUp
from edgebotd.bots.connector import Connector, ConnectorError, Feature, Hello, Trouble
from edgebotd.bots.status import Status, with_container
from edgebotd.bots.turnqueue import TurnQueue
from edgebotd.config import ChatSettings
from edgebotd.events import BotState, BotStatus, BotSummary, ContainerStatus, RunState
from edgebotd.hub.hub import Hub
from edgebotd.protocol.backoff import Backoff
from edgebotd.store.bots import StoredBot
from edgebotd.store.database import Database

log = logging.getLogger(__name__)

BACKOFF_BASE: Final = 1.0
BACKOFF_CAP: Final = 30.0
PERSON_BASE: Final = 60.0
PERSON_CAP: Final = 300.0
"""What needs a person is looked at again after 1, 2, 4, 5, 5 ... minutes, or when somebody asks for it."""
STABLE_SECONDS: Final = 30.0
"""A session that held this long counts as mended: the next trouble starts with short waits again."""


class Bot:
    """A bot that the registry knows. Ownership: the registry runs `run` in its nursery and cancels it with `stop`."""

    def __init__(
        self,
        stored: StoredBot,
        connector: Connector,
        database: Database,
        hub: Hub,
        chat: ChatSettings,
        *,
        now: Callable[[], int],
        rng: Random,
        changed: Callable[[], None],
    ) -> None:
        self.stored = stored
        self.connector = connector
        self.hello: Hello | None = None
        self.status = self._told = Status(BotState.UNKNOWN, now())
        self._container: ContainerStatus | None = None
        self.activity: tuple[str, str | None] = ("idle", None)
        self.bugs = 0
        self._hub = hub
        self._give_up_seconds = chat.queued_seconds
        self._now = now
        self._backoff = Backoff(BACKOFF_BASE, BACKOFF_CAP, rng)
        self._changed = changed
        self._scope = trio.CancelScope()
        self._session_scope: trio.CancelScope | None = None
        self._retry = trio.Event()
        self._status_change = trio.Event()
        self._lost_at: int | None = None
        self._ended: ConnectorError | None = None
        self._attempts = 0
        self._resting = False
        self._verdict = trio.Event()
        make_capture = partial(Capture, stored.id, database, hub, now, self._tell_activity)
        self.catch_up = CatchUp(stored.id, chat.settle_seconds, make_capture)
        self.capture = self.catch_up.capture
        self.queue = TurnQueue(stored.id, database, hub, self.capture, chat, now)

    @property
    def id(self) -> str:
        """The bot's id."""
        return self.stored.id

    @property
    def connected(self) -> bool:
        """Whether turns can be sent now."""
        return self.hello is not None

    def summary(self) -> BotSummary:
        """Return the bot's row for the list of all bots."""
        return BotSummary(
            bot_id=self.id,
            name=self.stored.name,
            kind=self.stored.kind,
            state=self.status.state,
            reason=self.status.reason,
            detail=self.status.detail,
            source=self.status.source,
            since_at=self.status.since_at,
            activity=self.activity[0],
            activity_detail=self.activity[1],
        )

    # From outside

    def retry_now(self) -> None:
        """Try to connect at once, if there is no connection."""
        self._backoff.reset()
        self._retry.set()

    def replace(self, stored: StoredBot, connector: Connector) -> None:
        """Go on with other settings: the present connection ends, its runs are settled over the next one."""
        self.stored = stored
        if connector is not self.connector:
            self.connector = connector
            # So that `wait_verdict` waits for what the new settings bring.
            self._set(BotState.CONNECTING)
            if self._session_scope is not None:
                self._session_scope.cancel()
            self.retry_now()
        self._changed()

    def take_container(self, container: ContainerStatus | None) -> None:
        """Take how its container is; one that has just become ready is tried at once."""
        before, self._container = self._container, container
        if container is not None and _ready(container) and not (before is not None and _ready(before)):
            self.retry_now()
        self._tell()

    def stop(self) -> None:
        """End all tasks of this bot."""
        self._scope.cancel()

    async def rest(self, detail: str) -> None:
        """Show that nothing happens here any more, and end what was going on."""
        self.hello = None
        self.bugs += 1
        self._set(BotState.ERROR, "bug", detail)
        await self.queue.fail_all(detail)

    async def wait_verdict(self, timeout: float) -> None:
        """Wait until the first attempt has succeeded or failed, at most so many seconds."""
        with trio.move_on_after(timeout):
            while self._told.state in (BotState.UNKNOWN, BotState.CONNECTING):
                await self._status_change.wait()

    async def next_verdict(self) -> None:
        """Try now, and wait until an attempt that has begun since has succeeded or failed."""
        wanted = self._attempts + 1
        while not self.connected and not (self._attempts >= wanted and self._resting):
            self.retry_now()
            await self._verdict.wait()

    # The connection

    async def load(self) -> None:
        """Learn from the store what a former life left. To be called once, before anything else."""
        await self.capture.load()
        await self.queue.load()

    async def run(self) -> None:
        """Hold the connection and work off the queue until stopped."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                self.queue.open(nursery)
                nursery.start_soon(self._give_up, name=f"bot {self.id} gives up")
                await self._supervise()

    async def _supervise(self) -> None:
        waits = 0
        while True:
            if self._told.state in (BotState.UNKNOWN, BotState.CONNECTED):
                self._set(BotState.CONNECTING)
            began = trio.current_time()
            self._attempts += 1
            self._resting = False
            error = await self._attempt()
            if error is None:
                # Other settings: at once.
                self._set(BotState.CONNECTING)
                waits = 0
                continue
            if trio.current_time() - began >= STABLE_SECONDS:
                self._backoff.reset()
                waits = 0
            if error.needs_person:
                pause = min(PERSON_BASE * 2**waits, PERSON_CAP)
                waits += 1
            else:
                pause = max(self._backoff.next(), error.retry_after or 0)
            self._retry = trio.Event()
            self._resting = True
            self._verdict.set()
            self._verdict = trio.Event()
            with trio.move_on_after(pause):
                await self._retry.wait()
                waits = 0

    async def _attempt(self) -> ConnectorError | None:
        """Run one session and return why it ended; None where it was replaced."""
        self._ended = None
        try:
            async with trio.open_nursery() as nursery:
                self._session_scope = nursery.cancel_scope
                nursery.start_soon(self._session, nursery, name=f"bot {self.id} session")
        except Exception:
            log.exception("bot %s failed unexpectedly", self.id)
            self.bugs += 1
            detail = "A bug of edgebotd's stopped this bot's connection. It is tried again; the daemon's log says more."
            self._ended = ConnectorError(Trouble.LOST, detail, reason="bug")
        finally:
            self._session_scope = None
            if self.hello is not None:
                self.hello = None
                self._lost_at = self._now()
                self.queue.disconnected(self._ended)
        error: ConnectorError | None = self._ended
        if error is not None:
            self._show(error)
        return error

    async def _session(self, nursery: trio.Nursery) -> None:
        try:
            await self.connector.run_session(self.capture.deliver, task_status=_Started(self, nursery))
        except ConnectorError as exc:
            self._ended = exc
            nursery.cancel_scope.cancel()

    def _started(self, hello: Hello, nursery: trio.Nursery) -> None:
        self.hello = hello
        self._verdict.set()
        self._verdict = trio.Event()
        # What was sent without an answer is sent again, not settled.
        before = frozenset(self.capture.live) - self.queue.unanswered()
        for run in self.capture.live.values():
            # Whoever looked it up went with the last connection.
            run.doubtful = False
        self.capture.unknown_end = RunState.INTERRUPTED if Feature.HISTORY in hello.features else RunState.FAILED
        self._set(
            BotState.CONNECTED, detail=" ".join(hello.missing) or None, reason="degraded" if hello.missing else None
        )
        since_at = None if self._lost_at is None else self._lost_at - SLACK_MS
        connected = partial(self.queue.connected, self.connector, hello)
        nursery.start_soon(
            partial(self.catch_up.run, self.connector, hello, before, since_at=since_at, settled=connected),
            name=f"bot {self.id} catches up",
        )

    def _show(self, error: ConnectorError) -> None:
        if error.needs_person or error.reason == "bug":
            state = BotState.ERROR
        elif error.trouble is Trouble.RESTARTING:
            state = BotState.STARTING
        else:
            state = BotState.DISCONNECTED
        log.log(
            logging.WARNING if self._told.reason != error.reason else logging.DEBUG,
            "bot %s: %s (%s)",
            self.id,
            error.detail,
            error.reason,
        )
        self.queue.explain(error.detail)
        self._set(state, error.reason, error.detail, error.extra)

    def _set(
        self,
        state: BotState,
        reason: str | None = None,
        detail: str | None = None,
        extra: dict[str, str] | None = None,
    ) -> None:
        old = self._told
        since = old.since_at if old.state is state else self._now()
        self._told = Status(state, since, reason, detail, extra=extra or {})
        if (old.state, old.reason, old.detail) != (state, reason, detail):
            self._status_change.set()
            self._status_change = trio.Event()
        self._tell()

    def _tell(self) -> None:
        old, now = self.status, with_container(self._told, self._container)
        self.status = now
        if (old.state, old.reason, old.detail, old.source) == (now.state, now.reason, now.detail, now.source):
            return
        self._hub.publish(
            self.id,
            BotStatus(
                bot_id=self.id,
                state=now.state,
                reason=now.reason,
                detail=now.detail,
                source=now.source,
                since_at=now.since_at,
            ),
        )
        self._changed()

    def _tell_activity(self, activity: str, detail: str | None) -> None:
        if self.activity != (activity, detail):
            self.activity = (activity, detail)
            self._changed()

    async def _give_up(self) -> None:
        """End runs whose bot has been away for too long. Runs until cancelled."""
        while True:
            change = self._status_change
            with trio.move_on_after(self._give_up_seconds):
                while self.hello is None:
                    await change.wait()
                    change = self._status_change
            if self.hello is None:
                await self.capture.interrupt_all(
                    "The bot has been away for too long; how this reply went on is unknown."
                )
            await self._status_change.wait()


def _ready(container: ContainerStatus) -> bool:
    return container.state == "running" and container.health in (None, "healthy")


class _Started:
    """Takes a connector's hello."""

    def __init__(self, bot: Bot, nursery: trio.Nursery) -> None:
        self._bot = bot
        self._nursery = nursery

    def started(self, value: Hello, /) -> None:
        self._bot._started(value, self._nursery)
