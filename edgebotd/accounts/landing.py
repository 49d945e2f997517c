"""Where a browser lands after its person has agreed: one page on loopback (RFC 8252 section 7.3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

PATH: Final = "/callback"
_HEAD_BYTES: Final = 16 * 1024
_SECONDS: Final = 10.0


async def open_landing() -> tuple[trio.SocketListener, str]:
    """Return a listener on a free port, which the caller serves, and the address that leads to it."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    return listener, f"http://127.0.0.1:{listener.socket.getsockname()[1]}{PATH}"


async def serve_landing(listener: trio.SocketListener, land: Callable[[str], Awaitable[str]]) -> None:
    """Serve it until cancelled; closes the listener.

    Args:
        land: takes the address that a browser came with, and returns what the page says.
    """

    async def one(stream: trio.SocketStream) -> None:
        try:
            with trio.move_on_after(_SECONDS):
                target = await _target(stream)
            if target is not None and target.partition("?")[0] == PATH:
                await _say(stream, "200 OK", await land(f"http://127.0.0.1{target}"))
            else:
                await _say(stream, "404 Not Found", "There is nothing here.")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the browser has gone

    await trio.serve_listeners(one, [listener])


async def _target(stream: trio.SocketStream) -> str | None:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES:
        if not (more := await stream.receive_some(4096)):
            return None
        head += more
    method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    target, _, version = rest.rpartition(" ")
    return target if method == "GET" and version.startswith("HTTP/1.") and target.startswith("/") else None


async def _say(stream: trio.SocketStream, status: str, text: str) -> None:
    body = text.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        # The address has the code: it goes nowhere from here.
        "Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        "Content-Security-Policy: default-src 'none'\r\nConnection: close\r\n\r\n"
    )
    await stream.send_all(head.encode() + body)
    await stream.send_eof()
