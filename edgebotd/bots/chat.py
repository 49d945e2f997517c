"""What people do with messages: read, search, name, delete, export; and what a bot's own plugin says.

Every function checks access with the principal, so that HTTP, the per-bot socket and the commands share them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Final

from edgebotd.access import Grant, Principal
from edgebotd.bots.conversations import Conversations, found_in, known_bot
from edgebotd.bots.files import Download, Files, download
from edgebotd.bots.plugin import PluginMessage, store
from edgebotd.bots.requests import HistoryPage, MessageWindow, PluginAnswer, SearchHit, SearchPage
from edgebotd.errors import Invalid, NotFound
from edgebotd.events import AttachmentPart, BotActivity, ChatMessage, CodeSessionEvent, Event, Message
from edgebotd.hub.hub import Hub
from edgebotd.store import attachments, messages, search
from edgebotd.store.database import Database

LONGEST_PAGE: Final = 200


class Chat(Conversations):
    """History, search, attachments, plugins; conversations are in the base."""

    def __init__(
        self,
        database: Database,
        hub: Hub,
        files: Files,
        now: Callable[[], int],
        *,
        forget: Callable[[str, str], None],
        tell_activity: Callable[[str, str, str | None], None],
        learn: Callable[[str, str, str], None],
    ) -> None:
        super().__init__(database, hub, now, forget=forget, learn=learn)
        self._files = files
        self._tell_activity = tell_activity

    async def history(
        self,
        principal: Principal,
        bot_id: str,
        *,
        conversation_id: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> HistoryPage:
        """Return messages, newest first, of a bot or of one conversation.

        Raises:
            NotFound: no such bot or conversation for this principal.
            Invalid: `before` is no cursor of ours.
        """
        principal.require(bot_id, Grant.VIEW)
        before_seq = seq_of(before)
        limit = min(max(limit, 1), LONGEST_PAGE)

        def read(conn: sqlite3.Connection) -> list[Message]:
            known_bot(conn, bot_id)
            if conversation_id is not None:
                found_in(conn, bot_id, conversation_id)
            return messages.page(conn, bot_id, conversation_id, before_seq=before_seq, limit=limit + 1)

        found = await self._database.read(read)
        return HistoryPage(items=tuple(found[:limit]), next=_next([m.seq for m in found], limit))

    async def window(
        self,
        principal: Principal,
        bot_id: str,
        *,
        message_id: str | None = None,
        conversation_id: str | None = None,
        newer: str | None = None,
        limit: int = 50,
    ) -> MessageWindow:
        """Return the messages around one, within its conversation; or the next ones after a window of a conversation.

        Raises:
            NotFound: no such bot, message or conversation for this principal.
            Invalid: neither a message nor a conversation with `newer`, or both; `newer` is no cursor of ours.
        """
        principal.require(bot_id, Grant.VIEW)
        after_seq = seq_of(newer, "newer", "`newer` of a window")
        if (message_id is None) == (after_seq is None) or (message_id is None) != (conversation_id is not None):
            raise Invalid("Ask for a window by messageId, or by conversationId and newer.", code="bad_window")
        limit = min(max(limit, 1), LONGEST_PAGE)

        def read(conn: sqlite3.Connection) -> MessageWindow:
            known_bot(conn, bot_id)
            if message_id is not None:
                return _window_around(conn, bot_id, message_id, limit)
            assert conversation_id is not None and after_seq is not None
            found_in(conn, bot_id, conversation_id)
            return _window_after(conn, bot_id, conversation_id, after_seq, limit)

        return await self._database.read(read)

    async def search(
        self,
        principal: Principal,
        text: str,
        *,
        bots: tuple[str, ...] | None = None,
        conversation_id: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> SearchPage:
        """Return messages that hold all words, newest first, of the bots that the principal may see.

        A bot that is not granted is absent: naming it finds nothing, as naming one that does not exist.
        """
        before_seq = seq_of(before)
        limit = min(max(limit, 1), LONGEST_PAGE)

        def read(conn: sqlite3.Connection) -> list[search.Hit]:
            known = {bot.id for bot in self._bots(conn)}
            wanted = known if bots is None else known & set(bots)
            visible = frozenset(principal.visible(wanted))
            if not visible:
                return []
            return search.search(
                conn, text, visible, conversation_id=conversation_id, before_seq=before_seq, limit=limit + 1
            )

        hits = await self._database.read(read)
        items = tuple(
            SearchHit(message=hit.message, snippet=hit.snippet.text, ranges=hit.snippet.ranges) for hit in hits[:limit]
        )
        return SearchPage(items=items, next=_next([hit.message.seq for hit in hits], limit))

    async def attachment(self, principal: Principal, sha256: str) -> Download:
        """Return a file, if a message of a bot that the principal may see has it.

        Raises:
            NotFound: there is none, or none for this principal.
            Problem: 410, its bytes are gone.
        """

        def read(conn: sqlite3.Connection) -> tuple[str, str] | None:
            place = attachments.link_of(conn, sha256, principal.visible(attachments.bots_of(conn, sha256)))
            message = None if place is None else messages.get(conn, place.bot_id, place.message_id)
            if place is None or message is None:
                return None
            # Name and type are those of this message. The file's row has the first sender's type, who may be anybody.
            kinds = [p.media_type for p in message.parts if isinstance(p, AttachmentPart) and p.sha256 == sha256]
            return place.name, kinds[0] if kinds else "application/octet-stream"

        found = await self._database.read(read)
        if found is None:
            raise NotFound("attachment")
        return download(await self._files.load(sha256), *found)

    async def publish(self, principal: Principal, bot_id: str, event: Event | PluginMessage) -> PluginAnswer:
        """Take what a bot's own plugin says: bot-activity, code-session:event or chat-message.

        The first two are validated and published, nothing else: they may come thousands of times a second.

        Raises:
            NotFound, Forbidden: no token with the scope `publish` on this bot.
            Invalid: another type, another bot's, or no Unicode.
            Conflict: the message id belongs to another message.
        """
        principal.require_publish(bot_id)
        if isinstance(event, ChatMessage):
            event = PluginMessage.of(event)
        if not isinstance(event, BotActivity | CodeSessionEvent | PluginMessage):
            raise Invalid(f"A plugin cannot publish events of type '{event.type}'.", code="type_not_allowed")
        if event.bot_id != bot_id:
            raise Invalid("The botId in the body is another one than in the address.", code="other_bot")
        try:
            if isinstance(event, PluginMessage):
                return PluginAnswer(message_id=(await self._plugin_message(principal, event)).id)
            self._hub.publish(bot_id, event)
        except ValueError as exc:
            raise Invalid("The event holds text that is no Unicode.", code="not_unicode") from exc
        if isinstance(event, BotActivity):
            self._tell_activity(bot_id, event.activity, event.detail)
        return PluginAnswer()

    async def _plugin_message(self, principal: Principal, told: PluginMessage) -> Message:
        now = self._now()
        message, key = await self._hub.transact(partial(store, told=told, principal=principal, now=now))
        if key is not None:
            self._learn(told.bot_id, key, message.conversation_id)
        return message


def seq_of(cursor: str | None, name: str = "before", made_by: str = "`next` of the page before") -> int | None:
    """Read a page's cursor. Raises `Invalid`."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 16):
        raise Invalid(f"`{name}` must be the {made_by}.", code="bad_cursor")
    return int(cursor)


def _window_around(conn: sqlite3.Connection, bot_id: str, message_id: str, limit: int) -> MessageWindow:
    middle = messages.get(conn, bot_id, message_id)
    if middle is None or middle.seq is None:
        raise NotFound("message")
    found_in(conn, bot_id, middle.conversation_id)
    later = limit // 2
    window = _window_after(conn, bot_id, middle.conversation_id, middle.seq, later)
    upto = messages.page(conn, bot_id, middle.conversation_id, before_seq=middle.seq + 1, limit=limit - later + 1)
    older = _next([message.seq for message in upto], limit - later)
    return MessageWindow(items=(*window.items, *upto[: limit - later]), next=older, newer=window.newer)


def _window_after(
    conn: sqlite3.Connection, bot_id: str, conversation_id: str, after_seq: int, limit: int
) -> MessageWindow:
    found = messages.page(conn, bot_id, conversation_id, after_seq=after_seq, limit=limit + 1)
    # Newest first: of one too many the first is the one that is not asked for.
    kept = found[-limit:] if limit else []
    newer = str(kept[0].seq if kept else after_seq) if len(found) > limit else None
    # What is older is there: the window that `newer` comes from. Deleted meanwhile, it is an empty page.
    return MessageWindow(items=tuple(kept), next=str(kept[-1].seq) if kept else None, newer=newer)


def _next(seqs: list[int | None], limit: int) -> str | None:
    return str(seqs[limit - 1]) if len(seqs) > limit else None
