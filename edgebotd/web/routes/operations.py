"""Bots made with their containers, made anew and taken away; and the work itself, with its log."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from pydantic import Field

from edgebotd.docker.provision import ProvisionRequest
from edgebotd.docker.removal import RemoveRequest
from edgebotd.docker.upgrade import UpgradeRequest
from edgebotd.events import AtMs, BotId, Model
from edgebotd.people.audit import entry
from edgebotd.store.operations import Line, Operation
from edgebotd.web.route import Call, Route, route
from edgebotd.web.services import Services


class OperationLine(Model):
    """One line of an operation's log."""

    number: int
    at: AtMs
    step: str
    text: str


class OperationRow(Model):
    """Work on a bot's container.

    Attributes:
        kind: create, adopt, recreate, upgrade, remove.
        step: the one that runs, or that it ended in; `waiting` while others go before.
        steps: all of them, in order.
        reason: why it failed.
        request: what was asked for, without secrets.
    """

    id: str
    bot_id: BotId
    kind: str
    state: Literal["running", "undoing", "succeeded", "failed", "cancelled"]
    step: str
    steps: tuple[str, ...]
    reason: str | None = None
    user_id: str | None = None
    started_at: AtMs
    ended_at: AtMs | None = None
    request: dict[str, Any]


class OperationDetail(OperationRow):
    """An operation with its log, as far as it is; the channel's `provision-log` goes on from there."""

    lines: tuple[OperationLine, ...]


class OperationList(Model):
    """Operations, the newest first."""

    items: tuple[OperationRow, ...]


class OperationQuery(Model):
    """Of one bot, or of all."""

    bot_id: BotId | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class OperationRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._docker = services.docker

    def routes(self) -> list[Route]:
        """Return the rows."""
        one, container = "/api/operations/{operation_id}", "/api/bots/{bot_id}/container"
        return [
            route("POST", "/api/bots", self.create, status=202),
            route("POST", container + "/recreate", self.recreate, status=202),
            route("POST", container + "/upgrade", self.upgrade, status=202),
            route("POST", container + "/remove", self.remove, status=202),
            route("GET", "/api/operations", self.list_operations),
            route("GET", one, self.show),
            route("POST", one + "/cancel", self.cancel),
            route("POST", one + "/retry", self.retry, status=202),
        ]

    async def create(self, call: Call, body: ProvisionRequest) -> OperationRow:
        """Make a bot with a container of its own; the answer comes at once, the work goes on."""
        return self.row(await self._docker.provisioning.begin(body, dataclasses.asdict(call.actor)))

    async def recreate(self, call: Call) -> OperationRow:
        """Make a bot's container anew from what it was made from, with the same volumes."""
        actor = dataclasses.asdict(call.actor)
        return self.row(await self._docker.recreating.begin(call.parameters["bot_id"], actor))

    async def upgrade(self, call: Call, body: UpgradeRequest) -> OperationRow:
        """Bring a bot's container to another image; it is as before where the new version does not come up."""
        actor = dataclasses.asdict(call.actor)
        return self.row(await self._docker.upgrading.begin(call.parameters["bot_id"], body, actor))

    async def remove(self, call: Call, body: RemoveRequest) -> OperationRow:
        """Take a bot away with its container; its messages and its volumes stay unless it is said otherwise."""
        actor = dataclasses.asdict(call.actor)
        return self.row(await self._docker.removal.begin(call.parameters["bot_id"], body, actor))

    async def list_operations(self, call: Call, query: OperationQuery) -> OperationList:
        """List the newest operations."""
        found = await self._docker.operations.newest(query.bot_id, query.limit)
        return OperationList(items=tuple(map(self.row, found)))

    async def show(self, call: Call) -> OperationDetail:
        """Show an operation with its log."""
        return await self._detail(call.parameters["operation_id"])

    async def cancel(self, call: Call) -> OperationDetail:
        """End an operation before its time; what it has made is taken away."""
        operation_id = call.parameters["operation_id"]
        await self._docker.operations.cancel(operation_id)
        detail = await self._detail(operation_id)
        action, now = f"bot.{detail.kind}.cancel", self._services.now()
        await self._services.people.audit(
            entry(call.actor, now, action, detail.bot_id, bot_id=detail.bot_id, operationId=operation_id)
        )
        return detail

    async def retry(self, call: Call) -> OperationRow:
        """Begin an operation that failed anew, with the same request."""
        actor = dataclasses.asdict(call.actor)
        return self.row(await self._docker.operations.retry(call.parameters["operation_id"], actor))

    async def _detail(self, operation_id: str) -> OperationDetail:
        operation, lines = await self._docker.operations.get(operation_id)
        return OperationDetail(**dict(self.row(operation)), lines=tuple(map(_line, lines)))

    def row(self, operation: Operation) -> OperationRow:
        """Return an operation as it is shown."""
        return OperationRow(
            id=operation.id,
            bot_id=operation.bot_id,
            kind=operation.kind,
            state=operation.state,
            step=operation.step,
            steps=self._docker.operations.steps(operation.kind),
            reason=operation.reason,
            user_id=operation.actor.get("user_id"),
            started_at=operation.started_at,
            ended_at=operation.ended_at,
            request=operation.request,
        )


def _line(line: Line) -> OperationLine:
    return OperationLine(number=line.number, at=line.at, step=line.step, text=line.text)
