"""Conversations, their messages, and runs on their way."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from edgebotd.events.model import AtMs, BotEvent, BotId, ConversationId, Model, RunId, UserId


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
