"""A hub over an in-memory store, and clients on socket pairs that read what a browser would."""

from __future__ import annotations

import json
import random
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import outcome
import trio
import trio.testing
from typing_extensions import override

from edgebotd.access import Grant, Kind, Principal
from edgebotd.events import (
    BotActivity,
    BotsStatusUpdate,
    BotState,
    BotSummary,
    ChatDelta,
    ChatMessage,
    ChatStatus,
    Message,
    RunState,
    TextPart,
)
from edgebotd.hub.hub import Hub, open_hub
from edgebotd.hub.request import StreamRequest
from edgebotd.hub.settings import HubSettings
from edgebotd.protocol.sse import Parser, ServerEvent
from edgebotd.store.database import Database, Transaction, open_database
from edgebotd.store.installation import Installation

_clients: list[Client] = []
"""Clients of the test that runs; the hub's end closes them."""

T = TypeVar("T")

KEY = bytes(range(32))
INSTALLATION = Installation("i1", "epoch1", KEY)
CONVERSATION = "c_" + "a" * 20
START_MS = 1_700_000_000_000


def clock() -> int:
    """Return Unix milliseconds that follow the virtual clock."""
    return START_MS + int(trio.current_time() * 1000)


class SlowCommits(Database):
    """A database whose commits are reported late, as on a slow disk."""

    def __init__(self, database: Database, seconds: float) -> None:
        super().__init__()
        self._real = database
        self._seconds = seconds

    @override
    def submit(self, write: Callable[[Transaction], T], done: Callable[[outcome.Outcome[T]], None]) -> None:
        trio.lowlevel.spawn_system_task(self._later, write, done)

    async def _later(self, write: Callable[[Transaction], T], done: Callable[[outcome.Outcome[T]], None]) -> None:
        result = await outcome.acapture(self._real.write, write)
        await trio.sleep(self._seconds)
        done(result)

    @override
    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        return await self._real.read(query)


class SlowReads(Database):
    """A database whose reads take their time."""

    def __init__(self, database: Database, seconds: float) -> None:
        super().__init__()
        self._real = database
        self._seconds = seconds

    @override
    def submit(self, write: Callable[[Transaction], T], done: Callable[[outcome.Outcome[T]], None]) -> None:
        self._real.submit(write, done)

    @override
    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        result = await self._real.read(query)
        await trio.sleep(self._seconds)
        return result


@asynccontextmanager
async def hub_on(database: Database, settings: HubSettings | None = None, life: int = 1) -> AsyncIterator[Hub]:
    """Open a hub on a database that may have seen earlier lives."""
    async with open_hub(
        database, settings or HubSettings(), installation=INSTALLATION, life=life, clock=clock, rng=random.Random(1)
    ) as hub:
        try:
            yield hub
        finally:
            while _clients:
                _clients.pop().close()


@asynccontextmanager
async def memory_hub(settings: HubSettings | None = None) -> AsyncIterator[Hub]:
    """Open a hub whose store is in memory, for virtual time."""
    async with open_database(None, now=START_MS) as database, hub_on(database, settings) as hub:
        yield hub


def user(name: str = "ann", /, **grants: Grant) -> Principal:
    """Return a user with grants by bot id."""
    return Principal(Kind.SESSION, name, name, f"session-{name}", grants=grants)


ADMIN = Principal(Kind.SESSION, "root", "root", "session-root", admin=True, every_bot=True)


def activity(bot_id: str = "a", text: str = "thinking") -> BotActivity:
    """Return an unmergeable ring event."""
    return BotActivity(bot_id=bot_id, activity=text)


def message(bot_id: str = "a", text: str = "hello", number: int = 1) -> ChatMessage:
    """Return a journalled event."""
    return ChatMessage(
        bot_id=bot_id,
        conversation_id=CONVERSATION,
        message=Message(
            id=f"m{number}",
            bot_id=bot_id,
            conversation_id=CONVERSATION,
            run_id=f"r{number}",
            role="user",
            parts=(TextPart(text=text),),
            created_at=1,
        ),
    )


def delta(text: str, offset: int = 0, run: str = "r1", bot_id: str = "a") -> ChatDelta:
    """Return a piece of a streaming reply."""
    return ChatDelta(bot_id=bot_id, conversation_id=CONVERSATION, run_id=run, offset=offset, text=text)


def status(state: RunState, run: str = "r1", bot_id: str = "a") -> ChatStatus:
    """Return a run's change of state."""
    return ChatStatus(bot_id=bot_id, conversation_id=CONVERSATION, run_id=run, state=state, at=1)


def statuses(*bot_ids: str) -> BotsStatusUpdate:
    """Return the states of some bots."""
    return BotsStatusUpdate(
        bots=tuple(
            BotSummary(bot_id=bot_id, state=BotState.CONNECTED, since_at=1, name=bot_id, kind="echo")
            for bot_id in bot_ids
        )
    )


class Client:
    """The far end of one handed-over stream."""

    def __init__(self, hub: Hub, principal: Principal, cursor: str | None = None, **narrow: Any) -> None:
        near, far = socket.socketpair()
        self.socket = far
        _clients.append(self)
        far.setblocking(False)
        near.setblocking(False)
        self.closed = False
        self.raw = b""
        self.events: list[ServerEvent] = []
        self.parser = Parser(last_event_id=cursor or "")
        request = StreamRequest(principal, cursor=cursor, **narrow)
        self.stream_id = hub.take_socket(request, near.detach(), chunked=False)

    def read(self) -> list[ServerEvent]:
        """Return the events that have come since the last call."""
        found: list[ServerEvent] = []
        while not self.closed:
            try:
                data = self.socket.recv(1 << 20)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            if not data:
                self.closed = True
                break
            self.raw += data
            found += self.parser.feed(data)
        self.events += found
        return found

    async def settle(self) -> list[ServerEvent]:
        """Return the events that come once the hub has nothing more to do at this instant."""
        await trio.testing.wait_all_tasks_blocked()
        return self.read()

    @property
    def cursor(self) -> str:
        """The last event id."""
        return self.parser.last_event_id

    def close(self) -> None:
        """Go away."""
        self.socket.close()


def bus(events: list[ServerEvent]) -> list[Any]:
    """Return the bus events among them, as JSON."""
    return [json.loads(event.data) for event in events if event.type == "message"]


def named(events: list[ServerEvent], name: str) -> list[ServerEvent]:
    """Return the events of the channel's own by name."""
    return [event for event in events if event.type == name]


def hello(events: list[ServerEvent]) -> Any:
    """Return what the first frame says."""
    assert events[0].type == "hello"
    return json.loads(events[0].data)
