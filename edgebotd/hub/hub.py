"""The hub: what goes in through `publish` and `transact` comes out on every stream that may see it."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Final, TypeVar

import outcome
import trio

from edgebotd.access import Grant, Principal
from edgebotd.errors import NotFound
from edgebotd.events import ChatDelta, Event, Kept
from edgebotd.hub.coalesce import Coalescer
from edgebotd.hub.counters import Counters
from edgebotd.hub.entry import Entry, Watched, check, delta_entry, require_unicode, to_json
from edgebotd.hub.frames import Framing
from edgebotd.hub.journal import Emitted, Ring, store_entries, trim
from edgebotd.hub.log import EventLog
from edgebotd.hub.pipeline import Pipeline, Slot
from edgebotd.hub.poll import Polls
from edgebotd.hub.replay import Replayer
from edgebotd.hub.request import ConnectionInfo, HubFull, PollAnswer, StreamRequest
from edgebotd.hub.settings import HubSettings
from edgebotd.hub.stream import MailboxStream
from edgebotd.hub.subscriptions import Subscriptions
from edgebotd.protocol.cursor import CursorSeal
from edgebotd.store import journal as journal_rows
from edgebotd.store.database import Database, Transaction
from edgebotd.store.installation import Installation

_logger = logging.getLogger(__name__)

T = TypeVar("T")

_DAY_MS: Final = 86_400_000


class Hub:
    """Publish, order, durability, replay and fan-out. From `open_hub`, which closes it; all for the Trio thread."""

    def __init__(
        self,
        database: Database,
        settings: HubSettings,
        *,
        epoch: str,
        log: EventLog,
        counters: Counters,
        clock: Callable[[], int],
        rng: random.Random,
        nursery: trio.Nursery,
    ) -> None:
        self.counters = counters
        self.epoch = epoch
        self._database = database
        self._settings = settings
        self._log = log
        self._clock = clock
        self._pipeline = Pipeline(self._release, settings.pending_events, settings.pending_bytes)
        self._room = trio.Event()
        self._coalescer = Coalescer(settings.delta_frames_per_second)
        self._delta_offered = trio.Event()
        self._subscriptions = Subscriptions(log, settings, counters, clock=clock, rng=rng, tick=self._tick)
        self._watch_listeners: list[Callable[[], None]] = []
        self._subscriptions.watch_changed = self._watch_changed
        self._replayer = Replayer(log, self._subscriptions, database, settings, counters, epoch, nursery)
        self._polls = Polls(log, database, settings, counters, clock)

    # In

    def publish(self, bot_id: str, event: Event) -> None:
        """Publish an event of a bot, or of none (`events.ALL`). Never waits, never fails because of a subscriber.

        A journalled event becomes visible once it is durable; what is published after it queues behind it.

        Raises:
            EventRefused: the event may not travel (CHANNEL S18, S25, or another bot's).
            HubFull: the disk does not keep up; nothing was published.
        """
        row = check(bot_id, event)
        if self._pipeline.full:
            raise HubFull()
        if row.kept is Kept.RING:
            if isinstance(event, ChatDelta):
                require_unicode(event)
                json = b""  # encoded when it leaves, perhaps merged with others
            else:
                json = to_json(event)
                self.counters.encoded += 1
            entry = Entry(0, bot_id, event, row, json)
            self.counters.published += 1
            self._pipeline.put(entry)
            return
        emitted = Emitted(bot_id, event, to_json(event))
        self.counters.encoded += 1
        self._submit(lambda tx, emit: emit(emitted), self._report_lost)

    async def transact(self, write: Callable[[Transaction], T]) -> T:
        """Write rows and their events (`tx.emit`) in one transaction, and return the result once it is durable.

        Its place in the order is that of the call; its events become visible after the commit. Waits while too
        much waits for the disk already. Cancelled while waiting for the commit: the write still happens.

        Raises:
            EventRefused: an emitted event may not travel; nothing is stored.
            Whatever `write` raises (nothing is stored then), and what `Database.write` does.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while self._pipeline.full:
            await self._room.wait()
        answer: list[outcome.Outcome[T]] = []
        finished = trio.Event()

        def done(result: outcome.Outcome[T]) -> None:
            answer.append(result)
            finished.set()

        self.submit(write, done)
        await finished.wait()
        return answer[0].unwrap()

    def submit(self, write: Callable[[Transaction], T], done: Callable[[outcome.Outcome[T]], None]) -> None:
        """Do what `transact` does without waiting, for rare writes: `done` is called as by `Database.submit`."""

        def emitting(tx: Transaction, emit: Callable[[Emitted], None]) -> T:
            tx.emitter = lambda bot_id, event: emit(Emitted(bot_id, event))
            return write(tx)

        self._submit(emitting, done)

    def _submit(self, write: Callable[..., T], done: Callable[[outcome.Outcome[T]], None]) -> None:
        at = self._clock()
        slot = self._pipeline.reserve()

        def in_writer(tx: Transaction) -> tuple[T, list[Entry]]:
            emitted: list[Emitted] = []
            value = write(tx, emitted.append)
            return value, store_entries(tx, slot, self._log.life, at, emitted)

        def committed(result: outcome.Outcome[tuple[T, list[Entry]]]) -> None:
            if isinstance(result, outcome.Error):
                self._settle(slot, [])
                done(outcome.Error(result.error))
                return
            value, entries = result.unwrap()
            self.counters.published += len(entries)
            self._settle(slot, entries)
            done(outcome.Value(value))

        try:
            self._database.submit(in_writer, committed)
        except BaseException:
            self._settle(slot, [])
            raise

    def _settle(self, slot: Slot, entries: list[Entry]) -> None:
        self._pipeline.settle(slot, entries)
        if not self._pipeline.full:
            self._room.set()
            self._room = trio.Event()

    def _report_lost(self, result: outcome.Outcome[None]) -> None:
        if isinstance(result, outcome.Error):
            self.counters.commits_failed += 1
            _logger.error("a published event could not be stored and is lost: %s", result.error)

    # Order

    def _release(self, entries: list[Entry]) -> None:
        released: list[Entry] = []
        now = trio.current_time()
        for entry in entries:
            event = entry.event
            assert event is not None
            if isinstance(event, ChatDelta):
                for delta in self._coalescer.offer(event, now):
                    self._emit(released, delta_entry(delta), delta)
                self._delta_offered.set()
                continue
            for delta in self._coalescer.before(event):
                self._emit(released, delta_entry(delta), delta)
            self._emit(released, entry, event)
        self._pass_on(released)

    def _emit(self, released: list[Entry], entry: Entry, event: Event) -> None:
        if isinstance(event, ChatDelta):
            self.counters.encoded += 1
        if not entry.seq:
            entry.seq = self._log.head + 1
        self._log.append(entry, event)
        entry.settle_event()
        released.append(entry)

    def _pass_on(self, released: list[Entry]) -> None:
        if released:
            self.counters.released += len(released)
            self._subscriptions.release(released)
            self._polls.wake()

    def _tick(self) -> None:
        if self._pipeline.tick():
            self._log.head += 1

    async def run_deltas(self) -> None:
        """Let held-back deltas go when their time has come. Runs until cancelled."""
        while True:
            due = self._coalescer.next_due
            if due is None:
                self._delta_offered = trio.Event()
                await self._delta_offered.wait()
                continue
            await trio.sleep_until(due)
            released: list[Entry] = []
            for delta in self._coalescer.due(trio.current_time()):
                self._emit(released, delta_entry(delta), delta)
            self._pass_on(released)

    # Out

    def refusal(self, principal: Principal) -> bytes | None:
        """Return the only frame that a newcomer gets, then its stream ends: over a cap, or draining (CHANNEL C11)."""
        return self._subscriptions.refusal(principal)

    def take_socket(self, request: StreamRequest, fd: int, *, chunked: bool) -> str:
        """Make a stream of a connection whose response's head has been sent; return the stream's id.

        Args:
            fd: a non-blocking descriptor, which the hub closes from now on.
            chunked: the head promised chunks (HTTP/1.1); else the body ends with the connection (HTTP/1.0).
        """
        stream = self._subscriptions.open(request, fd, Framing.CHUNKED if chunked else Framing.PLAIN)
        self._subscriptions.at_next_pass(partial(self._replayer.admit, stream, request.cursor))
        return stream.id

    @contextmanager
    def open_mailbox(self, request: StreamRequest) -> Iterator[MailboxStream]:
        """Make a stream whose bytes the caller fetches with `next_bytes` and sends; it ends with the block."""
        stream = self._subscriptions.open(request, -1, Framing.MAILBOX)
        assert isinstance(stream, MailboxStream)
        self._subscriptions.at_next_pass(partial(self._replayer.admit, stream, request.cursor))
        try:
            yield stream
        finally:
            self._subscriptions.fanout.close(stream, "client")

    async def next_bytes(self, stream: MailboxStream) -> bytes:
        """Return what to send next to this stream's client: unframed body bytes; empty when it is over."""
        return await self._subscriptions.fanout.next_bytes(stream)

    async def poll(self, request: StreamRequest, wait: float) -> PollAnswer:
        """Answer once, under the stream's rules; wait up to `wait` seconds while there is nothing."""
        return await self._polls.poll(request, wait)

    def rescope(self, decide: Callable[[Principal], Principal | None]) -> None:
        """Ask for each open stream's principal again: None closes it (`revoked`), another one re-scopes it.

        Takes effect at once; if a batch is just being sent, right after it (milliseconds). Who is away now gets a
        snapshot when it comes back: a granted bot's state may be older than its cursor.
        """
        self._log.rescoped = self._log.head
        self._tick()
        self._subscriptions.rescope(decide)
        self._polls.rescope(decide)

    def connections(self) -> list[ConnectionInfo]:
        """Return every open stream, for people (CHANNEL C17)."""
        return self._subscriptions.connections()

    async def drain(self) -> None:
        """End every stream with `bye` restart and a `retry:` of its own; newcomers get the same. Bounded in time."""
        self._polls.drain()
        await self._subscriptions.drain()

    # Watching

    def watch(self, stream_id: str, principal: Principal, *, logs: frozenset[str], stats: frozenset[str]) -> None:
        """Ask for what is sent only while someone looks; replaces what the stream watched before (CHANNEL C16).

        Raises:
            NotFound: no such stream of this user, or no such bot.
            Forbidden: the logs of a bot that the principal does not operate.
        """
        stream = self._subscriptions.get(stream_id)
        if stream is None or stream.principal.user_id != principal.user_id:
            raise NotFound("stream")
        for bot_id in sorted(logs):
            principal.require(bot_id, Grant.OPERATE)
        for bot_id in sorted(stats):
            principal.require(bot_id, Grant.VIEW)

        def change() -> None:
            if stream.closed:
                return
            self._subscriptions.regroup(stream, stream.group.types, Watched(logs, stats))
            self._subscriptions.watch_changed()

        self._subscriptions.when_still(change)

    def watched_bots(self) -> Watched:
        """Return which bots somebody watches now."""
        logs: set[str] = set()
        stats: set[str] = set()
        for stream in self._subscriptions:
            logs |= stream.group.watched.logs
            stats |= stream.group.watched.stats
        return Watched(frozenset(logs), frozenset(stats))

    def on_watch_change(self, changed: Callable[[], None]) -> None:
        """Have a producer told, synchronously, whenever `watched_bots` may have changed, while the hub lives."""
        self._watch_listeners.append(changed)

    def _watch_changed(self) -> None:
        for changed in self._watch_listeners:
            changed()

    # Keeping

    async def trim(self) -> int:
        """Delete what the journal need not keep any more; return how many events. A daily job calls it."""
        before = self._clock() - int(self._settings.journal_days * _DAY_MS)
        deleted, self._log.horizon = await trim(self._database, before, self._settings.journal_events)
        return deleted

    def forget_bot(self, bot_id: str) -> None:
        """Drop what the snapshot holds of a bot that was removed."""
        self._log.snapshot.forget_bot(bot_id)

    @property
    def heartbeat_seconds(self) -> float:
        """The longest silence of a stream."""
        return self._settings.heartbeat_seconds

    @property
    def stream_count(self) -> int:
        """How many streams are open."""
        return len(self._subscriptions)

    @property
    def tasks(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """The loops that `open_hub` runs."""
        subscriptions = self._subscriptions
        return (
            subscriptions.run,
            subscriptions.fanout.run,
            subscriptions.run_heartbeats,
            subscriptions.run_ages,
            self.run_deltas,
        )

    def close(self) -> None:
        """Close every stream."""
        self._subscriptions.fanout.close_all()


@asynccontextmanager
async def open_hub(
    database: Database,
    settings: HubSettings,
    *,
    installation: Installation,
    life: int,
    clock: Callable[[], int],
    rng: random.Random,
) -> AsyncIterator[Hub]:
    """Open the hub; at exit every stream that is still there is closed.

    Args:
        life: number of this start (`store.installation.begin_life`).
        clock: wall clock in Unix milliseconds; periods run on Trio's clock.
    """
    counters = Counters()
    horizon = await database.read(journal_rows.horizon)
    ring = Ring(settings.ring_events, settings.ring_bytes)
    log = EventLog(CursorSeal(installation.cursor_key), life, horizon, ring, counters)
    # The nursery inside: no task of the hub may still be about to send when the descriptors are closed.
    with ExitStack() as at_exit:
        async with trio.open_nursery() as nursery:
            hub = Hub(
                database,
                settings,
                epoch=installation.epoch,
                log=log,
                counters=counters,
                clock=clock,
                rng=rng,
                nursery=nursery,
            )
            at_exit.callback(hub.close)
            for task in hub.tasks:
                nursery.start_soon(task, name=f"hub {task.__name__}")
            try:
                yield hub
            finally:
                nursery.cancel_scope.cancel()
