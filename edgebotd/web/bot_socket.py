"""The per-bot WebSocket (CHANNEL section 4): answers requests and never says anything else. Plain ASGI.

Plain ASGI because the framework accepts before a view runs, and here a refusal comes before the upgrade, and the close
codes are ours.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import trio
from pydantic import BaseModel

from edgebotd.access import Principal
from edgebotd.errors import Problem
from edgebotd.people.directory import People
from edgebotd.protocol import rpc
from edgebotd.web import problem as problems
from edgebotd.web.connection import CONNECTION_KEY, Connection
from edgebotd.web.session import Caller, Scope

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Method = Callable[[Caller, str, Mapping[str, Any]], Awaitable[BaseModel]]
"""Called with who asks (as of now), the bot and the params; the same function that the route calls."""

MAX_FRAME_BYTES: Final = 1024 * 1024
MAX_IN_FLIGHT: Final = 32
"""Requests of one socket at once; the full case: error `busy`."""
MAX_SOCKETS_PER_USER: Final = 64
"""The full case: 429 before the upgrade."""
CLOSE_SECONDS: Final = 0.5
"""For the close frame of a client that does not read."""

# RFC 6455, section 7.4.1
_GOING_AWAY: Final = 1001
_UNACCEPTABLE: Final = 1003
_POLICY: Final = 1008
_TOO_BIG: Final = 1009

_log = logging.getLogger(__name__)


class BotSockets:
    """All open sockets.

    Args:
        methods: by their name in a request's `method`.
    """

    def __init__(self, people: People, methods: Mapping[str, Method], now: Callable[[], int]) -> None:
        self._people = people
        self._methods = methods
        self._now = now
        self._open: set[_Socket] = set()

    def __len__(self) -> int:
        return len(self._open)

    def recheck(self) -> None:
        """Ask for each socket's principal again; close those that are worth nothing any more. Synchronous."""
        for socket in list(self._open):
            fresh = self._people.refresh(socket.principal)
            if fresh is None or fresh.grant_on(socket.bot_id) is None:
                socket.close(_POLICY, "revoked")
            else:
                socket.principal = fresh

    def drain(self) -> None:
        """Close all sockets: the daemon stops. Their requests in flight end with them."""
        for socket in list(self._open):
            socket.close(_GOING_AWAY, "restart")

    async def serve(self, scope: Scope, receive: Receive, send: Send, caller: Caller, bot_id: str) -> None:
        """Serve one socket; the front has let the caller in. Runs until either side closes."""
        principal = caller.require()
        own = sum(1 for socket in self._open if socket.principal.user_id == principal.user_id)
        if own >= MAX_SOCKETS_PER_USER:
            raise Problem(429, "too_many_sockets", f"A user has at most {MAX_SOCKETS_PER_USER} sockets open.")
        connection: Connection = scope["state"][CONNECTION_KEY]
        socket = _Socket(caller, principal, bot_id, send, partial(connection.wait_sent, scope))
        self._open.add(socket)  # before anything is waited for: many that come at once are counted too
        try:
            await receive()  # websocket.connect
            await send({"type": "websocket.accept"})
            self.recheck()  # what was revoked since the front looked
            if principal.expires_at is not None:
                socket.scope.deadline = trio.current_time() + max(0.0, (principal.expires_at - self._now()) / 1000)
            async with trio.open_nursery() as ending:
                ending.start_soon(_cut_late, socket, connection, name="bot socket end")
                try:
                    with socket.scope:
                        async with trio.open_nursery() as nursery:
                            await self._read(socket, receive, nursery)
                            nursery.cancel_scope.cancel()
                finally:
                    with trio.move_on_after(CLOSE_SECONDS, shield=True):
                        await socket.say_close()
                ending.cancel_scope.cancel()
        finally:
            self._open.discard(socket)

    async def _read(self, socket: _Socket, receive: Receive, nursery: trio.Nursery) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                socket.gone = True
                return
            text = message.get("text")
            if text is None:
                socket.close(_UNACCEPTABLE, "text frames only")
                return
            # The server bounds what it collects of a frame in characters; the contract speaks of bytes.
            if len(text) > MAX_FRAME_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_FRAME_BYTES:
                socket.close(_TOO_BIG, "frame over 1 MiB")
                return
            request = rpc.parse(text)
            if isinstance(request, rpc.Problem):
                await socket.say(rpc.failure(request.id, request.code, request.message))
            elif request.method not in self._methods:
                await socket.say(rpc.failure(request.id, "unknown_method", f"There is no method {request.method}."))
            elif socket.in_flight >= MAX_IN_FLIGHT:
                busy = f"{MAX_IN_FLIGHT} requests of this socket are in flight. Wait for an answer."
                await socket.say(rpc.failure(request.id, "busy", busy))
            else:
                socket.in_flight += 1
                nursery.start_soon(self._answer, socket, request, name=f"bot socket {request.method}")

    async def _answer(self, socket: _Socket, request: rpc.Request) -> None:
        try:
            result = await self._methods[request.method](socket.caller_now(), socket.bot_id, request.params)
            frame = rpc.answer(request.id, result.model_dump(mode="json", by_alias=True))
        except Problem as problem:
            frame = rpc.failure(request.id, problem.code, problem.detail)
        except Exception:  # noqa: BLE001 - the edge: a request's bug is logged whole and ends nothing else
            error_id = secrets.token_hex(6)
            _log.exception("error %s: %s on the socket of bot %s", error_id, request.method, socket.bot_id)
            frame = rpc.failure(request.id, "internal", problems.internal(error_id).detail)
        # In flight until it has left: the answers to a client that does not read are bounded too.
        await socket.say(frame)
        socket.in_flight -= 1


async def _cut_late(socket: _Socket, connection: Connection) -> None:
    """Cut a socket whose client does not even read that it ends: the server shields its sends.

    On HTTP/2, where others share the connection, no send waits for the client like that.
    """
    with trio.move_on_at(socket.scope.deadline):
        await socket.ending.wait()
    await trio.sleep(CLOSE_SECONDS)
    if connection.http_version == "1":
        connection.abort()


class _Socket:
    """One open socket. `wait_sent` waits until what was sent has left the server."""

    def __init__(
        self, caller: Caller, principal: Principal, bot_id: str, send: Send, wait_sent: Callable[[], Awaitable[None]]
    ) -> None:
        self._caller = caller
        self.principal = principal
        self.bot_id = bot_id
        self.in_flight = 0
        self.gone = False
        self.scope = trio.CancelScope()
        self.ending = trio.Event()
        self._send = send
        self._wait_sent = wait_sent
        self._turn = trio.Lock()
        self._closing = (_POLICY, "session ended")

    def caller_now(self) -> Caller:
        """Return who asks, with the rights of now."""
        return replace(self._caller, principal=self.principal)

    def close(self, code: int, reason: str) -> None:
        """End the socket; what is in flight on it is cancelled."""
        self._closing = (code, reason)
        self.ending.set()
        self.scope.cancel()

    async def say(self, frame: str) -> None:
        """Send an answer; one at a time."""
        async with self._turn:
            await self._send({"type": "websocket.send", "text": frame})
            await self._wait_sent()

    async def say_close(self) -> None:
        """Send the close frame, unless the client has closed already."""
        if not self.gone:
            code, reason = self._closing
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
