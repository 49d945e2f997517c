"""The containers' floor over a real store and hub, with bots that only remember what was asked of them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from typing_extensions import override

from edgebotd.config import DockerSettings
from edgebotd.docker.bots import Bots
from edgebotd.docker.engine import Engine
from edgebotd.docker.house import Docker, open_docker
from edgebotd.docker.making import ProfileSecret, no_profiles
from edgebotd.errors import Conflict, NotFound
from edgebotd.events import BotState, BotSummary, ContainerStatus
from edgebotd.hub.hub import Hub
from edgebotd.people.audit import Actor, record
from edgebotd.protocol.run import Verdict
from edgebotd.store import bots as bot_rows
from edgebotd.store.bots import StoredBot
from edgebotd.store.database import Database

INSTALLATION = "i" * 16


@dataclass
class FakeBots:
    """What `bots.gateways.Gateways` is in the daemon; `told` has how each bot's container was last said to be."""

    names: dict[str, str] = field(default_factory=dict)
    told: dict[str, ContainerStatus | None] = field(default_factory=dict)
    gateways: dict[str, tuple[str, SecretStr]] = field(default_factory=dict)
    held: dict[str, str | None] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    aborted: list[str] = field(default_factory=list)
    echoes: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    tokens: dict[str, SecretStr] = field(default_factory=dict)

    def ids(self) -> list[str]:
        return sorted(self.names)

    def summary(self, bot_id: str) -> BotSummary:
        if bot_id not in self.names:
            raise NotFound("bot", bot_id)
        return BotSummary(bot_id=bot_id, name=self.names[bot_id], kind="openclaw", state=BotState.CONNECTED, since_at=1)

    async def add(self, bot_id: str, name: str, url: str, token: SecretStr) -> None:
        self.names[bot_id] = name
        self.gateways[bot_id] = (url, token)

    async def reserve(self, bot_id: str, url: str) -> SecretStr:
        if self.gateways.get(bot_id, (url,))[0] != url:
            raise Conflict("bot_exists", "taken")
        return self.tokens.setdefault(bot_id, SecretStr(f"token-of-{bot_id}"))

    async def discard(self, bot_id: str, url: str) -> None:
        if self.gateways.get(bot_id, (url,))[0] == url:
            await self.remove(bot_id, history=True)
            self.tokens.pop(bot_id, None)

    async def change(self, bot_id: str, *, url: str | None = None, token: SecretStr | None = None) -> None:
        before = self.gateways.get(bot_id, ("", SecretStr("")))
        self.gateways[bot_id] = (url or before[0], token or before[1])

    async def remove(self, bot_id: str, *, history: bool) -> None:
        self.names.pop(bot_id, None)
        self.gateways.pop(bot_id, None)

    async def verdict(self, bot_id: str, seconds: float) -> Verdict:
        return self.verdicts.pop(0) if self.verdicts else Verdict(True, version="2026.9.6")

    def busy(self, bot_id: str) -> int:
        return self.runs.get(bot_id, 0)

    async def wait_idle(self, bot_id: str) -> None:
        self.runs.pop(bot_id, None)

    async def abort_all(self, bot_id: str) -> None:
        self.aborted.append(bot_id)
        self.runs.pop(bot_id, None)

    def hold(self, bot_id: str, reason: str | None) -> None:
        self.held[bot_id] = reason

    def container(self, bot_id: str, status: ContainerStatus | None) -> None:
        self.told[bot_id] = status

    async def echo(self, bot_id: str, text: str, seconds: float, key: str) -> str:
        self.echoes.append(key)
        return text

    async def end_echo(self, bot_id: str, key: str) -> None:
        self.echoes.append(f"end {key}")

    async def forget_echo(self, bot_id: str, key: str) -> None:
        self.echoes.append(f"forget {key}")


class RowedBots(FakeBots):
    """As the real ones, with rows in the store, which containers belong to."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database

    @override
    async def add(self, bot_id: str, name: str, url: str, token: SecretStr) -> None:
        if bot_id not in self.names:
            row = StoredBot(bot_id, "openclaw", name, {"url": url})
            await self.database.write(lambda tx: bot_rows.add(tx.connection, row))
        await super().add(bot_id, name, url, token)

    @override
    async def remove(self, bot_id: str, *, history: bool) -> None:
        await super().remove(bot_id, history=history)
        await self.database.write(lambda tx: bot_rows.remove(tx.connection, bot_id, 1))

    @override
    async def discard(self, bot_id: str, url: str) -> None:
        await super().discard(bot_id, url)
        if bot_id not in self.names:
            await self.database.write(lambda tx: bot_rows.free(tx.connection, bot_id))


@asynccontextmanager
async def docker_on(
    database: Database,
    hub: Hub,
    clock: Callable[[], int],
    *,
    socket: Path | None = None,
    engine: Engine | None = None,
    bots: Bots | None = None,
    settings: DockerSettings | None = None,
    named: dict[str, str] | None = None,
    profile_secret: ProfileSecret = no_profiles,
) -> AsyncIterator[Docker]:
    """Open the floor; nobody runs its job (`Docker.run`) unless the test does. Without a socket there is no engine."""

    def note(
        conn: sqlite3.Connection, actor: Mapping[str, Any], action: str, bot_id: str, detail: Mapping[str, Any]
    ) -> None:
        who = Actor(**{"user_id": "system", "kind": "system", **actor})
        record(conn, who, clock(), action, bot_id, bot_id=bot_id, **detail)

    async with open_docker(
        database,
        hub,
        FakeBots() if bots is None else bots,
        settings or DockerSettings(),
        socket=socket,
        engine=engine,
        named=named or {},
        installation=INSTALLATION,
        note=note,
        now=clock,
        profile_secret=profile_secret,
    ) as docker:
        yield docker
