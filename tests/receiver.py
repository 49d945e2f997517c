"""A web server on loopback that takes what is posted to it, and misbehaves when told to."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

HANG = b"<hang>"
"""At the end of an answer: no more comes, and no end. Alone: none comes at all."""


def status(words: str, *headers: str) -> bytes:
    """Return a whole answer without a body."""
    return "\r\n".join([f"HTTP/1.1 {words}", "Content-Length: 0", "Connection: close", *headers, "", ""]).encode()


@dataclass(frozen=True)
class Taken:
    """One request. `headers` by their names in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came, and what the next ones are answered; 200 where nothing is said."""

    port: int
    taken: list[Taken] = field(default_factory=list)
    answers: deque[bytes] = field(default_factory=deque)
    _more: trio.Event = field(default_factory=trio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def wait_taken(self, count: int) -> None:
        """Wait until so many requests have come."""
        with trio.fail_after(20):
            while len(self.taken) < count:
                await self._more.wait()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer one request."""
        read = bytearray()
        try:
            while b"\r\n\r\n" not in read:
                if not (more := await stream.receive_some()):
                    return
                read += more
            head, _, body = bytes(read).partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            while len(body) < int(headers.get("content-length", "0")):
                body += await stream.receive_some()
            method, path, _ = first.split()
            self.taken.append(Taken(method, path, headers, body))
            self._more.set()
            self._more = trio.Event()
            answer = self.answers.popleft() if self.answers else status("200 OK")
            await stream.send_all(answer.removesuffix(HANG))
            if answer.endswith(HANG):
                await trio.sleep_forever()
        except trio.BrokenResourceError:
            pass  # the client has enough
        finally:
            with trio.move_on_after(1, shield=True):
                await stream.aclose()


@asynccontextmanager
async def open_receiver() -> AsyncIterator[Receiver]:
    """Serve until the block ends."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        receiver = Receiver(listener.socket.getsockname()[1])
        await nursery.start(trio.serve_listeners, receiver.serve, [listener])
        yield receiver
        nursery.cancel_scope.cancel()
