"""A session of the connector for OpenAI-compatible endpoints, and what it delivered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from pydantic import SecretStr
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.bots.connector import (
    Accepted,
    ConnectorError,
    Hello,
    Outgoing,
)
from edgebotd.bots.openai import OpenAIConnector
from edgebotd.protocol.run import RunDelta, RunEnded, RunEvent
from tests.bots.fake_endpoint import HEAD, Answer, FakeEndpoint, Stage, chunk

KEY = "sk-canary-4f9a1c77e0b2d8"
BLOCKED = 0.01
"""Real sockets: a moment in which nothing moves, not only an instant."""


@dataclass
class Watched:
    """A running session and what it delivered."""

    connector: OpenAIConnector
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    events: list[RunEvent] = field(default_factory=list)
    hello: Hello | None = None
    error: ConnectorError | None = None
    delivering: Callable[[RunEvent], Any] | None = None
    _news: trio.Event = field(default_factory=trio.Event)

    async def deliver(self, event: RunEvent) -> None:
        if self.delivering is not None:
            await self.delivering(event)
        self.events.append(event)
        self._poke()

    def started(self, value: Hello, /) -> None:
        self.hello = value
        self._poke()

    async def run(self) -> None:
        try:
            with self.scope:
                await self.connector.run_session(self.deliver, task_status=self)
        except ConnectorError as exc:
            self.error = exc
        self._poke()

    async def until(self, true: Callable[[], bool]) -> None:
        with trio.fail_after(30):
            while not true():
                await self._news.wait()

    async def end(self, run_id: str = "r1") -> RunEnded:
        await self.until(lambda: any(end.run_id == run_id for end in self.ends))
        return next(end for end in self.ends if end.run_id == run_id)

    @property
    def over(self) -> bool:
        return self.error is not None

    @property
    def ends(self) -> list[RunEnded]:
        return [event for event in self.events if isinstance(event, RunEnded)]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, RunDelta))

    def _poke(self) -> None:
        self._news.set()
        self._news = trio.Event()


@asynccontextmanager
async def watched(connector: OpenAIConnector) -> AsyncIterator[Watched]:
    session = Watched(connector)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        await session.until(lambda: session.hello is not None or session.error is not None)
        yield session
        session.scope.cancel()


def connector_of(endpoint: FakeEndpoint, key: str | None = KEY, system_prompt: str | None = None) -> OpenAIConnector:
    return OpenAIConnector(endpoint.url, "m-1", api_key=SecretStr(key) if key else None, system_prompt=system_prompt)


def turn(text: str = "hi", run_id: str = "r1", **more: Any) -> Outgoing:
    return Outgoing(run_id, "c1", "agent:main:edgebotd:c1", text, **more)


async def refused(endpoint: FakeEndpoint, answer: Answer, outgoing: Outgoing | None = None) -> ConnectorError:
    endpoint.chat = answer
    async with watched(connector_of(endpoint)) as session:
        with pytest.raises(ConnectorError) as caught:
            await session.connector.send(outgoing or turn())
        assert session.events == [], "a turn that was not accepted has no events"
    return caught.value


async def ended(endpoint: FakeEndpoint, answer: Answer) -> RunEnded:
    endpoint.chat = answer
    async with watched(connector_of(endpoint)) as session:
        assert await session.connector.send(turn()) is Accepted.STARTED
        return await session.end()


async def pass_time(clock: MockClock, seconds: float) -> None:
    """Jump over time that everybody waits for."""
    await wait_all_tasks_blocked(BLOCKED)
    clock.jump(seconds)


async def half_said(endpoint: FakeEndpoint, session: Watched, run_id: str = "r1") -> Stage:
    stage = Stage()
    endpoint.chat = stage.answer
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.connector.send, turn(run_id=run_id))
        await stage.began.wait()
        await stage.send(HEAD + chunk("half"))
    await session.until(lambda: any(isinstance(e, RunDelta) and e.run_id == run_id for e in session.events))
    return stage
