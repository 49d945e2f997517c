"""A bare client of a real gateway, for what tests do beside the daemon: ask, approve, restart, watch.

It builds and reads frames with `edgebotd.protocol.openclaw`, so a test with it shows that the gateway agrees.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from edgebotd.protocol.openclaw import (
    MAX_FRAME_BYTES,
    READ,
    WRITE,
    Device,
    Event,
    Hello,
    Response,
    Trouble,
    classify,
    classify_close,
    connect_params,
    parse_challenge,
    parse_frame,
    parse_hello,
    request,
)


class Refused(Exception):
    """Raised when the gateway answers with an error or closes; `trouble` tells which."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.detail)
        self.trouble = trouble


class GatewayClient:
    """One connection. `events` holds everything that came, in order."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self._websocket = websocket
        self._ids = count(1)
        self._answers: dict[str, Response] = {}
        self._changed = trio.Event()
        self.hello: Hello | None = None
        self.events: list[Event] = []
        self.closed: Trouble | None = None

    async def read(self) -> None:
        """Read frames until the connection ends."""
        await trio.lowlevel.checkpoint()
        try:
            while True:
                frame = parse_frame(await self._websocket.get_message())
                if isinstance(frame, Response):
                    self._answers[frame.id] = frame
                elif frame is not None:
                    self.events.append(frame)
                self._wake()
        except ConnectionClosed as closed:
            reason = closed.reason
            self.closed = classify_close(None) if reason is None else classify_close(reason.code, reason.reason)
            self._wake()

    async def call(self, method: str, params: Mapping[str, Any], *, timeout: float = 30) -> Any:
        """Send a request and return the payload of its answer; raises Refused."""
        id = str(next(self._ids))
        try:
            await self._websocket.send_message(request(id, method, params))
        except ConnectionClosed:
            raise Refused(self.closed or classify_close(1006)) from None
        await self.until(lambda: id in self._answers, timeout)
        answer = self._answers.pop(id)
        if not answer.ok:
            raise Refused(classify(answer.error))
        return answer.payload

    async def event(self, wanted: Callable[[Event], bool], *, timeout: float = 30) -> Event:
        """Return the first event, of those that came and those to come, that is wanted."""
        await self.until(lambda: any(map(wanted, self.events)), timeout)
        return next(filter(wanted, self.events))

    async def until(self, condition: Callable[[], bool], timeout: float) -> None:
        """Wait until a condition on what came is true; raises Refused when the connection ends before."""
        with trio.fail_after(timeout):
            await trio.lowlevel.checkpoint()
            while not condition():
                if self.closed is not None:
                    raise Refused(self.closed)
                await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def open_client(
    url: str,
    *,
    token: str | None,
    scopes: Sequence[str] = (READ, WRITE),
    device: Device | None = None,
    device_token: str | None = None,
) -> AsyncIterator[GatewayClient]:
    """Connect and shake hands; raises Refused when the gateway does not take us."""
    host, _, port = url.removeprefix("ws://").partition(":")
    async with (
        # trio-websocket leaves the socket of a refused upgrade open: what we opened, we close.
        await trio.open_tcp_stream(host, int(port)) as stream,
        trio.open_nursery() as nursery,
    ):
        websocket = await wrap_client_stream(nursery, stream, f"{host}:{port}", "/", max_message_size=MAX_FRAME_BYTES)
        client = GatewayClient(websocket)
        nursery.start_soon(client.read, name="gateway client")
        first = await client.event(lambda event: event.name == "connect.challenge")
        challenge = parse_challenge(first.payload)
        assert challenge is not None
        params = connect_params(
            challenge, version="test", token=token, scopes=scopes, device=device, device_token=device_token
        )
        client.hello = parse_hello(await client.call("connect", params))
        assert client.hello is not None
        yield client
        with trio.move_on_after(2):
            await websocket.aclose()
        nursery.cancel_scope.cancel()
