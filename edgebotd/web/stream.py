"""`GET /api/events`: the door to the channel, plain ASGI (CHANNEL section 2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs

import trio

from edgebotd.access import Grant, Principal
from edgebotd.hub.frames import Bye, bye
from edgebotd.hub.hub import Hub
from edgebotd.hub.request import StreamRequest
from edgebotd.web.connection import CONNECTION_KEY, Connection
from edgebotd.web.session import PRINCIPAL_KEY

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

ADDRESS_KEY: Final = "edgebotd.address"
"""In `scope["state"]`: the client's address where a trusted proxy told another than the peer's."""

_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    # Debian's nginx gzips in spite of no-transform, but not what says that it is encoded already.
    (b"content-encoding", b"identity"),
)

_UNREAD_END_SECONDS: Final = 60
"""How long the end of a cut HTTP/2 stream may wait to be read; its task and last batch stay in memory so long."""

_MAX_NARROWED: Final = 64
"""Values of `bot` and of `type` that are read; more are ignored, which narrows further."""


class EventStream:
    """The ASGI application of the channel.

    A stream on plain HTTP/1 is handed over to the hub once its head is out, and this call ends; any other stays here.

    Args:
        refresh: looks a principal up again, None once it is revoked: the head takes a moment to send.
        seen_by: makes the principal of `?as=USER` out of the administrator who asks and the user's id.
    """

    def __init__(
        self,
        hub: Hub,
        refresh: Callable[[Principal], Principal | None],
        seen_by: Callable[[Principal, str], Principal],
    ) -> None:
        self._hub = hub
        self._refresh = refresh
        self._seen_by = seen_by

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            NotFound: `?bot=` names a bot that is absent for the principal, or `?as=` no user.
            Forbidden: `?as=` of somebody who is no administrator.
        """
        state = scope["state"]
        connection: Connection = state[CONNECTION_KEY]
        address = state.get(ADDRESS_KEY) or connection.peer
        viewer = state[PRINCIPAL_KEY]
        if (user_id := _shown_as(scope)) is not None:
            viewer = self._seen_by(viewer, user_id)
        request = requested(scope, viewer, address)
        handing_over = scope["method"] == "GET" and connection.can_detach
        headers = list(_HEADERS)
        if connection.http_version == "1":
            # The connection ends with the body, which a client that would keep it alive should know.
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["method"] == "HEAD":
            await _finish(send)
            return
        principal = self._refresh(request.principal)
        if principal is None:
            await _finish(send, bye(Bye.REVOKED, None))
            return
        if principal is not request.principal:
            request = requested(scope, principal, address)
        refusal = self._hub.refusal(principal)
        if refusal is not None:
            await _finish(send, refusal)
            return
        if connection.closed:
            return
        connection.notice_vanished_peers(self._hub.heartbeat_seconds)
        own = connection.detach() if handing_over else None
        if own is not None:
            self._hub.take_socket(request, own.detach(), chunked=scope["http_version"] == "1.1")
        else:
            await self._send_here(request, connection, scope, receive, send)

    async def _send_here(
        self, request: StreamRequest, connection: Connection, scope: Scope, receive: Receive, send: Send
    ) -> None:
        ending = False
        with self._hub.open_mailbox(request) as mailbox:
            async with trio.open_nursery() as nursery:

                async def until_gone() -> None:
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    # Hypercorn also says so from inside the last send; cancelling that would leave the connection
                    # without its idle timer, and the next stop would wait for it.
                    if not ending:
                        nursery.cancel_scope.cancel()

                async def until_cut() -> None:
                    await mailbox.cut.wait()
                    nursery.cancel_scope.cancel()
                    if connection.http_version == "1":
                        # Its sends are shielded by Hypercorn.
                        connection.abort()

                nursery.start_soon(until_gone)
                nursery.start_soon(until_cut)
                while data := await self._hub.next_bytes(mailbox):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                    await connection.wait_sent(scope)
                ending = True
                await _finish(send)
                nursery.cancel_scope.cancel()
            if mailbox.cut.is_set() and connection.http_version == "2":
                # Others share the connection, so it is not aborted: once the client reads on, it finds the end.
                with trio.move_on_after(_UNREAD_END_SECONDS) as waiting:
                    await _finish(send)
                if waiting.cancelled_caught:
                    connection.abort()


async def _finish(send: Send, body: bytes = b"") -> None:
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _shown_as(scope: Scope) -> str | None:
    """Return the user whose view an administrator asks for (CHANNEL C17)."""
    asked = parse_qs(scope["query_string"].decode("latin-1")).get("as")
    return asked[-1] if asked else None


def requested(scope: Scope, principal: Principal, address: str) -> StreamRequest:
    """Return what a request's headers and query ask for; the header's cursor wins (CHANNEL C2, S23).

    Raises:
        NotFound: a bot that is absent for the principal.
    """
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=False, max_num_fields=None)
    cursor = ""
    for name, value in scope["headers"]:
        if name == b"last-event-id":
            cursor = value.decode("latin-1")
    for key in ("lastEventId", "last_event_id"):
        cursor = cursor or query.get(key, [""])[0]
    bots = frozenset(query.get("bot", ())[:_MAX_NARROWED]) or None
    types = frozenset(query.get("type", ())[:_MAX_NARROWED]) or None
    for bot_id in sorted(bots or ()):
        principal.require(bot_id, Grant.VIEW)
    return StreamRequest(principal, cursor, bots, types, address)
