"""A wire between two programs that a test can cut: TCP in, TCP out, nothing looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.peers.netns import connect_within, listen_within


class Relay:
    """Listens on loopback and passes everything on. From `open_relay`."""

    def __init__(self, host: str, port: int, namespace: Path | None = None) -> None:
        self._target = (host, port)
        self._namespace = namespace
        self._wires: set[trio.CancelScope] = set()
        self.port = 0
        self.accepted = 0
        """Connections that were made to it, ever."""
        self.joined = True
        """Whether new connections are passed on; else they are closed at once."""

    @property
    def url(self) -> str:
        """Where it listens, for a gateway's client."""
        return f"ws://127.0.0.1:{self.port}"

    def cut(self, *, joined: bool = True) -> None:
        """Break all connections, and let new ones pass or not."""
        self.joined = joined
        for wire in self._wires:
            wire.cancel()

    async def _join(self, near: trio.SocketStream) -> None:
        self.accepted += 1
        if not self.joined:
            return
        try:
            far = await self._connect()
        except OSError:
            return
        async with far, trio.open_nursery() as nursery:
            self._wires.add(nursery.cancel_scope)
            try:
                nursery.start_soon(_pass, near, far, nursery.cancel_scope)
                await _pass(far, near, nursery.cancel_scope)
            finally:
                self._wires.discard(nursery.cancel_scope)

    async def _connect(self) -> trio.SocketStream:
        if self._namespace is None:
            return await trio.open_tcp_stream(*self._target)
        made = await trio.to_thread.run_sync(connect_within, self._namespace, *self._target)
        made.setblocking(False)
        return trio.SocketStream(trio.socket.from_stdlib_socket(made))


async def _pass(source: trio.SocketStream, target: trio.SocketStream, wire: trio.CancelScope) -> None:
    try:
        async for data in source:
            await target.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the other side is told by the wire's end
    wire.cancel()


@asynccontextmanager
async def open_relay(
    host: str, port: int, *, namespace: Path | None = None, listen: int = 0, within: Path | None = None
) -> AsyncIterator[Relay]:
    """Run a relay to an address on a loopback port.

    Args:
        namespace: the network that the address is in, where not this one: a container engine's, for published ports.
        listen: the port; 0 for a free one.
        within: the network in which it listens, at a free port; None: this one.
    """
    relay = Relay(host, port, namespace)
    async with trio.open_nursery() as nursery:
        if within is None:
            (listener,) = await trio.open_tcp_listeners(listen, host="127.0.0.1")
        else:
            made = await trio.to_thread.run_sync(listen_within, within, "127.0.0.1")
            made.setblocking(False)
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(made))
        relay.port = listener.socket.getsockname()[1]
        await nursery.start(trio.serve_listeners, relay._join, [listener])
        yield relay
        nursery.cancel_scope.cancel()
