"""What a bot's own plugin says was said: one message, in a conversation of ours or in a session of the bot's own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgebotd.access import Principal
from edgebotd.bots.fill import ensure_conversation, put_message, restore_deleted
from edgebotd.errors import Invalid, NotFound
from edgebotd.events import (
    AtMs,
    AttachmentPart,
    BotId,
    ChatMessage,
    Conversation,
    ConversationId,
    Message,
    Model,
    Part,
    RunId,
)
from edgebotd.protocol.openclaw import canonical_session_key
from edgebotd.store import attachments, conversations
from edgebotd.store import bots as bot_rows
from edgebotd.store.writer import Transaction

SessionKey = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Said(Model):
    """A message as a plugin tells it. Its bot and conversation are the event's, where it names none."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]
    bot_id: BotId | None = None
    conversation_id: ConversationId | None = None
    run_id: RunId | None = None
    """One user message and one assistant message may share a run; the message's own id where it has none."""
    state: Literal["final", "failed", "aborted", "interrupted"] = "final"
    created_at: AtMs | None = None
    """Now, where it is not told."""


class PluginMessage(Model):
    """A plugin's `chat-message`.

    It names its conversation by our id, or by the bot's own key of the session, as a plugin inside of the gateway knows
    it: that conversation is made where there is none.
    """

    type: Literal["chat-message"] = "chat-message"
    bot_id: BotId
    conversation_id: ConversationId | None = None
    session_key: SessionKey | None = None
    message: Said

    @model_validator(mode="after")
    def _one_place(self) -> PluginMessage:
        if (self.conversation_id is None) == (self.session_key is None):
            raise ValueError("name either conversationId or sessionKey")
        return self

    @classmethod
    def of(cls, event: ChatMessage) -> PluginMessage:
        """Return an event of the catalogue as a plugin would have told it."""
        said = event.message.model_dump(include=set(Said.model_fields))
        return cls(bot_id=event.bot_id, conversation_id=event.conversation_id, message=Said.model_validate(said))


def store(tx: Transaction, told: PluginMessage, principal: Principal, now: int) -> tuple[Message, str | None]:
    """Store a plugin's message, marked with the plugin's name; return it, and the key of a session that it named.

    Raises:
        NotFound: no such bot or conversation.
        Invalid: it names another bot or conversation than its event, another agent's session, or a file its bot lacks.
        Conflict: the message id belongs to another message.
    """
    said = told.message
    named_bot, named_place = said.bot_id or told.bot_id, said.conversation_id or told.conversation_id
    if named_bot != told.bot_id or named_place != told.conversation_id:
        raise Invalid("The message is of another bot or conversation than its event.", code="other_bot")
    source = f"plugin:{principal.token_name}"[:64]
    conversation, key = _place(tx, told, source, now)
    restore_deleted(tx, conversation)
    message = Message(
        id=said.id,
        bot_id=told.bot_id,
        conversation_id=conversation.id,
        run_id=said.run_id or said.id,
        role=said.role,
        parts=said.parts,
        state=said.state,
        source=source,
        created_at=now if said.created_at is None else said.created_at,
    )
    stored = put_message(tx, message, now=now)
    _link_files(tx, stored)
    return stored, key


def _link_files(tx: Transaction, message: Message) -> None:
    """Let the message have the files that it names, as far as its bot has them already.

    A file's hash is no right to it: of other bots' files a plugin could else make the daemon send one to its own bot.
    """
    for part in message.parts:
        if isinstance(part, AttachmentPart):
            if message.bot_id not in attachments.bots_of(tx.connection, part.sha256):
                raise Invalid(f"The bot has no file {part.sha256}.", code="unknown_attachment")
            attachments.link(tx.connection, part.sha256, message.bot_id, message.id, part.name)


def _place(tx: Transaction, told: PluginMessage, source: str, now: int) -> tuple[Conversation, str | None]:
    if told.session_key is None:
        found = conversations.get(tx.connection, told.conversation_id or "")
        if found is None or found.bot_id != told.bot_id:
            raise NotFound("conversation")
        return found, None
    bot = bot_rows.get(tx.connection, told.bot_id)
    if bot is None:
        raise NotFound("bot", told.bot_id)
    agent = str(bot.settings.get("agent_id") or "main").lower()
    # The form in which the gateway itself tells its sessions, so that a plugin and the connection mean the same one.
    key = canonical_session_key(told.session_key, agent_id=agent)
    if not key.startswith(f"agent:{agent}:"):
        raise Invalid(f"The session is another agent's; this bot is the agent '{agent}'.", code="other_agent")
    return ensure_conversation(tx, told.bot_id, key, now, source=source), key
