"""One operation and its steps, as the operation's own code sees them; `operations.py` runs them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio

from edgebotd import logs
from edgebotd.errors import Problem
from edgebotd.store import operations as rows
from edgebotd.store.database import Database
from edgebotd.store.operations import Operation, OperationState


class Cancelled(Problem):
    """Somebody cancelled the operation."""

    def __init__(self) -> None:
        super().__init__(409, "operation_cancelled", "It was cancelled.")


class Work:
    """One operation, as its steps see it.

    Attributes:
        request: what was asked for; not to be changed.
        made: what the steps have made; change it by `keep`.
    """

    def __init__(self, operation: Operation, tell: Callable[[Work, str], Awaitable[None]], database: Database) -> None:
        self.id = operation.id
        self.bot_id = operation.bot_id
        self.kind = operation.kind
        self.request = operation.request
        self.made = dict(operation.made)
        self.actor = operation.actor
        self.step = operation.step
        self.state: OperationState = operation.state
        self.reason = operation.reason
        self.scope = trio.CancelScope()
        self.cancelled = False
        self.done = False
        """Whether every step is done: nobody can cancel it any more."""
        self.turn = trio.Event()
        """Set once it may go on: others went before it."""
        self.turned = trio.Event()
        """Set once the store knows that it goes no further: it has ended, or is being undone."""
        self.ended = trio.Event()
        self._tell = tell
        self._database = database

    async def log(self, text: str) -> None:
        """Add a line to the log, durable and told live. Secrets that are known are taken out."""
        await self._tell(self, logs.redact(text))

    async def keep(self, **made: Any) -> None:
        """Remember what a step is about to make, durably."""
        self.made.update(made)
        kept = dict(self.made)
        await self._database.write(lambda tx: rows.advance(tx.connection, self.id, self.step, self.state, kept))


@dataclass(frozen=True)
class Step:
    """A part of an operation.

    Attributes:
        name: one word, shown and stored; it must not change between releases.
        seconds: deadline of one attempt of the whole step, repetitions for an engine that is away included.
        run: does it, or finds that it is done.
        undo: takes back what `run` may have done, in whatever state it is; None where there is nothing to take back.
        final: from here on nothing can be taken back. It cannot be cancelled, waits for an engine that is away however
            long that takes, and where it fails nothing is undone; the same asked for once more goes on with the rest.
    """

    name: str
    seconds: float
    run: Callable[[Work], Awaitable[None]]
    undo: Callable[[Work], Awaitable[None]] | None = None
    final: bool = False


class Line:
    """Work in the order in which it goes on, so much of it at a time.

    Trio starts tasks in either order: by itself, what has begun before a restart would not go before what only waited.

    Args:
        places: how much goes on at a time.
        why: said of work that has to wait, before what it waits for.
    """

    def __init__(self, places: int, why: str) -> None:
        self.why = why
        self._places = places
        self._works: list[Work] = []

    def join(self, work: Work) -> None:
        """Put work at the end of the line; it begins with its `turn`."""
        self._works.append(work)
        self._call()

    def leave(self, work: Work) -> None:
        """Give its place, or its wait, to the next; nothing where it has left already."""
        if work in self._works:
            self._works.remove(work)
            self._call()

    def _call(self) -> None:
        for work in self._works[: self._places]:
            work.turn.set()
