"""The bots as whoever runs their containers needs them: made with their address, tried, held back, asked to be quiet.

It is the other side of `docker.bots.Bots`, which says in types what each method does. Whoever calls has checked rights.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, Protocol, runtime_checkable

import trio
from pydantic import SecretStr

from edgebotd import logs
from edgebotd.access import Kind, Principal
from edgebotd.bots.bot import Bot
from edgebotd.bots.connector import ConnectorError, Trouble
from edgebotd.bots.registry import Registry
from edgebotd.bots.requests import ConnectRequest, EditRequest, RunAnswer, SendRequest
from edgebotd.bots.turns import principal_key
from edgebotd.errors import Conflict, NotFound, Problem
from edgebotd.events import BotState, BotSummary, ContainerStatus, RunState, TextPart
from edgebotd.protocol.run import Verdict
from edgebotd.store import bots as bot_rows
from edgebotd.store import conversations, messages, turns
from edgebotd.store.database import Database
from edgebotd.store.turns import Turn
from edgebotd.store.writer import Transaction

PROBE: Final = Principal(
    kind=Kind.LOCAL, user_id="system", name="edgebotd", credential_id="system", admin=True, every_bot=True
)
"""Who has the turn that tells whether a bot answers."""
PREPARE_SECONDS: Final = 60.0
"""After so long a turn of which nothing has come waits for its model. The first one of a gateway takes long."""
LOOK_SECONDS: Final = 0.1
CHANGED_SINCE: Final = "config changed since"
"""A gateway's words for a configuration that is not any more what a change was meant for (2026.5.28 and 2026.9.6)."""


@runtime_checkable
class SaysUsage(Protocol):
    """A connector whose peer knows how much of its accounts is used."""

    async def usage_status(self) -> Mapping[str, Any]:
        """Return the payload of `usage.status`.

        Raises:
            ConnectorError: the peer does not answer, or has no such method.
        """


@runtime_checkable
class KeepsLogins(Protocol):
    """A connector whose peer has logins at model providers of its own, or is given them."""

    @property
    def agent_id(self) -> str: ...

    async def reload_secrets(self) -> int:
        """Have the peer read its secrets again; return of how many it complains.

        Raises:
            ConnectorError: it does not, or nobody knows.
        """

    async def auth_status(self) -> Mapping[str, Any]:
        """Return how the peer's logins are, in its own words.

        Raises:
            ConnectorError: it does not say.
        """


@runtime_checkable
class Configurable(Protocol):
    """A connector whose peer tells its configuration and lets it be changed."""

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the peer; return the payload.

        Raises:
            ConnectorError: it refuses, or nobody knows.
        """


class Gateways:
    """Made by the daemon over its registry.

    Args:
        forget: takes away what people may do with a bot that is removed.
    """

    def __init__(
        self, registry: Registry, database: Database, forget: Callable[[str], Awaitable[None]] | None = None
    ) -> None:
        self._registry = registry
        self._database = database
        self._keyring = registry.keyring
        self._forget_grants = forget

    async def usage_status(self, bot_id: str) -> Mapping[str, Any]:
        """Ask a bot's gateway how much of its accounts is used; the other side of `accounts.usage.cache.Gateways`.

        Raises:
            NotFound, Conflict, ConnectorError: there is no answer.
        """
        connector = self._registry.get(bot_id).connector
        if not isinstance(connector, SaysUsage):
            raise Conflict("no_usage", f"The bot '{bot_id}' has no gateway that knows how much is used.")
        return await connector.usage_status()

    def gateway_of(self, bot_id: str) -> tuple[str, str] | None:
        """Return version and agent of a bot's gateway; None where none is connected, or it has no logins."""
        if bot_id not in self._registry.ids():
            return None
        bot = self._registry.get(bot_id)
        if bot.hello is None or not isinstance(bot.connector, KeepsLogins):
            return None
        return bot.hello.version, bot.connector.agent_id

    async def reload_secrets(self, bot_id: str) -> int:
        """Have a bot's gateway read its secrets again, between two beginnings of turns; see `KeepsLogins`."""
        keeper = self._keeper(bot_id)
        async with self._still(bot_id):
            return await keeper.reload_secrets()

    async def auth_status(self, bot_id: str) -> Mapping[str, Any]:
        """Ask a bot's gateway how its logins are; see `KeepsLogins`."""
        return await self._keeper(bot_id).auth_status()

    async def config(self, bot_id: str) -> Mapping[str, Any]:
        """Return what a bot's gateway tells of its configuration; secrets are blotted out by it.

        Raises:
            Problem: it does not, and why.
        """
        return await self._of_config(bot_id, "config.get", {})

    async def patch_config(self, bot_id: str, patch: Mapping[str, Any], base_hash: str) -> Mapping[str, Any]:
        """Have a bot's gateway merge something into its configuration, where that is as it was told.

        Raises:
            Problem: `config_changed`, `gateway_refuses`, or `gateway_silent`: nobody knows whether it has.
        """
        async with self._still(bot_id):
            return await self._of_config(bot_id, "config.patch", {"raw": json.dumps(patch), "baseHash": base_hash})

    @asynccontextmanager
    async def _still(self, bot_id: str) -> AsyncIterator[None]:
        """Have no turn begin meanwhile.

        Where a gateway (2026.9.6) reads its secrets again, a turn that it is just preparing ends with "prepared model
        runtime plugin generation was superseded", before its model is asked; one whose model answers goes on.
        """
        bot = self._registry.get(bot_id)
        with trio.move_on_after(PREPARE_SECONDS):
            while _begins(bot):  # noqa: ASYNC110 - what comes of a run has no event of its own
                await trio.sleep(LOOK_SECONDS)
        bot.queue.still(True)
        try:
            yield
        finally:
            bot.queue.still(False)

    async def _of_config(self, bot_id: str, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        connector = self._registry.get(bot_id).connector
        if not isinstance(connector, Configurable):
            raise Conflict("no_gateway", f"The bot '{bot_id}' has no gateway with a configuration of its own.")
        try:
            return await connector.ask(method, params)
        except ConnectorError as exc:
            if exc.trouble in (Trouble.LOST, Trouble.RESTARTING):
                raise Problem(503, "gateway_silent", exc.detail) from None
            code = "config_changed" if CHANGED_SINCE in exc.detail else "gateway_refuses"
            raise Conflict(code, exc.detail) from None

    def _keeper(self, bot_id: str) -> KeepsLogins:
        connector = self._registry.get(bot_id).connector
        if not isinstance(connector, KeepsLogins):
            raise Conflict("no_gateway", f"The bot '{bot_id}' has no gateway with logins.")
        return connector

    def ids(self) -> list[str]:
        return self._registry.ids()

    def summary(self, bot_id: str) -> BotSummary:
        return self._registry.get(bot_id).summary()

    async def add(self, bot_id: str, name: str, url: str, token: SecretStr) -> None:
        if bot_id in self._registry.ids() and self._registry.get(bot_id).stored.settings.get("url") == url:
            return
        await self._registry.connect(ConnectRequest(id=bot_id, name=name, url=url, token=token), wait=False)

    async def reserve(self, bot_id: str, url: str) -> SecretStr:
        stored = await self._database.read(lambda conn: bot_rows.get(conn, bot_id))
        if stored is not None and stored.settings.get("url") != url:
            raise Conflict("bot_exists", f"A bot '{bot_id}' was connected meanwhile. Choose another id.")
        token = self._keyring.token(bot_id)
        if token is None:
            token = SecretStr(secrets.token_urlsafe(32))
            self._keyring.set_token(bot_id, token)
        logs.register_secret(token.get_secret_value())
        return token

    async def discard(self, bot_id: str, url: str) -> None:
        if bot_id in self._registry.ids():
            stored = self._registry.get(bot_id).stored
            if stored.origin == "file" or stored.settings.get("url") != url:
                return
            await self._registry.remove(bot_id)
            await self._forget(bot_id)
        # A crash may have come between the two, or between the bot's row and its start.
        if await self._database.read(lambda conn: bot_rows.url_of(conn, bot_id)) == url:
            while await self._database.write(lambda tx: messages.delete_of_bot(tx.connection, bot_id)):
                pass
            await self._database.write(lambda tx: conversations.delete_of_bot(tx.connection, bot_id))
            await self._database.write(lambda tx: bot_rows.free(tx.connection, bot_id))
        if await self._database.read(lambda conn: bot_rows.number_of(conn, bot_id)) is None:
            self._keyring.remove(bot_id)

    async def change(self, bot_id: str, *, url: str | None = None, token: SecretStr | None = None) -> None:
        await self._registry.edit(bot_id, EditRequest(url=url, token=token), wait=False)

    async def remove(self, bot_id: str, *, history: bool) -> None:
        try:
            await self._registry.remove(bot_id, history=history)
        except NotFound:
            pass
        await self._forget(bot_id)

    async def _forget(self, bot_id: str) -> None:
        if self._forget_grants is not None:
            await self._forget_grants(bot_id)

    async def verdict(self, bot_id: str, seconds: float) -> Verdict:
        bot = self._registry.get(bot_id)
        if not bot.connected:
            with trio.move_on_after(seconds):
                await bot.next_verdict()
        return _verdict(bot)

    def busy(self, bot_id: str) -> int:
        bot = self._registry.get(bot_id)
        return len(bot.capture.live)

    async def wait_idle(self, bot_id: str) -> None:
        live = self._registry.get(bot_id).capture.live
        while live:
            await next(iter(live.values())).done.wait()

    async def abort_all(self, bot_id: str) -> None:
        bot = self._registry.get(bot_id)
        for run_id, run in list(bot.capture.live.items()):
            if (item := bot.queue.item(run_id)) is None:
                bot.queue.abort_run(run)
                continue
            bot.queue.abort(item)
            await self._database.write(partial(_note_stop, run_id=run_id))

    def hold(self, bot_id: str, reason: str | None) -> None:
        self._registry.get(bot_id).queue.hold(reason)

    def container(self, bot_id: str, status: ContainerStatus | None) -> None:
        self._registry.get(bot_id).take_container(status)

    async def echo(self, bot_id: str, text: str, seconds: float, key: str) -> str:
        told: RunAnswer | None = None
        with trio.move_on_after(seconds) as scope:
            told = await self._turn(bot_id, text, key)
            if told.state is RunState.INTERRUPTED:
                # By the end of an earlier life, it may be: that says nothing about the bot.
                told = await self._turn(bot_id, text, _again(key))
        if told is None or scope.cancelled_caught:
            # Nobody waits for its reply any more, and it would go out to whatever the bot is next.
            await self.end_echo(bot_id, key)
            raise Conflict("no_reply", f"The bot did not answer within {seconds:.0f} s.")
        run_id = told.run_id
        rows = await self._database.read(lambda conn: messages.by_run(conn, bot_id, run_id))
        parts = [part for row in rows if row.role == "assistant" for part in row.parts]
        said = "".join(part.text for part in parts if isinstance(part, TextPart))
        if told.state is not RunState.FINISHED or not said:
            raise Problem(502, "no_reply", f"The bot did not answer: {told.detail or told.state.value}")
        return said

    async def _turn(self, bot_id: str, text: str, key: str) -> RunAnswer:
        """Have a turn end that goes out though others are held: what came under the key before, or a new one."""
        sender, queue = self._registry.turns, self._registry.get(bot_id).queue
        answer = await sender.send(PROBE, bot_id, SendRequest(text=text, idempotency_key=key))
        queue.let_through(answer.conversation_id, True)
        try:
            if (item := queue.item(answer.run_id)) is not None:
                await item.over.wait()
        finally:
            queue.let_through(answer.conversation_id, False)
        return await sender.run(PROBE, bot_id, answer.run_id)

    async def end_echo(self, bot_id: str, key: str) -> None:
        queue, asker = self._registry.get(bot_id).queue, principal_key(PROBE)
        for name in (key, _again(key)):
            turn = await self._database.read(partial(_turn_of, bot_id=bot_id, asker=asker, key=name))
            if turn is not None and (item := queue.item(turn.run_id)) is not None:
                queue.abort(item)

    async def forget_echo(self, bot_id: str, key: str) -> None:
        for name in (key, _again(key)):
            turn = await self._database.read(partial(_turn_of, bot_id=bot_id, asker=principal_key(PROBE), key=name))
            if turn is not None:
                with suppress(NotFound):
                    await self._registry.chat.delete(PROBE, bot_id, turn.conversation_id)


def _begins(bot: Bot) -> bool:
    return bot.queue.beginning or any(run.preparing for run in bot.capture.live.values())


def _again(key: str) -> str:
    return f"{key}-again"


def _turn_of(conn: sqlite3.Connection, bot_id: str, asker: str, key: str) -> Turn | None:
    return turns.by_key(conn, bot_id, asker, key, 0)


def _note_stop(tx: Transaction, run_id: str) -> None:
    turns.note_stop(tx.connection, run_id)


def _verdict(bot: Bot) -> Verdict:
    hello, status = bot.hello, bot.status
    if hello is not None and status.state is BotState.CONNECTED:
        return Verdict(True, version=hello.version, missing=hello.missing)
    return Verdict(False, status.reason, status.detail, pairing_request=status.extra.get("requestId"))
