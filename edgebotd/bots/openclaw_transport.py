"""The way to an OpenClaw gateway: its address, TCP, TLS, and the upgrade to a WebSocket."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from edgebotd.bots.connector import ConnectorError, Trouble
from edgebotd.bots.openclaw_session import CONNECT_SECONDS, Session, error_of, unusable
from edgebotd.protocol import openclaw
from edgebotd.protocol.openclaw import Event

CLOSE_SECONDS: Final = 0.1
"""For the close frame to leave; when we are cancelled, nobody reads the answer to it any more."""
RECEIVE_BYTES: Final = 256 * 1024
"""Read at once; a hello alone is 20 kB, a history megabytes."""

_Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


def refused_upgrade(group: BaseExceptionGroup[ConnectionRejected]) -> ConnectorError:
    """Return what an HTTP answer means that was no upgrade.

    trio-websocket raises it in its own task, so it comes out of the nursery that was given to `open_session`.
    """
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ConnectionRejected)
    return unusable(error_of(openclaw.classify_http(error.status_code)))


@asynccontextmanager
async def open_session(
    url: str,
    nursery: trio.Nursery,
    take: Callable[[Event], None],
    end: Callable[[], None],
    *,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Session]:
    """Connect, and read and write in the background; the connection is closed on leaving.

    Args:
        url: ws:// or wss://.
        nursery: where reading, writing and the WebSocket's own task run; the caller's, who cancels it afterwards. It
            raises ConnectionRejected, for `refused_upgrade`, where the peer answers without an upgrade.
        take, end: see `Session`.
        tls: for wss; the system's authorities when left out.

    Raises:
        ConnectorError: nothing answers, or something else than a gateway.
    """
    host, port, path, secure = _address(url)
    stream = await _open_stream(host, port, (tls or ssl.create_default_context()) if secure else None)
    try:
        # trio-websocket leaves the socket of a refused upgrade open: what we opened, we close.
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        websocket = await _upgrade(nursery, stream, shown, path)
        session = Session(websocket, take, end)
        nursery.start_soon(session.read, name="openclaw reader")
        nursery.start_soon(session.write, name="openclaw writer")
        try:
            yield session
        finally:
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                await websocket.aclose()
    finally:
        # SSLStream and SocketStream alike: never waits.
        await trio.aclose_forcefully(stream)


def _address(url: str) -> tuple[str, int, str, bool]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.username or parts.password or parts.query:
        # Not quoted: what is wrong in it may be a secret.
        detail = "The gateway's URL must be ws:// or wss://, a host and a port, without user, password or query."
        raise ConnectorError(Trouble.CONFIGURATION, detail, reason="bad_url")
    secure = parts.scheme == "wss"
    return parts.hostname, port or (443 if secure else 80), parts.path or "/", secure


async def _open_stream(host: str, port: int, tls: ssl.SSLContext | None) -> _Stream:
    try:
        with trio.fail_after(CONNECT_SECONDS):
            stream = await trio.open_tcp_stream(host, port)
            if tls is None:
                return stream
            secured = trio.SSLStream(stream, tls, server_hostname=host, https_compatible=True)
            try:
                await secured.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
            return secured
    except trio.TooSlowError:
        raise ConnectorError(Trouble.REFUSED, f"Nothing answers at {host}:{port}.") from None
    except trio.BrokenResourceError as exc:
        # Trio's wrapper of what went wrong with TLS; its cause has the words.
        words = f"TLS with {host}:{port} failed: {exc.__cause__ or 'the connection broke'}."
        certificate = isinstance(exc.__cause__, ssl.SSLError)
        trouble = Trouble.CONFIGURATION if certificate else Trouble.LOST
        raise ConnectorError(trouble, words, reason="tls" if certificate else None) from None
    except OSError as exc:
        raise ConnectorError(Trouble.REFUSED, f"Nothing answers at {host}:{port} ({_why(exc)}).") from None


def _why(error: OSError) -> str:
    """Return the system's words; of several attempts, to a name with several addresses, those of each kind once."""
    if isinstance(group := error.__cause__, ExceptionGroup):
        # Trio's own sentence has the address again, and no reason.
        numbers = dict.fromkeys(exc.errno for exc in group.exceptions if isinstance(exc, OSError) and exc.errno)
        return ", ".join(map(os.strerror, numbers)) or "it does not answer"
    return error.strerror or "it does not answer"


async def _upgrade(nursery: trio.Nursery, stream: _Stream, host: str, path: str) -> WebSocketConnection:
    try:
        with trio.fail_after(CONNECT_SECONDS):
            return await wrap_client_stream(
                nursery,
                stream,
                host,
                path,
                max_message_size=openclaw.MAX_FRAME_BYTES,
                receive_buffer_size=RECEIVE_BYTES,
            )
    except trio.TooSlowError:
        raise ConnectorError(Trouble.LOST, f"What listens at {host} does not speak.") from None
    except (HandshakeError, ConnectionClosed, OSError, trio.BrokenResourceError):
        raise ConnectorError(Trouble.LOST, f"What listens at {host} ended the connection at once.") from None
