"""The connection behind a request: what a handler may know of it and do with it."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import trio

CONNECTION_KEY: Final = "edgebotd.connection"
"""In `scope["state"]` of every request."""

_PEERCRED: Final = struct.Struct("3i")

_UNSENT_BYTES: Final = 128 * 1024
"""What the kernel may hold unsent for one stream. Trio sets 16 kB, which a burst of events fills needlessly often."""


class Connection:
    """One client's connection.

    Attributes:
        peer: the peer's address in text: host and port, or `unix` with the peer's uid.
        unix_uid: uid of the peer on a unix socket, as the kernel vouches for it; None on TCP.
        secure: TLS ends here.
        detached: the socket belongs to somebody else now.
    """

    def __init__(
        self,
        stream: trio.SocketStream,
        *,
        secure: bool,
        http_version: Callable[[], str],
        wait_sent: Callable[[Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        self._stream = stream
        self._http_version = http_version
        self._wait_sent = wait_sent
        self.secure = secure
        self.detached = False
        self._holding = False
        self._held = b""
        self.unix_uid = _peer_uid(stream.socket)
        self.peer = _peer_name(stream.socket, self.unix_uid)

    @property
    def http_version(self) -> str:
        """`1` or `2`: the protocol that the connection speaks by now."""
        return self._http_version()

    @property
    def closed(self) -> bool:
        """Whether the server has closed it: the client left while its request was served."""
        return self._stream.socket.fileno() < 0

    @property
    def can_detach(self) -> bool:
        """Whether `detach` would give the socket: plain HTTP/1."""
        return not self.secure and not self.detached and self.http_version == "1"

    def detach(self) -> socket.socket | None:
        """Return a socket of one's own for the rest of this connection, None where it cannot be handed over.

        After the response's head is out: nothing that the server writes gets through any more. The server lets its own
        descriptor go without a shutdown; the caller closes the returned one.
        """
        if not self.can_detach:
            return None
        own = self._stream.socket
        duplicate = socket.socket(own.family, own.type, own.proto, fileno=os.dup(own.fileno()))
        duplicate.setblocking(False)
        self.detached = True
        own.close()  # wakes the server's reader, which then ends
        return duplicate

    def hold_head(self) -> None:
        """Let the head that is sent next wait for what follows it, so that a small response is one packet.

        For whoever sends the body right after the head.
        """
        self._holding = self.http_version == "1"

    def joined(self, data: bytes) -> bytes:
        """Return what the server must send now in place of `data`: nothing, or also what has been held."""
        if self._holding:
            self._holding = False
            self._held = data
            return b""
        data, self._held = self._held + data, b""
        return data

    async def wait_sent(self, scope: Mapping[str, Any]) -> None:
        """Wait until what a request has sent so far has left the server, as far as it can tell."""
        await self._wait_sent(scope)

    def abort(self) -> None:
        """Close the socket under the server: the only thing that ends a send to a client that does not read."""
        self._stream.socket.close()

    def notice_vanished_peers(self, seconds: float) -> None:
        """Have the kernel end the connection when the peer acknowledges nothing for this time (CHANNEL C9).

        A heartbeat goes out at least each `seconds`, so a peer whose packets vanish is gone within twice that.
        """
        sock = self._stream.socket
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return
        whole = max(1, int(seconds))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, whole)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, whole // 3))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


def _peer_uid(sock: trio.socket.SocketType) -> int | None:
    if sock.family != socket.AF_UNIX:
        return None
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size)
    uid: int = _PEERCRED.unpack(credentials)[1]
    return uid


def _peer_name(sock: trio.socket.SocketType, uid: int | None) -> str:
    if uid is not None:
        return f"unix (uid {uid})"
    try:
        host, port = sock.getpeername()[:2]
    except OSError:  # already gone; the server will notice
        return "unknown"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
