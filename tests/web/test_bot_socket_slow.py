"""The per-bot socket and a client that does not read what it asked for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.access import Grant, Scope, local_admin
from edgebotd.bots.requests import HistoryPage
from edgebotd.errors import Problem
from edgebotd.web.bot_socket import MAX_IN_FLIGHT, MAX_SOCKETS_PER_USER, BotSockets
from edgebotd.web.connection import CONNECTION_KEY
from edgebotd.web.hosts import Host
from edgebotd.web.session import Caller, Via
from tests.web.house import House, open_house


@dataclass
class Wire:
    """A server's side of one socket: its sends wait, shielded as Hypercorn's are, until the client reads."""

    reading: trio.Event = field(default_factory=trio.Event)
    accepting: trio.Event = field(default_factory=trio.Event)
    sent: list[Any] = field(default_factory=list)
    aborted: bool = False
    http_version: str = "1"

    def __post_init__(self) -> None:
        self.say, self._heard = trio.open_memory_channel[Any](1000)
        self.say.send_nowait({"type": "websocket.connect"})

    def ask(self, number: int) -> None:
        text = json.dumps({"id": number, "method": "chat.history"})
        self.say.send_nowait({"type": "websocket.receive", "text": text})

    def abort(self) -> None:
        self.aborted = True
        self.reading.set()

    async def wait_sent(self, scope: object) -> None:
        await trio.lowlevel.checkpoint()

    async def receive(self) -> Any:
        return await self._heard.receive()

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.accept":
            await self.accepting.wait()
        else:
            with trio.move_on_after(60, shield=True):
                await self.reading.wait()
        self.sent.append(message)

    def answers(self) -> list[Any]:
        return [json.loads(message["text"]) for message in self.sent if message["type"] == "websocket.send"]


class Sockets:
    """Those of a house, and how often their one method was called."""

    def __init__(self, house: House, caller: Caller) -> None:
        self.called = 0
        self._caller = caller
        self._sockets = BotSockets(house.people, {"chat.history": self._history}, house.clock)
        house.people.subscribe(self._sockets.recheck)

    async def serve(self, wire: Wire) -> None:
        scope = {"type": "websocket", "state": {CONNECTION_KEY: wire}}
        await self._sockets.serve(scope, wire.receive, wire.send, self._caller, "own")

    async def _history(self, caller: Caller, bot_id: str, params: Mapping[str, Any]) -> HistoryPage:
        await trio.lowlevel.checkpoint()
        self.called += 1
        return HistoryPage(items=())


@asynccontextmanager
async def open_sockets() -> AsyncIterator[tuple[House, Sockets]]:
    async with open_house() as house:
        await house.user("ann", own=Grant.CHAT)
        principal = house.people.principal_of_token(await house.token("ann", Scope.CHAT))
        host = Host("localhost", "localhost")
        yield house, Sockets(house, Caller(host, "test", False, Via.BEARER, principal, None, None, ""))


async def test_an_answer_that_was_not_read_is_still_in_flight(autojump_clock: MockClock) -> None:
    async with open_sockets() as (_, sockets), trio.open_nursery() as nursery:
        wire = Wire()
        wire.accepting.set()
        for number in range(200):
            wire.ask(number)
        nursery.start_soon(sockets.serve, wire)
        await wait_all_tasks_blocked()
        assert sockets.called == MAX_IN_FLIGHT
        wire.reading.set()
        await wait_all_tasks_blocked()
        answers = wire.answers()
        assert sorted(answer["id"] for answer in answers) == list(range(200))
        assert sum(answer["ok"] for answer in answers) == sockets.called < 200
        wire.say.send_nowait({"type": "websocket.disconnect"})


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_it_ends_within_a_second_though_its_client_does_not_read(how: str, autojump_clock: MockClock) -> None:
    async with open_sockets() as (house, sockets), trio.open_nursery() as nursery:
        if how == "expired":
            secret = await house.token("ann", Scope.CHAT, expires_at=house.clock() + 5_000)
            expiring = house.people.principal_of_token(secret)
            caller = Caller(Host("localhost", "localhost"), "test", False, Via.BEARER, expiring, None, None, "")
            sockets = Sockets(house, caller)
        wire = Wire()
        wire.accepting.set()
        wire.ask(1)
        nursery.start_soon(sockets.serve, wire)
        await wait_all_tasks_blocked()
        if how == "expired":
            await trio.sleep(5)
        else:
            record = house.people.record("ann")
            assert record is not None
            await house.services.tokens.revoke(local_admin(0), "test", record.tokens[0].id)
        assert not wire.aborted
        await trio.sleep(0.9)
        assert wire.aborted


async def test_those_that_come_at_once_are_counted_before_they_are_accepted(autojump_clock: MockClock) -> None:
    async with open_sockets() as (_, sockets), trio.open_nursery() as nursery:
        refused: list[str] = []

        async def one(wire: Wire) -> None:
            try:
                await sockets.serve(wire)
            except Problem as problem:
                refused.append(problem.code)

        wires = [Wire() for _ in range(MAX_SOCKETS_PER_USER + 3)]
        for wire in wires:
            nursery.start_soon(one, wire)
        await wait_all_tasks_blocked()
        for wire in wires:
            wire.accepting.set()
            wire.say.send_nowait({"type": "websocket.disconnect"})
        await wait_all_tasks_blocked()
        assert refused == ["too_many_sockets"] * 3
