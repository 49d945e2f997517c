"""The JSON of requests and answers about bots: what routes, the per-bot socket and the commands exchange."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Base64Bytes, Field, SecretStr

from edgebotd.events import (
    BOT_ID_PATTERN,
    AtMs,
    BotSummary,
    Conversation,
    ConversationId,
    Message,
    Model,
    Name,
    RunId,
    RunState,
)
from edgebotd.protocol.fields import without_controls

ModelName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(without_controls)]


class AttachmentIn(Model):
    """A file on its way in; `data` is base64."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    media_type: Annotated[str, Field(pattern=r"^[a-zA-Z0-9.+-]{1,64}/[a-zA-Z0-9.+-]{1,127}$")]
    data: Annotated[Base64Bytes, Field(repr=False)]


class SendRequest(Model):
    """CHANNEL section 5, send."""

    conversation_id: ConversationId | None = None
    text: Annotated[str, Field(max_length=500_000)] = ""
    attachments: Annotated[tuple[AttachmentIn, ...], Field(max_length=20)] = ()
    idempotency_key: Annotated[str, Field(min_length=1, max_length=128)]
    mode: Literal["queue", "interrupt"] = "queue"


class SendAnswer(Model):
    """What became of a send. `detail` says why it waits."""

    run_id: RunId
    message_id: str
    conversation_id: ConversationId
    state: RunState
    detail: str | None = None


class AbortRequest(Model):
    """Which run to stop; with a conversation only, what that is at."""

    run_id: RunId | None = None
    conversation_id: ConversationId | None = None


class AbortAnswer(Model):
    """How the run ended; `stopping` where it is still running after 10 s."""

    run_id: RunId
    state: RunState
    detail: str | None = None


class RunAnswer(Model):
    """How far a run is, or how it ended."""

    run_id: RunId
    state: RunState
    detail: str | None = None


class HistoryPage(Model):
    """Messages, newest first; `next` is opaque."""

    items: tuple[Message, ...]
    next: str | None = None


class MessageWindow(Model):
    """Messages of one conversation, newest first, with a way on in both directions."""

    items: tuple[Message, ...]
    next: str | None = None
    """For `before` of the history: what is older; null at the beginning."""
    newer: str | None = None
    """For the window's own `newer`; null at the end, where the channel goes on."""


class ConversationRow(Model):
    """One row of a user's list."""

    conversation: Conversation
    unread: int
    read_seq: int
    last: Message | None = None


class ConversationPage(Model):
    """Conversations, the one that changed last first."""

    items: tuple[ConversationRow, ...]
    next: str | None = None


class TitleRequest(Model):
    """Creates or renames a conversation."""

    title: Annotated[str, Field(max_length=200), AfterValidator(without_controls)] | None = None


class ReadRequest(Model):
    """The user has read up to this message's seq."""

    seq: Annotated[int, Field(ge=0)]


class SearchHit(Model):
    """One message found; `ranges` are (offset, length) in the snippet, in UTF-16 code units."""

    message: Message
    snippet: str
    ranges: tuple[tuple[int, int], ...]


class SearchPage(Model):
    """Hits, newest first."""

    items: tuple[SearchHit, ...]
    next: str | None = None


class ConnectRequest(Model):
    """Connects a bot at run time."""

    id: Annotated[str, Field(pattern=BOT_ID_PATTERN)]
    kind: Literal["openclaw", "openai", "echo"] = "openclaw"
    name: Name | None = None
    url: Annotated[str, Field(max_length=2048)] | None = None
    token: SecretStr | None = None
    agent_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "main"
    model: ModelName | None = None
    system_prompt: Annotated[str, Field(min_length=1, max_length=50_000)] | None = None
    device: bool = True
    pace_ms: Annotated[int, Field(ge=0, le=60_000)] = 30


class EditRequest(Model):
    """Changes a bot that was connected at run time; None leaves a value as it is."""

    name: Name | None = None
    url: Annotated[str, Field(max_length=2048)] | None = None
    token: SecretStr | None = None
    agent_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    model: ModelName | None = None
    system_prompt: Annotated[str, Field(min_length=1, max_length=50_000)] | None = None


class LastMessage(Model):
    """A bot's newest message, for a row of a list."""

    at: AtMs
    role: Literal["user", "assistant"]
    user_id: str | None
    """Who wrote it, where a user did."""
    text: str
    """Its first characters on one line: words, why there are none, or the names of files."""
    conversation_id: ConversationId
    state: str
    """As the message's: pending, final, failed, aborted, interrupted."""


class BotRow(BotSummary):
    """One bot in a user's list."""

    unread: int
    """Messages of others that the user has not read, at most 100, which stands for more."""
    last: LastMessage | None = None
    grant: Literal["view", "chat", "operate"]
    """What the asker may do with it."""


class AttachmentRules(Model):
    """What a bot takes, in bytes; told before anything is sent. `max_total_bytes`: all files of one message."""

    max_bytes: int
    max_image_bytes: int
    max_total_bytes: int
    media_types: tuple[str, ...] | None = None


class BotDetail(Model):
    """One bot, for its page. `extra` holds what a person needs to mend it; never a secret."""

    summary: BotSummary
    origin: Literal["file", "store"]
    url: str | None = None
    agent_id: str | None = None
    model: str | None = None
    version: str | None = None
    features: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    attachments: AttachmentRules | None = None
    extra: dict[str, str] = Field(default_factory=dict)


class ConnectAnswer(Model):
    """What the first attempt said, in words."""

    ok: bool
    message: str
    bot: BotDetail


class PluginAnswer(Model):
    """What became of a plugin's event."""

    accepted: bool = True
    message_id: str | None = None


class Exported(Model):
    """A conversation as a file."""

    name: str
    media_type: str
    text: str


JsonObject = dict[str, Any]
