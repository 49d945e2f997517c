"""One connection to an OpenClaw gateway: shaken hands over, asked, read until it ends.

Facts: the gateway's WebSocket protocol 4, as observed on 2026.9.6 and 2026.5.28 (`protocol.openclaw`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from edgebotd import __version__
from edgebotd.bots.connector import ConnectorError, Trouble
from edgebotd.protocol import openclaw
from edgebotd.protocol.openclaw import Challenge, Device, Event, Hello, Kind, Response

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 15.0
REQUEST_SECONDS: Final = 30.0
WRITE_SECONDS: Final = 60.0
"""A gateway that takes so long to accept one frame does not read any more."""
SLOWEST_BYTES: Final = 500_000
"""Bytes a second that a request's time allows for: an attachment takes longer than a question."""
SILENT_TICKS: Final = 2.2
"""Tick intervals without a word after which the connection counts as lost: two, and something for a late one."""
THREAD_BYTES: Final = 256 * 1024
"""Frames larger than this are written as JSON in a thread."""
REQUESTS_WAITING: Final = 64
"""Requests between their askers and the writer. Full: further askers wait, and their timeouts run."""

TROUBLES: Final[Mapping[Kind, Trouble]] = {
    Kind.RESTARTING: Trouble.RESTARTING,
    Kind.UNAVAILABLE: Trouble.UNAVAILABLE,
    Kind.LOST: Trouble.LOST,
    Kind.NEEDS_PAIRING: Trouble.NEEDS_PAIRING,
    Kind.BAD_CREDENTIALS: Trouble.BAD_CREDENTIALS,
    Kind.PROTOCOL_MISMATCH: Trouble.PROTOCOL_MISMATCH,
    Kind.ORIGIN_REFUSED: Trouble.CONFIGURATION,
    Kind.NO_RIGHTS: Trouble.NO_RIGHTS,
    Kind.CONFLICT: Trouble.REJECTED,
    Kind.INVALID: Trouble.REJECTED,
    Kind.UNKNOWN_METHOD: Trouble.REJECTED,
}
SCOPE_UPGRADE: Final = "scope_upgrade"
"""Reason of a NEEDS_PAIRING: the gateway knows the device, with fewer rights than it asks for."""
NO_SUCH_PARAMETER: Final = "unexpected_property"
"""Reason of a REJECTED: the gateway is too old for a parameter."""


def error_of(trouble: openclaw.Trouble, *, secrets: Sequence[str] = ()) -> ConnectorError:
    """Translate a gateway's trouble with one request into the connectors' words; secrets in them are blotted out."""
    extra: dict[str, str] = {}
    if trouble.request_id is not None and trouble.approve_command is not None:
        extra = {"requestId": trouble.request_id, "command": trouble.approve_command}
        if trouble.device_id is not None:
            extra["deviceId"] = trouble.device_id
    reason = None
    if trouble.kind is Kind.NEEDS_PAIRING and trouble.reason == "scope-upgrade":
        reason = SCOPE_UPGRADE
    elif trouble.kind is Kind.INVALID and "unexpected property" in trouble.detail:
        reason = NO_SUCH_PARAMETER
    detail = trouble.detail
    for secret in secrets:
        detail = detail.replace(secret, "[secret]")
    retry_after = None if trouble.retry_after_ms is None else trouble.retry_after_ms / 1000
    return ConnectorError(TROUBLES[trouble.kind], detail, reason=reason, retry_after=retry_after, extra=extra)


def unusable(exc: ConnectorError) -> ConnectorError:
    """Return what a refusal means for the connection as a whole: not one request, but the address is wrong."""
    if exc.trouble is Trouble.REJECTED:
        return ConnectorError(Trouble.CONFIGURATION, exc.detail)
    return exc


@dataclass(frozen=True)
class Credentials:
    """What the gateway is shown. Not in the repr: any of it."""

    token: str | None = field(repr=False)
    device: Device | None = field(repr=False)
    device_token: str | None = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no error may tell."""
        return tuple(secret for secret in (self.token, self.device_token) if secret)


class _Question:
    """A request that waits for its answer; `answer` stays None where the connection ends before."""

    def __init__(self, frame: str) -> None:
        self.frame = frame
        self.done = trio.Event()
        self.answer: Response | None = None


class Session:
    """An open connection. From `openclaw_transport.open_session`, which closes it.

    Args:
        take: given each event, in order, by the reader. Must not wait; what it raises as ConnectorError ends the
            connection.
        end: called once when the connection is over; `ended` says why.
    """

    def __init__(self, websocket: WebSocketConnection, take: Callable[[Event], None], end: Callable[[], None]) -> None:
        self._websocket = websocket
        self._take = take
        self._tell_end = end
        self._next_id = 0
        self._questions: dict[str, _Question] = {}
        self._outbox, self._to_write = trio.open_memory_channel[str](REQUESTS_WAITING)
        self._challenge: Challenge | None = None
        self._challenged = trio.Event()
        self._silence = CONNECT_SECONDS + REQUEST_SECONDS
        self._max_payload = openclaw.MAX_FRAME_BYTES
        self._secrets: tuple[str, ...] = ()
        self._shutdown: openclaw.Shutdown | None = None
        self.unreadable = 0
        """Frames that were neither answer nor event."""
        self.ended: ConnectorError | None = None
        """Why the connection is over."""

    async def handshake(self, credentials: Credentials, scopes: Sequence[str]) -> Hello:
        """Answer the challenge and return the gateway's hello.

        Raises:
            ConnectorError: refused, or no gateway.
        """
        self._secrets = credentials.secrets
        with trio.move_on_after(CONNECT_SECONDS):
            await self._challenged.wait()
        if self._challenge is None:
            silent = f"The gateway said nothing within {CONNECT_SECONDS:.0f} s of connecting."
            raise self.ended or ConnectorError(Trouble.LOST, silent)
        params = openclaw.connect_params(
            self._challenge,
            version=__version__,
            token=credentials.token,
            device=credentials.device,
            device_token=credentials.device_token,
            scopes=scopes,
        )
        try:
            hello = openclaw.parse_hello(await self.call("connect", params))
        except ConnectorError as exc:
            # A close tells more than the lost answer; the answer, where there is one, more than the close after it.
            why = self.ended if exc.trouble is Trouble.LOST else exc
            raise unusable(why or exc) from None
        if hello is None:
            raise ConnectorError(Trouble.CONFIGURATION, "What answers there is no OpenClaw gateway.")
        self._silence = SILENT_TICKS * hello.tick_interval_ms / 1000
        self._max_payload = hello.max_payload
        return hello

    def booted_at(self, hello: Hello) -> int:
        """Return when the gateway's process started, in Unix milliseconds of its own clock; 0 where it does not say."""
        if self._challenge is None or hello.uptime_ms is None:
            return 0
        return self._challenge.at_ms - hello.uptime_ms

    async def call(self, method: str, params: Mapping[str, Any], *, size: int = 0) -> Any:
        """Ask, and return the payload of the answer. Cancelled, the gateway may do it or not.

        Args:
            size: about how many bytes the parameters have, where they are many.

        Raises:
            ConnectorError: the gateway's error; LOST where no answer came, which tells nothing about what it did.
        """
        self._next_id += 1
        id = str(self._next_id)
        if size > THREAD_BYTES:
            frame = await trio.to_thread.run_sync(openclaw.request, id, method, params)
        else:
            frame = openclaw.request(id, method, params)
        # The frame is ASCII. One that is too large would make the gateway close the connection, again and again.
        if len(frame) > self._max_payload:
            detail = f"This is {len(frame)} bytes for the gateway, which takes {self._max_payload} at once."
            raise ConnectorError(Trouble.REJECTED, f"{detail} Send fewer or smaller files.", reason="too_large")
        timeout = REQUEST_SECONDS + len(frame) / SLOWEST_BYTES
        question = self._questions[id] = _Question(frame)
        try:
            with trio.move_on_after(timeout):
                if self.ended is None:
                    await self._outbox.send(id)
                    await question.done.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the connection ended
        finally:
            del self._questions[id]
        if question.answer is None:
            # Always LOST, however the connection ended: whether the gateway did it is not known.
            slow = f"The gateway did not answer {method} within {timeout:.0f} s."
            raise ConnectorError(Trouble.LOST, slow if self.ended is None else self.ended.detail)
        if not question.answer.ok:
            raise error_of(openclaw.classify(question.answer.error), secrets=self._secrets)
        return question.answer.payload

    async def write(self) -> None:
        """Write requests until the connection ends. A task of its own: an asker that is cancelled in the middle of
        a frame would leave half of it on the wire.
        """
        async for id in self._to_write:
            question = self._questions.get(id)
            if question is None:
                continue  # its asker has gone
            try:
                with trio.fail_after(WRITE_SECONDS):
                    await self._websocket.send_message(question.frame)
            except trio.TooSlowError:
                self._end(ConnectorError(Trouble.LOST, "The gateway does not read what it is sent."))
                return
            except ConnectionClosed:
                return  # the reader says why

    async def read(self) -> None:
        """Read frames until the connection ends; the reason is then in `ended`, and nobody waits any more."""
        error = ConnectorError(Trouble.LOST, "The connection to the gateway was closed.")
        try:
            error = await self._read()
        finally:
            self._end(error)

    def _end(self, error: ConnectorError) -> None:
        if self.ended is not None:
            return
        self.ended = error
        self._outbox.close()
        self._challenged.set()
        for question in self._questions.values():
            question.done.set()
        self._tell_end()

    async def _read(self) -> ConnectorError:
        while True:
            text: str | bytes | None = None
            try:
                with trio.move_on_after(self._silence):
                    text = await self._websocket.get_message()
            except ConnectionClosed as exc:
                return self._closed(exc)
            if text is None:
                return ConnectorError(
                    Trouble.LOST, f"The gateway has been silent for {self._silence:.0f} s.", reason="silent"
                )
            frame = openclaw.parse_frame(text)
            if isinstance(frame, Response):
                question = self._questions.get(frame.id)
                if question is not None:
                    question.answer = frame
                    question.done.set()
            elif isinstance(frame, Event):
                try:
                    self._event(frame)
                except ConnectorError as exc:
                    return exc
            else:
                self.unreadable += 1
                if self.unreadable == 1:
                    log.warning("the gateway sent a frame that is neither answer nor event; such are ignored")

    def _event(self, event: Event) -> None:
        if event.name == "connect.challenge":
            self._challenge = openclaw.parse_challenge(event.payload)
            self._challenged.set()
        elif event.name == "shutdown":
            self._shutdown = openclaw.parse_shutdown(event.payload)
        else:
            self._take(event)

    def _closed(self, exc: ConnectionClosed) -> ConnectorError:
        reason = exc.reason
        code, words = (1006, "") if reason is None else (reason.code, reason.reason or "")
        error = error_of(openclaw.classify_close(code, words), secrets=self._secrets)
        if self._shutdown is not None and error.trouble in (Trouble.LOST, Trouble.RESTARTING):
            expected = self._shutdown.restart_expected_ms
            # Bounded: a gateway may not park us for ever.
            after = None if expected is None else min(max(expected / 1000, 0), 60)
            return ConnectorError(Trouble.RESTARTING, f"The gateway says: {self._shutdown.reason}.", retry_after=after)
        # The one close that is about a message, 1009, is no verdict on the gateway.
        return ConnectorError(Trouble.LOST, error.detail) if error.trouble is Trouble.REJECTED else error
