"""Operations over a store and a hub that outlive them, with steps that make things in a small world."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.operations import Operations, Step, Work
from edgebotd.errors import Problem
from edgebotd.hub.hub import Hub
from edgebotd.store import journal
from edgebotd.store import operations as rows
from edgebotd.store.database import Database, open_database
from edgebotd.store.operations import Operation
from tests.web.house import Clock, open_hub_on

ACTOR = {"user_id": "ada", "kind": "session"}
DOWN = EngineError(Trouble.DOWN, "The engine is away.")


@dataclass
class World:
    """What steps make: outlives the daemon. Each step `x` makes the thing `x`, once, and its undo takes it away."""

    things: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    before: dict[str, Callable[[Work], Awaitable[None]]] = field(default_factory=dict)
    """By the name of a step, "-name" for its undo: awaited before it does anything."""
    after: dict[str, Callable[[Work], Awaitable[None]]] = field(default_factory=dict)

    def step(self, name: str, *, seconds: float = 60, undo: bool = True, final: bool = False) -> Step:
        async def run(work: Work) -> None:
            self.calls.append(name)
            await self._hook(self.before, name, work)
            if name not in self.things:
                self.things.append(name)
            await self._hook(self.after, name, work)

        async def take_back(work: Work) -> None:
            self.calls.append(f"-{name}")
            await self._hook(self.before, f"-{name}", work)
            if name in self.things:
                self.things.remove(name)
            await self._hook(self.after, f"-{name}", work)

        return Step(name, seconds, run, take_back if undo else None, final=final)

    async def _hook(self, hooks: Mapping[str, Callable[[Work], Awaitable[None]]], name: str, work: Work) -> None:
        if (hook := hooks.get(name)) is not None:
            await hook(work)
        else:
            await trio.lowlevel.checkpoint()


@dataclass
class Bench:
    """A store and a hub that live on while daemons come and go over them."""

    database: Database
    hub: Hub
    world: World
    clock: Clock

    @asynccontextmanager
    async def life(self, *steps: Step, at_once: int = 4) -> AsyncIterator[Operations]:
        """One life of the daemon; leaving is as a crash to the operations."""

        def note(
            conn: sqlite3.Connection, actor: Mapping[str, Any], action: str, bot_id: str, detail: Mapping[str, Any]
        ) -> None:
            self.world.calls.append(f"audit {action}")

        async with trio.open_nursery() as nursery:
            operations = Operations(self.database, self.hub, nursery, at_once=at_once, note=note, now=self.clock)
            operations.register("make", steps)
            await operations.resume()
            yield operations
            nursery.cancel_scope.cancel()

    async def lines(self, operation: Operation) -> list[tuple[str, str]]:
        found = await self.database.read(lambda conn: rows.lines(conn, operation.id))
        return [(line.step, line.text) for line in found]

    async def told(self) -> list[tuple[str, str]]:
        """Return what the journal has of operations, in order."""
        found = []
        for row in await self.database.read(lambda conn: journal.after(conn, 0, 0, 10_000)):
            data = json.loads(row.data)
            if row.type == "provision-log":
                found.append((data["step"], data["text"]))
            elif row.type == "provision-done":
                found.append(("done", data.get("reason") or "ok"))
        return found


@asynccontextmanager
async def open_bench() -> AsyncIterator[Bench]:
    clock = Clock()
    async with open_database(None) as database, open_hub_on(database, clock) as hub:
        yield Bench(database, hub, World(), clock)


async def begin(operations: Operations, bot_id: str = "atlas") -> Operation:
    return await operations.begin("make", bot_id, {"image": "x"}, ACTOR)


def fails(words: str = "It broke.", *, times: int = 10_000) -> Callable[[Work], Awaitable[None]]:
    left = [times]

    async def hook(_work: Work) -> None:
        await trio.lowlevel.checkpoint()
        left[0] -= 1
        if left[0] >= 0:
            raise Problem(502, "broken", words)

    return hook


def refuses(error: EngineError, *, times: int = 10_000) -> Callable[[Work], Awaitable[None]]:
    left = [times]

    async def hook(_work: Work) -> None:
        await trio.lowlevel.checkpoint()
        left[0] -= 1
        if left[0] >= 0:
            raise error

    return hook


async def hangs(_work: Work) -> None:
    await trio.sleep_forever()
