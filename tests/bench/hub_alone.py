"""The hub behind the project's own serve loop and hand-over, and nothing else: what the channel itself costs.

`python -m tests.bench.hub_alone PORT`: `GET /api/events` subscribes, `POST /pub` publishes a `bot-activity`. No routes,
no access check, a store in memory.
"""

from __future__ import annotations

import gc
import random
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

import trio

from edgebotd.access import Kind, Principal
from edgebotd.events import BotActivity
from edgebotd.hub.hub import Hub, open_hub
from edgebotd.hub.settings import HubSettings
from edgebotd.store import installation
from edgebotd.store.database import open_database
from edgebotd.web.connection import CONNECTION_KEY, Connection
from edgebotd.web.server import serve_web
from edgebotd.web.session import PRINCIPAL_KEY
from edgebotd.web.stream import EventStream, Receive, Scope, Send

EVERYBODY: Final = Principal(Kind.TOKEN, "bench", "bench", "bench", every_bot=True)


class Plain:
    """What `serve_web` wants to know."""

    tls_certificate: Path | None = None
    tls_key: Path | None = None
    graceful_seconds = 1.0


class Application:
    """Two paths on one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._stream = EventStream(hub, lambda principal: principal, lambda principal, _user_id: principal)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["path"] == "/api/events":
            scope["state"][PRINCIPAL_KEY] = EVERYBODY
            await self._stream(scope, receive, send)
        else:
            event = BotActivity.model_validate_json(await _body(receive))
            self._hub.publish(event.bot_id, event)
            connection: Connection = scope["state"][CONNECTION_KEY]
            connection.hold_head()
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message: dict[str, Any] = await receive()
        piece: bytes = message["body"]
        body += piece
        if not message.get("more_body", False):
            return body


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message: dict[str, Any] = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _now() -> int:
    return time.time_ns() // 1_000_000


async def run(port: int) -> None:
    """Serve until cancelled."""
    settings = HubSettings(max_streams=30_000, max_streams_per_user=30_000)
    async with open_database(None) as database:
        identity = await database.write(lambda tx: installation.load_or_create(tx.connection, _now()))
        life = await database.write(lambda tx: installation.begin_life(tx.connection, _now()))
        async with open_hub(
            database, settings, installation=identity, life=life, clock=_now, rng=random.SystemRandom()
        ) as hub:
            await serve_web(
                Application(hub),
                [socket.create_server(("127.0.0.1", port))],
                Plain(),
                shutdown=trio.sleep_forever,
            )


if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # as the daemon does
    trio.run(run, int(sys.argv[1]))
