"""How frames reach clients: the only place that knows.

A stream on plain HTTP/1 is a descriptor of the hub's own. All of them are in one epoll set that one task waits on, and
a batch goes to each with one non-blocking write. Only where a socket is full does a backlog come into being, which
that one task then empties. Streams that cannot be handed over have a mailbox that a task of the edge empties.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Sequence
from typing import Final

import trio

from edgebotd.hub.backlog import Backlog, Item, Raw
from edgebotd.hub.counters import Counters
from edgebotd.hub.frames import Bye, Framing
from edgebotd.hub.stream import Group, MailboxStream, Stream, is_over
from edgebotd.protocol.http1 import LAST_CHUNK, chunk

_IDLE: Final = select.EPOLLIN | select.EPOLLRDHUP
_FULL: Final = _IDLE | select.EPOLLOUT
_GONE: Final = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP

# Long enough that the scheduler's price (some 20 us a pass) does not show, short enough (some 5 ms) that others run.
_SENDS_BETWEEN_CHECKPOINTS: Final = 1000

# What one write takes from a backlog: more than a socket's buffer usually has room for is only copied in vain.
_WRITE_BYTES: Final = 256 * 1024


class Fanout:
    """Sends to streams, and notices when they are gone.

    Args:
        backlog_bytes: bound of each stream's backlog.
        linger_seconds: how long a stream that is being ended may take to read its last frames; who owns the clock's
            scan must then close it (`Stream.deadline`, told by `deadline_set`).
        slow_bye: makes the last frame of a stream that did not keep up, for the position it has been sent.
        closed: told once of each stream that is gone, with the reason.
    """

    def __init__(
        self,
        counters: Counters,
        *,
        backlog_bytes: int,
        linger_seconds: float,
        slow_bye: Callable[[int], bytes],
        closed: Callable[[Stream, str], None],
        deadline_set: Callable[[Stream], None],
    ) -> None:
        self._counters = counters
        self._backlog_bytes = backlog_bytes
        self._linger_seconds = linger_seconds
        self._slow_bye = slow_bye
        self._closed = closed
        self._deadline_set = deadline_set
        self._epoll = select.epoll()
        self._streams: dict[int, Stream] = {}

    def add(self, stream: Stream) -> None:
        """Take a stream's descriptor into the set; it is closed when the stream is."""
        self._streams[stream.fd] = stream
        self._epoll.register(stream.fd, _IDLE)

    async def send(
        self, group: Group, streams: Sequence[Stream], data: bytes, entries: Sequence[Item], upto: int
    ) -> None:
        """Send one batch to the streams of a group.

        Args:
            data: the batch as frames, not yet in the group's framing.
            entries: the same as items, for those whose socket is full.
            upto: the position that the batch reaches.
        """
        if group.framing is Framing.CHUNKED:
            data = chunk(data)
        size = len(data)
        write = os.write
        for start in range(0, len(streams), _SENDS_BETWEEN_CHECKPOINTS):
            if start:
                await trio.lowlevel.checkpoint()
            for stream in streams[start : start + _SENDS_BETWEEN_CHECKPOINTS]:
                if stream.backlog is None:
                    try:
                        written = write(stream.fd, data)
                    except BlockingIOError:
                        written = 0
                    except OSError:
                        # Reset by the client, or closed while this batch was under way: -1 is no descriptor.
                        self.close(stream, "client")
                        continue
                    if written != size:
                        self._stall(stream, memoryview(data)[written:], upto)
                else:
                    self.queue(stream, entries)
        self._counters.sends += len(streams)

    def write(self, stream: Stream, frames: bytes, upto: int) -> None:
        """Send frames to one stream, behind what it has queued."""
        if stream.closed:
            return
        if isinstance(stream, MailboxStream) and stream.idle:
            # As on a socket that is ready: the bound is for what waits behind something.
            stream.put(Raw(frames, upto))
            return
        if stream.backlog is not None:
            self.queue(stream, [Raw(frames, upto)])
            return
        data = chunk(frames) if stream.group.framing is Framing.CHUNKED else frames
        try:
            written = os.write(stream.fd, data)
        except BlockingIOError:
            written = 0
        except OSError:
            self.close(stream, "client")
            return
        if written != len(data):
            self._stall(stream, memoryview(data)[written:], upto)

    def queue(self, stream: Stream, items: Sequence[Item]) -> None:
        """Queue items for a stream that is not ready; the full case ends the stream."""
        backlog = stream.backlog
        if is_over(stream) or backlog is None:
            return
        fits = backlog.put(items, self._backlog_bytes)
        if isinstance(stream, MailboxStream):
            stream.wake()
        if not fits:
            backlog.drop()
            self.end(stream, Bye.SLOW.value, self._slow_bye(backlog.upto))

    def end(self, stream: Stream, reason: str, bye: bytes) -> None:
        """Send the last frame behind what is queued, and close; cut after the linger time."""
        if is_over(stream):
            return
        stream.ending = reason
        stream.deadline = trio.current_time() + self._linger_seconds
        self._deadline_set(stream)
        if stream.group.framing is Framing.CHUNKED:
            bye = chunk(bye) + LAST_CHUNK
        if stream.backlog is not None:
            stream.backlog.bye = bye
            if isinstance(stream, MailboxStream):
                stream.wake()
            return
        try:
            written = os.write(stream.fd, bye)
        except BlockingIOError:
            written = 0
        except OSError:
            written = len(bye)
        if written == len(bye):
            self.close(stream, reason)
        else:
            self._stall(stream, memoryview(bye)[written:], 0).bye = b""

    def close(self, stream: Stream, reason: str) -> None:
        """Close at once, whatever is queued."""
        if stream.closed:
            return
        fd, stream.fd = stream.fd, -1
        if isinstance(stream, MailboxStream):
            stream.wake()
        else:
            del self._streams[fd]
            self._epoll.unregister(fd)
            os.close(fd)
        if stream.backlog is not None and stream.backlog.drained is not None:
            stream.backlog.drained.set()
        self._closed(stream, stream.ending or reason)

    async def wait_drained(self, stream: Stream) -> None:
        """Wait until nothing is queued for a stream, or until it is gone."""
        backlog = stream.backlog
        if stream.closed or backlog is None or (backlog.rest is None and not backlog.items):
            await trio.lowlevel.checkpoint()
            return
        if backlog.drained is None:
            backlog.drained = trio.Event()
        await backlog.drained.wait()

    async def next_bytes(self, stream: MailboxStream) -> bytes:
        """Return what a stream of the edge must send next; empty when it is over."""
        backlog = stream.backlog
        assert backlog is not None
        if backlog.rest is not None:  # the last answer: by asking again, the edge says that it has left
            backlog.advance(len(backlog.rest))
        while not stream.closed:
            if backlog.items:
                data = self._render(stream, backlog)
                if data:
                    backlog.hold(memoryview(data), backlog.upto)
                    return data
            elif backlog.bye is not None:
                last, backlog.bye = backlog.bye, b""
                if last:
                    return last
                stream.finished = True
                self.close(stream, "client")
            else:
                if backlog.drained is not None:
                    backlog.drained.set()
                    backlog.drained = None
                await stream.wait()
        await trio.lowlevel.checkpoint()
        return b""

    async def run(self) -> None:
        """Empty backlogs and notice clients that are gone. Runs until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for fd, events in self._epoll.poll(0):
                stream = self._streams.get(fd)
                if stream is None:
                    continue
                if events & _GONE or (events & select.EPOLLIN and not self._discard(stream)):
                    self.close(stream, "client")
                elif events & select.EPOLLOUT:
                    self._flush(stream)

    def close_all(self) -> None:
        """Close every descriptor."""
        for stream in list(self._streams.values()):
            self.close(stream, "shutdown")
        self._epoll.close()

    def _discard(self, stream: Stream) -> bool:
        """Drop what a client says after its request; whether it is still there."""
        try:
            return bool(os.read(stream.fd, 65_536))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _stall(self, stream: Stream, rest: memoryview, upto: int) -> Backlog:
        self._counters.stalls += 1
        stream.backlog = backlog = Backlog()
        backlog.hold(rest, upto)
        self._epoll.modify(stream.fd, _FULL)
        return backlog

    def _flush(self, stream: Stream) -> None:
        backlog = stream.backlog
        assert backlog is not None
        while True:
            if backlog.rest is None:
                if backlog.items:
                    data = self._render(stream, backlog)
                    if not data:
                        continue
                    if stream.group.framing is Framing.CHUNKED:
                        data = chunk(data)
                    backlog.hold(memoryview(data), backlog.upto)
                elif backlog.bye is not None:
                    if not backlog.bye:
                        self.close(stream, "client")
                        return
                    backlog.hold(memoryview(backlog.bye), backlog.upto)
                    backlog.bye = b""
                else:
                    break
            assert backlog.rest is not None
            try:
                written = os.write(stream.fd, backlog.rest)
            except BlockingIOError:
                return
            except OSError:
                self.close(stream, "client")
                return
            partial = written < len(backlog.rest)
            backlog.advance(written)
            if partial:
                return
        stream.backlog = None
        self._epoll.modify(stream.fd, _IDLE)
        if backlog.drained is not None:
            backlog.drained.set()

    def _render(self, stream: Stream, backlog: Backlog) -> bytes:
        """Encode what is queued, with the rights of this moment."""
        frames = []
        for item in backlog.take(_WRITE_BYTES):
            backlog.upto = item.seq
            frames.append(item.data if isinstance(item, Raw) else item.frame(stream.group, self._counters.encode))
        return b"".join(frames)
