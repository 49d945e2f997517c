"""A whole web layer over a database in memory, with a real hub: what the tests of routes stand on."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import argon2
import trio
from typing_extensions import override

from edgebotd.access import Grant, Scope, local_admin
from edgebotd.accounts.cipher import Cipher, new_key
from edgebotd.accounts.house import open_accounts
from edgebotd.accounts.http import Call
from edgebotd.alerting.bots import BotsSeen
from edgebotd.alerting.channels import Channels
from edgebotd.alerting.house import make_alerting
from edgebotd.config.settings import Settings
from edgebotd.docker.bots import Bots
from edgebotd.docker.engine import Engine
from edgebotd.hub.hub import Hub, open_hub
from edgebotd.hub.settings import HubSettings
from edgebotd.outgoing import Outgoing
from edgebotd.people.accounts import Accounts
from edgebotd.people.audit import SYSTEM
from edgebotd.people.directory import People, open_people
from edgebotd.people.passwords import Passwords
from edgebotd.people.sign_in import From, SignIn
from edgebotd.people.tokens import Tokens
from edgebotd.store import installation
from edgebotd.store.database import Database, open_database
from edgebotd.web.app import create_app
from edgebotd.web.front import Front
from edgebotd.web.remote_image import RemoteImages
from edgebotd.web.services import Services
from edgebotd.web.session import PRINCIPAL_KEY
from tests.docker.house import RowedBots, docker_on
from tests.web.client import Client
from tests.web.fakes import FakeChat, FakeRegistry, FakeTurns

PASSWORD = "correct horse battery"
START = 1_800_000_000_000
"""Unix milliseconds."""


@dataclass
class Clock:
    """Wall clock that goes with Trio's."""

    offset: int = 0

    def __call__(self) -> int:
        return START + round((trio.current_time() - self.begin) * 1000) + self.offset

    begin: float = field(default_factory=trio.current_time)


class InlinePasswords(Passwords):
    """The same hashes, cheap and without a thread, so that virtual time does not run away."""

    def __init__(self) -> None:
        super().__init__(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))

    @override
    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        await trio.lowlevel.checkpoint()
        return work()


async def stream_stub(scope: Any, receive: Any, send: Any) -> None:
    """Stand in for `web.stream`: name the principal that the front found."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": scope["state"][PRINCIPAL_KEY].user_id.encode()})


@dataclass
class House:
    """The parts, and short ways to people and clients."""

    services: Services
    front: Front
    clock: Clock

    @property
    def people(self) -> People:
        return self.services.people

    @property
    def client(self) -> Client:
        return Client(self.front)

    async def user(self, user_id: str, *, admin: bool = False, **grants: Grant) -> str:
        """Make a user with grants by bot id; return the user's id."""
        await self.services.accounts.add(SYSTEM, user_id, user_id, admin=admin, password=PASSWORD)
        for bot_id, grant in grants.items():
            await self.services.accounts.grant(SYSTEM, user_id, bot_id, grant)
        return user_id

    async def signed_in(self, user_id: str) -> Client:
        """Return a browser's page with a session of the user."""
        signed_in = await self.services.sign_in.login(user_id, PASSWORD, From("127.0.0.1"))
        return self.client.with_cookie(f"edgebotd_session={signed_in.secret}")

    async def token(
        self, user_id: str, *scopes: Scope, bots: frozenset[str] | None = None, expires_at: int | None = None
    ) -> str:
        """Return the secret of a new token."""
        new = await self.services.tokens.create(
            local_admin(0),
            "test",
            user_id=user_id,
            name="t",
            scopes=frozenset(scopes),
            bots=bots,
            expires_at=expires_at,
        )
        return new.secret

    async def profile_token(self, user_id: str, profile_id: str, *, expires_at: int | None = None) -> str:
        """Return the secret of a new token that opens one login."""
        new = await self.services.tokens.for_profile(
            SYSTEM, user_id=user_id, name="t", profile_id=profile_id, expires_at=expires_at
        )
        return new.secret


async def nobody() -> frozenset[str]:
    return frozenset()


def channels_on(
    database: Database, hub: Hub, settings: Settings, clock: Clock, outgoing: Outgoing | None = None
) -> Channels:
    """The alerts' channels as the routes have them; no job of theirs runs."""
    seen = BotsSeen(list, lambda _: {}, nobody)
    page, rng = settings.server.public_url, random.Random(1)
    made = make_alerting(database, hub, settings.alerts, seen, page=page, outgoing=outgoing, now=clock, rng=rng)
    return made.channels


@asynccontextmanager
async def open_house(
    settings: Settings | None = None,
    *,
    clock: Clock | None = None,
    engine: Engine | None = None,
    bots: Bots | None = None,
    images: RemoteImages | None = None,
    outgoing: Outgoing | None = None,
    call: Call | None = None,
) -> AsyncIterator[House]:
    """Open the parts and the web application over them."""
    settings = settings or Settings()
    clock = clock or Clock()
    async with open_database(None) as database, open_hub_on(database, clock) as hub:
        async with (
            open_people(database, now=clock) as people,
            docker_on(
                database, hub, clock, engine=engine, bots=bots or RowedBots(database), settings=settings.docker
            ) as docker,
            open_accounts(
                database, settings.providers, hub=hub, cipher=Cipher(new_key()), now=clock, call=call
            ) as profiles,
        ):
            passwords = InlinePasswords()
            services = Services(
                database=database,
                hub=hub,
                registry=FakeRegistry(),
                turns=FakeTurns(),
                chat=FakeChat(),
                docker=docker,
                profiles=profiles,
                alert_channels=channels_on(database, hub, settings, clock, outgoing),
                people=people,
                accounts=Accounts(people, passwords),
                sign_in=SignIn(people, passwords),
                tokens=Tokens(people),
                now=clock,
                started_at=clock(),
                remote_images=images,
            )
            yield House(services, create_app(services, settings, stream_stub), clock)


@asynccontextmanager
async def open_hub_on(database: Database, clock: Clock) -> AsyncIterator[Hub]:
    identity = await database.write(lambda tx: installation.load_or_create(tx.connection, clock()))
    life = await database.write(lambda tx: installation.begin_life(tx.connection, clock()))
    async with open_hub(
        database, HubSettings(), installation=identity, life=life, clock=clock, rng=random.Random(1)
    ) as hub:
        yield hub
