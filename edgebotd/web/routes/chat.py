"""Chat: sending, aborting, history, conversations, search, attachments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, ValidationError

from edgebotd.bots.requests import (
    AbortAnswer,
    AbortRequest,
    ConversationPage,
    HistoryPage,
    MessageWindow,
    ReadRequest,
    RunAnswer,
    SearchPage,
    SendAnswer,
    SendRequest,
    TitleRequest,
)
from edgebotd.errors import NotFound, Problem
from edgebotd.events import CONVERSATION_ID_PATTERN, BotId, Conversation, ConversationId, Model
from edgebotd.people.audit import Actor, entry
from edgebotd.web.bot_socket import Method
from edgebotd.web.problem import of_validation
from edgebotd.web.route import Call, Reply, Route, route
from edgebotd.web.services import Services
from edgebotd.web.session import Caller

Limit = Annotated[int, Field(ge=1, le=200)]
Cursor = Annotated[str, Field(max_length=200)]

_SANDBOX: Final = "default-src 'none'; sandbox"
"""Of what others made: where it is opened as a page after all, nothing of it runs."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_CONVERSATION: Final = re.compile(CONVERSATION_ID_PATTERN)


class HistoryQuery(Model):
    """Which messages. `before` is `next` of the page before."""

    conversation_id: ConversationId | None = None
    before: Cursor | None = None
    limit: Limit = 50


class WindowQuery(Model):
    """Around which message; or what comes after a window, by its conversation and its `newer`."""

    message_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    conversation_id: ConversationId | None = None
    newer: Cursor | None = None
    limit: Limit = 50


class PageQuery(Model):
    """Which part of a list. `before` is `next` of the page before."""

    before: Cursor | None = None
    limit: Limit = 50


class SearchQuery(Model):
    """What to look for."""

    q: Annotated[str, Field(min_length=1, max_length=500)]
    bot: tuple[BotId, ...] | None = None
    conversation_id: ConversationId | None = None
    before: Cursor | None = None
    limit: Limit = 50


class ExportQuery(Model):
    """As what."""

    format: Annotated[str, Field(pattern="^(json|markdown)$")] = "markdown"


class RemoteImageRequest(Model):
    """Which image of elsewhere."""

    url: Annotated[str, Field(min_length=1, max_length=4096)]


class ChatRoutes:
    """Handlers; `methods` are the per-bot socket's."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._chat = services.chat
        self._turns = services.turns

    def routes(self) -> list[Route]:
        """Return the rows."""
        bot = "/api/bots/{bot_id}"
        conversation = bot + "/conversations/{conversation_id}"
        return [
            route("POST", bot + "/chat/send", self.send, status=202),
            route("POST", bot + "/chat/abort", self.abort),
            route("GET", bot + "/chat/history", self.history),
            route("GET", bot + "/runs/{run_id}", self.run),
            route("GET", bot + "/chat/window", self.window),
            route("GET", bot + "/conversations", self.conversations),
            route("POST", bot + "/conversations", self.create, status=201),
            route("GET", conversation, self.show),
            route("PATCH", conversation, self.rename),
            route("DELETE", conversation, self.delete, status=204),
            route("PUT", conversation + "/read", self.read, status=204),
            route("GET", conversation + "/export", self.export, media_type="*/*"),
            route("POST", bot + "/remote-image", self.remote_image, media_type="image/*"),
            route("GET", "/api/search", self.search),
            route("GET", "/api/attachments/{sha256}", self.attachment, media_type="*/*"),
        ]

    def methods(self) -> dict[str, Method]:
        """Return what the per-bot socket answers, with the same params and results."""
        return {"chat.send": self._socket_send, "chat.history": self._socket_history}

    async def send(self, call: Call, body: SendRequest) -> SendAnswer:
        """Send a message; the reply comes on the stream."""
        return await self._send(call.caller, call.parameters["bot_id"], body)

    async def abort(self, call: Call, body: AbortRequest) -> AbortAnswer:
        """Stop a run; answers when it has ended, or after 10 s that it still runs."""
        bot_id = call.parameters["bot_id"]
        answer = await self._turns.abort(call.principal, bot_id, body)
        await self._note(call.actor, "chat.abort", answer.run_id, bot_id)
        return answer

    async def history(self, call: Call, query: HistoryQuery) -> HistoryPage:
        """Read messages, newest first."""
        return await self._history(call.caller, call.parameters["bot_id"], query)

    async def run(self, call: Call) -> RunAnswer:
        """Show how far a run is; one that was asked for here is known for a day after its end."""
        return await self._turns.run(call.principal, call.parameters["bot_id"], call.parameters["run_id"])

    async def window(self, call: Call, query: WindowQuery) -> MessageWindow:
        """Read the messages around one, as a jump from a search needs them; `newer` leads on towards now."""
        return await self._chat.window(
            call.principal,
            call.parameters["bot_id"],
            message_id=query.message_id,
            conversation_id=query.conversation_id,
            newer=query.newer,
            limit=query.limit,
        )

    async def conversations(self, call: Call, query: PageQuery) -> ConversationPage:
        """List conversations, the one that changed last first."""
        return await self._chat.conversations(
            call.principal, call.parameters["bot_id"], before=query.before, limit=query.limit
        )

    async def create(self, call: Call, body: TitleRequest) -> Conversation:
        """Create a conversation."""
        created = await self._chat.create(call.principal, call.parameters["bot_id"], body.title)
        await self._note(call.actor, "conversation.create", created.id, created.bot_id)
        return created

    async def show(self, call: Call) -> Conversation:
        """Show a conversation."""
        return await self._chat.conversation(call.principal, *_conversation(call))

    async def rename(self, call: Call, body: TitleRequest) -> Conversation:
        """Rename a conversation."""
        bot_id, conversation_id = _conversation(call)
        renamed = await self._chat.rename(call.principal, bot_id, conversation_id, body.title)
        await self._note(call.actor, "conversation.rename", conversation_id, bot_id)
        return renamed

    async def delete(self, call: Call) -> None:
        """Delete a conversation with its messages."""
        bot_id, conversation_id = _conversation(call)
        await self._chat.delete(call.principal, bot_id, conversation_id)
        await self._note(call.actor, "conversation.delete", conversation_id, bot_id)

    async def read(self, call: Call, body: ReadRequest) -> None:
        """Note how far one has read."""
        await self._chat.mark_read(call.principal, *_conversation(call), body.seq)

    async def export(self, call: Call, query: ExportQuery) -> Reply:
        """Give a whole conversation as a file."""
        file = await self._chat.export(call.principal, *_conversation(call), query.format)
        disposition = f'attachment; filename="{re.sub(r"[^A-Za-z0-9._-]", "_", file.name)}"'
        return Reply(file.text.encode(), content_type=file.media_type, headers=[("content-disposition", disposition)])

    async def search(self, call: Call, query: SearchQuery) -> SearchPage:
        """Search messages, newest first."""
        return await self._chat.search(
            call.principal,
            query.q,
            bots=query.bot,
            conversation_id=query.conversation_id,
            before=query.before,
            limit=query.limit,
        )

    async def attachment(self, call: Call) -> Reply:
        """Give a file of a message; only harmless types are shown in the browser."""
        sha256 = call.parameters["sha256"]
        if not _SHA256.fullmatch(sha256):
            raise NotFound("attachment")
        file = await self._chat.attachment(call.principal, sha256)
        headers = [
            ("content-disposition", file.disposition),
            ("content-security-policy", _SANDBOX),
            # The name is the content's hash; `private`, because who may see it can change.
            ("cache-control", "private, max-age=3600"),
        ]
        return Reply(file.data, content_type=file.media_type, headers=headers)

    async def remote_image(self, call: Call, body: RemoteImageRequest) -> Reply:
        """Fetch an image from elsewhere that a bot shows, and give its bytes."""
        self._services.registry.get(call.parameters["bot_id"])
        images = self._services.remote_images
        if images is None:
            detail = "Images from elsewhere are not fetched here (chat.remote_images). Follow the link to look at it."
            raise Problem(403, "remote_images_off", detail)
        image = await images.fetch(call.principal, body.url)
        return Reply(image.data, content_type=image.media_type, headers=[("content-security-policy", _SANDBOX)])

    # Shared with the socket

    async def _send(self, caller: Caller, bot_id: str, body: SendRequest) -> SendAnswer:
        principal = caller.require()
        answer = await self._turns.send(principal, bot_id, body)
        await self._note(Actor.of(principal, caller.address), "chat.send", answer.run_id, bot_id)
        return answer

    async def _history(self, caller: Caller, bot_id: str, query: HistoryQuery) -> HistoryPage:
        return await self._chat.history(
            caller.require(),
            bot_id,
            conversation_id=query.conversation_id,
            before=query.before,
            limit=query.limit,
        )

    async def _socket_send(self, caller: Caller, bot_id: str, params: Mapping[str, Any]) -> BaseModel:
        try:
            body = SendRequest.model_validate(params)
        except ValidationError as error:
            raise of_validation(error) from None
        return await self._send(caller, bot_id, body)

    async def _socket_history(self, caller: Caller, bot_id: str, params: Mapping[str, Any]) -> BaseModel:
        try:
            query = HistoryQuery.model_validate(params)
        except ValidationError as error:
            raise of_validation(error) from None
        return await self._history(caller, bot_id, query)

    async def _note(self, actor: Actor, action: str, subject: str, bot_id: str) -> None:
        await self._services.people.audit(entry(actor, self._services.now(), action, subject, bot_id=bot_id))


def _conversation(call: Call) -> tuple[str, str]:
    conversation_id = call.parameters["conversation_id"]
    if not _CONVERSATION.fullmatch(conversation_id):
        raise NotFound("conversation")
    return call.parameters["bot_id"], conversation_id
