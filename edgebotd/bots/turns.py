"""Send and abort, as every surface asks for them (CHANNEL section 5)."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from typing import Final

import outcome
import trio

from edgebotd.access import Grant, Kind, Principal
from edgebotd.bots.bot import Bot
from edgebotd.bots.connector import ContextMessage, Feature, Hello, Outgoing, OutgoingFile
from edgebotd.bots.conversations import create_conversation
from edgebotd.bots.files import Files, check, check_total, part_of
from edgebotd.bots.fill import put_message, restore_deleted
from edgebotd.bots.ids import new_id
from edgebotd.bots.queued import Item
from edgebotd.bots.requests import AbortAnswer, AbortRequest, RunAnswer, SendAnswer, SendRequest
from edgebotd.bots.runs import text_of
from edgebotd.config import ChatSettings
from edgebotd.errors import Conflict, Invalid, NotFound, Problem
from edgebotd.events import (
    AttachmentPart,
    Conversation,
    Message,
    Part,
    RunState,
    TextPart,
)
from edgebotd.hub.hub import Hub
from edgebotd.store import attachments, conversations, messages, turns
from edgebotd.store.attachments import Attachment
from edgebotd.store.database import Database
from edgebotd.store.turns import Turn
from edgebotd.store.writer import Transaction

ABORT_SECONDS: Final = 10.0
CONTEXT_MESSAGES: Final = 60
"""Earlier messages that a peer without memory gets, the newest ones."""
CONTEXT_CHARACTERS: Final = 100_000
CONTEXT_IMAGES: Final = 8
"""Images of earlier messages that go along, the newest ones: each costs the model a lot."""


class Turns:
    """Takes turns from people and puts them, durable, into the bots' queues.

    Args:
        get_bot: returns a bot or raises `NotFound`.
        nursery: where a send goes on when its asker is gone: what is stored must also be queued.
    """

    def __init__(
        self,
        get_bot: Callable[[str], Bot],
        database: Database,
        hub: Hub,
        files: Files,
        chat: ChatSettings,
        nursery: trio.Nursery,
        now: Callable[[], int],
    ) -> None:
        self._get_bot = get_bot
        self._database = database
        self._hub = hub
        self._files = files
        self._chat = chat
        self._nursery = nursery
        self._now = now

    async def send(self, principal: Principal, bot_id: str, request: SendRequest) -> SendAnswer:
        """Store a message and queue it for its bot. The same key with the same content gets the same answer.

        Raises:
            NotFound, Forbidden: no such bot or conversation for this principal; the grant `chat` is needed.
            Conflict: the key was used for something else in the last 24 hours.
            Problem: 413, 415 a file that the bot does not take; 429 too many messages wait.
            Invalid: neither text nor file, or text that cannot be sent.
        """
        principal.require(bot_id, Grant.CHAT)
        bot = self._get_bot(bot_id)
        _check_text(request)
        answer: list[outcome.Outcome[SendAnswer]] = []
        finished = trio.Event()

        async def go_on() -> None:
            # A task of its own: an asker who hangs up must not leave a turn that is stored but in no queue.
            answer.append(await outcome.acapture(self._send, principal, bot, request))
            finished.set()

        self._nursery.start_soon(go_on, name=f"send to {bot_id}")
        await finished.wait()
        return answer[0].unwrap()

    async def _send(self, principal: Principal, bot: Bot, request: SendRequest) -> SendAnswer:
        asker = principal_key(principal)
        fingerprint = _fingerprint(request)
        oldest = self._now() - int(self._chat.idempotency_seconds * 1000)
        before = await self._database.read(
            lambda conn: turns.by_key(conn, bot.id, asker, request.idempotency_key, oldest)
        )
        if before is not None:
            return _repeated(before, fingerprint)
        for file in request.attachments:
            check(file.name, file.media_type, len(file.data), bot.hello, self._chat.attachment_max_bytes)
        check_total([len(file.data) for file in request.attachments], bot.hello, self._chat.attachment_max_bytes)
        if request.conversation_id is not None:
            bot.queue.room(request.conversation_id)
        parts: list[Part] = [TextPart(text=request.text)] if request.text else []
        for file in request.attachments:
            parts.append(part_of(await self._files.save(file.data), file.name, file.media_type, len(file.data)))
        now = self._now()
        run_id, message_id, made_id = new_id("r_", now), new_id("m_", now), new_id("c_", now)

        def write(tx: Transaction) -> tuple[Turn, str | None]:
            conn = tx.connection
            raced = turns.by_key(conn, bot.id, asker, request.idempotency_key, oldest)
            if raced is not None:
                return raced, None
            conversation, key = self._conversation(tx, bot, request, made_id, now)
            message = Message(
                id=message_id,
                bot_id=bot.id,
                conversation_id=conversation.id,
                run_id=run_id,
                role="user",
                parts=tuple(parts),
                state="pending",
                user_id=principal.user_id,
                created_at=now,
            )
            turn = Turn(
                run_id,
                bot.id,
                conversation.id,
                asker,
                request.idempotency_key,
                fingerprint,
                message_id,
                RunState.QUEUED,
                request.mode,
                now,
            )
            turns.insert(conn, turn)
            put_message(tx, message)
            for part in parts:
                if isinstance(part, AttachmentPart):
                    attachments.add(conn, Attachment(part.sha256, part.size, part.media_type, now))
                    attachments.link(conn, part.sha256, bot.id, message_id, part.name)
            return turn, key

        turn, key = await self._hub.transact(write)
        if key is None:
            return _repeated(turn, fingerprint)
        bot.capture.learn(key, turn.conversation_id)
        why = bot.queue.waiting_for(turn.conversation_id)
        bot.capture.tell_run(turn.run_id, turn.conversation_id, RunState.QUEUED, why)
        bot.queue.put(Item(turn, key, trio.Event()))
        state = RunState.STARTED if why is None else RunState.QUEUED
        return SendAnswer(
            run_id=turn.run_id,
            message_id=turn.message_id,
            conversation_id=turn.conversation_id,
            state=state,
            detail=why,
        )

    def _conversation(
        self, tx: Transaction, bot: Bot, request: SendRequest, made_id: str, now: int
    ) -> tuple[Conversation, str]:
        conn = tx.connection
        if request.conversation_id is not None:
            found = conversations.get(conn, request.conversation_id)
            key = conversations.session_key_of(conn, request.conversation_id)
            if found is None or key is None or found.bot_id != bot.id:
                raise NotFound("conversation")
            return restore_deleted(tx, found), key
        return create_conversation(tx, bot.stored, made_id, _title(request), now)

    async def abort(self, principal: Principal, bot_id: str, request: AbortRequest) -> AbortAnswer:
        """Stop a run, whoever started it; return when it has ended, or after 10 s with state `stopping`.

        Raises:
            NotFound, Forbidden: no such bot or run for this principal; the grant `chat` is needed.
        """
        principal.require(bot_id, Grant.CHAT)
        bot = self._get_bot(bot_id)
        run_id = request.run_id
        item = None if run_id is None else bot.queue.item(run_id)
        if run_id is None and request.conversation_id is not None:
            item = bot.queue.item_in(request.conversation_id)
            going = [run.run_id for run in bot.capture.live.values() if run.conversation_id == request.conversation_id]
            run_id = item.turn.run_id if item is not None else going[0] if going else None
        if run_id is None:
            nothing = "Nothing is running in this conversation." if request.conversation_id else "Name what to stop."
            raise Invalid(nothing, code="not_running")
        run = bot.capture.live.get(run_id) if item is None else item.run
        if item is not None:
            bot.queue.abort(item)
            over = item.over
            # Before any answer: what was asked to stop is not sent by a later life either.
            await self._database.write(lambda tx: turns.note_stop(tx.connection, run_id))
        elif run is not None:
            bot.queue.abort_run(run)
            over = run.done
        else:
            return await self._ended(bot, run_id)
        with trio.move_on_after(ABORT_SECONDS):
            await over.wait()
        if not over.is_set():
            detail = "It is still running; the bot has been asked to stop."
            run = bot.capture.live.get(run_id)
            if run is not None and run.unstopped is not None:
                detail = f"It is still running; the bot was asked to stop, and does not: {run.unstopped}"
            if not bot.connected:
                detail = "The bot is not connected; it is asked to stop as soon as it is back."
            return AbortAnswer(run_id=run_id, state=RunState.STOPPING, detail=detail)
        if item is None and run is not None:
            return AbortAnswer(run_id=run_id, state=run.state)
        return await self._ended(bot, run_id)

    async def _ended(self, bot: Bot, run_id: str) -> AbortAnswer:
        turn = await self._database.read(lambda conn: turns.get(conn, run_id))
        if turn is None or turn.bot_id != bot.id:
            raise NotFound("run")
        return AbortAnswer(run_id=run_id, state=turn.state, detail=turn.detail)

    async def run(self, principal: Principal, bot_id: str, run_id: str) -> RunAnswer:
        """Return how far a run is: for who followed it on the stream and has missed its end.

        Raises:
            NotFound: no such bot or run for this principal; a run is forgotten a day after its end.
        """
        principal.require(bot_id, Grant.VIEW)
        bot = self._get_bot(bot_id)
        turn = await self._database.read(lambda conn: turns.get(conn, run_id))
        live = bot.capture.live.get(run_id)
        if turn is not None and turn.bot_id == bot.id and (turn.state.terminal or live is None):
            return RunAnswer(run_id=run_id, state=turn.state, detail=turn.detail)
        if live is None:
            raise NotFound("run")
        return RunAnswer(run_id=run_id, state=live.state)

    async def compose(self, turn: Turn, session_key: str, hello: Hello) -> Outgoing:
        """Make what goes to the peer out of what is stored.

        Raises:
            Problem: the peer does not take a file of it; or the message is gone.
        """

        def load(conn: sqlite3.Connection) -> tuple[Message | None, list[Message]]:
            message = messages.get(conn, turn.bot_id, turn.message_id)
            if message is None or Feature.CONTEXT not in hello.features:
                return message, []
            # Not those before it in the history: a reply to an earlier message may stand after one that waited.
            newest = messages.page(conn, turn.bot_id, turn.conversation_id, limit=CONTEXT_MESSAGES)
            return message, said_before(newest, turn.run_id)

        message, earlier = await self._database.read(load)
        if message is None:
            raise Problem(410, "message_gone", "The message was deleted before it could be sent.")
        files = [part for part in message.parts if isinstance(part, AttachmentPart)]
        for part in files:
            check(part.name, part.media_type, part.size, hello, self._chat.attachment_max_bytes)
        check_total([part.size for part in files], hello, self._chat.attachment_max_bytes)
        return Outgoing(
            turn.run_id,
            turn.conversation_id,
            session_key,
            text_of(message.parts),
            tuple([OutgoingFile(part.name, part.media_type, await self._files.load(part.sha256)) for part in files]),
            turn.mode == "interrupt",
            await self._context(earlier),
        )

    async def _context(self, newest_first: list[Message]) -> tuple[ContextMessage, ...]:
        context: list[ContextMessage] = []
        characters, images = CONTEXT_CHARACTERS, CONTEXT_IMAGES
        for message in newest_first:
            text = text_of(message.parts)
            characters -= len(text)
            if characters < 0:
                break
            files = []
            for part in message.parts:
                if isinstance(part, AttachmentPart) and part.media_type.startswith("image/") and images > 0:
                    images -= 1
                    try:
                        files.append(OutgoingFile(part.name, part.media_type, await self._files.load(part.sha256)))
                    except Problem:
                        continue
            if text or files:
                context.append(ContextMessage(message.role, text, tuple(files)))
        return tuple(reversed(context))


def said_before(newest_first: list[Message], run_id: str) -> list[Message]:
    """Return what of a conversation was said when a run begins, newest first: each reply right after its message, and
    nothing of what still waits, or was stopped or given up while it waited.
    """
    replies: dict[str, list[Message]] = {}
    asked = {message.run_id for message in newest_first if message.role == "user"}
    said: list[Message] = []
    for message in newest_first:
        if message.run_id == run_id:
            continue
        if message.role != "user" and message.run_id in asked:
            replies.setdefault(message.run_id, []).append(message)
        elif message.role != "user" or message.state == "final":
            said += [*replies.pop(message.run_id, []), message]
    return said


def principal_key(principal: Principal) -> str:
    """Return whose idempotency keys these are: a token's own, else the user's in all sessions."""
    return f"token:{principal.credential_id}" if principal.kind is Kind.TOKEN else f"user:{principal.user_id}"


def _title(request: SendRequest) -> str | None:
    words = " ".join(request.text.split())
    return (words if len(words) <= 60 else words[:59] + "…") or None


def _check_text(request: SendRequest) -> None:
    if not request.text.strip() and not request.attachments:
        raise Invalid("A message needs a text or a file.", code="empty_message")
    if "\0" in request.text:
        raise Invalid("A message cannot hold the character NUL.", code="unsendable_text")


def _fingerprint(request: SendRequest) -> str:
    files = [[file.name, file.media_type, hashlib.sha256(file.data).hexdigest()] for file in request.attachments]
    content = json.dumps([request.text, files, request.conversation_id])
    return hashlib.sha256(content.encode()).hexdigest()


def _repeated(turn: Turn, fingerprint: str) -> SendAnswer:
    if turn.fingerprint != fingerprint:
        raise Conflict("idempotency_key_used", "This idempotency key was used for another message. Use a new key.")
    return SendAnswer(
        run_id=turn.run_id,
        message_id=turn.message_id,
        conversation_id=turn.conversation_id,
        state=turn.state,
        detail=turn.detail,
    )
