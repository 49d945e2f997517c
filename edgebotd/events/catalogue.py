"""One row for each event type: who may see it, what of it, how it is kept, and by which key the newest counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import Field, TypeAdapter

from edgebotd.events.bots import (
    BotActivity,
    BotLog,
    BotsStatusUpdate,
    BotStats,
    BotStatus,
    CodeSessionEvent,
    CodeSessionStatus,
)
from edgebotd.events.chat import ChatDelta, ChatMessage, ChatStatus, ConversationUpdate
from edgebotd.events.model import Event
from edgebotd.events.system import (
    Alert,
    AuthProfileRefreshed,
    AuthProfileUsage,
    DockerStatus,
    EngineStatus,
    JobStatus,
    ProvisionDone,
    ProvisionLog,
)


class Viewer(Protocol):
    """Who looks, as far as an event's row must know. `access.AccessClass` is one."""

    @property
    def user_id(self) -> str: ...
    @property
    def admin(self) -> bool: ...
    def sees(self, bot_id: str) -> bool: ...
    def operates(self, bot_id: str) -> bool: ...


class Kept(Enum):
    """Where an event can be replayed from. `JOURNAL` survives a restart and is durable before it is visible."""

    RING = "ring"
    JOURNAL = "journal"


@dataclass(frozen=True)
class Row:
    """How one type travels.

    Attributes:
        allowed: whether this viewer may see the event at all; the hub has already checked the bot for a bot's event.
        view: what of it a viewer sees (None: nothing); None where everyone allowed sees the same bytes.
        latest: key under which only the newest counts; such events are part of the snapshot and merge in a backlog.
        watched: only sent to those who asked for it with a watch (CHANNEL C16): `logs` to operators, `stats` to all
            who see the bot.
    """

    model: type[Event]
    kept: Kept
    allowed: Callable[[Any, Viewer], bool] | None = None
    view: Callable[[Any, Viewer], Event | None] | None = None
    latest: Callable[[Any], str] | None = None
    watched: Literal["logs", "stats"] | None = None


def _admins(_event: Event, viewer: Viewer) -> bool:
    return viewer.admin


def _own_read_marker(event: ConversationUpdate, viewer: Viewer) -> bool:
    return event.change != "read" or event.user_id == viewer.user_id


def _own_bots(event: BotsStatusUpdate, viewer: Viewer) -> BotsStatusUpdate:
    return BotsStatusUpdate(bots=tuple(bot for bot in event.bots if viewer.sees(bot.bot_id)))


def _own_containers(event: DockerStatus, viewer: Viewer) -> DockerStatus:
    if viewer.admin:
        return event
    own = tuple(
        c if viewer.operates(c.bot_id) else c.told_to_viewers()
        for c in event.containers
        if c.bot_id is not None and viewer.sees(c.bot_id)
    )
    # Whether it is up explains a state that is unknown; what is wrong with it names places of the machine.
    engine = EngineStatus(state=event.engine.state, since_at=event.engine.since_at)
    return DockerStatus(engine=engine, containers=own)


def _own_usage(event: AuthProfileUsage, viewer: Viewer) -> AuthProfileUsage | None:
    if viewer.admin:
        return event
    own = tuple(bot_id for bot_id in event.bot_ids if viewer.sees(bot_id))
    # How it is and its windows explain how a bot behaves; what it costs is its owner's affair.
    return event.model_copy(update={"bot_ids": own, "billing": (), "plan": None}) if own else None


def _alert_subject(event: Alert, viewer: Viewer) -> bool:
    return viewer.admin if event.bot_id is None else viewer.sees(event.bot_id)


ROWS: Final[tuple[Row, ...]] = (
    Row(BotActivity, Kept.RING),
    Row(BotsStatusUpdate, Kept.RING, view=_own_bots, latest=lambda _: ""),
    Row(BotStatus, Kept.JOURNAL),
    Row(ChatStatus, Kept.RING),
    Row(ChatDelta, Kept.RING),
    Row(ChatMessage, Kept.JOURNAL),
    Row(ConversationUpdate, Kept.JOURNAL, allowed=_own_read_marker),
    Row(CodeSessionStatus, Kept.JOURNAL),
    Row(CodeSessionEvent, Kept.JOURNAL),
    Row(DockerStatus, Kept.RING, view=_own_containers, latest=lambda _: ""),
    Row(BotLog, Kept.RING, watched="logs"),
    Row(BotStats, Kept.RING, watched="stats"),
    Row(ProvisionLog, Kept.JOURNAL, allowed=_admins),
    Row(ProvisionDone, Kept.JOURNAL, allowed=_admins),
    Row(AuthProfileRefreshed, Kept.JOURNAL, allowed=_admins),
    Row(AuthProfileUsage, Kept.RING, view=_own_usage, latest=lambda e: e.profile_id),
    Row(Alert, Kept.JOURNAL, allowed=_alert_subject),
    Row(JobStatus, Kept.RING, allowed=_admins, latest=lambda e: e.job),
)


def _type_of(model: type[Event]) -> str:
    default = model.model_fields["type"].default
    assert isinstance(default, str), model
    return default


def _leaves(model: type[Event]) -> set[type[Event]]:
    children = set(model.__subclasses__())
    return {model} if not children else set().union(*(_leaves(child) for child in children))


CATALOGUE: Final[dict[str, Row]] = {_type_of(row.model): row for row in ROWS}

if missing := _leaves(Event) - {row.model for row in ROWS}:
    raise RuntimeError(f"event types without a row in events.ROWS: {sorted(m.__name__ for m in missing)}")

AnyEvent = Annotated[
    BotActivity
    | BotsStatusUpdate
    | BotStatus
    | ChatStatus
    | ChatDelta
    | ChatMessage
    | ConversationUpdate
    | CodeSessionStatus
    | CodeSessionEvent
    | DockerStatus
    | BotLog
    | BotStats
    | ProvisionLog
    | ProvisionDone
    | AuthProfileRefreshed
    | AuthProfileUsage
    | Alert
    | JobStatus,
    Field(discriminator="type"),
]

EVENT_ADAPTER: Final[TypeAdapter[Event]] = TypeAdapter(AnyEvent)
"""Parses any event from JSON or Python."""


def row_of(event: Event) -> Row:
    """Return the row of an event's type."""
    return CATALOGUE[event.type]


def encode(event: Event) -> str:
    """Return the event as one line of JSON, camelCase, members that are None left out.

    Raises:
        PydanticSerializationError: the event holds text that is no Unicode (CHANNEL S25).
    """
    return event.model_dump_json(by_alias=True, exclude_none=True)


def catalogue_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of every event, discriminated by `type`."""
    schema = EVENT_ADAPTER.json_schema(by_alias=True, mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edgebotd events",
        **schema,
    }
