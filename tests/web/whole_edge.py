"""The whole daemon but its process: real people, bots, hub and front, served on TCP, TLS and a unix socket."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio

from edgebotd.accounts.cipher import Cipher, new_key
from edgebotd.accounts.house import open_accounts
from edgebotd.bots.gateways import Gateways
from edgebotd.bots.registry import open_bots
from edgebotd.config.settings import Settings
from edgebotd.hub.hub import open_hub
from edgebotd.hub.settings import HubSettings
from edgebotd.people.accounts import Accounts
from edgebotd.people.directory import open_people
from edgebotd.people.sign_in import SignIn
from edgebotd.people.tokens import Tokens
from edgebotd.store import installation
from edgebotd.store.database import open_database
from edgebotd.web.app import create_app
from edgebotd.web.server import serve_web
from edgebotd.web.services import Services
from edgebotd.web.stream import EventStream
from tests.docker.house import docker_on
from tests.web.house import Clock, House, InlinePasswords, channels_on
from tests.web.stream_client import Edge, EventClient, Files

SETTINGS: dict[str, Any] = {
    "server": {
        "public_url": "https://bots.example.org",
        "chat_host": "chat.example.org",
        "allowed_origins": ["https://other.example.org"],
        "admin_uids": [os.getuid()],
        "graceful_seconds": 1.0,
    },
    "bots": {
        "atlas": {"kind": "echo", "host": "atlas.example.org", "pace_ms": 1},
        "iris": {"kind": "echo", "pace_ms": 1},
    },
}


@dataclass(kw_only=True)
class WholeEdge(Edge):
    """A running edge with its house; requests say who they are by their headers."""

    house: House

    async def token_of(self, user_id: str, *scopes: Any, **more: Any) -> dict[str, str]:
        """Return the headers of a new token."""
        return {"authorization": "Bearer " + await self.house.token(user_id, *scopes, **more)}

    async def cookie_of(self, user_id: str) -> dict[str, str]:
        """Return the headers of a new session, as a page of ours sends them."""
        client = await self.house.signed_in(user_id)
        return {"cookie": client.headers["cookie"], "sec-fetch-site": "same-origin"}

    async def stream(self, transport: str, headers: dict[str, str], path: str = "/api/events") -> EventClient:
        """Open a stream and read its first frame, if it is one."""
        client = await self.open(transport, path, headers=headers)
        assert client.status == 200, (client.status, await client.rest())
        return client


@asynccontextmanager
async def open_whole_edge(
    directory: Path, certificate: Files | None = None, channel: HubSettings | None = None
) -> AsyncIterator[WholeEdge]:
    """Open everything; the users `ann` and `root` are the test's to make."""
    settings = Settings.model_validate(SETTINGS)
    clock = Clock()
    async with open_database(None, now=clock()) as database:
        identity = await database.write(lambda tx: installation.load_or_create(tx.connection, clock()))
        life = await database.write(lambda tx: installation.begin_life(tx.connection, clock()))
        async with (
            open_hub(
                database,
                channel or HubSettings(),
                installation=identity,
                life=life,
                clock=clock,
                rng=random.Random(1),
            ) as hub,
            open_people(database, now=clock) as people,
            open_bots(database, hub, settings.bots, settings.chat, directory, now=clock) as registry,
            docker_on(database, hub, clock, bots=Gateways(registry, database)) as docker,
            open_accounts(database, {}, hub=hub, cipher=Cipher(new_key()), now=clock) as profiles,
        ):
            people.subscribe(partial(hub.rescope, people.refresh))
            passwords = InlinePasswords()
            services = Services(
                database=database,
                hub=hub,
                registry=registry,
                turns=registry.turns,
                chat=registry.chat,
                docker=docker,
                profiles=profiles,
                alert_channels=channels_on(database, hub, settings, clock),
                people=people,
                accounts=Accounts(people, passwords),
                sign_in=SignIn(people, passwords),
                tokens=Tokens(people),
                now=clock,
                started_at=clock(),
            )
            front = create_app(services, settings, EventStream(hub, people.refresh, people.seen_by))
            async with _served(directory, House(services, front, clock), settings, certificate) as edge:
                yield edge


@asynccontextmanager
async def _served(
    directory: Path, house: House, settings: Settings, certificate: Files | None
) -> AsyncIterator[WholeEdge]:
    plain, tls = _bound(), _bound()
    unix = socket.socket(socket.AF_UNIX)
    unix_path = str(directory / "edge.sock")
    unix.bind(unix_path)
    edge = WholeEdge(
        house.services.hub,
        plain.getsockname()[1],
        tls.getsockname()[1],
        unix_path,
        None if certificate is None else certificate.tls_certificate,
        trio.Event(),
        trio.Event(),
        house=house,
    )

    async def drain() -> None:
        house.front.drain()
        await house.services.hub.drain()

    serve = partial(serve_web, house.front, shutdown=edge.shutdown.wait, drain=drain)
    async with trio.open_nursery() as servers:
        await servers.start(partial(serve, [plain, unix], settings.server))
        if certificate is not None:
            await servers.start(partial(serve, [tls], certificate))
        else:
            tls.close()
        try:
            yield edge
        finally:
            edge.shutdown.set()
            with trio.CancelScope(shield=True):  # bounded: closing by force waits for nobody
                for stream in edge.opened:
                    await trio.aclose_forcefully(stream)
    edge.stopped.set()


def _bound() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock
