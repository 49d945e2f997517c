"""Bots: listed, connected, edited, removed; and what their own plugins publish."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgebotd.bots.plugin import PluginMessage
from edgebotd.bots.requests import BotDetail, BotRow, ConnectAnswer, ConnectRequest, EditRequest, PluginAnswer
from edgebotd.events import BotActivity, CodeSessionEvent, Model
from edgebotd.people.audit import entry
from edgebotd.web.route import Call, Route, route
from edgebotd.web.services import Services

PluginEvent = Annotated[BotActivity | CodeSessionEvent | PluginMessage, Field(discriminator="type")]
"""What a bot's own plugin may push; everything else only the daemon says."""


class BotList(Model):
    """The bots that the asker may see, in order of the id."""

    items: list[BotRow]


class RemoveQuery(Model):
    """Whether the messages go too."""

    history: bool = False


class BotRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._registry = services.registry

    def routes(self) -> list[Route]:
        """Return the rows."""
        bot = "/api/bots/{bot_id}"
        return [
            route("GET", "/api/bots", self.list_bots),
            route("POST", "/api/bots/connect", self.connect, status=201),
            route("GET", bot, self.show),
            route("PATCH", bot, self.edit),
            route("DELETE", bot, self.remove, status=204),
            route("POST", bot + "/retry", self.retry, status=204),
            # The one route that is called thousands of times a second.
            route("POST", bot + "/events", self.publish, status=202, direct=True),
        ]

    async def list_bots(self, call: Call) -> BotList:
        """List the bots, with what one has not read and what was said last."""
        return BotList(items=await self._registry.rows(call.principal))

    async def connect(self, call: Call, body: ConnectRequest) -> ConnectAnswer:
        """Connect a bot; it is tried at once, and the answer says in words what came of it."""
        answer = await self._registry.connect(body)
        await self._note(call, "bot.connect", body.id)
        return answer

    async def show(self, call: Call) -> BotDetail:
        """Show a bot: its state, what its peer can do, what it needs."""
        return self._registry.detail(call.parameters["bot_id"], call.principal)

    async def edit(self, call: Call, body: EditRequest) -> ConnectAnswer:
        """Change a bot that was connected at run time, and try it again."""
        answer = await self._registry.edit(call.parameters["bot_id"], body)
        await self._note(call, "bot.edit", call.parameters["bot_id"])
        return answer

    async def remove(self, call: Call, query: RemoveQuery) -> None:
        """Remove a bot that was connected at run time; its messages stay unless `history` is true."""
        bot_id = call.parameters["bot_id"]
        await self._services.docker.removal.let_go(bot_id)
        await self._registry.remove(bot_id, history=query.history)
        await self._services.accounts.forget_bot(bot_id)
        await self._services.profiles.vault.forget_bot(bot_id)
        await self._note(call, "bot.remove", bot_id)

    async def retry(self, call: Call) -> None:
        """Try to connect now: what needed a person is done."""
        self._registry.retry(call.parameters["bot_id"])
        await self._note(call, "bot.retry", call.parameters["bot_id"])

    async def publish(self, call: Call, body: PluginEvent) -> PluginAnswer:
        """Publish an event of the bot's own plugin."""
        return await self._services.chat.publish(call.principal, call.parameters["bot_id"], body)

    async def _note(self, call: Call, action: str, bot_id: str) -> None:
        await self._services.people.audit(entry(call.actor, self._services.now(), action, bot_id, bot_id=bot_id))
