"""Work on containers in steps that survive a crash: each with a deadline, told live, undone where it fails.

Before a step runs, the store knows that it will; a daemon that starts again goes on with that step. So every step finds
out by itself what of it is done already. What steps have made (`Work.made`) is stored before it is made, where there is
a name for it, so that nothing is left behind.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import trio

from edgebotd.docker.errors import EngineError
from edgebotd.docker.work import Cancelled, Line, Step, Work
from edgebotd.errors import Conflict, EdgebotdError, NotFound, Problem
from edgebotd.events import ALL, ProvisionDone, ProvisionLog
from edgebotd.hub.hub import Hub
from edgebotd.store import operations as rows
from edgebotd.store.database import Database, Transaction
from edgebotd.store.errors import DatabaseError, StoreBusy
from edgebotd.store.operations import Line as LogLine
from edgebotd.store.operations import Operation, OperationState

__all__ = ["Cancelled", "Note", "Operations", "Step", "Work"]

log = logging.getLogger(__name__)

UNDO_SECONDS: Final = 120.0
"""For each step that is undone."""
STORE_SECONDS: Final = 60.0
"""What the disk may take for a new operation."""
AGAIN_SECONDS: Final = 2.0
"""Pause before a step is tried again that an engine which is away made fail."""
DISK_SECONDS: Final = 5.0
"""Pause before an operation goes on whose progress the disk did not take."""
WAITING: Final = "waiting"
"""The step of an operation that others go before."""

Note = Callable[[sqlite3.Connection, Mapping[str, Any], str, str, Mapping[str, Any]], None]
"""Writes the audit entry of an act in the same transaction: actor, action, bot, detail."""


class Operations:
    """Runs them, each in a task of the nursery; a bot has one at a time."""

    def __init__(
        self,
        database: Database,
        hub: Hub,
        nursery: trio.Nursery,
        *,
        at_once: int,
        note: Note,
        now: Callable[[], int],
    ) -> None:
        self._database = database
        self._hub = hub
        self._nursery = nursery
        self._room = Line(at_once, "So much other work goes on already")
        self._beginning = trio.Lock()
        self._note = note
        self._now = now
        self.kinds: dict[str, Sequence[Step]] = {}
        self._at_once: set[str] = set()
        self._alone: dict[str, Line] = {}
        self._running: dict[str, Work] = {}

    def register(self, kind: str, steps: Sequence[Step], *, waits: bool = True, alone: bool = False) -> None:
        """Say what the steps of a kind are.

        Args:
            waits: only so many go on at the same time; a stop must not wait.
            alone: of this kind one goes on at a time, its undoing included, whichever bot it is about.
        """
        self.kinds[kind] = steps
        if not waits:
            self._at_once.add(kind)
        if alone:
            self._alone.setdefault(kind, Line(1, f"Another {kind} goes on"))

    def steps(self, kind: str) -> tuple[str, ...]:
        """Return the names of a kind's steps, in order."""
        return tuple(step.name for step in self.kinds.get(kind, ()))

    # Asking

    def running(self, bot_id: str) -> Work | None:
        """Return what goes on with a bot."""
        return next((work for work in self._running.values() if work.bot_id == bot_id), None)

    async def get(self, operation_id: str) -> tuple[Operation, list[LogLine]]:
        """Return an operation with its log. Raises `NotFound`."""

        def read(conn: sqlite3.Connection) -> tuple[Operation | None, list[LogLine]]:
            return rows.get(conn, operation_id), rows.lines(conn, operation_id)

        operation, lines = await self._database.read(read)
        if operation is None:
            raise NotFound("operation", operation_id)
        return operation, lines

    async def newest(self, bot_id: str | None = None, limit: int = 50) -> list[Operation]:
        """Return the newest operations, of one bot or of all."""
        return await self._database.read(lambda conn: rows.newest(conn, bot_id=bot_id, limit=limit))

    async def wait(self, operation_id: str) -> Operation:
        """Wait for its end and return it."""
        if (work := self._running.get(operation_id)) is not None:
            await work.ended.wait()
        return (await self.get(operation_id))[0]

    # Doing

    async def begin(self, kind: str, bot_id: str, request: Mapping[str, Any], actor: Mapping[str, Any]) -> Operation:
        """Begin one; it is durable when this returns, and goes on by itself.

        Raises:
            Conflict: another is going on with this bot.
        """
        operation = Operation(
            id=f"op_{secrets.token_hex(8)}",
            bot_id=bot_id,
            kind=kind,
            request=dict(request),
            step=WAITING,
            actor=dict(actor),
            started_at=self._now(),
        )

        def write(tx: Transaction) -> None:
            rows.add(tx.connection, operation)
            self._note(tx.connection, actor, f"bot.{kind}", bot_id, {"operationId": operation.id})

        # Whoever asked may hang up in the middle: the write then happens all the same, and somebody must do the work.
        with trio.move_on_after(STORE_SECONDS, shield=True) as storing:
            await self._database.write(write)
        if storing.cancelled_caught:
            raise Problem(
                503, "storage_slow", "It could not be stored in time. Look at the disk of the state directory."
            )
        self._start(operation)
        return operation

    async def begin_once(
        self, kind: str, bot_id: str, request: Mapping[str, Any], actor: Mapping[str, Any]
    ) -> Operation:
        """Begin one, or return that which goes on with the same bot for the same request.

        Raises:
            Conflict: another is going on with this bot.
        """
        async with self._beginning:
            work = self.running(bot_id)
            if work is not None and work.state == "running" and (work.kind, work.request) == (kind, dict(request)):
                return (await self.get(work.id))[0]
            return await self.begin(kind, bot_id, request, actor)

    async def retry(self, operation_id: str, actor: Mapping[str, Any]) -> Operation:
        """Begin one that did not succeed anew, with the same request; while that goes on, it is the answer.

        Raises:
            NotFound: no such operation.
            Conflict: it has succeeded, or goes on; or another is going on with this bot.
        """
        operation, _ = await self.get(operation_id)
        if operation.state not in ("failed", "cancelled"):
            words = "has succeeded" if operation.state == "succeeded" else "has not ended"
            raise Conflict("operation_not_failed", f"It {words}; only one that failed is tried again.")
        return await self.begin_once(operation.kind, operation.bot_id, operation.request, actor)

    async def cancel(self, operation_id: str) -> None:
        """End one before its time; what it has made is taken away. Returns once that is certain, not when it is done.

        Raises:
            NotFound: no such operation.
            Conflict: it has ended, is being undone already, or is in a step that cannot be taken back.
        """
        operation, _ = await self.get(operation_id)
        work = self._running.get(operation_id)
        if work is None or operation.ended_at is not None or work.done:
            raise Conflict("operation_ended", "It has ended already.")
        if work.state == "undoing":
            raise Conflict("operation_undoing", "It is being undone already.")
        if self._final(work):
            raise Conflict("operation_late", f"It is too late: what {work.step} does cannot be taken back.")
        work.cancelled = True
        work.scope.cancel()
        await work.turned.wait()

    def _final(self, work: Work) -> bool:
        return any(step.final and step.name == work.step for step in self.kinds.get(work.kind, ()))

    async def resume(self) -> None:
        """Go on with what an earlier life of the daemon did not end. Called once, when all kinds are registered."""
        found = await self._database.read(rows.open_operations)
        # What has begun goes before what still waits: its bot may be down.
        for operation in sorted(found, key=lambda operation: operation.step == WAITING):
            self._start(operation)

    def _start(self, operation: Operation) -> None:
        work = Work(operation, self._tell, self._database)
        self._running[operation.id] = work
        if (line := self._line_of(work)) is not None:
            line.join(work)
        else:
            work.turn.set()
        self._nursery.start_soon(self._run, work, name=f"{operation.kind} {operation.bot_id}")

    def _line_of(self, work: Work) -> Line | None:
        return self._alone.get(work.kind, None if work.kind in self._at_once else self._room)

    async def _run(self, work: Work) -> None:
        steps = self.kinds.get(work.kind, ())
        try:
            while work.state in ("running", "undoing"):
                try:
                    await self._whole(work, steps)
                except (DatabaseError, StoreBusy) as exc:
                    # As after a crash, it goes on with the step that it was in.
                    log.error("%s of %s waits: %s", work.kind, work.bot_id, exc.detail)
                    await trio.sleep(DISK_SECONDS)
        finally:
            # The daemon's stop comes by here too, and leaves the store as it is: the next start goes on.
            del self._running[work.id]
            if (line := self._line_of(work)) is not None:
                line.leave(work)
            work.turned.set()
            work.ended.set()

    async def _whole(self, work: Work, steps: Sequence[Step]) -> None:
        if work.state == "running" and not work.done:
            # Cancelled while it waited for room: it has made nothing, and leaves at once.
            reason = Cancelled().detail
            work.scope = trio.CancelScope()
            if work.cancelled:
                work.scope.cancel()
            with work.scope:
                if not work.turn.is_set() and (line := self._line_of(work)) is not None:
                    again = any(step.name == work.step for step in steps)
                    await work.log(f"{line.why}; this one {'goes on' if again else 'begins'} when that has ended.")
                    await work.turn.wait()
                failed = await self._go(work, steps)
                work.done = failed is None and not work.cancelled
                reason = failed or reason
            if not work.done:
                await self._turn(work, Cancelled().detail if work.cancelled else reason)
                # An engine that is away may keep its undoing waiting for long.
                self._room.leave(work)
        if work.done:
            await self._end(work, "succeeded", None)
        elif work.state == "undoing":
            await self._undo(work, steps)

    async def _go(self, work: Work, steps: Sequence[Step]) -> str | None:
        """Run the steps from the one that the store names; return why it goes no further."""
        names = [step.name for step in steps]
        resumed = work.step in names
        if not steps:
            return f"This edgebotd knows no operation '{work.kind}'."
        for step in steps[names.index(work.step) if resumed else 0 :]:
            # Once it is in a final step nobody can cancel it: so whoever did before counts.
            await trio.lowlevel.checkpoint_if_cancelled()
            work.step = step.name
            await work.keep()
            await work.log("edgebotd started again; going on here." if resumed else "begins")
            resumed = False
            if (reason := await self._attempt(work, step)) is not None:
                return reason
        return None

    async def _turn(self, work: Work, reason: str) -> None:
        """Say that it is being undone, or that it has failed where nothing can be."""
        work.reason = reason
        if self._final(work):
            await work.log(reason)
            await self._end(work, "failed", reason)
            return
        work.state = "undoing"

        def write(tx: Transaction) -> None:
            rows.advance(tx.connection, work.id, work.step, "undoing", work.made)
            rows.give_reason(tx.connection, work.id, reason)

        await self._database.write(write)
        work.turned.set()
        await work.log(reason)

    async def _attempt(self, work: Work, step: Step, *, patient: bool = False) -> str | None:
        """Run one step within its deadline, again while only the engine is away; return why it failed.

        Args:
            patient: the deadline is that of one try; an engine that is away is waited for.
        """
        away: EngineError | None = None
        patient = patient or step.final
        with trio.move_on_after(math.inf if patient else step.seconds):
            while True:
                try:
                    with trio.move_on_after(step.seconds) as one:
                        await step.run(work)
                    if not one.cancelled_caught:
                        return None
                    break
                except EngineError as exc:
                    if not exc.passing:
                        return exc.detail
                    if away is None:
                        # Before the reason: that may end with a command to type.
                        await work.log(f"It is tried again, once the engine does its part: {exc.detail}")
                    away = exc
                except EdgebotdError as exc:
                    if isinstance(exc, (DatabaseError, StoreBusy)):
                        raise
                    return str(exc)
                except OSError as exc:
                    return f"{step.name} failed: {exc}"
                except Exception as exc:
                    log.exception("%s of %s: the step %s failed unexpectedly", work.kind, work.bot_id, step.name)
                    return f"A bug of edgebotd's ended the step {step.name} ({type(exc).__name__}). Its log says more."
                await trio.sleep(AGAIN_SECONDS)
        if away is not None and not patient:
            return away.detail
        return f"The step {step.name} did not end within {step.seconds:.0f} s."

    async def _undo(self, work: Work, steps: Sequence[Step]) -> None:
        names = [step.name for step in steps]
        last = names.index(work.step) if work.step in names else -1
        for step in reversed(steps[: last + 1]):
            if step.undo is None:
                continue
            undo = dataclasses.replace(step, run=step.undo, seconds=UNDO_SECONDS)
            # What an engine that is away still has would be left behind.
            failed = await self._attempt(work, undo, patient=True)
            if failed is not None:
                await work.log(f"What {step.name} had done could not be taken back: {failed}")
        await self._end(work, "cancelled" if work.reason == Cancelled().detail else "failed", work.reason)

    async def _end(self, work: Work, state: OperationState, reason: str | None) -> None:
        now = self._now()
        done = ProvisionDone(
            provision_id=work.id,
            bot_id=work.bot_id,
            kind=work.kind,
            ok=state == "succeeded",
            reason=reason,
            at=now,
        )

        def write(tx: Transaction) -> None:
            rows.end(tx.connection, work.id, state, reason, now)
            self._note(tx.connection, work.actor, f"bot.{work.kind}.{state}", work.bot_id, {"operationId": work.id})
            tx.emit(ALL, done)

        await self._hub.transact(write)
        work.state = state

    async def _tell(self, work: Work, text: str) -> None:
        now = self._now()
        event = ProvisionLog(
            provision_id=work.id, bot_id=work.bot_id, kind=work.kind, step=work.step, text=text, at=now
        )

        def write(tx: Transaction) -> None:
            rows.add_line(tx.connection, work.id, now, work.step, text)
            tx.emit(ALL, event)

        await self._hub.transact(write)
