"""Conversations: list, create, rename, delete, read markers, export."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

from edgebotd.access import Grant, Principal
from edgebotd.bots.ids import new_id
from edgebotd.bots.requests import ConversationPage, ConversationRow, Exported
from edgebotd.errors import Invalid, NotFound
from edgebotd.events import (
    AttachmentPart,
    Conversation,
    ConversationUpdate,
    ErrorPart,
    Message,
    TextPart,
    ToolCallPart,
)
from edgebotd.hub.hub import Hub
from edgebotd.store import bots as bot_rows
from edgebotd.store import conversations, messages
from edgebotd.store.bots import StoredBot
from edgebotd.store.database import Database
from edgebotd.store.writer import Transaction

EXPORT_PAGE: Final = 1000
LONGEST_PAGE: Final = 200


class Conversations:
    """The conversations of all bots.

    Args:
        forget: told (bot, conversation) that was deleted.
        learn: told (bot, session key, conversation) that was created.
    """

    def __init__(
        self,
        database: Database,
        hub: Hub,
        now: Callable[[], int],
        *,
        forget: Callable[[str, str], None],
        learn: Callable[[str, str, str], None],
    ) -> None:
        self._database = database
        self._hub = hub
        self._now = now
        self._forget = forget
        self._learn = learn

    def _bots(self, conn: sqlite3.Connection) -> list[StoredBot]:
        # Removed ones too: their history is kept.
        return bot_rows.all_bots(conn, removed=True)

    async def conversations(
        self, principal: Principal, bot_id: str, *, before: str | None = None, limit: int = 50
    ) -> ConversationPage:
        """Return conversations, the one that changed last first, with what this user has not read.

        Raises:
            NotFound: no such bot for this principal.
            Invalid: `before` is no cursor of ours.
        """
        principal.require(bot_id, Grant.VIEW)
        bound = _pair(before)
        limit = min(max(limit, 1), LONGEST_PAGE)

        def read(conn: sqlite3.Connection) -> list[conversations.Listed]:
            known_bot(conn, bot_id)
            return conversations.page(conn, bot_id, principal.user_id, before=bound, limit=limit + 1)

        found = await self._database.read(read)
        rows = [
            ConversationRow(conversation=row.conversation, unread=row.unread, read_seq=row.read_seq, last=row.last)
            for row in found[:limit]
        ]
        last = rows[-1].conversation if len(found) > limit else None
        return ConversationPage(items=tuple(rows), next=None if last is None else f"{last.updated_at}.{last.id}")

    async def conversation(self, principal: Principal, bot_id: str, conversation_id: str) -> Conversation:
        """Return one conversation. Raises `NotFound`."""
        principal.require(bot_id, Grant.VIEW)
        return await self._database.read(lambda conn: found_in(conn, bot_id, conversation_id))

    async def create(self, principal: Principal, bot_id: str, title: str | None) -> Conversation:
        """Create an empty conversation. Raises `NotFound`, `Forbidden` (the grant `chat` is needed)."""
        principal.require(bot_id, Grant.CHAT)
        now = self._now()
        made_id = new_id("c_", now)

        def write(tx: Transaction) -> tuple[Conversation, str]:
            stored = bot_rows.get(tx.connection, bot_id)
            if stored is None:
                raise NotFound("bot", bot_id)
            return create_conversation(tx, stored, made_id, title, now)

        made, key = await self._hub.transact(write)
        self._learn(bot_id, key, made.id)
        return made

    async def rename(self, principal: Principal, bot_id: str, conversation_id: str, title: str | None) -> Conversation:
        """Set the title. Raises `NotFound`, `Forbidden` (the grant `chat` is needed)."""
        principal.require(bot_id, Grant.CHAT)

        def write(tx: Transaction) -> Conversation:
            found_in(tx.connection, bot_id, conversation_id)
            renamed = conversations.rename(tx.connection, conversation_id, title)
            _tell(tx, renamed, "renamed")
            return renamed

        return await self._hub.transact(write)

    async def delete(self, principal: Principal, bot_id: str, conversation_id: str) -> None:
        """Delete a conversation with its messages. Raises `NotFound`, `Forbidden` (the grant `chat` is needed).

        What the bot says in it later brings it back, with that only.
        """
        principal.require(bot_id, Grant.CHAT)
        now = self._now()

        def write(tx: Transaction) -> None:
            found_in(tx.connection, bot_id, conversation_id)
            _tell(tx, conversations.delete(tx.connection, conversation_id, now), "deleted")

        await self._hub.transact(write)
        self._forget(bot_id, conversation_id)
        while await self._database.write(lambda tx: messages.delete_of_conversation(tx.connection, conversation_id)):
            pass

    async def mark_read(self, principal: Principal, bot_id: str, conversation_id: str, seq: int) -> None:
        """Note how far this user has read; only their own clients hear of it. Raises `NotFound`."""
        principal.require(bot_id, Grant.VIEW)

        def write(tx: Transaction) -> None:
            found_in(tx.connection, bot_id, conversation_id)
            newest = messages.page(tx.connection, bot_id, conversation_id, limit=1)
            upto = min(seq, newest[0].seq or 0) if newest else 0
            if upto and conversations.set_read(tx.connection, principal.user_id, conversation_id, upto):
                event = ConversationUpdate(
                    bot_id=bot_id,
                    conversation_id=conversation_id,
                    change="read",
                    user_id=principal.user_id,
                    read_seq=upto,
                )
                tx.emit(bot_id, event)

        await self._hub.transact(write)

    async def export(self, principal: Principal, bot_id: str, conversation_id: str, form: str) -> Exported:
        """Return a whole conversation as `markdown` or `json`. Raises `NotFound`, `Invalid`."""
        if form not in ("markdown", "json"):
            raise Invalid("A conversation can be exported as markdown or json.", code="bad_format")
        conversation = await self.conversation(principal, bot_id, conversation_id)
        told: list[Message] = []
        before: int | None = None
        while True:
            page = await self._database.read(
                partial(_page, bot_id=bot_id, conversation_id=conversation_id, before_seq=before)
            )
            told.extend(page)
            if len(page) < EXPORT_PAGE:
                break
            before = page[-1].seq
        told.reverse()
        name = f"{bot_id}-{conversation_id}"
        if form == "json":
            document = {
                "conversation": conversation.model_dump(mode="json", by_alias=True, exclude_none=True),
                "messages": [message.model_dump(mode="json", by_alias=True, exclude_none=True) for message in told],
            }
            text = json.dumps(document, ensure_ascii=False, indent=2)
            return Exported(name=f"{name}.json", media_type="application/json", text=text)
        return Exported(
            name=f"{name}.md", media_type="text/markdown; charset=utf-8", text=_markdown(conversation, told)
        )


def create_conversation(
    tx: Transaction, stored: StoredBot, conversation_id: str, title: str | None, now: int
) -> tuple[Conversation, str]:
    """Store a new conversation of ours and return it with its session key (CHANNEL section 5)."""
    agent = str(stored.settings.get("agent_id") or "main").lower()
    key = f"agent:{agent}:edgebotd:{conversation_id}"
    made = Conversation(id=conversation_id, bot_id=stored.id, title=title, created_at=now, updated_at=now)
    conversations.insert(tx.connection, made, key)
    _tell(tx, made, "created")
    return made, key


def known_bot(conn: sqlite3.Connection, bot_id: str) -> None:
    """Pass for a bot that is or was here: an administrator may see every bot, but a wrong name is no empty history.

    Raises:
        NotFound: there never was one.
    """
    if bot_rows.number_of(conn, bot_id) is None:
        raise NotFound("bot", bot_id)


def found_in(conn: sqlite3.Connection, bot_id: str, conversation_id: str) -> Conversation:
    """Return a conversation of this bot that is not deleted. Raises `NotFound`."""
    found = conversations.get(conn, conversation_id)
    if found is None or found.bot_id != bot_id or found.deleted_at is not None:
        raise NotFound("conversation")
    return found


def _page(conn: sqlite3.Connection, bot_id: str, conversation_id: str, before_seq: int | None) -> list[Message]:
    return messages.page(conn, bot_id, conversation_id, before_seq=before_seq, limit=EXPORT_PAGE)


def _tell(tx: Transaction, conversation: Conversation, change: str) -> None:
    event = ConversationUpdate.model_validate(
        {
            "bot_id": conversation.bot_id,
            "conversation_id": conversation.id,
            "change": change,
            "conversation": conversation,
        }
    )
    tx.emit(conversation.bot_id, event)


def _pair(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    at, dot, conversation_id = cursor.partition(".")
    if not (dot and at.isascii() and at.isdecimal() and len(at) < 16):
        raise Invalid("`before` must be the `next` of the page before.", code="bad_cursor")
    return int(at), conversation_id


def _markdown(conversation: Conversation, told: list[Message]) -> str:
    blocks = [f"# {conversation.title or conversation.id}"]
    for message in told:
        at = datetime.fromtimestamp(message.created_at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
        who = message.user_id or "user" if message.role == "user" else conversation.bot_id
        blocks.append(f"## {who}, {at}")
        for part in message.parts:
            if isinstance(part, TextPart):
                blocks.append(part.text)
            elif isinstance(part, ToolCallPart):
                arguments = json.dumps(part.arguments, ensure_ascii=False)
                blocks.append(f"*Tool {part.name}*: `{arguments}`")
            elif isinstance(part, AttachmentPart):
                blocks.append(f"*File {part.name}* ({part.media_type}, {part.size} bytes, sha256 {part.sha256})")
            elif isinstance(part, ErrorPart):
                blocks.append(f"*Error*: {part.message}")
    return "\n\n".join(blocks) + "\n"
