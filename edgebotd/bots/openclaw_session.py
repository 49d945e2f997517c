"""One connection to an OpenClaw gateway: opened, shaken hands over, asked, read until it ends.

Facts: docs of the gateway's WebSocket protocol 4, as observed on 2026.9.6 and 2026.5.28 (`protocol.openclaw`).
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from edgebotd import __version__
from edgebotd.bots.connector import ConnectorError, Trouble
from edgebotd.protocol import openclaw
from edgebotd.protocol.openclaw import Device, Event, Hello, Kind, Response

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 15.0
REQUEST_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 1.0
SILENT_TICKS: Final = 2
"""Ticks in a row that may be missing before the connection counts as lost, as for the gateway's own clients."""
EVENTS_WAITING: Final = 10_000
"""Events between the reader and who handles them. The full case: the connection is given up as lost, and what was not
handled comes again from the history."""

TROUBLES: Final[Mapping[Kind, Trouble]] = {
    Kind.RESTARTING: Trouble.RESTARTING,
    Kind.UNAVAILABLE: Trouble.UNAVAILABLE,
    Kind.LOST: Trouble.LOST,
    Kind.NEEDS_PAIRING: Trouble.NEEDS_PAIRING,
    Kind.BAD_CREDENTIALS: Trouble.BAD_CREDENTIALS,
    Kind.PROTOCOL_MISMATCH: Trouble.PROTOCOL_MISMATCH,
    Kind.ORIGIN_REFUSED: Trouble.CONFIGURATION,
    Kind.NO_RIGHTS: Trouble.NO_RIGHTS,
    Kind.CONFLICT: Trouble.REJECTED,
    Kind.INVALID: Trouble.REJECTED,
    Kind.UNKNOWN_METHOD: Trouble.REJECTED,
}


_Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


def error_of(trouble: openclaw.Trouble) -> ConnectorError:
    """Translate a gateway's trouble into the connectors' words."""
    extra: dict[str, str] = {}
    if trouble.request_id is not None and trouble.approve_command is not None:
        extra = {"requestId": trouble.request_id, "command": trouble.approve_command}
        if trouble.device_id is not None:
            extra["deviceId"] = trouble.device_id
    retry_after = None if trouble.retry_after_ms is None else trouble.retry_after_ms / 1000
    return ConnectorError(TROUBLES[trouble.kind], trouble.detail, retry_after=retry_after, extra=extra)


@dataclass(frozen=True)
class Credentials:
    """What the gateway is shown. Not in the repr: any of it."""

    token: str | None = field(repr=False)
    device: Device | None = field(repr=False)
    device_token: str | None = field(repr=False)


class Session:
    """An open connection. From `open_session`, which closes it."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self._websocket = websocket
        self._next_id = 0
        self._answers: dict[str, tuple[trio.Event, list[Response]]] = {}
        self._send_events, self.events = trio.open_memory_channel[Event](EVENTS_WAITING)
        self._silence = REQUEST_SECONDS
        self._unreadable = 0
        self.ended: ConnectorError | None = None

    async def handshake(self, credentials: Credentials) -> Hello:
        """Answer the challenge and return the gateway's hello.

        Raises:
            ConnectorError: refused, or no gateway.
        """
        with trio.move_on_after(CONNECT_SECONDS):
            async for event in self.events:
                challenge = openclaw.parse_challenge(event.payload) if event.name == "connect.challenge" else None
                if challenge is None:
                    continue
                params = openclaw.connect_params(
                    challenge,
                    version=__version__,
                    token=credentials.token,
                    device=credentials.device,
                    device_token=credentials.device_token,
                )
                hello = openclaw.parse_hello(await self.call("connect", params))
                if hello is None:
                    raise ConnectorError(Trouble.CONFIGURATION, "What answers there is no OpenClaw gateway.")
                self._silence = (SILENT_TICKS * hello.tick_interval_ms) / 1000 + 5
                return hello
        if self.ended is not None:
            raise self.ended
        raise ConnectorError(Trouble.LOST, f"The gateway said nothing within {CONNECT_SECONDS:.0f} s of connecting.")

    async def call(self, method: str, params: Mapping[str, Any], *, timeout: float = REQUEST_SECONDS) -> Any:
        """Ask, and return the payload of the answer.

        Raises:
            ConnectorError: the gateway's error; LOST where no answer came, which tells nothing about what it did.
        """
        if self.ended is not None:
            raise self.ended
        self._next_id += 1
        id = str(self._next_id)
        answered, box = self._answers[id] = (trio.Event(), [])
        try:
            with trio.move_on_after(timeout):
                await self._websocket.send_message(openclaw.request(id, method, params))
                await answered.wait()
        except ConnectionClosed as exc:
            raise self._why(_closed(exc)) from None
        finally:
            del self._answers[id]
        if not box:
            raise self._why(
                ConnectorError(Trouble.LOST, f"The gateway did not answer {method} within {timeout:.0f} s.")
            )
        if not box[0].ok:
            raise error_of(openclaw.classify(box[0].error))
        return box[0].payload

    async def read(self) -> None:
        """Read frames until the connection ends; the reason is then in `ended`, and nobody waits any more."""
        try:
            self.ended = await self._read()
        finally:
            self.ended = self._why(ConnectorError(Trouble.LOST, "The connection to the gateway was closed."))
            for answered, _box in self._answers.values():
                answered.set()
            self._send_events.close()

    def _why(self, otherwise: ConnectorError) -> ConnectorError:
        """Return why the connection ended, where that is known; a reader knows more than a writer."""
        return otherwise if self.ended is None else self.ended

    async def _read(self) -> ConnectorError:
        shutdown: openclaw.Shutdown | None = None
        while True:
            text: str | bytes | None = None
            try:
                with trio.move_on_after(self._silence):
                    text = await self._websocket.get_message()
            except ConnectionClosed as exc:
                if shutdown is not None:
                    return ConnectorError(Trouble.RESTARTING, f"The gateway said: {shutdown.reason}.")
                return _closed(exc)
            if text is None:
                return ConnectorError(Trouble.LOST, f"The gateway has been silent for {self._silence:.0f} s.")
            frame = openclaw.parse_frame(text)
            if isinstance(frame, Response):
                if (waiting := self._answers.get(frame.id)) is not None:
                    waiting[1].append(frame)
                    waiting[0].set()
            elif frame is None:
                self._unreadable += 1
                if self._unreadable == 1:
                    log.warning("the gateway sent a frame that is neither answer nor event; such are ignored")
            else:
                if frame.name == "shutdown":
                    shutdown = openclaw.parse_shutdown(frame.payload)
                try:
                    self._send_events.send_nowait(frame)
                except trio.WouldBlock:
                    return ConnectorError(
                        Trouble.LOST, "More came from the gateway than could be stored; reconnecting."
                    )


def _closed(exc: ConnectionClosed) -> ConnectorError:
    reason = exc.reason
    code, words = (1006, "") if reason is None else (reason.code, reason.reason or "")
    return error_of(openclaw.classify_close(code, words))


@asynccontextmanager
async def open_session(url: str, nursery: trio.Nursery) -> AsyncIterator[Session]:
    """Connect, and read in the background; the connection is closed on leaving.

    Args:
        nursery: where reading and the WebSocket's own task run; the caller's, who cancels it afterwards.

    Raises:
        ConnectorError: nothing answers, or something else than a gateway.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "wss"
    port = parts.port or (443 if secure else 80)
    stream = await _open_stream(host, port, secure)
    try:
        # trio-websocket leaves the socket of a refused upgrade open: what we opened, we close.
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        websocket = await _upgrade(nursery, stream, shown, parts.path or "/")
        session = Session(websocket)
        nursery.start_soon(session.read, name="openclaw reader")
        try:
            yield session
        finally:
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                await websocket.aclose()
    finally:
        await trio.aclose_forcefully(stream)


async def _open_stream(host: str, port: int, secure: bool) -> _Stream:
    try:
        with trio.fail_after(CONNECT_SECONDS):
            stream = await trio.open_tcp_stream(host, port)
            if not secure:
                return stream
            tls = trio.SSLStream(stream, ssl.create_default_context(), server_hostname=host, https_compatible=True)
            try:
                await tls.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
            return tls
    except trio.TooSlowError:
        raise ConnectorError(Trouble.REFUSED, f"Nothing answers at {host}:{port}.") from None
    except trio.BrokenResourceError as exc:
        # Trio's wrapper of what went wrong with TLS; its cause has the words.
        raise ConnectorError(
            Trouble.CONFIGURATION, f"TLS with {host}:{port} failed: {exc.__cause__ or 'the connection broke'}."
        ) from None
    except OSError as exc:
        words = exc.strerror or "it does not answer"
        raise ConnectorError(Trouble.REFUSED, f"Nothing answers at {host}:{port} ({words}).") from None


async def _upgrade(nursery: trio.Nursery, stream: _Stream, host: str, path: str) -> WebSocketConnection:
    try:
        with trio.fail_after(CONNECT_SECONDS):
            return await wrap_client_stream(nursery, stream, host, path, max_message_size=openclaw.MAX_FRAME_BYTES)
    except trio.TooSlowError:
        raise ConnectorError(Trouble.LOST, f"What listens at {host} does not speak.") from None
    except ConnectionRejected as exc:
        raise error_of(openclaw.classify_http(exc.status_code)) from None
    except (HandshakeError, ConnectionClosed, OSError, trio.BrokenResourceError):
        raise ConnectorError(Trouble.LOST, f"What listens at {host} ended the connection at once.") from None
