"""The rows of a user's list of bots: how each is, what was said last, what the user has not read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final, Literal

from edgebotd.access import Grant, Principal
from edgebotd.bots.requests import BotRow, LastMessage
from edgebotd.events import AttachmentPart, BotSummary, ErrorPart, Message, Part, TextPart
from edgebotd.store import conversations, messages
from edgebotd.store.database import Database

PREVIEW_CHARACTERS: Final = 140
_READ_CHARACTERS: Final = 2000
"""What of a message's text is looked at: most of it may be blank."""

_WORDS: Final[dict[Grant, Literal["view", "chat", "operate"]]] = {
    Grant.VIEW: "view",
    Grant.CHAT: "chat",
    Grant.OPERATE: "operate",
}


async def rows_of(database: Database, principal: Principal, summaries: Iterable[BotSummary]) -> list[BotRow]:
    """Return the rows of those bots that the principal may see, in the order given."""
    visible = [(one, grant) for one in summaries if (grant := principal.grant_on(one.bot_id)) is not None]

    def read(conn: sqlite3.Connection) -> list[BotRow]:
        return [
            BotRow(
                **dict(summary),
                unread=conversations.unread_of_bot(conn, principal.user_id, summary.bot_id),
                last=_last(messages.newest(conn, summary.bot_id)),
                grant=_WORDS[grant],
            )
            for summary, grant in visible
        ]

    return await database.read(read) if visible else []


def _last(message: Message | None) -> LastMessage | None:
    if message is None:
        return None
    return LastMessage(
        at=message.created_at,
        role=message.role,
        user_id=message.user_id,
        text=preview(message),
        conversation_id=message.conversation_id,
        state=message.state,
    )


def preview(message: Message) -> str:
    """Return how a message begins, on one line."""
    texts = (text[:_READ_CHARACTERS] for part in message.parts if (text := _said(part)) is not None)
    line = " ".join(" ".join(texts).split())
    return line if len(line) <= PREVIEW_CHARACTERS else line[:PREVIEW_CHARACTERS].rstrip() + "…"


def _said(part: Part) -> str | None:
    """Return what of a part is for people to read."""
    match part:
        case TextPart():
            return part.text
        case ErrorPart():
            return part.message
        case AttachmentPart():
            return part.name
        case _:
            return None
