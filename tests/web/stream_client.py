"""A real edge on loopback and clients that speak to it over each transport."""

from __future__ import annotations

import datetime
import json
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h11
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typing_extensions import override

from edgebotd.access import Grant, Kind, Principal
from edgebotd.errors import NotFound, Problem
from edgebotd.hub.hub import Hub, open_hub
from edgebotd.hub.settings import HubSettings
from edgebotd.protocol.sse import Parser, ServerEvent
from edgebotd.store.database import open_database
from edgebotd.web.server import serve_web
from edgebotd.web.session import PRINCIPAL_KEY
from edgebotd.web.stream import EventStream
from tests.hub.support import INSTALLATION

TRANSPORTS = ("http/1.1", "http/1.0", "unix", "tls", "h2", "h2c", "h2c-upgrade")
HANDED_OVER = ("http/1.1", "http/1.0", "unix")
HTTP_2 = ("h2", "h2c", "h2c-upgrade")

ANN = Principal(Kind.SESSION, "ann", "ann", "session-ann", grants={"a": Grant.VIEW})

App = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass
class Files:
    """The certificate of a test's server."""

    tls_certificate: Path | None = None
    tls_key: Path | None = None
    graceful_seconds: float = 5


def make_certificate(directory: Path) -> Files:
    """Write a self-signed certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = Files(directory / "certificate.pem", directory / "key.pem")
    assert files.tls_certificate is not None
    assert files.tls_key is not None
    files.tls_certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.tls_key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


async def plain_app(scope: Any, receive: Any, send: Any) -> None:
    """Answer a lifespan, `/crash` with a crash, `/slow` late, and all else with its method."""
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    if scope["path"] == "/crash":
        raise RuntimeError("a bug in one request")
    if scope["path"] == "/slow":
        await trio.sleep(0.5)
    if scope["path"] == "/hang":
        await trio.sleep_forever()
    body = scope["method"].encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


@dataclass
class Edge:
    """A running edge."""

    hub: Hub
    port: int
    tls_port: int
    unix_path: str
    certificate: Path | None
    shutdown: trio.Event
    stopped: trio.Event
    principal: Principal = ANN
    seen: list[Any] = field(default_factory=list)
    """The scopes of the requests."""
    opened: list[trio.abc.Stream] = field(default_factory=list)

    async def connect(self, transport: str) -> trio.abc.Stream:
        """Open a connection of a transport; the edge's end closes it."""
        stream = await self._connect(transport)
        self.opened.append(stream)
        return stream

    async def _connect(self, transport: str) -> trio.abc.Stream:
        if transport == "unix":
            return await trio.open_unix_socket(self.unix_path)
        if transport in ("tls", "h2"):
            context = ssl.create_default_context(cafile=self.certificate)
            context.set_alpn_protocols(["h2"] if transport == "h2" else ["http/1.1"])
            stream: trio.abc.Stream = await trio.open_ssl_over_tcp_stream(
                "localhost", self.tls_port, ssl_context=context, https_compatible=True
            )
            return stream
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def open(
        self, transport: str, path: str = "/api/events", *, method: str = "GET", headers: dict[str, str] | None = None
    ) -> EventClient:
        """Send a request and return its answer, whose head has come."""
        stream = await self.connect(transport)
        client: EventClient
        if transport in HTTP_2:
            client = Http2Client(stream, upgrade=transport == "h2c-upgrade")
        else:
            client = Http1Client(stream, "1.0" if transport == "http/1.0" else "1.1")
        await client.request(method, path, headers or {})
        return client


class EventClient:
    """One answer, read as a browser would."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.status = 0
        self.headers: dict[str, str] = {}
        self.parser = Parser()
        self.body = b""
        self.waiting: list[ServerEvent] = []

    async def request(self, method: str, path: str, headers: dict[str, str]) -> None:
        raise NotImplementedError

    async def receive(self) -> bytes:
        """Return more of the body, empty at its clean end."""
        raise NotImplementedError

    async def next(self, name: str | None = None) -> ServerEvent:
        """Return the next event, or the next of a name."""
        with trio.fail_after(10):
            while True:
                while self.waiting:
                    event = self.waiting.pop(0)
                    if name is None or event.type == name:
                        return event
                data = await self.receive()
                if not data:
                    raise EOFError("the stream has ended")
                self.body += data
                self.waiting += self.parser.feed(data)

    async def next_json(self) -> Any:
        """Return the next bus event."""
        return json.loads((await self.next("message")).data)

    async def rest(self) -> bytes:
        """Return the body up to its clean end."""
        with trio.fail_after(10):
            while data := await self.receive():
                self.body += data
        return self.body

    async def close(self) -> None:
        """Go away."""
        await trio.aclose_forcefully(self.stream)


class Http1Client(EventClient):
    def __init__(self, stream: trio.abc.Stream, version: str) -> None:
        super().__init__(stream)
        self._version = version
        self._h11 = h11.Connection(h11.CLIENT)

    @override
    async def request(self, method: str, path: str, headers: dict[str, str]) -> None:
        request = h11.Request(method=method, target=path, headers=[*({"host": "localhost"} | headers).items()])
        data = self._h11.send(request) or b""
        self._h11.send(h11.EndOfMessage())
        await self.stream.send_all(data.replace(b"HTTP/1.1", f"HTTP/{self._version}".encode()))
        response = await self._event()
        assert isinstance(response, h11.Response)
        self.status = response.status_code
        self.headers = {name.decode(): value.decode() for name, value in response.headers}

    async def _event(self) -> Any:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            self._h11.receive_data(bytes(await self.stream.receive_some()))
        return event

    @override
    async def receive(self) -> bytes:
        event = await self._event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        assert isinstance(event, h11.EndOfMessage)
        return b""


class Http2Client(EventClient):
    def __init__(self, stream: trio.abc.Stream, *, upgrade: bool = False) -> None:
        super().__init__(stream)
        self._upgrade = upgrade
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._data: list[bytes] = []
        self._ended = False

    @override
    async def request(self, method: str, path: str, headers: dict[str, str]) -> None:
        headers = {"host": "localhost"} | headers
        if self._upgrade:
            await self._request_over_http1(method, path, headers)
        else:
            self._h2.initiate_connection()
            authority = headers.pop("host")
            pseudo = [(":method", method), (":path", path), (":scheme", "https"), (":authority", authority)]
            self._h2.send_headers(1, [*pseudo, *headers.items()], end_stream=True)
        while not self.status and not self._ended:
            await self._exchange()

    async def _request_over_http1(self, method: str, path: str, headers: dict[str, str]) -> None:
        """Ask as HTTP/1.1 and go over to HTTP/2, whose first stream is this request (RFC 7540, section 3.2)."""
        settings = self._h2.initiate_upgrade_connection()
        assert settings is not None
        asked = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": settings.decode()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (headers | asked).items())]
        await self.stream.send_all("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            received = await self.stream.receive_some()
            assert received, answer
            answer += received
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        await self._take(rest)

    async def _exchange(self) -> None:
        if data := self._h2.data_to_send():
            await self.stream.send_all(data)
        received = await self.stream.receive_some()
        if not received:
            self._ended = True
        await self._take(received)

    async def _take(self, received: bytes | bytearray) -> None:
        for event in self._h2.receive_data(bytes(received)) if received else ():
            if isinstance(event, h2.events.ResponseReceived):
                assert event.headers is not None
                self.headers = {str(name): str(value) for name, value in event.headers}
                self.status = int(self.headers[":status"])
            elif isinstance(event, h2.events.DataReceived):
                assert event.data is not None
                assert event.flow_controlled_length is not None
                self._data.append(event.data)
                if event.flow_controlled_length:
                    self._h2.acknowledge_received_data(event.flow_controlled_length, 1)
            elif isinstance(event, h2.events.StreamEnded):
                self._ended = True
        if data := self._h2.data_to_send():
            await self.stream.send_all(data)

    @override
    async def receive(self) -> bytes:
        while not self._data and not self._ended:
            await self._exchange()
        return self._data.pop(0) if self._data else b""


def _nobody_else(_admin: Principal, _user_id: str) -> Principal:
    raise NotFound("user")


@asynccontextmanager
async def open_edge(
    directory: Path,
    certificate: Files | None = None,
    settings: HubSettings | None = None,
    *,
    app: App = plain_app,
    graceful_seconds: float = 5,
    refresh: Callable[[Principal], Principal | None] = lambda principal: principal,
    address: str = "127.0.0.1",
) -> AsyncIterator[Edge]:
    """Serve a hub's stream and a plain app on TCP, TLS and a unix socket."""
    files = Files(None, None, graceful_seconds)
    secure = certificate or files
    secure.graceful_seconds = graceful_seconds
    plain, tls = _bound(address), _bound(address)
    unix = socket.socket(socket.AF_UNIX)
    unix_path = str(directory / "edge.sock")
    unix.bind(unix_path)
    async with (
        open_database(None, now=1) as database,
        open_hub(
            database,
            settings or HubSettings(),
            installation=INSTALLATION,
            life=1,
            clock=lambda: int(time.time() * 1000),
            rng=random.Random(1),
        ) as hub,
    ):
        edge = Edge(
            hub,
            plain.getsockname()[1],
            tls.getsockname()[1],
            unix_path,
            secure.tls_certificate,
            trio.Event(),
            trio.Event(),
        )
        events = EventStream(hub, refresh, _nobody_else)

        async def dispatch(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and scope["path"] == "/api/events":
                edge.seen.append(scope)
                scope["state"][PRINCIPAL_KEY] = edge.principal
                try:
                    await events(scope, receive, send)
                except Problem as problem:
                    await send({"type": "http.response.start", "status": problem.status, "headers": []})
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            await app(scope, receive, send)

        async def serve(sockets: list[socket.socket], section: Files, *, task_status: Any) -> None:  # noqa: ASYNC128
            await serve_web(
                dispatch, sockets, section, shutdown=edge.shutdown.wait, drain=hub.drain, task_status=task_status
            )

        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as servers:

                async def stopping() -> None:
                    await edge.shutdown.wait()

                await servers.start(partial(serve, [plain, unix], files))
                if certificate is not None:
                    await servers.start(partial(serve, [tls], secure))
                servers.start_soon(stopping)
                nursery.start_soon(_tell_stopped, servers, edge)  # noqa: ASYNC111 - it ends first
                try:
                    yield edge
                finally:
                    edge.shutdown.set()
                    tls.close()
                    with trio.CancelScope(shield=True):  # bounded: closing by force waits for nobody
                        for stream in edge.opened:
                            await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()


async def _tell_stopped(servers: trio.Nursery, edge: Edge) -> None:
    await edge.shutdown.wait()
    while servers.child_tasks:  # noqa: ASYNC110 - a nursery has no event for its last task's end
        await trio.sleep(0.01)
    edge.stopped.set()


def _bound(address: str) -> socket.socket:
    sock = socket.socket()
    sock.bind((address, 0))
    return sock
