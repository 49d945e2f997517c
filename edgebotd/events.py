"""The event catalogue: one model and one row for each type that travels on the channel (CHANNEL section 1).

The model says what an event holds, the row who may see it (for some types also *what of it*), how it is kept and, for
"latest wins", by which key. A type without a row fails at import, and with it the build.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

ALL: Final = "*"
"""The bot id of events that belong to no one bot."""

BOT_ID_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,31}$"
CONVERSATION_ID_PATTERN: Final = r"^c_[a-z0-9]{20}$"

BotId = Annotated[str, Field(pattern=BOT_ID_PATTERN)]
UserId = Annotated[str, Field(pattern=BOT_ID_PATTERN)]
ConversationId = Annotated[str, Field(pattern=CONVERSATION_ID_PATTERN)]
RunId = Annotated[str, Field(min_length=1, max_length=128)]
AtMs = Annotated[int, Field(ge=0, description="Unix time in milliseconds")]


class Model(BaseModel):
    """A value of the JSON formats: camelCase outside, snake_case inside, immutable, closed."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", ser_json_inf_nan="null"
    )


class Event(Model):
    """Base of all bus events. Subclasses fix `type`."""

    type: str


class BotEvent(Event):
    """An event of one bot."""

    bot_id: BotId


# What a bot is doing


class BotActivity(BotEvent):
    """What a bot is doing now."""

    type: Literal["bot-activity"] = "bot-activity"
    activity: Annotated[str, Field(min_length=1, max_length=64)]
    """idle, thinking, streaming, tool; a bot's plugin may use a word of its own."""
    detail: Annotated[str, Field(max_length=65_536)] | None = None
    run_id: RunId | None = None
    conversation_id: ConversationId | None = None
    source: Annotated[str, Field(max_length=64)] | None = None
    since_at: AtMs | None = None


class BotState(Enum):
    """The registry's word for a bot (CHANNEL section 1)."""

    CONNECTED = "connected"
    CONNECTING = "connecting"
    DISCONNECTED = "disconnected"
    STARTING = "starting"
    STOPPED = "stopped"
    ERROR = "error"
    UNKNOWN = "unknown"


class BotStatusFields(Model):
    """State of one bot, with its source and since when."""

    bot_id: BotId
    state: BotState
    reason: str | None = None
    """Stable snake_case word, such as needs_pairing, no_rights, bad_credentials, restarting, refused."""
    detail: str | None = None
    """For a person: what happened and what to do."""
    source: str = "connection"
    since_at: AtMs


class BotSummary(BotStatusFields):
    """One row of `bots-status-update`."""

    name: str
    kind: str
    activity: str = "idle"
    activity_detail: str | None = None


class BotStatus(BotStatusFields, BotEvent):
    """One bot's state changed."""

    type: Literal["bot:status"] = "bot:status"


class BotsStatusUpdate(Event):
    """All bots' states, after any change and in each snapshot. Each user sees the own bots only."""

    type: Literal["bots-status-update"] = "bots-status-update"
    bots: tuple[BotSummary, ...]


# Chat


class RunState(Enum):
    """State of one run as `chat-status` tells it. The last four are terminal."""

    QUEUED = "queued"
    STARTED = "started"
    STREAMING = "streaming"
    STOPPING = "stopping"
    FINISHED = "finished"
    ABORTED = "aborted"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows."""
        return self in _TERMINAL


_TERMINAL: Final = frozenset({RunState.FINISHED, RunState.ABORTED, RunState.FAILED, RunState.INTERRUPTED})


class ChatStatus(BotEvent):
    """A run changed its state."""

    type: Literal["chat-status"] = "chat-status"
    conversation_id: ConversationId
    run_id: RunId
    state: RunState
    detail: str | None = None
    """For a person: why it waits, what it retries, why it failed."""
    at: AtMs


class ChatDelta(BotEvent):
    """New text of a streaming reply. `offset` counts UTF-16 code units of the reply so far."""

    type: Literal["chat-delta"] = "chat-delta"
    conversation_id: ConversationId
    run_id: RunId
    offset: Annotated[int, Field(ge=0)]
    text: str


class TextPart(Model):
    """Text, in markdown as the bot wrote it."""

    type: Literal["text"] = "text"
    text: str


class ToolCallPart(Model):
    """A tool that the bot called."""

    type: Literal["toolCall"] = "toolCall"
    tool_call_id: str
    name: str
    arguments: Any = None


class ToolResultPart(Model):
    """What a tool answered."""

    type: Literal["toolResult"] = "toolResult"
    tool_call_id: str
    name: str | None = None
    result: Any = None
    is_error: bool = False


class AttachmentPart(Model):
    """A file, stored once by its SHA-256 (lower-case hex), served at `/api/attachments/{sha256}`."""

    type: Literal["attachment"] = "attachment"
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    name: str
    media_type: str
    size: int
    """In bytes."""


class ErrorPart(Model):
    """Why a run has no (whole) reply."""

    type: Literal["error"] = "error"
    message: str
    code: str | None = None


Part = Annotated[TextPart | ToolCallPart | ToolResultPart | AttachmentPart | ErrorPart, Field(discriminator="type")]


class Message(Model):
    """One user message, or one assistant message per run (CHANNEL section 5)."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    bot_id: BotId
    conversation_id: ConversationId
    run_id: RunId
    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]
    state: Literal["pending", "final", "failed", "aborted", "interrupted"] = "final"
    """`pending`: a user message that waits in the queue."""
    source: str = "edgebotd"
    """The surface it came from: edgebotd, gateway, plugin:<name>."""
    user_id: str | None = None
    created_at: AtMs
    edited_at: AtMs | None = None
    seq: int | None = None
    """Position in its bot's history; set once stored."""


class ChatMessage(BotEvent):
    """A message was stored, or a stored one changed by a later fact."""

    type: Literal["chat-message"] = "chat-message"
    conversation_id: ConversationId
    message: Message


class Conversation(Model):
    """A thread of messages with one bot."""

    id: ConversationId
    bot_id: BotId
    title: str | None = None
    source: str = "edgebotd"
    created_at: AtMs
    updated_at: AtMs
    deleted_at: AtMs | None = None


class ConversationUpdate(BotEvent):
    """A conversation was created, renamed or deleted; or one user read up to a message (that user only sees it)."""

    type: Literal["conversation-update"] = "conversation-update"
    conversation_id: ConversationId
    change: Literal["created", "renamed", "deleted", "read"]
    conversation: Conversation | None = None
    user_id: UserId | None = None
    """Set for `read`: whose marker."""
    read_seq: int | None = None


# Code sessions, containers, provisioning, accounts: producers come later


class CodeSessionStatus(BotEvent):
    """A coding session's state changed."""

    type: Literal["code-session:status"] = "code-session:status"
    session_id: Annotated[str, Field(min_length=1, max_length=128)]
    state: Annotated[str, Field(min_length=1, max_length=64)]
    detail: str | None = None
    at: AtMs


class CodeSessionEvent(BotEvent):
    """Something happened in a coding session."""

    type: Literal["code-session:event"] = "code-session:event"
    session_id: Annotated[str, Field(min_length=1, max_length=128)]
    kind: Annotated[str, Field(min_length=1, max_length=64)]
    data: dict[str, Any] = {}
    source: Annotated[str, Field(max_length=64)] | None = None
    at: AtMs | None = None


class ContainerStatus(Model):
    """One container; `bot_id` is None for one that belongs to no bot (admins only)."""

    name: str
    bot_id: BotId | None = None
    state: str
    detail: str | None = None
    source: str = "engine"
    since_at: AtMs


class EngineStatus(Model):
    """The container engine."""

    state: Literal["up", "down", "frozen", "unknown"]
    version: str | None = None
    since_at: AtMs


class PullProgress(Model):
    """An image on its way."""

    image: str
    bytes_done: int
    bytes_total: int | None = None


class DockerStatus(Event):
    """The engine and its containers. Users see the containers of their bots."""

    type: Literal["docker:status"] = "docker:status"
    engine: EngineStatus
    containers: tuple[ContainerStatus, ...] = ()
    pulls: tuple[PullProgress, ...] = ()


class LogLine(Model):
    """One line of a container's output."""

    at: AtMs
    stream: Literal["stdout", "stderr"] = "stdout"
    text: str


class BotLog(BotEvent):
    """Log lines of a bot's container, while someone watches."""

    type: Literal["bot-log"] = "bot-log"
    lines: tuple[LogLine, ...]


class ProvisionLog(Event):
    """A line or a step's progress of a provisioning."""

    type: Literal["provision-log"] = "provision-log"
    provision_id: str
    step: str
    text: str
    at: AtMs


class ProvisionDone(Event):
    """A provisioning ended."""

    type: Literal["provision-done"] = "provision-done"
    provision_id: str
    ok: bool
    reason: str | None = None
    at: AtMs


class AuthProfileRefreshed(Event):
    """A provider login's token was refreshed, or was not. Never a secret."""

    type: Literal["auth-profiles:refreshed"] = "auth-profiles:refreshed"
    profile_id: str
    outcome: str
    expires_at: AtMs | None = None
    detail: str | None = None
    at: AtMs


class UsageWindow(Model):
    """One window of an account's limits."""

    name: str
    used_percent: float | None = None
    resets_at: AtMs | None = None


class AuthProfileUsage(Event):
    """How much of one account is used. Admins see which bots use it, users only their own of them."""

    type: Literal["auth-profiles:usage-updated"] = "auth-profiles:usage-updated"
    profile_id: str
    bot_ids: tuple[BotId, ...] = ()
    windows: tuple[UsageWindow, ...] = ()
    fetched_at: AtMs


class Alert(Event):
    """Something needs a person, or is mended. `bot_id` where it is about one bot."""

    type: Literal["alert"] = "alert"
    alert_id: str
    bot_id: BotId | None = None
    severity: Literal["info", "warning", "critical"]
    state: Literal["open", "resolved"]
    title: str
    detail: str | None = None
    at: AtMs


class JobStatus(Event):
    """A background job's health."""

    type: Literal["job:status"] = "job:status"
    job: str
    state: Literal["running", "waiting", "restarting", "failed", "stopped"]
    detail: str | None = None
    restarts: int = 0
    at: AtMs


# The rows


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
        watched: only sent to operators who asked for it with a watch (CHANNEL C16).
    """

    model: type[Event]
    kept: Kept
    allowed: Callable[[Any, Viewer], bool] | None = None
    view: Callable[[Any, Viewer], Event | None] | None = None
    latest: Callable[[Any], str] | None = None
    watched: bool = False


def _admins(_event: Event, viewer: Viewer) -> bool:
    return viewer.admin


def _own_read_marker(event: ConversationUpdate, viewer: Viewer) -> bool:
    return event.change != "read" or event.user_id == viewer.user_id


def _own_bots(event: BotsStatusUpdate, viewer: Viewer) -> BotsStatusUpdate:
    return BotsStatusUpdate(bots=tuple(bot for bot in event.bots if viewer.sees(bot.bot_id)))


def _own_containers(event: DockerStatus, viewer: Viewer) -> DockerStatus:
    if viewer.admin:
        return event
    own = tuple(c for c in event.containers if c.bot_id is not None and viewer.sees(c.bot_id))
    return DockerStatus(engine=event.engine, containers=own)


def _own_usage(event: AuthProfileUsage, viewer: Viewer) -> AuthProfileUsage | None:
    if viewer.admin:
        return event
    own = tuple(bot_id for bot_id in event.bot_ids if viewer.sees(bot_id))
    return event.model_copy(update={"bot_ids": own}) if own else None


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
    Row(BotLog, Kept.RING, watched=True),
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
