"""An endpoint on a real socket that answers as a test says, byte by byte where it must."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import h11
import trio


@dataclass
class Request:
    """A request as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = Callable[[Request, trio.SocketStream], Awaitable[None]]


def chunk(content: str | None = None, *, finish: str | None = None, **delta: Any) -> bytes:
    """Return one chunk of a stream."""
    if content is not None:
        delta["content"] = content
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def whole(body: bytes | dict[str, Any], status: int = 200, **headers: str) -> Answer:
    """Return an answer in one piece."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"

    async def answer(request: Request, stream: trio.SocketStream) -> None:
        await stream.send_all(head.encode() + body)

    return answer


def streamed(*chunks: bytes) -> Answer:
    """Return a streaming answer, which ends with its last chunk by closing the connection."""

    async def answer(request: Request, stream: trio.SocketStream) -> None:
        await stream.send_all(HEAD)
        for piece in chunks:
            await stream.send_all(piece)

    return answer


@dataclass
class Stage:
    """A streaming answer whose pieces the test sends; `began` is set when the request is there."""

    began: trio.Event = field(default_factory=trio.Event)
    gone: trio.Event = field(default_factory=trio.Event)
    """Set when the client has closed the connection."""
    _stream: trio.SocketStream | None = None

    async def answer(self, request: Request, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.began.set()
        try:
            while await stream.receive_some():
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self.gone.set()

    async def send(self, data: bytes) -> None:
        assert self._stream is not None
        await self._stream.send_all(data)

    async def close(self) -> None:
        assert self._stream is not None
        await self._stream.aclose()


class FakeEndpoint:
    """What listens. `models` and `chat` answer the two resources; `requests` are those to the chat."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.models: Answer = whole({"object": "list", "data": []})
        self.chat: Answer = streamed(chunk("Hello"), chunk(" there", finish="stop"), DONE)
        self.requests: list[Request] = []
        self.probes: list[Request] = []
        self.paths: list[str] = []
        self.scope = trio.CancelScope()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, stream: trio.SocketStream) -> None:
        """Read one request and have it answered."""
        async with stream:
            try:
                request = await _read(stream)
                if request is None:
                    return
                self.paths.append(request.target)
                if request.target.partition("?")[0].endswith("/models"):
                    self.probes.append(request)
                    await self.models(request, stream)
                else:
                    self.requests.append(request)
                    await self.chat(request, stream)
            except trio.BrokenResourceError:
                pass


async def _read(stream: trio.SocketStream) -> Request | None:
    connection = h11.Connection(h11.SERVER)
    request: Request | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some())
        elif isinstance(event, h11.Request):
            headers = {name.decode(): value.decode() for name, value in event.headers}
            request = Request(event.method.decode(), event.target.decode(), headers)
        elif isinstance(event, h11.Data) and request is not None:
            request.body += event.data
        else:
            return request


@asynccontextmanager
async def open_endpoint() -> AsyncIterator[FakeEndpoint]:
    """Serve a fake endpoint on a free port of the loopback; `scope` cancelled, nothing listens there any more."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    endpoint = FakeEndpoint(listeners[0].socket.getsockname()[1])
    async with trio.open_nursery() as connections, trio.open_nursery() as nursery:

        async def serve(*, task_status: trio.TaskStatus[None]) -> None:
            with endpoint.scope:
                task_status.started()
                await trio.serve_listeners(endpoint.serve, listeners, handler_nursery=connections)

        await nursery.start(serve)
        yield endpoint
        nursery.cancel_scope.cancel()
        connections.cancel_scope.cancel()
