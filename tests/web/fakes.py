"""Stand-ins for the bots' side: enough that each route can be called."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import trio

from edgebotd.access import Grant, Principal
from edgebotd.bots.files import Download, download
from edgebotd.bots.plugin import PluginMessage
from edgebotd.bots.requests import (
    AbortAnswer,
    BotDetail,
    BotRow,
    ConnectAnswer,
    ConversationPage,
    Exported,
    HistoryPage,
    MessageWindow,
    PluginAnswer,
    RunAnswer,
    SearchPage,
    SendAnswer,
    SendRequest,
)
from edgebotd.errors import NotFound
from edgebotd.events import BotState, BotSummary, Conversation, Event, RunState

CONVERSATION_ID = "c_" + "a" * 20


def summary(bot_id: str) -> BotSummary:
    return BotSummary(bot_id=bot_id, state=BotState.CONNECTED, since_at=1, name=bot_id.title(), kind="echo")


@dataclass
class FakeRegistry:
    """Knows the bots `own` and `other`."""

    bot_ids: list[str] = field(default_factory=lambda: ["own", "other"])
    removed: list[tuple[str, bool]] = field(default_factory=list)

    def listed(self, principal: Principal) -> list[BotSummary]:
        return [summary(bot_id) for bot_id in principal.visible(self.bot_ids)]

    async def rows(self, principal: Principal) -> list[BotRow]:
        rows = []
        for bot_id in principal.visible(self.bot_ids):
            grant = principal.grant_on(bot_id)
            assert grant is not None
            rows.append(BotRow.model_validate({**dict(summary(bot_id)), "unread": 3, "grant": grant.name.lower()}))
        return rows

    def retry(self, bot_id: str) -> None:
        self.get(bot_id)

    def get(self, bot_id: str) -> object:
        if bot_id not in self.bot_ids:
            raise NotFound("bot", bot_id)
        return bot_id

    def detail(self, bot_id: str, principal: Principal | None = None) -> BotDetail:
        self.get(bot_id)
        return BotDetail(summary=summary(bot_id), origin="store")

    async def connect(self, request: Any) -> ConnectAnswer:
        self.bot_ids.append(request.id)
        return ConnectAnswer(ok=True, message="Connected.", bot=self.detail(request.id))

    async def edit(self, bot_id: str, request: Any) -> ConnectAnswer:
        return ConnectAnswer(ok=True, message="Connected.", bot=self.detail(bot_id))

    async def remove(self, bot_id: str, *, history: bool = False) -> None:
        self.get(bot_id)
        self.removed.append((bot_id, history))


@dataclass
class FakeTurns:
    """Accepts everything; text `wait` waits for `gate`, text `crash` is a bug."""

    gate: trio.Event = field(default_factory=trio.Event)
    sent: list[tuple[str, str, str]] = field(default_factory=list)

    async def send(self, principal: Principal, bot_id: str, request: SendRequest) -> SendAnswer:
        principal.require(bot_id, Grant.CHAT)
        if request.text == "crash":
            raise ZeroDivisionError(f"canary-in-a-bug {request.text}")
        if request.text == "wait":
            await self.gate.wait()
        self.sent.append((principal.user_id, bot_id, request.text))
        return SendAnswer(run_id="r_1", message_id="m_1", conversation_id=CONVERSATION_ID, state=RunState.STARTED)

    async def abort(self, principal: Principal, bot_id: str, request: Any) -> AbortAnswer:
        return AbortAnswer(run_id="r_1", state=RunState.ABORTED)

    async def run(self, principal: Principal, bot_id: str, run_id: str) -> RunAnswer:
        return RunAnswer(run_id="r_1", state=RunState.STREAMING)


@dataclass
class FakeChat:
    """Empty lists, one conversation, one attachment."""

    published: list[tuple[str, Event | PluginMessage]] = field(default_factory=list)

    async def publish(self, principal: Principal, bot_id: str, event: Event | PluginMessage) -> PluginAnswer:
        self.published.append((bot_id, event))
        return PluginAnswer()

    async def history(self, principal: Principal, bot_id: str, **_: Any) -> HistoryPage:
        return HistoryPage(items=())

    async def window(self, principal: Principal, bot_id: str, **_: Any) -> MessageWindow:
        return MessageWindow(items=())

    async def conversations(self, principal: Principal, bot_id: str, **_: Any) -> ConversationPage:
        return ConversationPage(items=())

    async def create(self, principal: Principal, bot_id: str, title: str | None) -> Conversation:
        return Conversation(id=CONVERSATION_ID, bot_id=bot_id, title=title, created_at=1, updated_at=1)

    async def conversation(self, principal: Principal, bot_id: str, conversation_id: str) -> Conversation:
        return await self.create(principal, bot_id, None)

    async def rename(self, principal: Principal, bot_id: str, conversation_id: str, title: str | None) -> Conversation:
        return await self.create(principal, bot_id, title)

    async def delete(self, principal: Principal, bot_id: str, conversation_id: str) -> None:
        await trio.lowlevel.checkpoint()

    async def mark_read(self, principal: Principal, bot_id: str, conversation_id: str, seq: int) -> None:
        await trio.lowlevel.checkpoint()

    async def export(self, principal: Principal, bot_id: str, conversation_id: str, form: str) -> Exported:
        return Exported(name='a "title"\r\nx.md', media_type="text/markdown; charset=utf-8", text="# a")

    async def search(self, principal: Principal, text: str, **_: Any) -> SearchPage:
        return SearchPage(items=())

    async def attachment(self, principal: Principal, sha256: str) -> Download:
        return download(b"<script>", "a.html", "text/html")
