"""A bot's container: started, stopped, restarted; its log, and how it ended by itself."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from pydantic import Field

from edgebotd.docker.lifecycle import Halt
from edgebotd.docker.logs import MOST_LINES, Wanted
from edgebotd.events import AtMs, LogLine, Model
from edgebotd.protocol.docker.ending import words_of_end
from edgebotd.store.operations import Operation, OperationState
from edgebotd.web.route import Call, Reply, Route, route
from edgebotd.web.services import Services


class HaltRequest(Model):
    """How to bring a container down."""

    drain: Literal["wait", "abort"] = "wait"
    """Wait for the runs that are going on, or ask for their end."""
    seconds: Annotated[float, Field(ge=1, le=86_400)] | None = None
    """After so many it is killed; at most, and where it is left out, `docker.drain_seconds`."""
    now: bool = False
    """Wait for no run, and leave it ten seconds."""


class Begun(Model):
    """Work on a container that goes on by itself; `docker:status` tells live how far it is."""

    operation_id: str
    bot_id: str
    kind: str


class Work(Model):
    """The newest work on a bot's container, and how far it is."""

    operation_id: str
    kind: str
    state: OperationState
    """running, undoing, succeeded, failed or cancelled."""
    step: str
    reason: str | None
    """Why it failed."""
    doing: str | None
    """What edgebotd does with the container now."""
    started_at: AtMs
    ended_at: AtMs | None


class NewestWork(Model):
    """Null where nothing was done yet."""

    operation: Work | None


class LogQuery(Model):
    """Which lines. `since`: not before, Unix milliseconds. `contains`: with this text, whatever its case."""

    since: Annotated[int, Field(ge=0, le=2**53)] | None = None
    contains: Annotated[str, Field(max_length=200)] | None = None
    stream: Literal["stdout", "stderr"] | None = None

    @property
    def wanted(self) -> Wanted:
        """The same for the log."""
        return Wanted(self.since, self.contains, self.stream)


class TailQuery(LogQuery):
    """Which lines, and how many."""

    tail: Annotated[int, Field(ge=1, le=MOST_LINES)] = 200


class LogLines(Model):
    """Lines, oldest first."""

    items: list[LogLine]


class CrashRow(Model):
    """One end that nobody asked for, with the last lines of that life."""

    at: AtMs
    exit_code: int | None
    oom_killed: bool
    detail: str
    """The same in words."""
    lines: list[str]


class Crashes(Model):
    """Newest first."""

    items: list[CrashRow]


class LifecycleRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._docker = services.docker

    def routes(self) -> list[Route]:
        """Return the rows."""
        container = "/api/bots/{bot_id}/container"
        return [
            route("POST", container + "/start", self.start, status=202),
            route("POST", container + "/stop", self.stop, status=202),
            route("POST", container + "/restart", self.restart, status=202),
            route("GET", container + "/operation", self.operation),
            route("GET", container + "/logs", self.logs),
            route("GET", container + "/logs/download", self.download, media_type="text/plain"),
            route("GET", container + "/crashes", self.crashes),
        ]

    async def start(self, call: Call) -> Begun:
        """Start a bot's container; answers at once."""
        return _begun(await self._docker.lifecycle.start(call.parameters["bot_id"], _actor(call)))

    async def stop(self, call: Call, body: HaltRequest) -> Begun:
        """Stop a bot's container; answers at once. Asked again while it goes on, it is quicker as asked."""
        return _begun(await self._docker.lifecycle.stop(call.parameters["bot_id"], _halt(body), _actor(call)))

    async def restart(self, call: Call, body: HaltRequest) -> Begun:
        """Stop a bot's container and start it again; answers at once."""
        return _begun(await self._docker.lifecycle.restart(call.parameters["bot_id"], _halt(body), _actor(call)))

    async def operation(self, call: Call) -> NewestWork:
        """Show the newest work on a bot's container: whether it goes on, and how it ended."""
        bot_id = call.parameters["bot_id"]
        found = await self._docker.operations.newest(bot_id, 1)
        if not found:
            return NewestWork(operation=None)
        status = self._docker.containers.of_bot(bot_id)
        work = Work(
            operation_id=found[0].id,
            kind=found[0].kind,
            state=found[0].state,
            step=found[0].step,
            reason=found[0].reason,
            doing=None if status is None else status.doing,
            started_at=found[0].started_at,
            ended_at=found[0].ended_at,
        )
        return NewestWork(operation=work)

    async def logs(self, call: Call, query: TailQuery) -> LogLines:
        """Read the last lines of a bot's container, without secrets."""
        return LogLines(items=await self._docker.logs.read(call.parameters["bot_id"], query.tail, query.wanted))

    async def download(self, call: Call, query: LogQuery) -> Reply:
        """Give the log of a bot's container as a file."""
        bot_id = call.parameters["bot_id"]
        pieces = await self._docker.logs.download(bot_id, query.wanted)
        headers = [
            ("content-disposition", f'attachment; filename="{bot_id}.log"'),
            ("cache-control", "no-store"),
        ]
        return Reply(pieces, content_type="text/plain; charset=utf-8", headers=headers)

    async def crashes(self, call: Call) -> Crashes:
        """List how a bot's container ended by itself, the last ten times."""
        found = await self._docker.breaker.crashes(call.parameters["bot_id"])
        return Crashes(
            items=[
                CrashRow(
                    at=crash.at,
                    exit_code=crash.exit_code,
                    oom_killed=crash.oom_killed,
                    detail=words_of_end(crash.exit_code, oom_killed=crash.oom_killed),
                    lines=list(crash.lines),
                )
                for crash in found
            ]
        )


def _halt(body: HaltRequest) -> Halt:
    return Halt(body.drain, body.seconds, body.now)


def _actor(call: Call) -> dict[str, str | None]:
    return dataclasses.asdict(call.actor)


def _begun(operation: Operation) -> Begun:
    return Begun(operation_id=operation.id, bot_id=operation.bot_id, kind=operation.kind)
