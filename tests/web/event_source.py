"""A client as the specification has it: it comes back by itself, with its cursor, after the time that it was told."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import h2.exceptions
import h11
import trio

from edgebotd.protocol.sse import Parser
from tests.web.stream_client import EventClient, Http1Client, Http2Client

NETWORK_FAILURES = (OSError, trio.BrokenResourceError, h11.RemoteProtocolError, h2.exceptions.ProtocolError)


class EventSource:
    """One stream, reopened for ever; any other answer than a stream closes it for good.

    Args:
        connect: opens a connection to the server; called anew for each try.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[trio.abc.Stream]],
        *,
        http2: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._connect = connect
        self._http2 = http2
        self._headers = dict(headers or {})
        self._retry = 1.0
        self._parser = Parser()
        self.closed_by: str | None = None
        self.hellos: list[str] = []
        self.byes: list[tuple[str, int | None]] = []
        self.numbers: list[int] = []
        """Of the messages that came, whose ids are a letter and a number."""

    async def run(self) -> None:
        """Read until cancelled or closed for good."""
        while self.closed_by is None:
            stream: trio.abc.Stream | None = None
            try:
                stream = await self._connect()
                await self._read(stream)
            except NETWORK_FAILURES:
                pass
            finally:
                if stream is not None:
                    with trio.CancelScope(shield=True):  # bounded: closing by force waits for nobody
                        await trio.aclose_forcefully(stream)
            await trio.sleep(self._retry)

    async def _read(self, stream: trio.abc.Stream) -> None:
        client: EventClient = Http2Client(stream) if self._http2 else Http1Client(stream, "1.1")
        self._parser = Parser(last_event_id=self._parser.last_event_id)
        cursor = self._parser.last_event_id
        await client.request("GET", "/api/events", self._headers | ({"last-event-id": cursor} if cursor else {}))
        if client.status != 200 or not client.headers["content-type"].startswith("text/event-stream"):
            self.closed_by = f"{client.status} {client.headers}"
            return
        while data := await client.receive():
            for event in self._parser.feed(data):
                self._take(event.type, event.data, event.retry)
            if self._parser.retry_ms is not None:
                self._retry = self._parser.retry_ms / 1000

    def _take(self, kind: str, data: str, retry: int | None) -> None:
        if kind == "hello":
            self.hellos.append(json.loads(data)["verdict"])
        elif kind == "bye":
            self.byes.append((json.loads(data)["reason"], retry))
        elif kind == "message":
            body: dict[str, Any] = json.loads(data)
            if body["type"] == "chat-message":
                self.numbers.append(int(body["message"]["id"][1:]))
