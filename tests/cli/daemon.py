"""A small HTTP server on a unix socket in the daemon's place: answers by table, streams by script."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

Answer = tuple[int, Any]


@dataclass
class Request:
    """What came in."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    headers: dict[str, str]


@dataclass
class Script:
    """What the fake does. Streams are played one a connection; the last one stays open until `release`."""

    answers: dict[tuple[str, str], Answer | Callable[[Request], Answer]] = field(default_factory=dict)
    streams: list[bytes] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    sent: threading.Event = field(default_factory=threading.Event)
    """Set by a POST; a part of a stream after `AFTER_SEND` waits for it."""

    def seen(self, method: str, path: str) -> list[Request]:
        return [r for r in self.requests if (r.method, r.path) == (method, path)]


AFTER_SEND = b"\x00after-send\x00"


def frame(data: dict[str, Any] | None = None, *, event: str = "", id: str = "", retry: int | None = None) -> bytes:
    lines = [f"event: {event}"] if event else []
    lines += [f"id: {id}"] if id else []
    lines += [f"retry: {retry}"] if retry is not None else []
    return "\n".join([*lines, f"data: {json.dumps(data) if data is not None else ''}", "", ""]).encode()


def hello(verdict: str = "fresh", **more: Any) -> bytes:
    return frame({"verdict": verdict, "heartbeatSeconds": 15, "user": "local", **more}, event="hello", retry=0)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    script: Script


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    @override
    def address_string(self) -> str:
        return "unix"

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  # the base class's names

    def _serve(self) -> None:
        script, url = self.server.script, urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        request = Request(self.command, url.path, parse_qs(url.query), body, dict(self.headers.items()))
        script.requests.append(request)
        if url.path == "/api/events":
            self._stream(script)
            return
        answer = script.answers.get((self.command, url.path), (404, {"detail": "No such page.", "code": "not_found"}))
        status, document = answer(request) if callable(answer) else answer
        raw = document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
        if self.command == "POST":
            script.sent.set()

    def _stream(self, script: Script) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        first, _, rest = script.streams.pop(0).partition(AFTER_SEND)
        self.wfile.write(first)
        if rest:
            script.sent.wait(10)
            self.wfile.write(rest)
        if not script.streams:
            script.release.wait(10)


@contextmanager
def serve(path: Path, script: Script) -> Iterator[None]:
    """Serve the script on a unix socket."""
    with _Server(str(path), _Handler) as server:
        server.script = script
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            script.release.set()
            server.shutdown()
            thread.join()
