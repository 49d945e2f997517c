"""What a bot is and does: its state, its activity, its log, its coding sessions."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import Field

from edgebotd.events.model import AtMs, BotEvent, BotId, ConversationId, Event, Model, RunId


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
    data: dict[str, Any] = Field(default_factory=dict)
    source: Annotated[str, Field(max_length=64)] | None = None
    at: AtMs | None = None


class LogLine(Model):
    """One line of a container's output."""

    at: AtMs
    stream: Literal["stdout", "stderr"] = "stdout"
    text: str


class BotLog(BotEvent):
    """Log lines of a bot's container, while someone watches. `missed`: lines left out before these, of a flood."""

    type: Literal["bot-log"] = "bot-log"
    lines: tuple[LogLine, ...]
    missed: int = 0


class BotStats(BotEvent):
    """What a bot's container uses, about once a second while someone watches; of its network, per second."""

    type: Literal["bot-stats"] = "bot-stats"
    at: AtMs
    cpu_percent: float | None = None
    """Of one processor: two busy ones are 200."""
    memory_bytes: int
    memory_limit_bytes: int | None = None
    received_per_second: float | None = None
    sent_per_second: float | None = None
    pids: int | None = None
