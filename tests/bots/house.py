"""A small house for bots: the real store and hub, bots on the built-in peer, and what a client would see."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import trio

from edgebotd.access import LOCAL_USER_ID, Grant, Kind, Principal, local_admin
from edgebotd.bots.connector import Connector
from edgebotd.bots.echo import EchoConnector, EchoPeer
from edgebotd.bots.files import Files
from edgebotd.bots.kinds import Wanted, make_connector
from edgebotd.bots.registry import Registry, open_bots
from edgebotd.bots.requests import SendAnswer, SendRequest
from edgebotd.config import BotSettings, ChatSettings
from edgebotd.events import ChatDelta, ChatStatus, Event, Message, RunState
from edgebotd.hub.hub import Hub, open_hub
from edgebotd.hub.settings import HubSettings
from edgebotd.protocol.utf16 import cut_utf16
from edgebotd.store import installation
from edgebotd.store.database import Database, open_database

T = TypeVar("T")
START_MS = 1_800_000_000_000
ADMIN = local_admin(0)
assert ADMIN.user_id == LOCAL_USER_ID


def now() -> int:
    """Wall clock that follows Trio's."""
    return START_MS + int(trio.current_time() * 1000)


async def inline(function: Callable[..., T], /, *args: Any) -> T:
    """Do blocking work at once: no thread under virtual time."""
    await trio.lowlevel.checkpoint()
    return function(*args)


def user(name: str = "ann", **grants: Grant) -> Principal:
    """A signed-in user with grants."""
    return Principal(Kind.SESSION, name, name.title(), f"s-{name}", grants=grants)


class Told:
    """Everything that was published, in the order of the calls, and the text that a client has of each run."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.texts: dict[str, str] = {}
        self.change = trio.Event()

    def take(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, ChatDelta):
            kept = cut_utf16(self.texts.get(event.run_id, ""), event.offset)
            assert kept is not None
            self.texts[event.run_id] = kept + event.text
        self.change.set()
        self.change = trio.Event()

    def states(self, run_id: str) -> list[RunState]:
        """The states of a run, repeated ones once."""
        found: list[RunState] = []
        for event in self.events:
            if isinstance(event, ChatStatus) and event.run_id == run_id and found[-1:] != [event.state]:
                found.append(event.state)
        return found

    async def wait(self, matches: Callable[[Event], bool], *, timeout: float = 120) -> Event:
        """Wait for the first event that matches, one that came already too."""
        with trio.fail_after(timeout):
            while True:
                for event in self.events:
                    if matches(event):
                        return event
                await self.change.wait()

    async def wait_state(self, run_id: str, *states: RunState, timeout: float = 120) -> RunState:
        """Wait until a run has been in one of the states."""

        def matches(event: Event) -> bool:
            return isinstance(event, ChatStatus) and event.run_id == run_id and event.state in states

        found = await self.wait(matches, timeout=timeout)
        assert isinstance(found, ChatStatus)
        return found.state

    async def wait_over(self, run_id: str, timeout: float = 120) -> RunState:
        """Wait for the run's end."""
        return await self.wait_state(run_id, *[state for state in RunState if state.terminal], timeout=timeout)


class ListeningHub:
    """The hub, with an ear at its entrance: events are told as they are published or committed."""

    def __init__(self, hub: Hub, told: Told) -> None:
        self._hub = hub
        self._told = told

    def publish(self, bot_id: str, event: Event) -> None:
        self._hub.publish(bot_id, event)
        self._told.take(event)

    async def transact(self, write: Callable[[Any], T]) -> T:
        emitted: list[Event] = []

        def listening(tx: Any) -> T:
            emitter = tx.emitter

            def emit(bot_id: str, event: Event) -> None:
                emitter(bot_id, event)
                emitted.append(event)

            tx.emitter = emit
            return write(tx)

        result = await self._hub.transact(listening)
        for event in emitted:
            self._told.take(event)
        return result

    def forget_bot(self, bot_id: str) -> None:
        self._hub.forget_bot(bot_id)


@dataclass
class House:
    """What a test has in its hands."""

    database: Database
    hub: Hub
    registry: Registry
    told: Told
    connectors: dict[str, EchoConnector] = field(default_factory=dict)
    keys: int = 0

    async def send(
        self, text: str, *, bot: str = "echo", who: Principal = ADMIN, conversation: str | None = None, **more: Any
    ) -> SendAnswer:
        """Send, with a key of its own where none is given."""
        self.keys += 1
        more.setdefault("idempotency_key", f"key-{self.keys}-{id(self)}")
        request = SendRequest(text=text, conversation_id=conversation, **more)
        return await self.registry.turns.send(who, bot, request)

    async def say(self, text: str, **more: Any) -> SendAnswer:
        """Send, and wait for the end of the run."""
        answer = await self.send(text, **more)
        await self.told.wait_over(answer.run_id)
        return answer

    async def messages(self, bot: str = "echo", conversation: str | None = None) -> list[Message]:
        """All messages, oldest first."""
        page = await self.registry.chat.history(ADMIN, bot, conversation_id=conversation, limit=200)
        return list(reversed(page.items))

    async def connected(self, bot: str = "echo") -> None:
        """Wait until turns can go out."""
        await self.until(lambda: self.registry.get(bot).queue.waiting_for("c_") is None)

    async def until(self, holds: Callable[[], bool], timeout: float = 120) -> None:
        """Wait until something holds."""
        with trio.fail_after(timeout):
            while not holds():  # noqa: ASYNC110  whatever a test asks about has no event of its own
                await trio.sleep(0.1)


ECHO = {"echo": BotSettings(kind="echo", pace_ms=10)}


@asynccontextmanager
async def open_store(database: Path | None = None) -> AsyncIterator[tuple[Database, Hub]]:
    """Open store and hub: a file where threads may run, memory under virtual time."""
    async with open_database(database) as opened:
        at = now()
        known = await opened.write(lambda tx: installation.load_or_create(tx.connection, at))
        number = await opened.write(lambda tx: installation.begin_life(tx.connection, at))
        async with open_hub(
            opened, HubSettings(), installation=known, life=number, clock=now, rng=random.Random(1)
        ) as hub:
            yield opened, hub


@asynccontextmanager
async def open_life(
    opened: Database,
    hub: Hub,
    state_dir: Path,
    *,
    bots: Mapping[str, BotSettings] = ECHO,
    peers: dict[str, EchoPeer] | None = None,
    make: Callable[[Wanted], Connector] | None = None,
    prepare: Callable[[EchoConnector], None] | None = None,
    held: Mapping[str, str] = MappingProxyType({}),
    **chat: Any,
) -> AsyncIterator[House]:
    """Open the bots, as one life of the daemon. `peers` outlive it, as gateways do."""
    peers = {} if peers is None else peers
    connectors: dict[str, EchoConnector] = {}
    told = Told()

    def make_echo(wanted: Wanted) -> Connector:
        if wanted.kind != "echo":
            return make_connector(wanted)
        peer = peers.setdefault(wanted.bot_id, EchoPeer(wanted.options.get("pace_ms", 10) / 1000, now))
        connectors[wanted.bot_id] = EchoConnector(peer)
        if prepare is not None:
            prepare(connectors[wanted.bot_id])
        return connectors[wanted.bot_id]

    listening: Any = ListeningHub(hub, told)
    async with open_bots(
        opened,
        listening,
        bots,
        ChatSettings(**chat),
        state_dir,
        make=make or make_echo,
        held=held,
        files=Files(state_dir / "attachments", inline),
        now=now,
        rng=random.Random(2),
    ) as registry:
        yield House(opened, hub, registry, told, connectors)


@asynccontextmanager
async def open_house(state_dir: Path, **more: Any) -> AsyncIterator[House]:
    """Open store, hub and bots, for virtual time; `more` as `open_life`."""
    async with open_store() as (opened, hub), open_life(opened, hub, state_dir, **more) as house:
        yield house
