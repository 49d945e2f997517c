"""Which bots there are, how they are, and how they come and go."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import trio
from pydantic import SecretStr

from edgebotd.access import Grant, Principal
from edgebotd.bots.bot import Bot
from edgebotd.bots.chat import Chat
from edgebotd.bots.connector import Accepted, Connector, ConnectorError, Deliver, HelloStatus, Outgoing, Trouble
from edgebotd.bots.files import Files, total_limit
from edgebotd.bots.incoming import Incoming
from edgebotd.bots.keyring import Keyring
from edgebotd.bots.kinds import MakeConnector, Wanted, make_connector, options, options_of
from edgebotd.bots.requests import AttachmentRules, BotDetail, BotRow, ConnectAnswer, ConnectRequest, EditRequest
from edgebotd.bots.rows import rows_of
from edgebotd.bots.turns import Turns
from edgebotd.config import BotSettings, ChatSettings
from edgebotd.errors import Conflict, NotFound
from edgebotd.events import ALL, BotsStatusUpdate, BotState, BotStatus, BotSummary
from edgebotd.hub.hub import Hub
from edgebotd.protocol.run import History, SessionSeen
from edgebotd.store import bots as bot_rows
from edgebotd.store import conversations, messages
from edgebotd.store.bots import StoredBot
from edgebotd.store.database import Database

log = logging.getLogger(__name__)

VERDICT_SECONDS: Final = 15.0
"""How long connecting a bot waits for what the first attempt says."""


class Registry:
    """All bots. From `open_bots`, which closes it.

    Whoever calls what changes bots has checked that the asker is an administrator (the policy table of the routes).
    """

    def __init__(
        self,
        database: Database,
        hub: Hub,
        chat: ChatSettings,
        keyring: Keyring,
        files: Files,
        make: MakeConnector,
        nursery: trio.Nursery,
        now: Callable[[], int],
        rng: random.Random,
    ) -> None:
        self.turns = Turns(self.get, database, hub, files, chat, nursery, now)
        self.chat = Chat(
            database,
            hub,
            files,
            now,
            forget=self._forget_conversation,
            tell_activity=self._plugin_activity,
            learn=self._learn_conversation,
        )
        self._incoming = Incoming(database, files, chat.attachment_max_bytes)
        self._database = database
        self._hub = hub
        self._chat = chat
        self.keyring = keyring
        self._make = make
        self._nursery = nursery
        self._now = now
        self._rng = rng
        self._bots: dict[str, Bot] = {}
        self._tokens: dict[str, SecretStr | None] = {}
        self._changing = trio.Lock()

    # Asking

    def ids(self) -> list[str]:
        """Return the ids of all bots, in order."""
        return sorted(self._bots)

    def get(self, bot_id: str) -> Bot:
        """Return a bot. Raises `NotFound`."""
        bot = self._bots.get(bot_id)
        if bot is None:
            raise NotFound("bot", bot_id)
        return bot

    def summaries(self) -> list[BotSummary]:
        """Return how every bot is, in order of the id."""
        return [self._bots[bot_id].summary() for bot_id in self.ids()]

    def listed(self, principal: Principal) -> list[BotSummary]:
        """Return how the bots are that this principal may see."""
        return [self._bots[bot_id].summary() for bot_id in principal.visible(self.ids())]

    async def rows(self, principal: Principal) -> list[BotRow]:
        """Return the same for a list that people look at: with what is unread and what was said last."""
        return await rows_of(self._database, principal, self.listed(principal))

    def detail(self, bot_id: str, principal: Principal | None = None) -> BotDetail:
        """Return one bot; its address and what mends it only to a principal who operates it. Raises `NotFound`."""
        operated = principal is not None and principal.grant_on(bot_id) == Grant.OPERATE
        return self._detail(self.get(bot_id), operated)

    def heard(self, bot_id: str) -> dict[str, int]:
        """Return of each run that goes on how often something came of it. Raises `NotFound`."""
        return {run_id: run.heard for run_id, run in self.get(bot_id).capture.live.items()}

    def retry(self, bot_id: str) -> None:
        """Try to connect now. Raises `NotFound`."""
        self.get(bot_id).retry_now()

    def _detail(self, bot: Bot, operated: bool) -> BotDetail:
        hello, settings = bot.hello, bot.stored.settings
        rules = None
        if hello is not None and hello.attachments is not None:
            most = min(hello.attachments.max_bytes, self._chat.attachment_max_bytes)
            kinds = hello.attachments.media_types
            rules = AttachmentRules(
                max_bytes=most,
                max_image_bytes=min(most, hello.attachments.max_image_bytes or most),
                max_total_bytes=total_limit(hello, self._chat.attachment_max_bytes),
                media_types=None if kinds is None else tuple(sorted(kinds)),
            )
        return BotDetail(
            summary=bot.summary(),
            origin=bot.stored.origin,
            url=settings.get("url") if operated else None,
            agent_id=settings.get("agent_id"),
            model=settings.get("model"),
            version=None if hello is None else hello.version,
            features=() if hello is None else tuple(sorted(hello.features)),
            missing=() if hello is None else hello.missing,
            attachments=rules,
            extra=bot.status.extra if operated else {},
        )

    # Changing

    async def connect(self, request: ConnectRequest, *, wait: bool = True) -> ConnectAnswer:
        """Add a bot and try it at once; it stays, whatever the first attempt says, which is waited for.

        Raises:
            Conflict: the id is taken or was used before.
            Invalid: URL or settings are wrong.
        """
        chosen = options(request.kind, **request.model_dump(exclude={"id", "kind", "name", "token"}))
        stored = StoredBot(request.id, request.kind, request.name or request.id, chosen, created_at=self._now())
        async with self._changing:
            await self._database.write(lambda tx: bot_rows.add(tx.connection, stored))
            self.keyring.set_token(request.id, request.token)
            bot = await self._start(stored, request.token)
        await bot.wait_verdict(VERDICT_SECONDS if wait else 0)
        return self._answer(bot)

    async def edit(self, bot_id: str, request: EditRequest, *, wait: bool = True) -> ConnectAnswer:
        """Change a bot that was connected at run time, and try it again at once.

        Raises:
            NotFound, Invalid: no such bot; URL or settings are wrong.
            Conflict: the bot stands in the settings file.
        """
        async with self._changing:
            bot = self._changeable(bot_id)
            news = request.model_dump(exclude={"name", "token"}, exclude_none=True)
            chosen = options(bot.stored.kind, **{**bot.stored.settings, **news})
            token = request.token if request.token is not None else self._tokens.get(bot_id)
            if request.token is not None:
                self.keyring.set_token(bot_id, token)
            changed = await self._database.write(
                lambda tx: bot_rows.change(tx.connection, bot_id, name=request.name, settings=chosen)
            )
            same = chosen == bot.stored.settings and request.token is None
            self._tokens[bot_id] = token
            bot.replace(changed, bot.connector if same else self._connector(changed, token))
        await bot.wait_verdict(VERDICT_SECONDS if wait else 0)
        return self._answer(bot)

    async def remove(self, bot_id: str, *, history: bool = False) -> None:
        """Remove a bot that was connected at run time; its messages stay unless `history` says otherwise.

        Raises:
            NotFound: no such bot.
            Conflict: the bot stands in the settings file.
        """
        async with self._changing:
            bot = self._changeable(bot_id)
            now = self._now()
            await self._database.write(lambda tx: bot_rows.remove(tx.connection, bot_id, now))
            del self._bots[bot_id]
            await bot.queue.fail_all("The bot was removed.")
            bot.stop()
            self._tokens.pop(bot_id, None)
            self.keyring.remove(bot_id)
        self._hub.publish(
            bot_id, BotStatus(bot_id=bot_id, state=BotState.STOPPED, reason="removed", source="registry", since_at=now)
        )
        self._hub.forget_bot(bot_id)
        self._tell()
        if history:
            while await self._database.write(lambda tx: messages.delete_of_bot(tx.connection, bot_id)):
                pass
            await self._database.write(lambda tx: conversations.delete_of_bot(tx.connection, bot_id))

    def _changeable(self, bot_id: str) -> Bot:
        bot = self.get(bot_id)
        if bot.stored.origin == "file":
            detail = f"The bot '{bot_id}' stands in the settings file and is changed there only, in [bots.{bot_id}]."
            raise Conflict("bot_in_file", detail)
        return bot

    def _answer(self, bot: Bot) -> ConnectAnswer:
        hello = bot.hello
        if hello is not None:
            words = f"Connected to '{bot.stored.name}' ({bot.stored.kind} {hello.version})."
            return ConnectAnswer(ok=True, message=" ".join([words, *hello.missing]), bot=self._detail(bot, True))
        words = bot.status.detail or f"No answer within {VERDICT_SECONDS:.0f} s; it is being tried on."
        if "command" in bot.status.extra:
            words = f"{words} Run this beside the gateway: {bot.status.extra['command']}"
        return ConnectAnswer(ok=False, message=words, bot=self._detail(bot, True))

    # Tasks

    async def _start(self, stored: StoredBot, token: SecretStr | None, held: str | None = None) -> Bot:
        self._tokens[stored.id] = token
        bot = Bot(
            stored,
            self._connector(stored, token),
            self._database,
            self._hub,
            self._chat,
            now=self._now,
            rng=self._rng,
            changed=self._tell,
        )
        bot.queue.hold(held)
        bot.queue.compose = self.turns.compose
        bot.catch_up.complete = self._incoming.complete
        await bot.load()
        self._bots[stored.id] = bot
        self._nursery.start_soon(self._run, bot, name=f"bot {stored.id}")
        return bot

    async def _run(self, bot: Bot) -> None:
        try:
            await bot.run()
        except Exception:
            log.exception("bot %s failed unexpectedly and rests until the daemon's next start", bot.id)
            await bot.rest("A bug of edgebotd's stopped this bot. The daemon's log says more; restart the daemon.")

    def _connector(self, stored: StoredBot, token: SecretStr | None) -> Connector:
        wanted = Wanted(
            stored.id,
            stored.kind,
            stored.settings,
            token,
            lambda: self.keyring.directory(stored.id),
            self._now,
            self._rng,
        )
        try:
            return self._make(wanted)
        except ConnectorError as exc:
            return Unusable(exc)
        except Exception as exc:
            log.exception("the connector of bot %s cannot be made", stored.id)
            detail = f"The connector could not be made ({type(exc).__name__}). The daemon's log says more."
            return Unusable(ConnectorError(Trouble.CONFIGURATION, detail, reason="bug"))

    def _forget_conversation(self, bot_id: str, conversation_id: str) -> None:
        if bot_id in self._bots:
            self._bots[bot_id].capture.forget(conversation_id)

    def _learn_conversation(self, bot_id: str, session_key: str, conversation_id: str) -> None:
        if bot_id in self._bots:
            self._bots[bot_id].capture.learn(session_key, conversation_id)

    def _plugin_activity(self, bot_id: str, activity: str, detail: str | None) -> None:
        # Not told to all at once: a plugin may say this thousands of times a second, and its own event has left.
        if bot_id in self._bots:
            self._bots[bot_id].activity = (activity, detail)

    def _tell(self) -> None:
        self._hub.publish(ALL, BotsStatusUpdate(bots=tuple(self.summaries())))

    async def start(self, settings: Mapping[str, BotSettings], held: Mapping[str, str]) -> None:
        """Bring the store in line with the settings file and start every bot, as `open_bots` says. Called once."""
        named = [
            StoredBot(bot_id, bot.kind, bot.name or bot_id, options_of(bot), "file") for bot_id, bot in settings.items()
        ]
        now = self._now()
        await self._database.write(lambda tx: bot_rows.upsert_file_bots(tx.connection, named, now))
        for stored in await self._database.read(bot_rows.all_bots):
            of_file = settings.get(stored.id)
            token = self.keyring.token(stored.id) if of_file is None else of_file.token
            await self._start(stored, token, held.get(stored.id))
        self._tell()


class Unusable:
    """Stands for a connector that could not be made, so that its bot says why."""

    def __init__(self, error: ConnectorError) -> None:
        self._error = error

    async def run_session(  # noqa: ASYNC128  never usable
        self, deliver: Deliver, *, task_status: HelloStatus
    ) -> None:
        """Say why."""
        await trio.lowlevel.checkpoint()
        raise self._error

    async def send(self, turn: Outgoing) -> Accepted:
        """Say why."""
        await trio.lowlevel.checkpoint()
        raise self._error

    async def abort(self, session_key: str, run_id: str) -> bool:
        """Say why."""
        await trio.lowlevel.checkpoint()
        raise self._error

    async def history(self, session_key: str) -> History:
        """Say why."""
        await trio.lowlevel.checkpoint()
        raise self._error

    async def sessions(self, since_at: int | None) -> list[SessionSeen]:
        """Say why."""
        await trio.lowlevel.checkpoint()
        raise self._error


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def open_bots(
    database: Database,
    hub: Hub,
    settings: Mapping[str, BotSettings],
    chat: ChatSettings,
    state_dir: Path,
    *,
    make: MakeConnector = make_connector,
    held: Mapping[str, str] = MappingProxyType({}),
    files: Files | None = None,
    now: Callable[[], int] = _wall_clock,
    rng: random.Random | None = None,
) -> AsyncIterator[Registry]:
    """Start every bot of the settings and of the store; leaving ends them all.

    What is on its way at the end stays open in the store, and is settled by the next start.

    Args:
        held: bots whose messages wait from the beginning, by `TurnQueue.hold`, with the reason.
        state_dir: tokens and keys go below `bots/`, attachments below `attachments/`.
        now: wall clock in Unix milliseconds; waits run on Trio's clock.
    """
    async with trio.open_nursery() as nursery:
        registry = Registry(
            database,
            hub,
            chat,
            Keyring(state_dir / "bots"),
            files or Files(state_dir / "attachments"),
            make,
            nursery,
            now,
            rng or random.Random(),
        )
        await registry.start(settings, held)
        try:
            yield registry
        finally:
            nursery.cancel_scope.cancel()
