"""What the web layer needs of the rest of the house, wired by the daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from edgebotd.access import Principal
from edgebotd.accounts.house import ProviderAccounts
from edgebotd.alerting.channels import Channels
from edgebotd.bots.files import Download
from edgebotd.bots.plugin import PluginMessage
from edgebotd.bots.requests import (
    AbortAnswer,
    AbortRequest,
    BotDetail,
    BotRow,
    ConnectAnswer,
    ConnectRequest,
    ConversationPage,
    EditRequest,
    Exported,
    HistoryPage,
    MessageWindow,
    PluginAnswer,
    RunAnswer,
    SearchPage,
    SendAnswer,
    SendRequest,
)
from edgebotd.docker.house import Docker
from edgebotd.events import BotSummary, Conversation, Event
from edgebotd.hub.hub import Hub
from edgebotd.people.accounts import Accounts
from edgebotd.people.directory import People
from edgebotd.people.sign_in import SignIn
from edgebotd.people.tokens import Tokens
from edgebotd.store.database import Database
from edgebotd.web.metrics import Metrics
from edgebotd.web.remote_image import RemoteImages


class Registry(Protocol):
    """What the routes need of `bots.registry.Registry`."""

    def get(self, bot_id: str) -> object: ...
    def listed(self, principal: Principal) -> list[BotSummary]: ...
    async def rows(self, principal: Principal) -> list[BotRow]: ...
    def detail(self, bot_id: str, principal: Principal | None = None) -> BotDetail: ...
    def retry(self, bot_id: str) -> None: ...
    async def connect(self, request: ConnectRequest) -> ConnectAnswer: ...
    async def edit(self, bot_id: str, request: EditRequest) -> ConnectAnswer: ...
    async def remove(self, bot_id: str, *, history: bool = False) -> None: ...


class Turns(Protocol):
    """What the routes need of `bots.turns.Turns`."""

    async def send(self, principal: Principal, bot_id: str, request: SendRequest) -> SendAnswer: ...
    async def abort(self, principal: Principal, bot_id: str, request: AbortRequest) -> AbortAnswer: ...
    async def run(self, principal: Principal, bot_id: str, run_id: str) -> RunAnswer: ...


class Chat(Protocol):
    """What the routes need of the functions over history, conversations, search, attachments and plugins."""

    async def publish(self, principal: Principal, bot_id: str, event: Event | PluginMessage) -> PluginAnswer: ...
    async def history(
        self, principal: Principal, bot_id: str, *, conversation_id: str | None, before: str | None, limit: int
    ) -> HistoryPage: ...
    async def window(
        self,
        principal: Principal,
        bot_id: str,
        *,
        message_id: str | None,
        conversation_id: str | None,
        newer: str | None,
        limit: int,
    ) -> MessageWindow: ...
    async def conversations(
        self, principal: Principal, bot_id: str, *, before: str | None, limit: int
    ) -> ConversationPage: ...
    async def create(self, principal: Principal, bot_id: str, title: str | None) -> Conversation: ...
    async def conversation(self, principal: Principal, bot_id: str, conversation_id: str) -> Conversation: ...
    async def rename(
        self, principal: Principal, bot_id: str, conversation_id: str, title: str | None
    ) -> Conversation: ...
    async def delete(self, principal: Principal, bot_id: str, conversation_id: str) -> None: ...
    async def mark_read(self, principal: Principal, bot_id: str, conversation_id: str, seq: int) -> None: ...
    async def export(self, principal: Principal, bot_id: str, conversation_id: str, form: str) -> Exported: ...
    async def search(
        self,
        principal: Principal,
        text: str,
        *,
        bots: tuple[str, ...] | None,
        conversation_id: str | None,
        before: str | None,
        limit: int,
    ) -> SearchPage: ...
    async def attachment(self, principal: Principal, sha256: str) -> Download: ...


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Services:
    """Everything a route may call.

    Attributes:
        ready: whether requests can be served; false from the start of a stop on.
        health: what an administrator sees in `/api/status` besides: jobs, disk, queues. JSON values.
        started_at: of the daemon, Unix milliseconds.
        now: Unix milliseconds.
        profiles: logins at model providers; `accounts` are people's.
        remote_images: None where they are not fetched (`chat.remote_images`).
    """

    database: Database
    hub: Hub
    registry: Registry
    turns: Turns
    chat: Chat
    docker: Docker
    profiles: ProviderAccounts
    alert_channels: Channels
    people: People
    accounts: Accounts
    sign_in: SignIn
    tokens: Tokens
    now: Callable[[], int]
    started_at: int
    metrics: Metrics = field(default_factory=Metrics)
    remote_images: RemoteImages | None = None
    ready: Callable[[], bool] = lambda: True
    health: Callable[[], Mapping[str, Any]] = _nothing
