"""The front of the house, plain ASGI: host, Origin, credential, policy, body limit; then whoever serves the row.

Everything passes here, so that stream, socket and routes are let in by the same few lines, and everything that is
refused or goes wrong leaves in one shape.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, Final

import trio

from edgebotd.errors import Invalid, NotFound, Problem
from edgebotd.web import problem as problems
from edgebotd.web.connection import CONNECTION_KEY, Connection
from edgebotd.web.metrics import Metrics
from edgebotd.web.policy import SMALL_BODY_BYTES, Body, Match, Need, Policy, Surface, Table, Unauthenticated, check
from edgebotd.web.route import Call, Reply, Route
from edgebotd.web.session import ADDRESS_KEY, PRINCIPAL_KEY, Caller, Door, Scope

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Socket = Callable[[Scope, Receive, Send, Caller, str], Awaitable[None]]

CALL_KEY: Final = "edgebotd.call"
"""In `scope["state"]`, for the framework's view: the `Call` that was let in."""
ROUTE_KEY: Final = "edgebotd.route"

BODY_SECONDS: Final = 30.0
"""For a body to arrive, and more for what may be large:"""
SLOWEST_BYTES_PER_SECOND: Final = 50_000

CONTENT_SECURITY_POLICY: Final = (
    # blob: is what a person has just chosen to send, shown before it is sent.
    "default-src 'self'; img-src 'self' blob:; base-uri 'none'; object-src 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
SECURITY_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_READ_BY_HANDLERS: Final = {
    name.encode(): name for name in ("accept-encoding", "if-none-match", "range", "x-file-name")
}

_OF_PROGRAMS: Final = ("/api/", "/ui/", "/ws/")

_log = logging.getLogger("edgebotd.web")


class Front:
    """The ASGI application.

    Args:
        routes: (method, path) -> route, for the rows of surface HTTP.
        framework: serves the routes that are not `direct`, and the lifespan.
        stream: serves `GET /api/events`; finds its principal in `scope["state"]["edgebotd.principal"]`.
        socket: serves the per-bot socket, after the door.
        drain: ends all of these sockets; part of a stop.
        limits: bytes for `Body.JSON` and `Body.MESSAGE`.
        lost: returns what a browser gets at an address where there is nothing, by its Accept-Encoding.
    """

    def __init__(
        self,
        door: Door,
        table: Table,
        routes: Mapping[tuple[str, str], Route],
        *,
        framework: App,
        stream: App,
        socket: Socket,
        drain: Callable[[], None] = lambda: None,
        metrics: Metrics,
        limits: Mapping[Body, int],
        lost: Callable[[str], Reply] | None = None,
    ) -> None:
        self.door = door
        self._table = table
        self._routes = routes
        self._framework = framework
        self._stream = stream
        self._socket = socket
        self.drain = drain
        self._metrics = metrics
        self._lost = lost
        self._limits = {Body.NONE: 0, Body.SMALL: SMALL_BODY_BYTES, **limits}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await self._framework(scope, receive, send)
            return
        exchange = Exchange(scope, send)
        try:
            await self._serve(exchange, receive)
        except Problem as problem:
            await exchange.refuse(problem)
        except Exception:  # noqa: BLE001 - the edge: one request's bug is logged whole and ends nothing else
            error_id = secrets.token_hex(6)
            _log.exception("error %s: %s %s", error_id, scope.get("method", "WS"), exchange.path)
            await exchange.refuse(problems.internal(error_id))
        finally:
            self._count(exchange)

    async def _serve(self, exchange: Exchange, receive: Receive) -> None:
        scope = exchange.scope
        caller = exchange.caller = self.door.identify(scope)
        websocket = scope["type"] == "websocket"
        method = "GET" if websocket else scope["method"]
        if caller.origin is not None and self._allowed_elsewhere(caller):
            exchange.cors_origin = caller.origin
        if method == "OPTIONS":
            await exchange.reply(self._options(scope["path"], caller, exchange.cors_origin is not None))
            return
        try:
            match = self._match(method, scope["path"], caller)
        except Problem:
            if self._lost is None or websocket or method not in ("GET", "HEAD") or not _browses(scope):
                raise
            await exchange.reply(self._lost(_header(scope, b"accept-encoding")))
            return
        policy = exchange.policy = match.policy
        self.door.check_origin(policy, caller)
        check(policy, match.parameters, caller.principal)
        if policy.surface is Surface.SOCKET:
            if not websocket:
                raise Problem(426, "upgrade_required", "This path is a WebSocket.", headers={"Upgrade": "websocket"})
            await self._socket(scope, receive, exchange.send, caller, match.parameters["bot_id"])
            return
        if policy.surface is Surface.STREAM and not websocket:
            scope["state"][PRINCIPAL_KEY] = caller.principal
            scope["state"][ADDRESS_KEY] = caller.address
            await self._stream(scope, receive, exchange.send)
            return
        route = self._routes.get((policy.method, policy.path))
        if route is None or (websocket and policy.path != "/ws/dash"):
            raise Invalid("This path is no WebSocket.", code="no_socket")
        await self._run(route, exchange, match, receive)

    def _match(self, method: str, path: str, caller: Caller) -> Match:
        try:
            return self._table.match(method, path)
        except Problem:
            # Without a credential one learns nothing, not even which paths there are.
            if caller.principal is None:
                raise Unauthenticated from None
            raise

    async def _run(self, route: Route, exchange: Exchange, match: Match, receive: Receive) -> None:
        scope = exchange.scope
        assert exchange.caller is not None
        call = Call(exchange.caller, match.policy, match.parameters, scope["query_string"])
        length: int | None = None
        for name, value in scope["headers"]:
            if name == b"content-type":
                call.content_type = value.decode("latin-1").strip().lower()
            elif name == b"content-length":
                length = int(value)
            elif (known := _READ_BY_HANDLERS.get(name)) is not None:
                call.headers[known] = value.decode("latin-1")
        limit = self._limits[match.policy.body]
        if length is not None and length > limit:
            raise TooLarge(limit)
        if scope["type"] == "http" and (route.method != "GET" or length):
            call.body = await _read(receive, limit)
        if route.direct or scope["type"] == "websocket":
            await exchange.reply(await route.run(call))
            return
        scope["state"][CALL_KEY] = call
        scope["state"][ROUTE_KEY] = route
        await self._framework(scope, _nothing_more(receive), exchange.send)

    def _allowed_elsewhere(self, caller: Caller) -> bool:
        """Whether a page of another, allowed origin asks (CHANNEL S21)."""
        origin, host = caller.origin, caller.host
        own = f"{'https' if caller.secure else 'http'}://{host.authority}"
        return origin is not None and origin != own and self.door.hosts.allows(origin)

    def _options(self, path: str, caller: Caller, cross_origin: bool) -> Reply:
        """Answer which methods a path has; a page of an allowed origin asks this without a credential."""
        if not cross_origin:
            caller.require()
        methods = self._table.methods(path)
        if not methods:
            raise NotFound("page")
        words = ", ".join(methods)
        headers = [("allow", words)]
        if cross_origin:
            headers += [
                ("access-control-allow-methods", words),
                ("access-control-allow-headers", "authorization, content-type, last-event-id, x-file-name"),
                ("access-control-max-age", "600"),
            ]
        return Reply(status=204, headers=headers)

    def _count(self, exchange: Exchange) -> None:
        elapsed = perf_counter() - exchange.started
        self._metrics.count_request(exchange.policy, exchange.status, elapsed)
        policy = exchange.policy
        # Reads, and what plugins publish all day long, would bury the rest.
        quiet = exchange.status < 400 and (policy is None or not policy.mutating or policy.need is Need.PUBLISH)
        level = logging.DEBUG if quiet else logging.INFO
        if _log.isEnabledFor(level):
            caller = exchange.caller
            principal = caller.principal if caller is not None else None
            _log.log(
                level,
                "%s %s %s %.1f ms user=%s from=%s",
                exchange.scope.get("method", "WS"),
                exchange.path,
                exchange.status,
                elapsed * 1000,
                principal.user_id if principal is not None else "-",
                caller.address if caller is not None else "-",
            )


class TooLarge(Problem):
    """The body is larger than this route takes."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, "too_large", f"The body may have {limit} bytes at most.")


class Disconnected(Problem):
    """The client went away before its request was whole; nobody reads this."""

    def __init__(self) -> None:
        super().__init__(400, "disconnected", "The request ended before its body was complete.")


class Exchange:
    """One request and what became of it; decorates the response's head."""

    __slots__ = ("caller", "cors_origin", "policy", "scope", "sending", "started", "status")

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.sending = send
        self.status = 0
        self.started = perf_counter()
        self.caller: Caller | None = None
        self.policy: Policy | None = None
        self.cors_origin: str | None = None

    @property
    def path(self) -> str:
        """The path as it came, without the query, fit for a log line."""
        raw: bytes = self.scope.get("raw_path") or b""
        return raw[:200].decode("ascii", "backslashreplace")

    async def send(self, message: Message) -> None:
        """Pass a message on; a response's head gets the headers that all have."""
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.status = int(message["status"])
            message["headers"] = self._decorated(message.get("headers", ()))
        elif kind == "websocket.accept":
            self.status = 101
        await self.sending(message)

    async def reply(self, reply: Reply) -> None:
        """Send a whole reply."""
        body = reply.body
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
        if isinstance(body, bytes):
            if reply.status != 204:
                headers.append((b"content-type", reply.content_type.encode("latin-1")))
                headers.append((b"content-length", str(len(body)).encode()))
            await self._respond(reply.status, headers, body)
            return
        raise TypeError("a stream of bytes goes through the framework")

    async def refuse(self, problem: Problem) -> None:
        """Send an error, if nothing was sent yet; else end the connection where it is."""
        if self.status:
            return
        body = problems.document(problem)
        await self._respond(problem.status, problems.headers(problem, body), body)

    async def _respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        # Before the upgrade a WebSocket is answered like any request (ASGI's websocket.http.response extension).
        kind = "websocket.http.response" if self.scope["type"] == "websocket" else "http.response"
        connection: Connection = self.scope["state"][CONNECTION_KEY]
        connection.hold_head()
        await self.send({"type": kind + ".start", "status": status, "headers": headers})
        await self.sending({"type": kind + ".body", "body": body, "more_body": False})

    def _decorated(self, headers: Any) -> list[tuple[bytes, bytes]]:
        decorated = list(headers)
        names = {name for name, _ in decorated}
        decorated.extend(SECURITY_HEADERS)
        if b"content-security-policy" not in names:
            decorated.append((b"content-security-policy", CONTENT_SECURITY_POLICY.encode()))
        if b"cache-control" not in names:
            decorated.append((b"cache-control", b"no-store"))
        if self.cors_origin is not None:
            decorated.append((b"access-control-allow-origin", self.cors_origin.encode("latin-1")))
            decorated.append((b"access-control-allow-credentials", b"true"))
            decorated.append((b"vary", b"Origin"))
        return decorated


def _browses(scope: Scope) -> bool:
    """Whether somebody typed an address or followed a link, and wants words rather than JSON."""
    return not scope["path"].startswith(_OF_PROGRAMS) and "text/html" in _header(scope, b"accept")


def _header(scope: Scope, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")


async def _read(receive: Receive, limit: int) -> bytes:
    """Return a whole body.

    Raises:
        TooLarge: it has more bytes; read no further.
        Problem: 408 where it takes too long.
    """
    pieces: list[bytes] = []
    size = 0
    with trio.move_on_after(BODY_SECONDS + limit / SLOWEST_BYTES_PER_SECOND):
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise Disconnected
            piece: bytes = message.get("body", b"")
            size += len(piece)
            if size > limit:
                raise TooLarge(limit)
            pieces.append(piece)
            if not message.get("more_body", False):
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    raise Problem(408, "too_slow", "The body did not arrive in time.")


def _nothing_more(receive: Receive) -> Receive:
    """Return a receive for the framework: the body was read, only the disconnect is to come."""
    told = False

    async def after_body() -> Message:
        nonlocal told
        if not told:
            told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        while True:
            message: Message = await receive()
            if message["type"] != "http.request":
                return message

    return after_body
