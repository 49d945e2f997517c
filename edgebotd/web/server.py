"""The edge's serve loop: Hypercorn's public classes, extended by what the channel and a graceful stop need."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, Final, Protocol, cast

import trio
from hypercorn.config import Config
from hypercorn.events import Event, RawData
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import TrioSingleTask, WorkerContext
from hypercorn.typing import AppWrapper, ASGIFramework, ConnectionState, TaskGroup
from hypercorn.utils import wrap_app
from typing_extensions import override

from edgebotd.web.connection import CONNECTION_KEY, Connection

_logger = logging.getLogger(__name__)

_BACKLOG: Final = 4096
"""Connections that wait to be accepted: all clients come back at once after a restart."""

_KEEP_ALIVE_SECONDS: Final = 30
_SOCKET_FRAME_CHARACTERS: Final = 1024 * 1024
"""Of the per-bot socket (CHANNEL section 4: a larger frame is closed with 1009); it counts bytes itself."""

_SOCKET_PING_SECONDS: Final = 20.0
"""Keeps proxies, which forget a silent connection after 60 s, from closing it."""

_HANDSHAKE_SECONDS: Final = 15

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class ServerSection(Protocol):
    """What this module reads of the configuration's section `server`."""

    @property
    def tls_certificate(self) -> Path | None: ...
    @property
    def tls_key(self) -> Path | None: ...
    @property
    def graceful_seconds(self) -> float: ...


class _ConnectionContext(WorkerContext):
    """The server's context, as one connection uses it: what sleeps in it wakes when the connection ends.

    Hypercorn's WebSocket pings sleep their whole interval before they look whether anybody is there: each closed socket
    would be kept for that long, and a stop would wait for it.
    """

    def __init__(self, shared: WorkerContext, ended: trio.Event) -> None:
        super().__init__(shared.max_requests)
        self.terminate = shared.terminate
        self.terminated = shared.terminated
        self._ended = ended

    @override
    async def sleep(self, wait: float) -> None:  # type: ignore[override]  # static there, but called on an instance
        with trio.move_on_after(wait):
            await self._ended.wait()


class _IdleTimer(TrioSingleTask):
    """Ends a connection's reading once it has been idle for long enough, or at once when the server stops.

    Hypercorn's own starts a task after each response and ends it at the next request: several passes of the scheduler,
    a third of what a small request costs.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._stopping = False
        self.reading = trio.CancelScope()

    @override
    async def restart(self, task_group: TaskGroup, action: Callable[[], Any]) -> None:
        self.reading.deadline = trio.current_time() + self._seconds
        if self._stopping:
            self.reading.cancel()

    @override
    async def stop(self) -> None:
        self.reading.deadline = inf

    def expire(self) -> None:
        """End it now if it is idle, else as soon as it is."""
        self._stopping = True
        if self.reading.deadline < inf:
            self.reading.cancel()


class _Ended:
    """Stands in for an HTTP/2 stream that is over."""

    async def handle(self, event: object) -> None:
        """Let what still comes for it go."""
        await trio.lowlevel.checkpoint()


class _Streams(dict[int, Any]):
    """The HTTP/2 streams of one connection.

    A request may be answered before its body is there: refused, say, as too large. The rest of the body is on its way
    then, and Hypercorn's own dict raises for it, which ends the connection with everything else on it, the channel too.
    """

    def __missing__(self, stream_id: int) -> _Ended:
        return _Ended()


class EdgeServer(TCPServer):
    """One connection, which its request may take away from the server (`Connection.detach`)."""

    def __init__(self, app: AppWrapper, config: Config, context: WorkerContext, stream: Stream) -> None:
        self._ended = trio.Event()
        # Hypercorn's annotation knows only the TLS stream; its code handles both.
        super().__init__(app, config, _ConnectionContext(context, self._ended), {}, stream)  # type: ignore[arg-type]
        self.idle_task: _IdleTimer = _IdleTimer(config.keep_alive_timeout)
        secure = isinstance(stream, trio.SSLStream)
        plain: Any = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        self.connection = Connection(plain, secure=secure, http_version=self._http_version, wait_sent=self._wait_sent)
        # Each request's scope gets a copy of this.
        self.state = ConnectionState({CONNECTION_KEY: self.connection})

    def _http_version(self) -> str:
        return "2" if isinstance(self.protocol.protocol, H2Protocol) else "1"

    async def _wait_sent(self, scope: Mapping[str, Any]) -> None:
        """Wait for the buffer of a request's HTTP/2 stream.

        Hypercorn lets a send go on as soon as it has looked at a closed window, so by itself it would buffer without
        bound for a client that does not read. HTTP/1 sends wait for the socket.
        """
        protocol = self.protocol.protocol
        if isinstance(protocol, H2Protocol):
            for stream_id, stream in protocol.streams.items():
                # Not the scope itself, which those in between may have copied.
                if stream.scope["state"] is scope["state"] and stream_id in protocol.stream_buffers:
                    await protocol.stream_buffers[stream_id].drain()
                    return

    @override
    async def protocol_send(self, event: Event) -> None:
        if self.connection.detached:
            # Hypercorn would end the body and the connection; both are the new owner's now.
            await trio.lowlevel.checkpoint()
            return
        protocol = self.protocol.protocol
        if isinstance(protocol, H2Protocol) and not isinstance(protocol.streams, _Streams):
            # Before its first stream: the server's preface goes out first.
            protocol.streams = _Streams(protocol.streams)
        if isinstance(event, RawData):
            data = self.connection.joined(event.data)
            if not data:
                return
            event = RawData(data)
        await super().protocol_send(event)

    @override
    async def _read_data(self) -> None:
        try:
            with self.idle_task.reading:
                await super()._read_data()
        finally:
            self._ended.set()
        if self.idle_task.reading.cancelled_caught:
            await self._initiate_server_close()
        protocol = self.protocol.protocol
        if isinstance(protocol, H2Protocol):
            # Hypercorn's sending task has ended with the connection, so whoever waits for these would wait for ever:
            # one task leaked for each client that leaves at the wrong moment, and a stop that lasts its whole time.
            for buffer in list(protocol.stream_buffers.values()):
                await buffer.close()

    @override
    async def _close(self) -> None:
        if not self.connection.detached:
            await super()._close()

    @override
    async def _initiate_server_close(self) -> None:
        if not self.connection.detached:
            await super()._initiate_server_close()


class _Connections:
    """Those that are open."""

    def __init__(self, app: AppWrapper, config: Config) -> None:
        self._app = app
        self._config = config
        self.context = WorkerContext(None)
        self._open: set[EdgeServer] = set()
        self._none_left: trio.Event | None = None

    async def serve(self, stream: Stream) -> None:
        """Serve one connection; what goes wrong in it is logged and ends nothing else."""
        try:
            server = EdgeServer(self._app, self._config, self.context, stream)
        except OSError:  # gone before it was looked at
            return
        self._open.add(server)
        try:
            await server.run()
        except* Exception:
            _logger.exception("error in a connection from %s", server.connection.peer)
        finally:
            self._open.discard(server)
            if self._none_left is not None and not self._open:
                self._none_left.set()

    async def finish(self, seconds: float) -> None:
        """Let requests in flight end within this time; idle connections are closed at once."""
        await self.context.terminated.set()
        for server in self._open:
            server.idle_task.expire()
        if self._open:
            self._none_left = trio.Event()
            with trio.move_on_after(seconds):
                await self._none_left.wait()

    def cut(self) -> None:
        """Close every socket: Hypercorn shields its sends, so cancelling alone would wait for a client that hangs."""
        for server in list(self._open):
            server.connection.abort()


async def serve_web(
    app: Callable[..., Awaitable[None]],
    sockets: Sequence[socket.socket],
    settings: ServerSection,
    *,
    shutdown: Callable[[], Awaitable[None]],
    drain: Callable[[], Awaitable[None]] | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the app until `shutdown` returns, then stop gracefully. Cancel it to stop at once.

    The stop: accept no more, `drain` (the streams' `bye`), close what is idle, give requests in flight
    `graceful_seconds`, cut the rest.

    Args:
        sockets: bound (listening or not), TCP or unix; closed at the end. TLS is for TCP only: a unix socket does not
            leave the machine.
        shutdown: awaited once.
        task_status: started when connections are accepted.

    Raises:
        OSError: the certificate cannot be read or a socket cannot listen.
        ssl.SSLError: the certificate is none.
    """
    config = _config(settings)
    wrapped = wrap_app(cast(ASGIFramework, app), config.wsgi_max_body_size, "asgi")
    listeners = _listeners(sockets, config)
    lifespan = Lifespan(wrapped, config, {})
    connections = _Connections(wrapped, config)
    async with trio.open_nursery() as lifespan_nursery:
        await lifespan_nursery.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        async with trio.open_nursery() as handlers:
            try:
                async with trio.open_nursery() as accepting:
                    # Survives EMFILE and the like by waiting, and aborted connections: trio._highlevel_serve_listeners.
                    await accepting.start(_accept, connections.serve, listeners, handlers)
                    task_status.started()
                    await shutdown()
                    accepting.cancel_scope.cancel()
                if drain is not None:
                    await drain()
                await connections.finish(settings.graceful_seconds)
            finally:
                connections.cut()
                handlers.cancel_scope.cancel()
        await lifespan.wait_for_shutdown()
        lifespan_nursery.cancel_scope.cancel()


async def _accept(  # noqa: ASYNC128 - serve_listeners calls started()
    handler: Callable[[Any], Awaitable[None]],
    listeners: Sequence[Any],
    handlers: trio.Nursery,
    *,
    task_status: trio.TaskStatus[Any],
) -> None:
    await trio.serve_listeners(handler, list(listeners), handler_nursery=handlers, task_status=task_status)


def _config(settings: ServerSection) -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger(f"{__name__}.hypercorn")
    config.include_server_header = False
    config.keep_alive_timeout = _KEEP_ALIVE_SECONDS
    config.ssl_handshake_timeout = _HANDSHAKE_SECONDS
    config.websocket_max_message_size = _SOCKET_FRAME_CHARACTERS
    config.websocket_ping_interval = _SOCKET_PING_SECONDS
    if settings.tls_certificate is not None and settings.tls_key is not None:
        config.certfile = str(settings.tls_certificate)
        config.keyfile = str(settings.tls_key)
    return config


def _listeners(
    sockets: Sequence[socket.socket], config: Config
) -> list[trio.SocketListener | trio.SSLListener[trio.SocketStream]]:
    tls = config.create_ssl_context()
    listeners: list[trio.SocketListener | trio.SSLListener[trio.SocketStream]] = []
    for sock in sockets:
        sock.setblocking(False)
        sock.listen(_BACKLOG)
        plain = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        if tls is None or sock.family == socket.AF_UNIX:
            listeners.append(plain)
        else:
            listeners.append(trio.SSLListener(plain, tls, https_compatible=True))
    return listeners
