"""Starting, stopping and restarting a bot's container.

Each is an operation: durable when it is answered, told live, gone on with by a daemon that starts again in the middle.
A stop drains first: new messages wait, runs are waited for or aborted. At SIGTERM OpenClaw drains once more by itself
(up to 315 s, runs that only it knows of too), so what is left of the time is the engine's grace.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import trio

from edgebotd.docker.engine import Engine
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.operations import Note, Step, Work
from edgebotd.docker.services import Operating, Services
from edgebotd.errors import Conflict, Invalid, Problem
from edgebotd.protocol.docker.containers import Container
from edgebotd.protocol.docker.ending import words_of_end
from edgebotd.store import containers as rows
from edgebotd.store.containers import Wanted
from edgebotd.store.database import Transaction
from edgebotd.store.operations import Operation

GRACE_SECONDS: Final = 10
"""What a container has at least to end by itself, also where it is to end now."""
ABORT_SECONDS: Final = 30.0
"""How long aborted runs are waited for."""
LOOK_SECONDS: Final = 1.0
START_SECONDS: Final = 120.0
UNDEAD_SECONDS: Final = 90.0
"""What may pass beyond the grace until the engine has killed it and its processes are gone."""
UP: Final = frozenset({"running", "paused", "restarting"})

Drain = Literal["wait", "abort"]


@dataclass(frozen=True, slots=True)
class Halt:
    """How to bring a container down.

    Attributes:
        drain: wait for runs, or abort them.
        seconds: after so many it is killed; None: `docker.drain_seconds`, which it may not exceed.
        now: no drain at all. Asked for once more: no grace either.
    """

    drain: Drain = "wait"
    seconds: float | None = None
    now: bool = False


class Lifecycle(Operating):
    """From `house.py`. Whoever calls has checked rights.

    Args:
        refresh: asks the engine for one container now, by name.
    """

    def __init__(
        self,
        services: Services,
        *,
        refresh: Callable[[str], Awaitable[Container | None]],
        note: Note,
    ) -> None:
        super().__init__(services)
        self._drain_seconds = services.settings.drain_seconds
        self._refresh = refresh
        self._note = note
        self._now = services.containers.now
        self._asked: dict[str, trio.Event] = {}
        drain, down = self.steps_down()
        up = Step("start", START_SECONDS, self._start_again)
        self._operations.register("start", (Step("start", START_SECONDS, self._start, self._let_go),), waits=False)
        self._operations.register("stop", (drain, down), waits=False)
        self._operations.register("restart", (drain, down, up), waits=False)

    def steps_down(self) -> tuple[Step, Step]:
        """Return the steps `drain` and `stop`, for operations that bring a container down on their way.

        They read `drain`, `seconds` and `now` of the request as `Halt` has them.
        """
        return (
            Step("drain", self._drain_seconds + LOOK_SECONDS * 10, self._drain, self._let_go),
            Step("stop", self._drain_seconds + GRACE_SECONDS + UNDEAD_SECONDS, self._stop),
        )

    # Asking

    async def start(self, bot_id: str, actor: Mapping[str, Any]) -> Operation:
        """Start a bot's container.

        Raises:
            NotFound, Conflict, EngineError: no such bot; no container, or other work with it; no engine.
        """
        self._check(bot_id)
        if (work := self._operations.running(bot_id)) is not None and work.kind in ("stop", "restart"):
            words = "stopped" if self._stays_down(work) else "restarted"
            doing = self._doing(bot_id)
            raise Conflict("bot_stopping", f"It is being {words}{doing}. Start it once that is done.")
        operation = await self._operations.begin("start", bot_id, {}, actor)
        self._containers.overlay(bot_id, doing="is being started")
        return operation

    async def stop(self, bot_id: str, halt: Halt, actor: Mapping[str, Any]) -> Operation:
        """Stop a bot's container. While it is being stopped already, let that be quicker, as asked now.

        Raises:
            Invalid: longer than the settings allow; else as `start`.
        """
        return await self._halt("stop", bot_id, halt, actor)

    async def restart(self, bot_id: str, halt: Halt, actor: Mapping[str, Any]) -> Operation:
        """Stop a bot's container, then start it; raises as `stop`."""
        return await self._halt("restart", bot_id, halt, actor)

    async def _halt(self, kind: str, bot_id: str, halt: Halt, actor: Mapping[str, Any]) -> Operation:
        self._check(bot_id)
        if halt.seconds is not None and halt.seconds > self._drain_seconds:
            longest = f"{self._drain_seconds:.0f} s"
            raise Invalid(f"A stop may take {longest} at most here (docker.drain_seconds). Ask for less.")
        work = self._operations.running(bot_id)
        if work is not None and work.kind in ("stop", "restart") and work.state == "running":
            if kind == "restart" and self._stays_down(work):
                raise Conflict("bot_stopping", f"It is being stopped{self._doing(bot_id)}. Start it once that is done.")
            if work.step == "start":
                raise Conflict("bot_busy", "It is just being started again. Ask once more when it runs.")
            return await self._hurry(work, kind, halt, actor)
        request = {"drain": halt.drain, "seconds": halt.seconds, "now": halt.now}
        operation = await self._operations.begin(kind, bot_id, request, actor)
        self._mark(bot_id, kind, f"is being {kind}{'p' if kind == 'stop' else ''}ed")
        return operation

    async def _hurry(self, work: Work, kind: str, halt: Halt, actor: Mapping[str, Any]) -> Operation:
        """Let a stop that goes on be as it was asked for now, where that is quicker."""
        changes: dict[str, Any] = {}
        if halt.now:
            changes = {"until_at": self._now(), "kill": bool(work.made.get("now")), "now": True}
        elif halt.seconds is not None and "until_at" in work.made:
            changes = {"until_at": min(work.made["until_at"], self._now() + round(halt.seconds * 1000))}
        if halt.drain == "abort":
            changes["drain"] = "abort"
        if kind == "stop" and work.kind == "restart":
            changes["stay_down"] = True
        # At once: whoever asked may hang up while this is stored.
        work.made.update(changes)
        self._asked.pop(work.bot_id, trio.Event()).set()
        detail = {"operationId": work.id, "drain": "none" if halt.now else halt.drain}
        await self._database.write(
            lambda tx: self._note(tx.connection, actor, f"bot.{kind}", work.bot_id, {**detail, "again": True})
        )
        await work.keep(**changes)
        return (await self._operations.get(work.id))[0]

    def _check(self, bot_id: str) -> None:
        self._bots.summary(bot_id)
        if self._containers.name_of(bot_id) is None:
            todo = "Adopt one, or name it in the settings as bots.<id>.container."
            if self._containers.engine is None:
                todo = self._containers.no_engine  # which has to be there first
            raise Problem(404, "no_container", f"No container of this bot is known. {todo}")
        self._containers.usable()

    def _doing(self, bot_id: str) -> str:
        status = self._containers.of_bot(bot_id)
        return "" if status is None or status.doing is None else f" (it {status.doing})"

    def _stays_down(self, work: Work) -> bool:
        return work.kind == "stop" or bool(work.made.get("stay_down"))

    # Down

    async def _drain(self, work: Work) -> None:
        bot_id, request, made = work.bot_id, work.request, work.made
        seconds = request.get("seconds")
        wait_ms = 0 if request.get("now") else round((self._drain_seconds if seconds is None else seconds) * 1000)
        first: dict[str, Any] = {"drain": request.get("drain", "wait"), "until_at": self._now() + wait_ms}
        first |= {"now": bool(request.get("now"))}
        if work.kind in ("stop", "restart"):
            first["wanted_before"] = await self._want(bot_id, "stopped" if self._stays_down(work) else "running")
        # What was asked for meanwhile, or before a restart, stands.
        await work.keep(**{name: value for name, value in first.items() if name not in made})
        self._mark(bot_id, work.kind, None)
        container = await self._refresh(self._name(bot_id))
        if container is None or container.state not in UP:
            return
        aborted_at: float | None = None
        while (runs := self._bots.busy(bot_id)) and (left := self._left(work)) > 0:
            words = f"{runs} run{'s' if runs > 1 else ''} to end"
            if made["drain"] == "abort":
                if aborted_at is None:
                    await work.log(f"It asks for {words}.")
                    await self._bots.abort_all(bot_id)
                    aborted_at = trio.current_time()
                left = min(left, aborted_at + ABORT_SECONDS - trio.current_time())
                if left <= 0:
                    break
            self._mark(bot_id, work.kind, f"waits for {words}")
            await self._idle_or_asked(bot_id, min(left, LOOK_SECONDS))
        if runs := self._bots.busy(bot_id):
            await work.log(f"{runs} run{'s' if runs > 1 else ''} still going on; not waited for any longer.")

    async def _idle_or_asked(self, bot_id: str, seconds: float) -> None:
        asked = self._asked.setdefault(bot_id, trio.Event())
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:

                async def first(wait: Callable[[], Awaitable[None]]) -> None:
                    await wait()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(first, partial(self._bots.wait_idle, bot_id))
                nursery.start_soon(first, asked.wait)

    async def _stop(self, work: Work) -> None:
        bot_id = work.bot_id
        engine, name = self._containers.usable(), self._name(bot_id)
        began = self._now()
        while True:
            self._mark(bot_id, work.kind, "is being stopped")
            container = await self._refresh(name)
            if container is None or container.state not in UP:
                break
            if container.started_at is not None and container.started_at > began:
                raise Conflict("started_again", "Somebody else has started it again while it was being stopped.")
            stopped = await self._stop_once(engine, name, work)
            if not stopped and work.made.get("drain") == "abort" and self._bots.busy(bot_id):
                # Asked to be quicker: runs that the gateway's own drain waits for.
                await self._bots.abort_all(bot_id)
        while await engine.processes(name):
            self._mark(bot_id, work.kind, "waits for its processes to end")
            await trio.sleep(LOOK_SECONDS / 2)
        container = await self._refresh(name)
        self._release(bot_id)
        ended = (
            "It is gone." if container is None else words_of_end(container.exit_code, oom_killed=container.oom_killed)
        )
        await work.log(f"It is stopped. {ended}")

    async def _stop_once(self, engine: Engine, name: str, work: Work) -> bool:
        """Let it end within what is left of its time; False: asked to be quicker in between."""
        least = 0 if work.made.get("kill") else GRACE_SECONDS
        grace = max(round(self._left(work)), least)
        self._mark(work.bot_id, work.kind, f"waits for it to end, {grace} s at most")
        asked = self._asked.setdefault(work.bot_id, trio.Event())
        failed: list[EngineError] = []
        stopped = False
        async with trio.open_nursery() as nursery:

            async def stop() -> None:
                nonlocal stopped
                try:
                    await engine.stop(name, grace)
                    stopped = True
                except EngineError as exc:
                    if exc.trouble is not Trouble.MISSING:
                        failed.append(exc)
                nursery.cancel_scope.cancel()

            nursery.start_soon(stop)
            await asked.wait()
            nursery.cancel_scope.cancel()
        if failed:
            raise failed[0]
        return stopped

    def _left(self, work: Work) -> float:
        until_at: int = work.made.get("until_at", self._now())
        return (until_at - self._now()) / 1000

    # Up

    async def _start(self, work: Work) -> None:
        await self._want(work.bot_id, "running")
        await self.bring_up(work)

    async def _start_again(self, work: Work) -> None:
        if not self._stays_down(work):
            await self.bring_up(work)
        else:
            await work.log("It is left stopped, as was asked for meanwhile.")
            await self._want(work.bot_id, "stopped")

    async def bring_up(self, work: Work) -> None:
        """Start the bot's container, or unpause it; for the steps of other operations too.

        Raises:
            EngineError: the engine's own words.
            Problem: it ended at once.
        """
        engine, name = self._containers.usable(), self._name(work.bot_id)
        self._containers.overlay(work.bot_id, doing="is being started")
        container = await self._refresh(name)
        if container is None:
            raise Conflict("container_missing", f"The engine has no container named {name}. Recreate it.")
        try:
            if container.state == "paused":
                await engine.unpause(name)
            elif container.state not in UP:
                await engine.start(name)
        finally:
            # A start that fails makes no event.
            with trio.move_on_after(LOOK_SECONDS, shield=True):
                container = await self._look(name)
        if container is not None and container.state == "exited":
            words = words_of_end(container.exit_code, oom_killed=container.oom_killed)
            raise Problem(502, "container_ended", f"It was started and ended at once. {words} Its log says more.")
        self._release(work.bot_id)

    async def _look(self, name: str) -> Container | None:
        try:
            return await self._refresh(name)
        except EngineError:
            return None

    # Shared

    def _name(self, bot_id: str) -> str:
        name = self._containers.name_of(bot_id)
        if name is None:
            raise Problem(404, "no_container", "This bot has no container any more.")
        return name

    def _mark(self, bot_id: str, kind: str, doing: str | None) -> None:
        self._containers.overlay(bot_id, stopping=True, doing=doing)
        self._bots.hold(bot_id, held_for(kind))

    def _release(self, bot_id: str) -> None:
        self._asked.pop(bot_id, None)
        self._containers.overlay(bot_id, stopping=False, doing="")
        if bot_id in self._bots.ids():
            self._bots.hold(bot_id, None)

    async def _let_go(self, work: Work) -> None:
        """Leave it as it is: cancelled, or failed."""
        self._release(work.bot_id)
        before = work.made.get("wanted_before")
        if work.step == "drain" and before is not None:
            await self._want(work.bot_id, before)

    async def _want(self, bot_id: str, wanted: Wanted) -> Wanted:
        """Keep what a person asked for, and return what that was before."""

        now = self._now()

        def write(tx: Transaction) -> Wanted:
            stored = rows.get(tx.connection, bot_id)
            rows.set_wanted(tx.connection, bot_id, wanted, now)
            return "any" if stored is None else stored.wanted

        return await self._database.write(write)


def held_for(kind: str) -> str:
    """Return why messages wait while an operation of this kind brings the container down."""
    words = {"stop": "stopped", "restart": "restarted"}.get(kind, "worked on")
    return f"Its container is being {words}; this goes out when it runs again."
