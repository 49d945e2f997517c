"""Bots that are OpenClaw gateways: one connection each, as a backend client with a token or a paired device."""

from __future__ import annotations

import base64
import dataclasses
import random
from pathlib import Path
from typing import Any, Final

import trio
from pydantic import SecretStr
from typing_extensions import override

from edgebotd.bots import device
from edgebotd.bots.connector import (
    Accepted,
    AttachmentLimits,
    ConnectorError,
    Deliver,
    Feature,
    Hello,
    HelloStatus,
    Outgoing,
    Trouble,
)
from edgebotd.bots.openclaw_session import Credentials, Session, error_of, open_session
from edgebotd.protocol import openclaw
from edgebotd.protocol.run import History, Outcome, RunEnded, RunEvent, SessionSeen

FIRST_ROWS: Final = 1000
"""Rows of a session that are read when it is first looked at: the most that the gateway gives at once."""
LATER_ROWS: Final = 100
"""Rows that are read afterwards: what came since is far less, and the gateway reads its file for each."""
SESSIONS_PAGE: Final = 200
SESSIONS_MOST: Final = 2000
WAITING_OWN: Final = 1000
"""Events of our own (a resumed run's text) that wait among the gateway's. Full case: the connection is given up."""

MISSING: Final = {
    openclaw.WRITE: "It may not write: messages cannot be sent.",
    openclaw.APPROVALS: "It may not decide approvals.",
    openclaw.ADMIN: "It may not administrate the gateway: no resets, no secrets.",
}


class OpenClawConnector:
    """The connection to one agent of one gateway.

    Args:
        url: ws:// or wss://.
        token: the gateway's shared token; None with a device that the gateway has paired before.
        device_key_path: where the device's key is kept, made once; None connects without a device, which only the
            gateway's own loopback gives rights.
    """

    def __init__(
        self,
        bot_id: str,
        url: str,
        token: SecretStr | None,
        *,
        agent_id: str = "main",
        device_key_path: Path | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._bot_id = bot_id
        self._url = url
        self._token = token
        self._agent_id = agent_id
        self._key_path = device_key_path
        self._rng = rng or random.Random()
        # Kept across connections: a run goes on while nobody is connected.
        self._runs = openclaw.Runs(agent_id=agent_id)
        self._session: Session | None = None
        self._hello: openclaw.Hello | None = None
        self._own: trio.MemorySendChannel[RunEvent] | None = None
        self._looked_at: set[str] = set()

    @override
    def __repr__(self) -> str:
        return f"<OpenClawConnector of {self._bot_id}>"

    async def run_session(self, deliver: Deliver, *, task_status: HelloStatus) -> None:
        """Hold one connection; see `Connector.run_session`."""
        failure: ConnectorError | None = None
        async with trio.open_nursery() as nursery:
            try:
                async with open_session(self._url, nursery) as session:
                    hello = await self._shake_hands(session)
                    await self._converse(session, hello, deliver, task_status)
            except ConnectorError as exc:
                # Raised outside of the nursery, or it would come wrapped into a group.
                failure = exc
            finally:
                self._session = self._hello = self._own = None
            nursery.cancel_scope.cancel()
        raise failure or ConnectorError(Trouble.LOST, "The connection to the gateway was closed.")

    async def _shake_hands(self, session: Session) -> openclaw.Hello:
        key_path = self._key_path
        identity = None if key_path is None else device.load_or_make(key_path)
        hello = await session.handshake(
            Credentials(
                token=None if self._token is None else self._token.get_secret_value(),
                device=identity,
                device_token=None if key_path is None else device.load_token(key_path),
            )
        )
        if key_path is not None and hello.device_token is not None:
            device.keep_token(key_path, hello.device_token)
        if not hello.has_rights:
            raise error_of(openclaw.no_rights(hello.missing_scopes))
        return hello

    async def _converse(
        self, session: Session, hello: openclaw.Hello, deliver: Deliver, task_status: HelloStatus
    ) -> None:
        self._runs.main_key = hello.main_key
        if hello.can("sessions.subscribe"):
            try:
                await session.call("sessions.subscribe", {})
            except ConnectorError as exc:
                if exc.trouble is not Trouble.REJECTED:
                    raise
        send_own, own = trio.open_memory_channel[RunEvent](WAITING_OWN)
        self._session, self._hello, self._own = session, hello, send_own
        task_status.started(_hello(hello))
        turn = trio.Lock()  # one delivery at a time, from either source
        async with trio.open_nursery() as nursery:

            async def deliver_own() -> None:
                async for event in own:
                    async with turn:
                        await deliver(event)

            nursery.start_soon(deliver_own, name=f"openclaw {self._bot_id} own events")
            async for frame in session.events:
                for event in self._runs.feed(frame.name, frame.payload):
                    if self._is_ours(event.session_key):
                        async with turn:
                            await deliver(event)
            nursery.cancel_scope.cancel()
        raise session.ended or ConnectorError(Trouble.LOST, "The connection to the gateway was closed.")

    def _is_ours(self, session_key: str) -> bool:
        """Whether a session is of this bot's agent: a gateway tells of all of its agents."""
        return session_key.startswith(f"agent:{self._agent_id.lower()}:")

    # Asking

    async def send(self, turn: Outgoing) -> Accepted:
        """Send a turn; see `Connector.send`."""
        session, _hello = self._connected()
        params: dict[str, Any] = {
            "sessionKey": turn.session_key,
            "message": turn.text,
            "idempotencyKey": turn.run_id,
        }
        if turn.attachments:
            params["attachments"] = [
                {
                    "type": "image" if file.media_type.startswith("image/") else "file",
                    "mimeType": file.media_type,
                    "fileName": file.name,
                    "content": base64.b64encode(file.data).decode(),
                }
                for file in turn.attachments
            ]
        if turn.interrupt:
            params["queueMode"] = "interrupt"
        # Before the request: the run's events may overtake its answer.
        for event in self._runs.expect(turn.run_id, turn.session_key):
            self._put_own(event)
        try:
            answer = await session.call("chat.send", params)
        except ConnectorError as exc:
            if exc.trouble is not Trouble.LOST:
                self._runs.forget(turn.run_id)
            raise
        status = answer.get("status") if isinstance(answer, dict) else None
        if status == "in_flight":
            return Accepted.RUNNING
        if status == "ok":
            return Accepted.ENDED
        if isinstance(answer, dict) and "runId" not in answer:
            # A command such as /stop: it was done, and no run comes of it.
            self._put_own(RunEnded(turn.run_id, turn.session_key, Outcome.MERGED))
        return Accepted.STARTED

    async def abort(self, session_key: str, run_id: str) -> bool:
        """Ask for a run's end; see `Connector.abort`."""
        session, _hello = self._connected()
        answer = await session.call("chat.abort", {"sessionKey": session_key, "runId": run_id})
        return isinstance(answer, dict) and answer.get("aborted") is True

    async def history(self, session_key: str) -> History:
        """Return the gateway's account of a session; see `Connector.history`."""
        session, hello = self._connected()
        key = openclaw.canonical_session_key(session_key, agent_id=self._agent_id, main_key=hello.main_key)
        limit = LATER_ROWS if key in self._looked_at else FIRST_ROWS
        answer = await session.call(
            "chat.history", {"sessionKey": session_key, "limit": limit, "maxChars": openclaw.WHOLE_TEXT}
        )
        history = openclaw.parse_history(answer, agent_id=self._agent_id, main_key=hello.main_key)
        if hello.can("chat.message.get"):
            history = await self._made_whole(session, session_key, history)
        self._looked_at.add(key)
        for event in self._runs.resume(history):
            self._put_own(event)
        active = set(history.active_run_ids)
        if history.in_flight_run_id is not None:
            active.add(history.in_flight_run_id)
        if not history.tells_activity and await self._is_busy(session, key):
            # 2026.5.28's history does not say what runs: what was asked last and has no reply.
            active |= {run_id for run_id, of in self._runs.active.items() if of == key}
            last = history.messages[-1] if history.messages else None
            if last is not None and last.role == "user" and last.run_id is not None:
                active.add(last.run_id)
        return dataclasses.replace(history, active_run_ids=frozenset(active))

    async def sessions(self, since_at: int | None) -> list[SessionSeen]:
        """Return the sessions touched since then; see `Connector.sessions`."""
        session, _hello = self._connected()
        found: list[SessionSeen] = []
        offset: int | None = 0
        while offset is not None and len(found) < SESSIONS_MOST:
            params = {"limit": SESSIONS_PAGE, **({"offset": offset} if offset else {})}
            page, following = openclaw.parse_sessions(await session.call("sessions.list", params))
            found += [seen for seen in page if self._is_ours(seen.session_key)]
            offset = following if following is not None and following > offset else None
        touched = [s for s in found if since_at is None or s.updated_at is None or s.updated_at >= since_at]
        return sorted(touched, key=lambda seen: -(seen.updated_at or 0))

    async def _made_whole(self, session: Session, session_key: str, history: openclaw.History) -> openclaw.History:
        """Fetch the rows that the gateway cut in spite of `maxChars`."""
        if not history.truncated_row_ids:
            return history
        whole: dict[str, openclaw.Row] = {}
        for row_id in history.truncated_row_ids:
            answer = await session.call("chat.message.get", {"sessionKey": session_key, "messageId": row_id})
            message = answer.get("message") if isinstance(answer, dict) else None
            row = openclaw.parse_row(message) if isinstance(message, dict) else None
            if row is not None and not row.truncated:
                whole[row_id] = dataclasses.replace(row, id=row_id)
        rows = tuple(whole.get(row.id, row) if row.truncated else row for row in history.rows)
        return dataclasses.replace(history, rows=rows, messages=tuple(openclaw.fold(rows, history.session_key)))

    async def _is_busy(self, session: Session, key: str) -> bool:
        return key in openclaw.busy_sessions(await session.call("sessions.list", {"limit": SESSIONS_PAGE}))

    def _connected(self) -> tuple[Session, openclaw.Hello]:
        if self._session is None or self._hello is None:
            raise ConnectorError(Trouble.LOST, "There is no connection to the gateway.")
        return self._session, self._hello

    def _put_own(self, event: RunEvent) -> None:
        if self._own is None:
            return
        try:
            self._own.send_nowait(event)
        except trio.WouldBlock:
            # Nothing is lost: the history has it.
            return


def _hello(hello: openclaw.Hello) -> Hello:
    """Say what works on this connection, by the scopes granted and the methods there are."""
    features = {Feature.CHAT, Feature.TOOLS, Feature.ATTACHMENTS, Feature.INTERRUPT}
    for feature, method in (
        (Feature.ABORT, "chat.abort"),
        (Feature.HISTORY, "chat.history"),
        (Feature.SESSIONS, "sessions.list"),
    ):
        if hello.can(method):
            features.add(feature)
    missing = [MISSING[scope] for scope in hello.missing_scopes if scope in MISSING]
    return Hello(
        version=hello.version,
        features=frozenset(features),
        attachments=AttachmentLimits(max_bytes=hello.max_attachment_bytes, max_image_bytes=hello.max_image_bytes),
        boot_id=hello.boot_id,
        missing=tuple(missing),
    )
