"""The idiomatic way on the same stack: a generator and a memory channel for each subscriber. Argument: the port."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import hypercorn.config
import hypercorn.trio
import trio
from quart import Response, make_response, request
from quart_trio import QuartTrio

app = QuartTrio(__name__)
subscribers: set[trio.MemorySendChannel[bytes]] = set()


@app.get("/events")
async def events() -> Response:
    """Stream what is published from now on."""

    async def frames() -> AsyncIterator[bytes]:  # noqa: ASYNC900
        send, receive = trio.open_memory_channel[bytes](1000)
        subscribers.add(send)
        try:
            yield b": hi\n\n"
            async for frame in receive:
                yield frame
        finally:
            subscribers.discard(send)

    response = await make_response(frames(), {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    assert isinstance(response, Response)
    response.timeout = None
    return response


@app.post("/pub")
async def publish() -> tuple[str, int]:
    """Send the body to every subscriber."""
    body = await request.get_data()
    frame = b"data: " + (body if isinstance(body, bytes) else body.encode()) + b"\n\n"
    for send in list(subscribers):
        try:
            send.send_nowait(frame)
        except trio.WouldBlock:
            pass
    return "", 204


if __name__ == "__main__":
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.backlog = 8192
    trio.run(hypercorn.trio.serve, app, config)
