"""The connection to an endpoint that speaks OpenAI's chat completions: a local model server or a service.

Such an endpoint has no memory, no sessions and no lasting connection: every turn is one HTTP request that carries the
conversation so far, and its answer is the reply as Server-Sent Events. So a "session" here is the time in which the
endpoint answers a probe, and a run lives and dies with its request.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import aclosing
from typing import Final, TypeVar

import httpx2
import trio
from pydantic import SecretStr

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
from edgebotd.bots.openai_endpoint import Endpoint, connection_error, open_body
from edgebotd.protocol.openai import IMAGE_TYPES, TEXT_TYPES, Redactor, Reply
from edgebotd.protocol.run import Activity, History, Outcome, RunEnded, RunEvent, RunStatus, SessionSeen

T = TypeVar("T")

ACCEPT_SECONDS: Final = 6.0
"""A server that has had a request for so long without a word works on it. Local servers answer nothing, no status
either, until the model is loaded and has read the conversation: minutes. Longer than connecting takes, so that what
cannot be reached is a send that failed; shorter than people wait for an abort, which comes after it."""
FIRST_SECONDS: Final = 300.0
"""Until the first word, once there is a status."""
NEXT_SECONDS: Final = 120.0
"""Until the next bytes of a reply that has begun."""
TAIL_SECONDS: Final = 10.0
"""For the end of a stream whose reply is complete: some servers leave the connection open."""
PROBE_SECONDS: Final = 60.0
PROBE_AGAIN_SECONDS: Final = 5.0
END_SECONDS: Final = 5.0
"""For telling a run's end while the session is being cancelled."""
MAX_RUNS: Final = 32
"""Replies at once. Full: a turn is refused as passing trouble and offered again."""
FAULTS: Final = 3
"""So often one turn is offered to a server that breaks over it."""
REMEMBERED: Final = 1000
"""Runs whose end, or faults, are remembered; the oldest are forgotten first."""
BUSY_RETRY_SECONDS: Final = 5.0

MAX_FILE_BYTES: Final = 8 * 1024 * 1024
HELLO: Final = Hello(
    "OpenAI-compatible",
    frozenset({Feature.CHAT, Feature.ABORT, Feature.ATTACHMENTS, Feature.TOOLS, Feature.CONTEXT}),
    AttachmentLimits(MAX_FILE_BYTES, MAX_FILE_BYTES, IMAGE_TYPES | TEXT_TYPES),
)

_UNREACHED: Final = (Trouble.REFUSED, Trouble.LOST)


class _Run:
    """One request on its way. `answered` is set once `accepted` or `failure` tells how `send` ends."""

    def __init__(self, turn: Outgoing, body: bytes, redactor: Redactor) -> None:
        self.run_id = turn.run_id
        self.session_key = turn.session_key
        self.body = body
        self.reply = Reply(turn.run_id, turn.session_key, redactor)
        self.scope = trio.CancelScope()
        self.answered = trio.Event()
        self.accepted = False
        self.failure: ConnectorError | None = None
        self.streaming = False

    def accept(self) -> bool:
        """Note that the endpoint works on it; False where that is known."""
        first, self.accepted = not self.accepted, True
        self.answered.set()
        return first


class _Session:
    """The time between two troubles: the client, and the way to the task that starts runs."""

    def __init__(self, client: httpx2.AsyncClient, deliver: Deliver, starts: trio.MemorySendChannel[_Run]) -> None:
        self.client = client
        self.starts = starts
        self.ended: ConnectorError | None = None
        self.doubt = trio.Event()
        """Set when a request failed so that the endpoint may be gone."""
        self._deliver = deliver
        self._turn = trio.Lock()

    async def deliver(self, event: RunEvent) -> None:
        """Deliver, one event after the other, whichever run it is of."""
        async with self._turn:
            await self._deliver(event)

    def end(self, error: ConnectorError) -> None:
        """Have the session end."""
        self.ended = error
        self.starts.close()


class OpenAIConnector:
    """A `Connector` for one model behind an OpenAI-compatible endpoint.

    Proxies, netrc and certificate files of the environment are not used: a variable that was set for other programs
    must not send the key and the conversations through somebody else, nor a request for this machine out of it.

    Args:
        url: of the API's root, such as `http://127.0.0.1:11434/v1`; `/chat/completions` is appended to its path.
        model: the name by which the endpoint knows the model.
        api_key: sent as a bearer token to this URL's host, nowhere else: no redirect is followed.
        system_prompt: goes before each conversation.
    """

    def __init__(
        self, url: str, model: str, *, api_key: SecretStr | None = None, system_prompt: str | None = None
    ) -> None:
        self._endpoint = Endpoint(url, model, api_key, system_prompt)
        self._session: _Session | None = None
        self._runs: dict[str, _Run] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._faults: OrderedDict[str, int] = OrderedDict()

    async def run_session(self, deliver: Deliver, *, task_status: HelloStatus) -> None:
        """As `Connector`. Runs that are under way when it ends, end as interrupted, with their text so far."""
        async with self._endpoint.client() as client:
            await self._endpoint.probe(client)
            # Without a buffer: a turn is either with its sender or in its task.
            starts, runs = trio.open_memory_channel[_Run](0)
            session = _Session(client, deliver, starts)
            try:
                async with starts, runs, trio.open_nursery() as nursery:
                    self._session = session
                    nursery.start_soon(self._watch, session, name="endpoint probe")
                    task_status.started(HELLO)
                    async for run in runs:
                        nursery.start_soon(self._run, session, run, name=f"run {run.run_id}")
                    nursery.cancel_scope.cancel()
            finally:
                self._session = None
        raise session.ended or ConnectorError(Trouble.LOST, "The connection to the endpoint was given up.")

    async def send(self, turn: Outgoing) -> Accepted:
        """As `Connector`."""
        await trio.lowlevel.checkpoint()
        session = self._connected()
        run = self._runs.get(turn.run_id)
        if run is None:
            if turn.run_id in self._ended:
                return Accepted.ENDED
            if len(self._runs) >= MAX_RUNS:
                detail = f"This bot gives {MAX_RUNS} replies at once already; this one waits."
                raise ConnectorError(Trouble.UNAVAILABLE, detail, reason="busy", retry_after=BUSY_RETRY_SECONDS)
            run = self._runs[turn.run_id] = _Run(turn, self._endpoint.body(turn), self._endpoint.redactor)
            try:
                await session.starts.send(run)
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                del self._runs[run.run_id]
                raise self._lost() from None
            except trio.Cancelled:
                del self._runs[run.run_id]
                raise
        elif run.accepted:
            return Accepted.RUNNING
        with trio.move_on_after(ACCEPT_SECONDS):
            await run.answered.wait()
        if run.failure is not None:
            raise run.failure
        if run.accept():
            await session.deliver(RunStatus(run.run_id, run.session_key, Activity.STARTED))
        return Accepted.STARTED

    async def abort(self, session_key: str, run_id: str) -> bool:
        """As `Connector`. Closes the request; servers stop working on it when they see that."""
        await trio.lowlevel.checkpoint()
        self._connected()
        run = self._runs.get(run_id)
        if run is None or run.session_key != session_key:
            return False
        run.scope.cancel()
        return True

    async def history(self, session_key: str) -> History:
        """Return what runs in a session now; there is no other memory."""
        await trio.lowlevel.checkpoint()
        self._connected()
        going = [run for run in self._runs.values() if run.session_key == session_key]
        newest = going[-1] if going else None
        return History(
            session_key,
            (),
            frozenset(run.run_id for run in going),
            None if newest is None else newest.run_id,
            "" if newest is None else newest.reply.text,
        )

    async def sessions(self, since_at: int | None) -> list[SessionSeen]:
        """Return none: only the daemon knows of conversations."""
        await trio.lowlevel.checkpoint()
        return []

    def _connected(self) -> _Session:
        if self._session is None or self._session.ended is not None:
            raise self._lost()
        return self._session

    @staticmethod
    def _lost() -> ConnectorError:
        return ConnectorError(Trouble.LOST, "There is no connection to the endpoint.")

    # Runs

    async def _run(self, session: _Session, run: _Run) -> None:
        end: RunEnded | None = None
        lost = True
        try:
            with run.scope:
                end = await self._converse(session, run)
            if run.scope.cancelled_caught:
                end = run.reply.aborted()
                run.accept()
            lost = False
            if end is not None:
                await session.deliver(end)
        except trio.Cancelled:
            if run.accepted:
                # Maybe a second time; what comes after the end is ignored.
                end = end or run.reply.cut("The connection to the endpoint was given up meanwhile.", "interrupted")
                with trio.move_on_after(END_SECONDS, shield=True):
                    await session.deliver(end)
            raise
        finally:
            del self._runs[run.run_id]
            if run.accepted:
                _remember(self._ended, run.run_id, None)
            elif lost:
                run.failure = self._lost()
            run.answered.set()

    async def _converse(self, session: _Session, run: _Run) -> RunEnded | None:
        """Make the request and deliver its answer; return the run's end, None where `send` tells what went wrong."""
        try:
            return await self._receive(session, run)
        except ConnectorError as exc:
            if exc.trouble in (*_UNREACHED, Trouble.BAD_CREDENTIALS):
                session.doubt.set()
            if not run.accepted:
                run.failure = exc
                return None
            outcome = Outcome.INTERRUPTED if run.streaming else Outcome.FAILED
            return run.reply.cut(exc.detail, exc.reason, outcome)

    async def _receive(self, session: _Session, run: _Run) -> RunEnded:
        request = session.client.build_request("POST", self._endpoint.place("chat/completions"), content=run.body)
        request.headers["Content-Type"] = "application/json"
        try:
            response = await session.client.send(request, stream=True)
            async with aclosing(response):
                if not response.is_success:
                    raise self._fault(run.run_id, await self._endpoint.refused(response))
                run.streaming = True
                if run.accept():
                    await session.deliver(RunStatus(run.run_id, run.session_key, Activity.STARTED))
                async with open_body(response) as chunks:
                    while True:
                        patience = NEXT_SECONDS if run.reply.begun else FIRST_SECONDS
                        with trio.move_on_after(TAIL_SECONDS if run.reply.finish_reason else patience) as wait:
                            chunk = await anext(chunks, None)
                        if wait.cancelled_caught:
                            words = f"The endpoint has sent nothing more for {patience:.0f} seconds."
                            return run.reply.cut(words, "silent")
                        for event in run.reply.close() if chunk is None else run.reply.feed(chunk):
                            await session.deliver(event)
                        if run.reply.end is not None:
                            return run.reply.end
        except httpx2.RequestError as exc:
            # Not as the cause: the library's error holds the request, and with it the key.
            raise connection_error(exc, in_reply=run.streaming) from None

    async def _watch(self, session: _Session) -> None:
        """Ask now and then whether the endpoint is there, until it is not."""
        failures = 0
        while session.ended is None:
            with trio.move_on_after(PROBE_AGAIN_SECONDS if failures else PROBE_SECONDS):
                await session.doubt.wait()
            session.doubt = trio.Event()
            if any(run.streaming for run in self._runs.values()):
                # A reply that comes says enough, and small servers answer one request at a time.
                failures = 0
                continue
            try:
                await self._endpoint.probe(session.client)
                failures = 0
            except ConnectorError as exc:
                failures = failures + 1 if exc.trouble in _UNREACHED else 0
                if failures == 2 or exc.trouble is Trouble.BAD_CREDENTIALS:
                    session.end(exc)

    def _fault(self, run_id: str, error: ConnectorError) -> ConnectorError:
        """Count how often the endpoint broke over this turn: by chance, or each time."""
        if error.reason != "http_500":
            return error
        times = self._faults.pop(run_id, 0) + 1
        if times < FAULTS:
            _remember(self._faults, run_id, times)
            return error
        return ConnectorError(Trouble.REJECTED, f"{error.detail} It was tried {times} times.", reason=error.reason)


def _remember(known: OrderedDict[str, T], run_id: str, value: T) -> None:
    known[run_id] = value
    if len(known) > REMEMBERED:
        known.popitem(last=False)
