"""Fold what a bot's own history tells into the store, each message once (sync, inside one write).

A message is known by its row's key, else by its run, else by text and time: a message that was stored live when its
history rows carry no run. What is stored as final stays as it is; what was broken off is completed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from edgebotd.bots.ids import new_id
from edgebotd.bots.runs import MESSAGE_STATES, RUN_STATES, parts_of, text_of
from edgebotd.events import AttachmentPart, ChatMessage, Conversation, ConversationUpdate, Message
from edgebotd.protocol.run import PastMessage
from edgebotd.store import attachments, conversations, messages
from edgebotd.store.attachments import Attachment
from edgebotd.store.writer import Transaction

MATCH_MS: Final = 120_000
"""Two messages of one conversation with the same text within this time are taken for one where no run is told."""
CANDIDATES: Final = 500


@dataclass
class Filled:
    """What came of it: the stored reply of each run that has one, by run."""

    conversation: Conversation
    replies: dict[str, Message] = field(default_factory=dict)
    stored: int = 0


def ensure_conversation(
    tx: Transaction,
    bot_id: str,
    session_key: str,
    now: int,
    *,
    source: str = "gateway",
    title: str | None = None,
) -> Conversation:
    """Return the conversation of a session, made where there is none."""
    found = conversations.by_session_key(tx.connection, bot_id, session_key)
    if found is not None:
        return found
    made = Conversation(id=new_id("c_", now), bot_id=bot_id, title=title, source=source, created_at=now, updated_at=now)
    conversations.insert(tx.connection, made, session_key)
    tx.emit(bot_id, ConversationUpdate(bot_id=bot_id, conversation_id=made.id, change="created", conversation=made))
    return made


def restore_deleted(tx: Transaction, conversation: Conversation) -> Conversation:
    """Bring a deleted conversation back, because something new was said in it."""
    if conversation.deleted_at is None:
        return conversation
    restored = conversations.restore(tx.connection, conversation.id)
    change = ConversationUpdate(
        bot_id=restored.bot_id, conversation_id=restored.id, change="created", conversation=restored
    )
    tx.emit(restored.bot_id, change)
    return restored


def put_message(tx: Transaction, message: Message, keys: Iterable[str] = (), now: int | None = None) -> Message:
    """Store a message and tell what changed."""
    put = messages.put(tx.connection, message, external_keys=keys, now=now)
    if put.change is not None:
        conversations.touch(tx.connection, message.conversation_id, put.message.edited_at or put.message.created_at)
        event = ChatMessage(bot_id=message.bot_id, conversation_id=message.conversation_id, message=put.message)
        tx.emit(message.bot_id, event)
    return put.message


class Filling:
    """One history, or a piece of it, on its way into one conversation."""

    def __init__(self, tx: Transaction, conversation: Conversation, busy: frozenset[str], now: int) -> None:
        self._tx = tx
        self._bot_id = conversation.bot_id
        self._busy = busy
        self._now = now
        self._candidates: list[Message] = []
        self._taken: set[str] = set()
        self.filled = Filled(conversation)

    def take(self, past: Iterable[PastMessage]) -> Filled:
        """Store what is missing, oldest first; runs that are busy keep their reply for later."""
        rows = [row for row in past if not row.internal and row.role in ("user", "assistant")]
        known = messages.known_external(self._tx.connection, self._bot_id, [row.key for row in rows])
        self._taken |= set(known.values())
        if any(row.run_id is None and row.key not in known for row in rows):
            # As they are before this: a history may hold the same text twice.
            conversation_id = self.filled.conversation.id
            self._candidates = messages.page(self._tx.connection, self._bot_id, conversation_id, limit=CANDIDATES)
        asked: str | None = None
        for row in rows:
            if row.key in known:
                message = messages.get(self._tx.connection, self._bot_id, known[row.key])
                if message is not None:
                    self._note(row, message)
                    asked = message.run_id if row.role == "user" else None
                continue
            stored = self._store(row, asked)
            asked = stored.run_id if stored is not None and row.role == "user" else None
        return self.filled

    def _store(self, row: PastMessage, asked: str | None) -> Message | None:
        role: Literal["user", "assistant"] = "user" if row.role == "user" else "assistant"
        parts = parts_of(row.parts)
        conversation = self.filled.conversation
        if conversation.deleted_at is not None:
            if row.created_at is None or row.created_at <= conversation.deleted_at:
                return None
            conversation = self.filled.conversation = restore_deleted(self._tx, conversation)
        run_id = row.run_id
        if run_id is None:
            twin = self._twin(role, text_of(parts), row.created_at)
            run_id = twin.run_id if twin is not None else asked if role == "assistant" else None
        if run_id is None:
            run_id = f"h_{hashlib.sha256(f'{row.session_key} {row.key}'.encode()).hexdigest()[:24]}"
        if role == "assistant" and run_id in self._busy:
            return None
        of_run = self._of_run(run_id)
        old = of_run.get(role)
        state = MESSAGE_STATES[RUN_STATES[row.outcome]]
        if old is not None and (role == "user" or old.state == "final" or not parts):
            # A user message on its way through our queue is ours to change.
            message = put_message(self._tx, old, [row.key])
        elif not parts:
            return None
        else:
            message = Message(
                id=new_id("m_", self._now),
                bot_id=self._bot_id,
                conversation_id=conversation.id,
                run_id=run_id,
                role=role,
                parts=parts,
                state=state,
                # A reply has the source of what it replies to.
                source=next((of_run[of].source for of in (role, "user") if of in of_run), "gateway"),
                created_at=self._now if row.created_at is None else row.created_at,
            )
            message = put_message(self._tx, message, [row.key], self._now)
            for part in parts:
                if isinstance(part, AttachmentPart):
                    file = Attachment(part.sha256, part.size, part.media_type, self._now)
                    attachments.add(self._tx.connection, file)
                    attachments.link(self._tx.connection, part.sha256, self._bot_id, message.id, part.name)
            self.filled.stored += 1
        self._taken.add(message.id)
        self._note(row, message)
        return message

    def _of_run(self, run_id: str) -> dict[str, Message]:
        found = messages.by_run(self._tx.connection, self._bot_id, run_id)
        return {m.role: m for m in reversed(found) if m.conversation_id == self.filled.conversation.id}

    def _twin(self, role: str, text: str, created_at: int | None) -> Message | None:
        words = text.split()
        for message in reversed(self._candidates):
            near = created_at is None or abs(message.created_at - created_at) <= MATCH_MS
            free = message.role == role and near and message.id not in self._taken
            if free and words and text_of(message.parts).split() == words:
                return message
        return None

    def _note(self, row: PastMessage, message: Message) -> None:
        if row.role == "assistant":
            self.filled.replies[message.run_id] = message
