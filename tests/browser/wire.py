"""What stands between a browser and the daemon in these tests: a wire that can be cut, a proxy that holds all back."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_CHUNK: Final = 65536


class Wire:
    """TCP in, TCP out, in a thread of its own. From `open_wire`.

    Attributes:
        joined: whether new connections are passed on; else they are closed at once.
        holding: whether what the daemon says is kept until it has ended, as a proxy does that buffers everything.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        self.joined = True
        self.holding = False
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._held: dict[socket.socket, bytearray] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="wire")
        self._thread.start()

    def cut(self, *, joined: bool) -> None:
        """Break all connections, and let new ones pass or not."""
        with self._lock:
            self.joined = joined
            while self._pairs:
                self._close(next(iter(self._pairs)))

    def close(self) -> None:
        """End it."""
        self._ended = True
        self._thread.join()
        self.cut(joined=False)
        self._selector.close()
        self._listener.close()

    def _run(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select(0.05):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._pairs:
                        self._pass(key.fileobj, far=key.data)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        if not self.joined:
            near.close()
            return
        try:
            far = socket.create_connection(self._target, 5)
        except OSError:
            near.close()
            return
        self._pairs[near], self._pairs[far] = far, near
        self._selector.register(near, selectors.EVENT_READ, False)
        self._selector.register(far, selectors.EVENT_READ, True)

    def _pass(self, source: socket.socket, *, far: bool) -> None:
        """Pass on what one side said; `far`: the daemon."""
        target = self._pairs[source]
        try:
            data = source.recv(_CHUNK)
            if far and (source in self._held or (self.holding and b"text/event-stream" in data)):
                held = self._held.setdefault(source, bytearray())
                held += data
                data = b"" if data else bytes(held)
                if not data:
                    return
            if data:
                target.sendall(data)
                return
        except OSError:
            pass  # the other side is told by the end
        self._close(source)

    def _close(self, one: socket.socket) -> None:
        other = self._pairs.pop(one, None)
        for end in (one, other):
            if end is not None:
                self._pairs.pop(end, None)
                self._held.pop(end, None)
                self._selector.unregister(end)
                end.close()


@contextmanager
def open_wire(port: int) -> Iterator[Wire]:
    """Put a wire before a daemon's port."""
    wire = Wire(port)
    try:
        yield wire
    finally:
        wire.close()
