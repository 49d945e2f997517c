"""Adopting gateways, on virtual time: what is offered, what is done, and what is left as it was."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from pydantic import SecretStr, ValidationError
from trio.testing import MockClock
from typing_extensions import override

from edgebotd.docker.adopt import AdoptRequest
from edgebotd.docker.candidates import Candidate
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.host import HostSigns
from edgebotd.docker.house import Docker
from edgebotd.errors import Conflict, Invalid, NotFound
from edgebotd.protocol.run import Verdict
from edgebotd.store import bots as bot_rows
from edgebotd.store import containers as rows
from edgebotd.store import operations as operation_rows
from edgebotd.store.audit import page
from edgebotd.store.bots import StoredBot
from edgebotd.store.database import Database, open_database
from edgebotd.store.operations import Operation
from tests.bots.house import now
from tests.docker.fake_container import FakeContainer
from tests.docker.fake_engine import FakeEngine, open_fake_engine
from tests.docker.house import FakeBots, docker_on
from tests.hub.support import hub_on

TOKEN = "gateway-token-of-the-test"
CONFIG = "/home/node/.openclaw/openclaw.json"
ACTOR = {"kind": "session", "user_id": "root"}
ASKS = Verdict(False, "needs_pairing", "Approve it.", pairing_request="b0a7f2c4")
WRONG = Verdict(False, "bad_credentials", "The token is wrong.")


class StoringBots(FakeBots):
    """Has its bots in the store too, as the real ones do: containers refer to them."""

    database: Database

    @override
    async def add(self, bot_id: str, name: str, url: str, token: SecretStr) -> None:
        stored = StoredBot(bot_id, "openclaw", name, {"url": url}, created_at=1)
        await self.database.write(lambda tx: bot_rows.add(tx.connection, stored))
        await super().add(bot_id, name, url, token)

    @override
    async def discard(self, bot_id: str, url: str) -> None:
        await super().discard(bot_id, url)
        await self.database.write(lambda tx: bot_rows.free(tx.connection, bot_id))


@dataclass
class House:
    docker: Docker
    engine: FakeEngine
    database: Database
    bots: StoringBots
    answering: set[tuple[str, int]] = field(default_factory=lambda: {("127.0.0.1", 18789)})
    signs: HostSigns = field(default_factory=HostSigns)

    def gateway(self, name: str = "claw", **body: Any) -> FakeContainer:
        """Have a container that runs an OpenClaw gateway, with a configuration of its own."""
        made = {
            "Image": "ghcr.io/openclaw/openclaw:2026.9.6",
            "HostConfig": {"PortBindings": {"18789/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18789"}]}},
            **body,
        }
        container = self.engine.add(name, made)
        self.engine.begin(container)
        container.files[CONFIG] = tar(json.dumps({"gateway": {"auth": {"mode": "token", "token": TOKEN}}}))
        return container

    async def items(self) -> list[Candidate]:
        return list((await self.docker.adopting.candidates.all()).items)

    async def adopt(self, **request: Any) -> Operation:
        begun = await self.docker.adopting.begin(AdoptRequest.model_validate({"id": "atlas", **request}), ACTOR)
        return await self.docker.operations.wait(begun.id)

    async def lines(self, operation: Operation) -> str:
        _, lines = await self.docker.operations.get(operation.id)
        return "\n".join(line.text for line in lines)


def tar(text: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("openclaw.json")
        info.size = len(text.encode())
        archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def everything_in(table: str, conn: sqlite3.Connection) -> list[Any]:
    return conn.execute(f"SELECT * FROM {table}").fetchall()


@asynccontextmanager
async def open_house(**more: Any) -> AsyncIterator[House]:
    bots = StoringBots()
    async with (
        open_database(None, now=1) as database,
        hub_on(database) as hub,
        open_fake_engine(now) as engine,
        docker_on(database, hub, now, engine=engine, bots=bots, **more) as docker,
        trio.open_nursery() as nursery,
    ):
        bots.database = database
        house = House(docker, engine, database, bots)

        async def reach(host: str, port: int) -> bool:
            return (host, port) in house.answering

        async def look() -> HostSigns:
            return house.signs

        docker.adopting.candidates.reach = reach
        docker.adopting.candidates.look_at_host = look
        nursery.start_soon(docker.run)
        await trio.sleep(2)
        yield house
        nursery.cancel_scope.cancel()


async def test_a_container_is_adopted_with_the_token_that_it_has_itself(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        container = house.gateway()
        before = container.inspection()
        (offered,) = await house.items()
        assert (offered.container, offered.suggested_id, offered.reachable) == ("claw", "claw", True)
        assert offered.url == "ws://127.0.0.1:18789" and offered.obstacle is None and offered.violations
        house.bots.verdicts = [ASKS, Verdict(True, version="2026.9.6")]
        operation = await house.adopt(container="claw", readToken=True)
        assert operation.state == "succeeded", await house.lines(operation)
        assert house.bots.gateways["atlas"] == (offered.url, SecretStr(TOKEN))
        stored = await house.database.read(lambda conn: rows.get(conn, "atlas"))
        assert stored is not None and (stored.origin, stored.wanted, stored.spec) == ("adopted", "any", {})
        status = house.docker.containers.of_bot("atlas")
        assert status is not None and (status.name, status.state) == ("claw", "running")
        # Nothing was done to the container but looking, and one approval.
        changing = ("create", "start", "stop", "kill", "remove", "rename", "put", "unpause")
        assert not [call for call in house.engine.calls if call.startswith(changing)]
        assert [call for call in house.engine.calls if call.startswith("exec")] == [
            f"exec {container.id} node openclaw.mjs devices approve b0a7f2c4"
        ]
        assert container.inspection() == before
        (again,) = await house.items()
        assert again.bot_id == "atlas"
        with pytest.raises(Conflict, match="is the bot 'atlas' already"):
            await house.adopt(id="other", container="claw", readToken=True)


async def test_no_token_is_kept_or_told(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        container = house.gateway()
        container.files[CONFIG] = tar("{}")
        operation = await house.adopt(container=container.id, token="given-token-of-the-test")
        assert operation.state == "succeeded"
        assert house.bots.gateways["atlas"][1] == SecretStr("given-token-of-the-test")
        tables = ("operations", "operation_lines", "audit", "journal", "containers", "bots")
        everything = str([await house.database.read(partial(everything_in, table)) for table in tables])
        assert "given-token-of-the-test" not in everything and TOKEN not in everything
        audit = await house.database.read(lambda conn: page(conn))
        assert {entry.action for entry in audit} >= {"bot.adopt", "bot.adopt.succeeded"}


async def test_what_fails_leaves_no_bot_and_the_gateway_as_it_was(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        container = house.gateway()
        house.bots.verdicts = [WRONG]
        operation = await house.adopt(container="claw", token="wrong-token-of-the-test")
        assert (operation.state, operation.reason) == ("failed", "The token is wrong.")
        assert house.bots.ids() == [] and house.docker.containers.of_bot("atlas") is None
        assert await house.database.read(lambda conn: rows.get(conn, "atlas")) is None
        assert container.state == "running"
        # The id is free again.
        assert (await house.adopt(container="claw", token="right-token-of-the-test")).state == "succeeded"


async def test_a_gateway_that_starts_is_waited_for(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        house.gateway()
        house.answering.clear()
        (offered,) = await house.items()
        assert not offered.reachable and any("does not answer" in note for note in offered.notes)
        begun = await house.docker.adopting.begin(AdoptRequest(id="atlas", container="claw", read_token=True), ACTOR)
        await trio.sleep(20)
        house.answering.add(("127.0.0.1", 18789))
        operation = await house.docker.operations.wait(begun.id)
        assert operation.state == "succeeded"
        assert "Nothing answers at ws://127.0.0.1:18789 yet" in await house.lines(operation)


async def test_what_has_to_be_done_first_is_said_before_anything_begins(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        house.gateway("closed", HostConfig={})
        stopped = house.gateway("stopped")
        house.engine.end(stopped)
        with pytest.raises(Conflict, match=r"-p 127\.0\.0\.1:18789:18789"):
            await house.adopt(container="closed", readToken=True)
        with pytest.raises(Conflict, match="does not run"):
            await house.adopt(container="stopped", readToken=True)
        with pytest.raises(EngineError, match="No such container"):
            await house.adopt(container="nosuch", readToken=True)
        with pytest.raises(NotFound):
            await house.adopt(readToken=True)
        for wrong in ({}, {"token": "x" * 16, "readToken": True}):
            with pytest.raises(Invalid, match="one of both"):
                await house.adopt(container="closed", **wrong)
        await house.database.write(lambda tx: bot_rows.add(tx.connection, StoredBot("atlas", "echo", "A", {})))
        with pytest.raises(Conflict, match="another bot"):
            await house.adopt(container="closed", readToken=True)
        assert await house.database.read(lambda conn: operation_rows.newest(conn)) == []
        with pytest.raises(ValidationError):
            await house.adopt(container="--help", readToken=True)


async def test_strangers_are_not_offered(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        other = house.engine.add("db", {"Image": "postgres:17"})
        house.engine.begin(other)
        assert await house.items() == []
        # Whoever names it knows better.
        assert (await house.docker.adopting.candidates.container("db")).candidate.why == ()


async def test_the_gateway_of_the_machine_itself_is_adopted(autojump_clock: MockClock, tmp_path: Path) -> None:
    config = tmp_path / "openclaw.json"
    config.write_text(json.dumps({"gateway": {"auth": {"token": TOKEN}}}))
    async with open_house() as house:
        house.signs = HostSigns(("127.0.0.1",), (77,), (config,), (config,))
        (offered,) = await house.items()
        assert (offered.kind, offered.container, offered.reachable) == ("host", None, True)
        assert offered.config == (str(config),) and TOKEN not in offered.model_dump_json()
        operation = await house.adopt(readToken=True)
        assert operation.state == "succeeded", await house.lines(operation)
        assert house.bots.gateways["atlas"] == ("ws://127.0.0.1:18789", SecretStr(TOKEN))
        assert await house.database.read(lambda conn: rows.get(conn, "atlas")) is None
        (again,) = await house.items()
        assert again.bot_id == "atlas"


async def test_the_machine_is_not_offered_for_a_containers_port(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        house.gateway()
        house.signs = HostSigns(("127.0.0.1",))
        assert [one.kind for one in await house.items()] == ["container"]
        house.signs = HostSigns((), (), (Path("/srv/ann/.openclaw/openclaw.json"),))
        kinds = {one.kind: one for one in await house.items()}
        assert "Start the gateway" in (kinds["host"].obstacle or "")
        with pytest.raises(Conflict, match="Start the gateway"):
            await house.adopt(readToken=True)


async def test_without_an_engine_the_machine_is_still_looked_at(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        house.signs = HostSigns(("127.0.0.1",))
        house.engine.go_away(EngineError(Trouble.DOWN, "It is down."))
        found = await house.docker.adopting.candidates.all()
        assert [one.kind for one in found.items] == ["host"] and found.detail is not None


async def test_a_token_that_cannot_be_read_ends_it_before_a_bot_is_made(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_house() as house:
        container = house.gateway()
        container.files.clear()
        operation = await house.adopt(container="claw", readToken=True)
        assert operation.state == "failed" and "Give the token yourself" in (operation.reason or "")
        container.body["Env"] = [f"OPENCLAW_GATEWAY_TOKEN={TOKEN}"]
        assert (await house.adopt(container="claw", readToken=True)).state == "succeeded"
        house.signs = HostSigns(("::1",), (), (tmp_path / "hidden.json",))
        house.answering.add(("::1", 18789))
        operation = await house.adopt(id="other", readToken=True)
        assert "may not read the gateway's configuration" in (operation.reason or "")


async def test_after_a_crash_a_given_token_is_asked_for_again(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        house.gateway()
        request = {"container": "claw", "name": "Atlas", "given": "0123456789abcdef"}
        begun = await house.docker.operations.begin("adopt", "atlas", request, ACTOR)
        operation = await house.docker.operations.wait(begun.id)
        assert operation.state == "failed" and "Adopt it anew" in (operation.reason or "")


@pytest.mark.parametrize("step", ["find", "token", "connect", "pair", "hello"])
async def test_a_crash_in_any_step_is_gone_on_from(autojump_clock: MockClock, step: str) -> None:
    async with open_house() as house:
        container = house.gateway()
        made: dict[str, Any] = {"url": "ws://127.0.0.1:18789", "container": container.id}
        if step in ("connect", "pair", "hello"):
            made["connected"] = True
        if step in ("pair", "hello"):
            await house.bots.add("atlas", "Atlas", made["url"], SecretStr(TOKEN))
        operation = Operation("op_1", "atlas", "adopt", {"container": "claw", "name": "A"}, made, step, actor=ACTOR)
        await house.database.write(lambda tx: operation_rows.add(tx.connection, operation))
        await house.docker.operations.resume()
        ended = await house.docker.operations.wait("op_1")
        assert ended.state == "succeeded", await house.lines(ended)
        assert house.bots.ids() == ["atlas"]


async def test_an_engine_that_goes_in_between_is_waited_for(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        house.gateway()
        begun = await house.docker.adopting.begin(AdoptRequest(id="atlas", container="claw", read_token=True), ACTOR)
        house.engine.go_away(EngineError(Trouble.DOWN, "It is down."))
        await trio.sleep(10)
        house.engine.down = None
        assert (await house.docker.operations.wait(begun.id)).state == "succeeded"
