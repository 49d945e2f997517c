"""Who listens: joining, caps, rights, heartbeats, ageing and the end of streams.

One task does all sending, in passes: it takes what has been released since the last one, makes one batch of bytes for
each group of streams, admits newcomers at that same instant (so that a newcomer's state is exactly as of the batch's
end), and then sends. Whatever changes who gets what waits for the end of a pass; a pass takes milliseconds.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import trio

from edgebotd.access import Principal
from edgebotd.hub import frames
from edgebotd.hub.backlog import Item, Raw
from edgebotd.hub.counters import Counters
from edgebotd.hub.entry import NOTHING_WATCHED, Entry, Watched
from edgebotd.hub.fanout import Fanout
from edgebotd.hub.frames import Bye, Framing
from edgebotd.hub.log import EventLog
from edgebotd.hub.request import ConnectionInfo, StreamRequest, narrowed
from edgebotd.hub.settings import HubSettings
from edgebotd.hub.stream import Group, GroupKey, MailboxStream, Stream, is_over

_BETWEEN_SCANS: Final = 1.0
"""Seconds between two looks at all deadlines: one look at 10,000 streams takes about a millisecond."""

_STREAM_ID_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


class Subscriptions:
    """All open streams.

    Args:
        clock: wall clock in Unix milliseconds; periods run on Trio's clock.
        tick: makes the sequence advance (CHANNEL C2, at each heartbeat).
    """

    def __init__(
        self,
        log: EventLog,
        settings: HubSettings,
        counters: Counters,
        *,
        clock: Callable[[], int],
        rng: random.Random,
        tick: Callable[[], None],
    ) -> None:
        self._log = log
        self._settings = settings
        self._counters = counters
        self._clock = clock
        self._rng = rng
        self._tick = tick
        self._groups: dict[GroupKey, Group] = {}
        self._streams: dict[str, Stream] = {}
        self._per_user: Counter[str] = Counter()
        self._fresh: list[Entry] = []
        self._joins: list[Callable[[], None]] = []
        self._commands: list[Callable[[], None]] = []
        self._wake = trio.Event()
        self._sending = trio.Lock()
        self._next_scan = 0.0
        self._scan_sooner = trio.Event()
        self._empty: trio.Event | None = None
        self.sent = 0
        """Position up to which live streams have been sent all that they may see, once no pass is under way."""
        self.draining = False
        self._drained = 0
        """How many streams there were when the drain began: so many come back."""
        self.watch_changed: Callable[[], None] = lambda: None
        self.fanout = Fanout(
            counters,
            backlog_bytes=settings.backlog_bytes,
            linger_seconds=settings.linger_seconds,
            slow_bye=lambda upto: frames.bye(Bye.SLOW, log.cursor(upto) if upto else None),
            closed=self._forget,
            deadline_set=self._deadline_set,
        )

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._streams.values()))

    def __len__(self) -> int:
        return len(self._streams)

    def get(self, stream_id: str) -> Stream | None:
        """Return an open stream by its id."""
        return self._streams.get(stream_id)

    # Newcomers

    def refusal(self, principal: Principal) -> bytes | None:
        """Return the one frame that a newcomer gets instead of a stream, None where there is room (CHANNEL C11)."""
        if self.draining:
            return frames.bye(Bye.RESTART, None, self._restart_retry())
        if len(self._streams) >= self._settings.max_streams:
            reason = "streams"
        elif self._per_user[principal.user_id] >= self._settings.max_streams_per_user:
            reason = "user_streams"
        else:
            return None
        self._counters.refused[reason] += 1
        return frames.busy(reason, self._rng.randint(5_000, 15_000))

    def open(self, request: StreamRequest, fd: int, framing: Framing) -> Stream:
        """Take a descriptor (or none, for a mailbox) as a stream that does not get anything yet."""
        stream_id = "s_" + "".join(self._rng.choices(_STREAM_ID_LETTERS, k=20))
        group = self._group(request.principal, request.bots, request.types, NOTHING_WATCHED, framing)
        # One Principal object for all streams of a session: ten thousand copies would be megabytes.
        neighbour = next(iter(group.streams), None)
        shared = neighbour is not None and neighbour.principal == request.principal
        principal = neighbour.principal if shared and neighbour is not None else request.principal
        stream: Stream
        if framing is Framing.MAILBOX:
            stream = MailboxStream(
                stream_id, principal, group, address=request.address, since=self._clock(), bots=request.bots
            )
        else:
            stream = Stream(
                stream_id, principal, group, fd=fd, address=request.address, since=self._clock(), bots=request.bots
            )
            self.fanout.add(stream)
        group.members += 1
        self._streams[stream_id] = stream
        self._per_user[principal.user_id] += 1
        self._set_age(stream)
        return stream

    def at_next_pass(self, join: Callable[[], None]) -> None:
        """Call at the next instant at which `sent` is the head: for who must become live without loss or repetition."""
        self._joins.append(join)
        self._wake.set()

    def go_live(self, stream: Stream) -> None:
        """Let a stream get what is released from now on. Only from `at_next_pass`."""
        if is_over(stream):
            return
        stream.live = True
        stream.group.streams[stream] = None

    # Passing on

    def release(self, entries: list[Entry]) -> None:
        """Take released events for the next pass."""
        self._fresh.extend(entries)
        self._wake.set()

    async def run(self) -> None:
        """Send, pass after pass. Runs until cancelled."""
        while True:
            await self._wake.wait()
            async with self._sending:
                self._wake = trio.Event()
                await self._pass()

    async def _pass(self) -> None:
        commands, self._commands = self._commands, []
        for command in commands:
            command()
        entries, self._fresh = self._fresh, []
        self.sent = self._log.head
        work = [batch for group in self._groups.values() if (batch := self._batch(group, entries)) is not None]
        joins, self._joins = self._joins, []
        for join in joins:
            join()
        for group, streams, data, items in work:
            await self.fanout.send(group, streams, data, items, self.sent)

    def _batch(self, group: Group, entries: list[Entry]) -> tuple[Group, list[Stream], bytes, list[Item]] | None:
        if not group.streams:
            return None
        now = trio.current_time()
        pieces: list[bytes] = []
        items: list[Item] = []
        for entry in entries:
            frame = entry.frame(group, self._counters.encode)
            if frame:
                pieces.append(frame)
                items.append(entry)
        streams = list(group.streams)
        if pieces:
            self._counters.frames += len(pieces) * len(streams)
        elif group.due <= now:
            pieces.append(frames.heartbeat(self._log.cursor(self.sent)))
            items.append(Raw(pieces[0], self.sent))
            self._counters.heartbeats += len(streams)
        else:
            return None
        group.due = now + self._settings.heartbeat_seconds
        return group, streams, b"".join(pieces), items

    async def run_heartbeats(self) -> None:
        """Have a pass made whenever a group has been silent for the heartbeat's period. Runs until cancelled."""
        period = self._settings.heartbeat_seconds
        while True:
            now = trio.current_time()
            due = min((group.due for group in self._groups.values() if group.streams), default=now + period)
            # Not more often than this, however many groups there are: their ticks fall together.
            await trio.sleep_until(max(due, now + period / 50))
            if any(group.due <= trio.current_time() for group in self._groups.values() if group.streams):
                self._tick()
                self._wake.set()

    # Rights

    def rescope(self, decide: Callable[[Principal], Principal | None]) -> None:
        """Ask for each stream's principal again and act on the answer; while a pass is under way, right after it."""
        if self._sending.locked():
            self._commands.append(lambda: self._rescope(decide))
            self._wake.set()
        else:
            self._rescope(decide)

    def _rescope(self, decide: Callable[[Principal], Principal | None]) -> None:
        decided: dict[int, tuple[Principal, Principal | None]] = {}
        for stream in self:
            known = decided.get(id(stream.principal))
            if known is None:
                known = decided[id(stream.principal)] = (stream.principal, decide(stream.principal))
            now = known[1]
            if now is None:
                self.end(stream, Bye.REVOKED)
            elif now is not stream.principal:
                stream.principal = now
                self._set_age(stream)
                group = stream.group
                watched = group.watched.may(now)
                self.regroup(stream, group.types, watched)
                if watched != group.watched:
                    self.watch_changed()

    def regroup(self, stream: Stream, types: frozenset[str] | None, watched: Watched) -> None:
        """Put a stream where its principal and its wishes say; send what looks different now."""
        before = stream.group
        group = self._group(stream.principal, stream.bots, types, watched, before.framing)
        if group is before or stream.closed:
            return
        group.members += 1
        self._leave(stream)
        stream.group = group
        if stream.live:
            group.streams[stream] = None
            if stream.backlog is not None:
                stream.backlog.make_whole()
            changed = self._log.changed_frames(before, group, self.sent)
            if changed:
                self.fanout.write(stream, changed, self.sent)

    def when_still(self, change: Callable[[], None]) -> None:
        """Do something that changes who gets what: now, or right after the pass that is under way."""
        if self._sending.locked():
            self._commands.append(change)
            self._wake.set()
        else:
            change()

    # Ends

    def end(self, stream: Stream, reason: Bye, retry_ms: int | None = None) -> None:
        """Send `bye` with the position that this stream has been sent, and close. Only between passes."""
        # Queued events are written before the bye, so a live stream will have been sent all. One that replays keeps
        # the id of its last frame: the bye then carries none.
        cursor = self._log.cursor(self.sent) if stream.live else None
        self.fanout.end(stream, reason.value, frames.bye(reason, cursor, retry_ms))

    async def drain(self) -> None:
        """End all streams with `bye` restart, newcomers too, and wait until they are gone, for the linger time."""
        self.draining = True
        self._drained = max(self._drained, len(self._streams))
        async with self._sending:
            for count, stream in enumerate(self, 1):
                self.end(stream, Bye.RESTART, self._restart_retry())
                if count % 500 == 0:
                    await trio.lowlevel.checkpoint()
        if self._streams:
            if self._empty is None:  # a second server may be draining already
                self._empty = trio.Event()
            with trio.move_on_after(self._settings.linger_seconds):
                await self._empty.wait()
        for stream in self:
            self.fanout.close(stream, Bye.RESTART.value)

    async def run_ages(self) -> None:
        """End streams that are old enough, cut those that linger. Runs until cancelled."""
        while True:
            self._next_scan = min((stream.deadline for stream in self._streams.values()), default=float("inf"))
            self._scan_sooner = trio.Event()
            with trio.move_on_at(self._next_scan) as waiting:
                await self._scan_sooner.wait()
            if waiting.cancelled_caught:
                self.when_still(self._scan)
                await trio.sleep(_BETWEEN_SCANS)

    def _scan(self) -> None:
        now = trio.current_time()
        for stream in self:
            if stream.deadline > now:
                continue
            if stream.ending is not None:
                self.fanout.close(stream, stream.ending)
            else:
                self.end(stream, Bye.SESSION if stream.session_end else Bye.AGE)
                if stream.session_end:
                    stream.deadline = now  # the next scan cuts what has not been read: that is when the session ends

    def _set_age(self, stream: Stream) -> None:
        now = trio.current_time()
        age = self._settings.max_age_seconds
        deadline = now + self._rng.uniform(0.8, 1.0) * age - _BETWEEN_SCANS
        stream.session_end = False
        if stream.principal.expires_at is not None:
            # Earlier by two scans, one says `bye` and one cuts: never later than the session (CHANNEL C14).
            expires = now + (stream.principal.expires_at - self._clock()) / 1000 - 2 * _BETWEEN_SCANS
            if expires < deadline:
                deadline, stream.session_end = expires, True
        stream.deadline = deadline
        self._deadline_set(stream)

    def _deadline_set(self, stream: Stream) -> None:
        if stream.deadline < self._next_scan:
            self._scan_sooner.set()

    def _restart_retry(self) -> int:
        # A connect costs some 0.6 ms of CPU: spread so that the newly started daemon is not swamped.
        spread = min(max(1_000, 3 * self._drained), 30_000)
        return self._rng.randint(300, 300 + spread)

    # Groups

    def _group(
        self,
        principal: Principal,
        bots: frozenset[str] | None,
        types: frozenset[str] | None,
        watched: Watched,
        framing: Framing,
    ) -> Group:
        key = (narrowed(principal.access_class(), bots), types, watched, framing)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key, trio.current_time() + self._settings.heartbeat_seconds)
        return group

    def _leave(self, stream: Stream) -> None:
        group = stream.group
        group.streams.pop(stream, None)
        group.members -= 1
        if not group.members:
            del self._groups[group.key]

    def _forget(self, stream: Stream, reason: str) -> None:
        watched = bool(stream.group.watched)
        self._leave(stream)
        del self._streams[stream.id]
        self._per_user[stream.principal.user_id] -= 1
        if not self._per_user[stream.principal.user_id]:
            del self._per_user[stream.principal.user_id]
        self._counters.closed[reason] += 1
        if self._empty is not None and not self._streams:
            self._empty.set()
        if watched:
            self.watch_changed()

    def connections(self) -> list[ConnectionInfo]:
        """Return all open streams, for people."""
        return [_info(stream) for stream in self]


def _info(stream: Stream) -> ConnectionInfo:
    types = stream.group.types
    return ConnectionInfo(
        stream_id=stream.id,
        user_id=stream.principal.user_id,
        address=stream.address,
        since_at=stream.since,
        queued_bytes=0 if stream.backlog is None else stream.backlog.size,
        verdict=stream.verdict.value,
        state=stream.ending or ("live" if stream.live else "replaying"),
        transport=stream.transport,
        bots=None if stream.bots is None else tuple(sorted(stream.bots)),
        types=None if types is None else tuple(sorted(types)),
    )
