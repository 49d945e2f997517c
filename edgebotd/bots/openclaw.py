"""Bots that are OpenClaw gateways: one connection each, as a backend client with a token or a paired device."""

from __future__ import annotations

import dataclasses
import logging
import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import trio
from pydantic import SecretStr
from trio_websocket import ConnectionRejected
from typing_extensions import override

from edgebotd.bots import device, openclaw_files
from edgebotd.bots.connector import (
    Accepted,
    ConnectorError,
    Deliver,
    Hello,
    HelloStatus,
    Outgoing,
    Trouble,
)
from edgebotd.bots.openclaw_hello import MISSING, TOKEN_REFUSED, UNSUBSCRIBED, hello_of
from edgebotd.bots.openclaw_history import Archive
from edgebotd.bots.openclaw_session import NO_SUCH_PARAMETER, SCOPE_UPGRADE, Credentials, Session, error_of
from edgebotd.bots.openclaw_transport import open_session, refused_upgrade
from edgebotd.protocol import openclaw
from edgebotd.protocol.fields import integer, mapping, words
from edgebotd.protocol.openclaw.frames import session_key_of
from edgebotd.protocol.run import History, Outcome, RunEnded, RunEvent, SessionSeen

log = logging.getLogger(__name__)

EVENTS_WAITING: Final = 10_000
"""Events between the reader and who handles them. The full case: the connection is given up as lost, and what was not
handled comes again from the history. The reader never waits, so that pings are answered."""
SESSIONS_KNOWN: Final = 10_000
"""Sessions that were told already. The oldest are forgotten, and told once more."""
LEAST_SCOPES: Final[tuple[str, ...]] = (openclaw.READ, openclaw.WRITE)

# Changes that chat, agent and session.message events tell as well, in more detail.
_FOLLOWED: Final = frozenset(
    {
        "send",
        "steer",
        "participants",
        "agent.run.started",
        "agent.input.settled",
        "run-capacity",
        "chat.title",
        "patch",
        "delete",
    }
)


@dataclasses.dataclass(frozen=True)
class _Link:
    """What there is while there is a connection."""

    session: Session
    archive: Archive
    hello: openclaw.Hello
    events: trio.MemorySendChannel[RunEvent]
    before: frozenset[str]
    """Runs from before it, of which the end may have been missed."""
    gone: frozenset[str]
    """Those of them that an earlier process of the gateway had, so that this one does not."""


class OpenClawConnector:
    """The connection to one agent of one gateway. A `Connector`; see there for its methods.

    Args:
        url: ws:// or wss://.
        token: the gateway's shared token; None with a device that the gateway has paired before.
        device_key_path: where the device's key is kept, made once; None connects without a device, which only the
            gateway's own loopback gives rights.
        tls: for wss; the system's authorities when left out.
    """

    def __init__(
        self,
        bot_id: str,
        url: str,
        token: SecretStr | None,
        *,
        agent_id: str = "main",
        device_key_path: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._bot_id = bot_id
        self._url = url
        self._token = token
        self._agent_id = agent_id
        self._key_path = device_key_path
        self._tls = tls
        # Kept across connections: a run goes on while nobody is connected.
        self._runs = openclaw.Runs(agent_id=agent_id)
        self._sessions_told: OrderedDict[str, None] = OrderedDict()
        self._scopes: tuple[str, ...] = openclaw.FIRST_SCOPES
        self._token_refused = False
        self._queue_modes = True
        self._link: _Link | None = None
        self._last: tuple[float, str | None] | None = None
        """When the last hello came, and the gateway's boot then."""

    @override
    def __repr__(self) -> str:
        return f"<OpenClawConnector of {self._bot_id}>"

    async def run_session(self, deliver: Deliver, *, task_status: HelloStatus) -> None:
        """Hold one connection; see `Connector.run_session`."""
        self._token_refused = False
        first: ConnectorError | None = None
        while True:
            try:
                await self._hold(deliver, lambda hello: task_status.started(hello))
            except ConnectorError as exc:
                if first is None and self._has_another_way(exc):
                    first = exc
                    continue
                if first is not None and first.reason == SCOPE_UPGRADE and exc.reason == SCOPE_UPGRADE:
                    # Fewer rights did not help: what is to be approved is the whole.
                    self._scopes = openclaw.FIRST_SCOPES
                    raise first from None
                raise

    def _has_another_way(self, exc: ConnectorError) -> bool:
        """Whether to try once more at once, with less; changes what is shown and asked for next."""
        if exc.reason == SCOPE_UPGRADE and self._scopes != LEAST_SCOPES:
            # Somebody approved us for less. Chat goes on; more is asked for again when the daemon starts again.
            self._scopes = LEAST_SCOPES
            return True
        if exc.trouble is Trouble.BAD_CREDENTIALS and self._token is not None and self._key_path is not None:
            self._token_refused = device.load_token(self._key_path) is not None
            return self._token_refused
        return False

    async def _hold(self, deliver: Deliver, started: Callable[[Hello], None]) -> None:
        failure: ConnectorError | None = None
        send_events, events = trio.open_memory_channel[RunEvent](EVENTS_WAITING)

        def take(frame: openclaw.Event) -> None:
            _put(send_events, self._read(frame))

        try:
            async with trio.open_nursery() as nursery:
                try:
                    async with open_session(self._url, nursery, take, send_events.close, tls=self._tls) as session:
                        hello, missing = await self._shake_hands(session)
                        self._runs.main_key = hello.main_key
                        before = frozenset(self._runs.active)
                        gone = before if self._is_another(hello) else frozenset()
                        archive = Archive(session.call, hello, self._agent_id, session.booted_at(hello), gone)
                        self._link = _Link(session, archive, hello, send_events, before, gone)
                        started(hello_of(hello, missing))
                        # What came before the end is told before the end.
                        async for event in events:
                            await deliver(event)
                        failure = session.ended
                except ConnectorError as exc:
                    # Raised outside of the nursery, or it would come wrapped into a group.
                    failure = exc
                finally:
                    self._link = None
                nursery.cancel_scope.cancel()
        except* ConnectionRejected as group:
            failure = refused_upgrade(group)
        raise failure or ConnectorError(Trouble.LOST, "The connection to the gateway was closed.")

    def _is_another(self, hello: openclaw.Hello) -> bool:
        """Whether the gateway was started anew since the last connection."""
        now, last = trio.current_time(), self._last
        self._last = (now, hello.boot_id)
        if last is None:
            return False
        if hello.boot_id is not None and last[1] is not None:
            return hello.boot_id != last[1]
        return hello.uptime_ms is not None and now - hello.uptime_ms / 1000 > last[0]

    async def _shake_hands(self, session: Session) -> tuple[openclaw.Hello, list[str]]:
        key_path = self._key_path
        hello = await session.handshake(
            Credentials(
                token=None if self._token is None or self._token_refused else self._token.get_secret_value(),
                device=None if key_path is None else device.load_or_make(key_path),
                device_token=None if key_path is None else device.load_token(key_path),
            ),
            self._scopes,
        )
        if key_path is not None and hello.device_token is not None:
            device.keep_token(key_path, hello.device_token)
        if not hello.has_rights:
            raise error_of(openclaw.no_rights(hello.missing_scopes))
        missing = [MISSING[scope] for scope in hello.missing_scopes if scope in MISSING]
        if self._token_refused:
            missing.append(TOKEN_REFUSED)
        if not hello.can("sessions.subscribe"):
            missing.append(UNSUBSCRIBED)
            return hello, missing
        try:
            # Brings sessions.changed, and session.message of every session: what others write, while it happens.
            await session.call("sessions.subscribe", {})
        except ConnectorError as exc:
            if exc.trouble not in (Trouble.REJECTED, Trouble.NO_RIGHTS):
                raise
            missing.append(UNSUBSCRIBED)
        return hello, missing

    # What comes

    def _read(self, frame: openclaw.Event) -> list[RunEvent]:
        """Return what a frame means for this bot. Called by the reader."""
        key = session_key_of(frame.payload, agent_id=self._agent_id, main_key=self._runs.main_key)
        if key is None:
            # Of a run that is known, or of nothing.
            return self._runs.feed(frame.name, frame.payload)
        if not self._is_ours(key):
            # A gateway tells of all of its agents.
            return []
        if frame.name == "session.message":
            return self._read_message(key, mapping(frame.payload.get("message")))
        told = self._runs.feed(frame.name, frame.payload)
        if frame.name != "sessions.changed":
            return told
        change = words(frame.payload.get("reason"))
        if change == "delete":
            self._sessions_told.pop(key, None)
            return []
        followed = change in _FOLLOWED or (change is None and words(frame.payload.get("phase")) is not None)
        return [] if followed and key in self._sessions_told else self._telling(key, told)

    def _read_message(self, key: str, message: Mapping[str, Any]) -> list[RunEvent]:
        """Take a row as it is written: a user's message, from whichever client; the bot's come as runs."""
        row = openclaw.parse_row(message)
        if row is None or row.role != "user":
            return []
        return self._telling(key, [SessionSeen(key)] if row.truncated else openclaw.fold([row], key))

    def _telling(self, key: str, events: Iterable[RunEvent]) -> list[RunEvent]:
        self._sessions_told[key] = None
        self._sessions_told.move_to_end(key)
        if len(self._sessions_told) > SESSIONS_KNOWN:
            self._sessions_told.popitem(last=False)
        return list(events)

    def _is_ours(self, session_key: str) -> bool:
        return session_key.startswith(f"agent:{self._agent_id.lower()}:")

    # Asking

    async def send(self, turn: Outgoing) -> Accepted:
        """Send a turn; see `Connector.send`."""
        link = self._connected()
        key = self._canonical(turn.session_key)
        params: dict[str, Any] = {"sessionKey": key, "message": turn.text, "idempotencyKey": turn.run_id}
        size = len(turn.text)
        if turn.attachments:
            params["attachments"] = [openclaw_files.attachment(file) for file in turn.attachments]
            size += sum(len(file.data) for file in turn.attachments)
        # A conversation of ours needs no telling.
        self._telling(key, ())
        # Before the request: the run's events may overtake its answer.
        _put(link.events, self._runs.expect(turn.run_id, key))
        try:
            if turn.interrupt:
                answer = await self._interrupt(link, params, size)
            else:
                answer = await link.session.call("chat.send", params, size=size)
        except ConnectorError as exc:
            if exc.trouble is not Trouble.LOST:
                self._runs.forget(turn.run_id)
            raise
        status = mapping(answer).get("status")
        if status == "in_flight":
            # 2026.5.28 says so for a moment after the end, too.
            return Accepted.RUNNING if turn.run_id in self._runs.active else Accepted.ENDED
        if status in ("ok", "error", "timeout"):
            self._runs.forget(turn.run_id)
            return Accepted.ENDED
        if "runId" not in mapping(answer):
            # A command such as /stop: it was done, and no run comes of it.
            self._runs.forget(turn.run_id)
            _put(link.events, [RunEnded(turn.run_id, key, Outcome.FINISHED, text="")])
        return Accepted.STARTED

    async def _interrupt(self, link: _Link, params: dict[str, Any], size: int) -> Any:
        if self._queue_modes:
            try:
                return await link.session.call("chat.send", {**params, "queueMode": "interrupt"}, size=size)
            except ConnectorError as exc:
                if exc.reason != NO_SUCH_PARAMETER:
                    raise
                # 2026.5.28. Asked anew after a restart of the daemon, when the gateway may be a newer one.
                self._queue_modes = False
        await link.session.call("chat.abort", {"sessionKey": params["sessionKey"]})
        return await link.session.call("chat.send", params, size=size)

    async def abort(self, session_key: str, run_id: str) -> bool:
        """Ask for a run's end; see `Connector.abort`."""
        params = {"sessionKey": self._canonical(session_key), "runId": run_id}
        answer = await self._connected().session.call("chat.abort", params)
        return mapping(answer).get("aborted") is True

    async def history(self, session_key: str) -> History:
        """Return the gateway's account of a session; see `Connector.history`.

        Whole the first time on a connection, up to 20,000 rows; afterwards what came since. Of a gateway that gives
        no pages (2026.5.28), the newest 1000 rows.
        """
        link = self._connected()
        key = self._canonical(session_key)
        history = await link.archive.history(key)
        ours = frozenset(run_id for run_id, of in self._runs.active.items() if of == key)
        working, busy = await link.archive.working(history, ours)
        if self._link is link:
            events = self._runs.resume(history)
            for run_id in ours - working:
                events += self._settle(link, run_id, history, busy)
            _put(link.events, events)
        return dataclasses.replace(history, active_run_ids=working)

    def _settle(self, link: _Link, run_id: str, history: openclaw.History, busy: bool) -> list[RunEvent]:
        """End a run by what the history says of it, where its end was missed. What it knows nothing of is left to
        the asker, who may send it again.
        """
        if run_id not in link.before and not self._runs.is_ending(run_id):
            return []
        reply = history.reply_to(run_id)
        if history.was_merged(run_id) or (reply is not None and reply.outcome is not Outcome.INTERRUPTED):
            return self._runs.settle(run_id, history, idle=not busy)
        if run_id in link.before and (not busy or run_id in link.gone):
            self._runs.forget(run_id)
        return []

    async def fetch_file(self, session_key: str, part: Mapping[str, Any], limit: int) -> bytes:
        """Return a file that the agent sent; see `incoming.HasFiles`."""
        call, token = self._connected().session.call, None if self._token is None else self._token.get_secret_value()
        key = self._canonical(session_key)
        return await openclaw_files.fetch(call, self._url, key, part, limit, token=token, tls=self._tls)

    async def usage_status(self) -> Mapping[str, Any]:
        """Return what the gateway says of its logins' use; see `gateways.SaysUsage`."""
        return mapping(await self._connected().session.call("usage.status", {}))

    @property
    def agent_id(self) -> str:
        """The agent of the gateway that this bot is."""
        return self._agent_id

    async def reload_secrets(self) -> int:
        """Have the gateway read its secrets again; see `gateways.KeepsLogins`."""
        answer = mapping(await self._connected().session.call("secrets.reload", {}))
        if answer.get("ok") is False:
            raise ConnectorError(Trouble.UNAVAILABLE, "The gateway could not read its secrets again; its log says why.")
        return integer(answer.get("warningCount")) or 0

    async def auth_status(self) -> Mapping[str, Any]:
        """Return what the gateway says of its logins; see `gateways.KeepsLogins`."""
        return mapping(await self._connected().session.call("models.authStatus", {"refresh": True}))

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the gateway for something that is about itself; see `gateways.Configurable`."""
        return mapping(await self._connected().session.call(method, params))

    async def sessions(self, since_at: int | None) -> list[SessionSeen]:
        """Return the sessions touched since then; see `Connector.sessions`. At most 10,000."""
        found = [s for s in await self._connected().archive.sessions(since_at) if self._is_ours(s.session_key)]
        for seen in found:
            self._telling(seen.session_key, ())
        return found

    def _canonical(self, session_key: str) -> str:
        return openclaw.canonical_session_key(session_key, agent_id=self._agent_id, main_key=self._runs.main_key)

    def _connected(self) -> _Link:
        if self._link is None:
            raise ConnectorError(Trouble.LOST, "There is no connection to the gateway.")
        return self._link


def _put(events: trio.MemorySendChannel[RunEvent], told: Iterable[RunEvent]) -> None:
    try:
        for event in told:
            events.send_nowait(event)
    except trio.WouldBlock:
        detail = "More came from the gateway than could be stored; what is missing comes from its history."
        raise ConnectorError(Trouble.LOST, detail, reason="overrun") from None
    except (trio.ClosedResourceError, trio.BrokenResourceError):
        return  # the connection has just ended
