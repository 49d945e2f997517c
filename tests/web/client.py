"""A client that calls the ASGI application in its own task: no sockets, so tests run on virtual time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import trio

from edgebotd.web.front import Front


@dataclass
class Answer:
    """A response, whole."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        code = self.json["code"]
        assert isinstance(code, str)
        return code

    @property
    def cookie(self) -> str:
        """The cookie that was set, as a request sends it."""
        value = self.header("set-cookie")
        assert value is not None, self
        return value.partition(";")[0]


@dataclass
class Connection:
    """As `web.connection.Connection`."""

    unix_uid: int | None = None

    def hold_head(self) -> None:
        """Nothing is held."""


@dataclass
class Client:
    """Calls `front`, with headers that stay."""

    front: Front
    headers: dict[str, str] = field(default_factory=dict)
    peer: str = "127.0.0.1"
    unix_uid: int | None = None
    scheme: str = "http"

    def scope(self, kind: str, method: str, target: str, headers: dict[str, str]) -> dict[str, Any]:
        raw, _, query = target.partition("?")
        sent = {"host": "localhost:8787", **self.headers, **headers}
        return {
            "type": kind,
            "asgi": {"spec_version": "2.3", "version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": self.scheme if kind == "http" else self.scheme.replace("http", "ws"),
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "client": None if self.unix_uid is not None else (self.peer, 40_000),
            "server": ("127.0.0.1", 8787),
            "subprotocols": [],
            "state": {"edgebotd.connection": Connection(self.unix_uid)},
            "extensions": {"websocket.http.response": {}},
        }

    async def request(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request; `body` as JSON, or `data` as it is."""
        extra = dict(headers or {})
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            extra.setdefault("content-type", "application/json")
            extra.setdefault("content-length", str(len(data)))
        answer = Answer()
        pieces = [data or b""]
        done = trio.Event()

        async def receive() -> Any:
            if pieces:
                return {"type": "http.request", "body": pieces.pop(), "more_body": False}
            await done.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            await trio.lowlevel.checkpoint()
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = [(name.decode(), value.decode()) for name, value in message["headers"]]
            elif message["type"] == "http.response.body":
                answer.body += message.get("body", b"")
                if not message.get("more_body", False):
                    done.set()

        await self.front(self.scope("http", method, target, extra), receive, send)
        return answer

    async def get(self, target: str, **headers: str) -> Answer:
        return await self.request("GET", target, headers={k.replace("_", "-"): v for k, v in headers.items()})

    async def post(self, target: str, body: Any = None, **headers: str) -> Answer:
        return await self.request("POST", target, body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    async def put(self, target: str, body: Any = None) -> Answer:
        return await self.request("PUT", target, body)

    async def patch(self, target: str, body: Any = None) -> Answer:
        return await self.request("PATCH", target, body)

    async def delete(self, target: str) -> Answer:
        return await self.request("DELETE", target)

    def with_token(self, secret: str) -> Client:
        return Client(self.front, {**self.headers, "authorization": f"Bearer {secret}"}, self.peer)

    def with_cookie(self, cookie: str) -> Client:
        """Return a browser's page of our own: a cookie, and the Origin that a browser sends with a change."""
        return Client(self.front, {**self.headers, "cookie": cookie, "origin": "http://localhost:8787"}, self.peer)

    def local(self, uid: int) -> Client:
        return Client(self.front, dict(self.headers), unix_uid=uid)
