"""The connector for OpenAI-compatible endpoints, against a real socket that also does what endpoints should not."""

from __future__ import annotations

import base64
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.bots import openai
from edgebotd.bots.connector import (
    Accepted,
    Connector,
    ConnectorError,
    ContextMessage,
    Feature,
    Hello,
    Outgoing,
    OutgoingFile,
    Trouble,
)
from edgebotd.bots.openai import OpenAIConnector
from edgebotd.protocol.run import Outcome, RunDelta, RunEnded, RunEvent, RunStatus, ToolActivity
from tests.bots.fake_endpoint import DONE, HEAD, Answer, FakeEndpoint, Request, Stage, chunk, open_endpoint, streamed
from tests.bots.fake_endpoint import whole as answered

KEY = "sk-canary-4f9a1c77e0b2d8"
BLOCKED = 0.01
"""Real sockets: a moment in which nothing moves, not only an instant."""


@pytest.fixture
def clock() -> MockClock:
    """Real time that a test can also jump over."""
    return MockClock(rate=1.0)


@pytest.fixture
async def endpoint(clock: MockClock) -> AsyncIterator[FakeEndpoint]:
    async with open_endpoint() as served:
        yield served


@dataclass
class Watched:
    """A running session and what it delivered."""

    connector: OpenAIConnector
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    events: list[RunEvent] = field(default_factory=list)
    hello: Hello | None = None
    error: ConnectorError | None = None
    delivering: Callable[[RunEvent], Any] | None = None
    _news: trio.Event = field(default_factory=trio.Event)

    async def deliver(self, event: RunEvent) -> None:
        if self.delivering is not None:
            await self.delivering(event)
        self.events.append(event)
        self._poke()

    def started(self, value: Hello, /) -> None:
        self.hello = value
        self._poke()

    async def run(self) -> None:
        try:
            with self.scope:
                await self.connector.run_session(self.deliver, task_status=self)
        except ConnectorError as exc:
            self.error = exc
        self._poke()

    async def until(self, true: Callable[[], bool]) -> None:
        with trio.fail_after(30):
            while not true():
                await self._news.wait()

    async def end(self, run_id: str = "r1") -> RunEnded:
        await self.until(lambda: any(end.run_id == run_id for end in self.ends))
        return next(end for end in self.ends if end.run_id == run_id)

    @property
    def over(self) -> bool:
        return self.error is not None

    @property
    def ends(self) -> list[RunEnded]:
        return [event for event in self.events if isinstance(event, RunEnded)]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, RunDelta))

    def _poke(self) -> None:
        self._news.set()
        self._news = trio.Event()


@asynccontextmanager
async def watched(connector: OpenAIConnector) -> AsyncIterator[Watched]:
    session = Watched(connector)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        await session.until(lambda: session.hello is not None or session.error is not None)
        yield session
        session.scope.cancel()


def connector_of(endpoint: FakeEndpoint, key: str | None = KEY, system_prompt: str | None = None) -> OpenAIConnector:
    return OpenAIConnector(endpoint.url, "m-1", api_key=SecretStr(key) if key else None, system_prompt=system_prompt)


def turn(text: str = "hi", run_id: str = "r1", **more: Any) -> Outgoing:
    return Outgoing(run_id, "c1", "agent:main:edgebotd:c1", text, **more)


async def refused(endpoint: FakeEndpoint, answer: Answer, outgoing: Outgoing | None = None) -> ConnectorError:
    endpoint.chat = answer
    async with watched(connector_of(endpoint)) as session:
        with pytest.raises(ConnectorError) as caught:
            await session.connector.send(outgoing or turn())
        assert session.events == [], "a turn that was not accepted has no events"
    return caught.value


async def ended(endpoint: FakeEndpoint, answer: Answer) -> RunEnded:
    endpoint.chat = answer
    async with watched(connector_of(endpoint)) as session:
        assert await session.connector.send(turn()) is Accepted.STARTED
        return await session.end()


async def pass_time(clock: MockClock, seconds: float) -> None:
    """Jump over time that everybody waits for."""
    await wait_all_tasks_blocked(BLOCKED)
    clock.jump(seconds)


# Replies


async def test_reply_streams_as_deltas_between_one_start_and_one_end(endpoint: FakeEndpoint) -> None:
    endpoint.chat = streamed(
        b": hello\n\n", chunk("", role="assistant"), chunk("a😀"), chunk("b"), chunk(finish="stop"), DONE
    )
    async with watched(connector_of(endpoint)) as session:
        assert await session.connector.send(turn()) is Accepted.STARTED
        end = await session.end()
        assert (end.outcome, end.text, end.error) == (Outcome.FINISHED, "a😀b", None)
        told = [(e.offset, e.text) if isinstance(e, RunDelta) else type(e).__name__ for e in session.events]
        assert told == ["RunStatus", "RunStatus", (0, "a😀"), (3, "b"), "RunEnded"]


async def test_request_holds_key_model_prompt_and_conversation(endpoint: FakeEndpoint) -> None:
    connector = connector_of(endpoint, system_prompt="Be short.")
    picture = OutgoingFile("a.png", "image/png", b"\x89PNG")
    notes = OutgoingFile("notes.md", "text/markdown", "# ü".encode())
    context = (ContextMessage("user", "one"), ContextMessage("assistant", "two"))
    async with watched(connector) as session:
        await session.connector.send(turn("three", attachments=(picture, notes), context=context))
        await session.end()
    (request,) = endpoint.requests
    assert (request.method, request.target) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.json["model"] == "m-1" and request.json["stream"] is True
    assert request.json["messages"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "three"},
                {
                    "type": "image_url",
                    "image_url": {"url": "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()},
                },
                {"type": "text", "text": "[File: notes.md]\n# ü"},
            ],
        },
    ]


async def test_without_a_key_none_is_sent(endpoint: FakeEndpoint) -> None:
    async with watched(connector_of(endpoint, key=None)) as session:
        await session.connector.send(turn())
        await session.end()
    assert "authorization" not in endpoint.requests[0].headers | endpoint.probes[0].headers


async def test_query_of_the_url_stays_behind_the_path(endpoint: FakeEndpoint) -> None:
    connector = OpenAIConnector(endpoint.url + "/?api-version=2", "m-1")
    async with watched(connector) as session:
        await session.connector.send(turn())
        await session.end()
    assert endpoint.paths == ["/v1/models?api-version=2", "/v1/chat/completions?api-version=2"]


async def test_answer_that_ignores_stream_is_a_whole_reply(endpoint: FakeEndpoint) -> None:
    message = {"role": "assistant", "content": "All at once."}
    end = await ended(endpoint, answered({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))
    assert (end.outcome, end.text, end.error) == (Outcome.FINISHED, "All at once.", None)


async def test_garbage_between_the_chunks_is_skipped(endpoint: FakeEndpoint) -> None:
    garbage = b'data: {"choices":\n\ndata: null\n\ndata: [[[\n\nnonsense\n\ndata: \xff\xfe\n\nid: 1\nretry: x\n\n'
    end = await ended(endpoint, streamed(garbage, chunk("a"), garbage, chunk("b", finish="stop"), garbage, DONE))
    assert (end.outcome, end.text, end.error) == (Outcome.FINISHED, "ab", None)


async def test_web_page_in_place_of_a_reply_says_that_the_url_is_wrong(endpoint: FakeEndpoint) -> None:
    end = await ended(endpoint, answered(b"<!doctype html>\n<title>Chat</title>", Content_Type="text/html"))
    assert (end.outcome, end.error_kind) == (Outcome.FAILED, "not_understood")
    assert "`/v1`" in (end.error or "")


async def test_tool_calls_and_thoughts_show_without_the_thoughts_words(endpoint: FakeEndpoint) -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at"'}}
    rest = {"index": 0, "function": {"arguments": ': "sky"}'}}
    endpoint.chat = streamed(
        chunk(reasoning_content="SECRET THOUGHT"),
        chunk(reasoning="more of it"),
        chunk("Well."),
        chunk(tool_calls=[call]),
        chunk(tool_calls=[rest], finish="tool_calls"),
        DONE,
    )
    async with watched(connector_of(endpoint)) as session:
        await session.connector.send(turn())
        end = await session.end()
        activities = [event.activity.value for event in session.events if isinstance(event, RunStatus)]
        assert activities == ["started", "thinking", "streaming"]
        tools = [(e.name, e.phase, e.arguments) for e in session.events if isinstance(e, ToolActivity)]
        assert tools == [("look", "start", None), ("look", "update", {"at": "sky"})]
        assert end.text == "Well." and "tool" in (end.error or "")
        assert "THOUGHT" not in repr(session.events)


async def test_error_in_the_middle_fails_with_the_text_so_far_and_without_the_key(endpoint: FakeEndpoint) -> None:
    error = b'data: {"error": {"message": "lost ' + KEY.encode() + b' on the way", "code": 502}}\n\n'
    end = await ended(endpoint, streamed(chunk("half"), error, chunk("never")))
    assert (end.outcome, end.text, end.error_kind) == (Outcome.FAILED, "half", "endpoint_error")
    assert "lost [API key] on the way" in (end.error or "")


async def test_stream_that_is_cut_is_interrupted_with_the_text_so_far(endpoint: FakeEndpoint) -> None:
    end = await ended(endpoint, streamed(chunk("half"), b'data: {"choices": [{"delta": {"conte'))
    assert (end.outcome, end.text, end.error_kind) == (Outcome.INTERRUPTED, "half", "cut")


async def test_chunked_body_that_breaks_off_is_interrupted(endpoint: FakeEndpoint) -> None:
    async def answer(request: Request, stream: trio.SocketStream) -> None:
        data = chunk("half")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(data), data))

    end = await ended(endpoint, answer)
    assert (end.outcome, end.text, end.error_kind) == (Outcome.INTERRUPTED, "half", "cut")


async def test_limit_of_length_is_told_in_words(endpoint: FakeEndpoint) -> None:
    end = await ended(endpoint, streamed(chunk("long", finish="length"), DONE))
    assert (end.outcome, end.text, end.error_kind, end.truncated) == (Outcome.FINISHED, "long", "length", False)


# Refusals


@pytest.mark.parametrize(
    ("status", "body", "trouble", "words"),
    [
        (400, {"error": {"message": "bad temperature"}}, Trouble.REJECTED, "bad temperature"),
        (400, {"error": {"message": "x", "code": "context_length_exceeded"}}, Trouble.REJECTED, "Begin a new one"),
        (401, {"error": {"message": "no"}}, Trouble.BAD_CREDENTIALS, "refuses the API key"),
        (403, b"", Trouble.BAD_CREDENTIALS, "HTTP 403"),
        (404, {"error": "model 'm-1' not found"}, Trouble.CONFIGURATION, "does not know the model 'm-1'"),
        (404, b"<html>", Trouble.CONFIGURATION, "Correct the URL"),
        (413, b"", Trouble.REJECTED, "too large"),
        (429, {"error": {"code": "insufficient_quota", "message": "pay"}}, Trouble.REJECTED, "no credit"),
        (500, b"oops", Trouble.UNAVAILABLE, "oops"),
        (502, b"<html>", Trouble.UNAVAILABLE, "HTTP 502"),
        (503, {"error": {"message": "Loading model"}}, Trouble.RESTARTING, "Loading model"),
    ],
)
async def test_refusal_is_told_in_words(
    endpoint: FakeEndpoint, status: int, body: bytes | dict[str, Any], trouble: Trouble, words: str
) -> None:
    error = await refused(endpoint, answered(body, status))
    assert error.trouble is trouble
    assert words in error.detail


async def test_rate_limit_passes_after_the_time_that_the_endpoint_names(endpoint: FakeEndpoint) -> None:
    error = await refused(endpoint, answered(b"", 429, Retry_After="17"))
    assert (error.trouble, error.retry_after) == (Trouble.UNAVAILABLE, 17.0)
    async with watched(connector_of(endpoint)) as session:
        with pytest.raises(ConnectorError):
            await session.connector.send(turn())
        endpoint.chat = streamed(chunk("now", finish="stop"), DONE)
        assert await session.connector.send(turn()) is Accepted.STARTED
        assert (await session.end()).text == "now"
        assert await session.connector.send(turn()) is Accepted.ENDED


async def test_turn_over_which_the_endpoint_breaks_each_time_is_given_up(endpoint: FakeEndpoint) -> None:
    endpoint.chat = answered(b"", 500)
    troubles = []
    async with watched(connector_of(endpoint)) as session:
        for _ in range(openai.FAULTS):
            with pytest.raises(ConnectorError) as caught:
                await session.connector.send(turn())
            troubles.append(caught.value.trouble)
    assert troubles == [Trouble.UNAVAILABLE, Trouble.UNAVAILABLE, Trouble.REJECTED]


async def test_redirect_is_not_followed(endpoint: FakeEndpoint) -> None:
    async with open_endpoint() as other:
        error = await refused(endpoint, answered(b"", 307, Location=f"{other.url}/chat/completions?k={KEY}"))
        assert error.trouble is Trouble.CONFIGURATION
        assert str(other.port) in error.detail
        assert other.paths == []


async def test_key_is_in_no_error_log_or_repr(endpoint: FakeEndpoint, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    connector = connector_of(endpoint)
    seen = [repr(connector), repr(vars(connector))]
    said = f"Incorrect key {KEY} ({KEY[:12]}...{KEY[-9:]})"
    for body in ({"error": {"message": said}}, said.encode()):
        error = await refused(endpoint, answered(body, 401))
        assert "[API key]" in error.detail
        seen += [error.detail, repr(error), repr(vars(error)), repr(error.__cause__), error.reason]
    end = await ended(endpoint, streamed(chunk("x", finish=KEY), DONE))
    seen += [repr(end), caplog.text]
    for text in seen:
        assert KEY[:9] not in text and KEY[-9:] not in text
    assert KEY not in "".join(endpoint.paths)


async def test_file_that_a_model_cannot_read_is_refused_in_words(endpoint: FakeEndpoint) -> None:
    for name, kind, data in (("a.zip", "application/zip", b"PK"), ("a.txt", "text/plain", b"\xff\xfa\x00")):
        error = await refused(endpoint, streamed(DONE), turn(attachments=(OutgoingFile(name, kind, data),)))
        assert error.trouble is Trouble.REJECTED and name in error.detail
    assert endpoint.requests == []


# Waits


async def test_turn_counts_as_accepted_when_the_endpoint_stays_silent_over_it(
    endpoint: FakeEndpoint, clock: MockClock
) -> None:
    stage = Stage()
    endpoint.chat = stage.answer
    async with watched(connector_of(endpoint)) as session, trio.open_nursery() as nursery:
        answers: list[Accepted] = []

        async def send() -> None:
            answers.append(await session.connector.send(turn()))

        nursery.start_soon(send)
        await stage.began.wait()
        await wait_all_tasks_blocked(BLOCKED)
        assert answers == []
        await pass_time(clock, openai.ACCEPT_SECONDS)
        await session.until(lambda: bool(session.events))
        assert await session.connector.send(turn()) is Accepted.RUNNING
        await pass_time(clock, openai.FIRST_SECONDS - 30)
        await stage.send(HEAD + chunk("late", finish="stop") + DONE)
        assert (await session.end()).text == "late"
        assert answers == [Accepted.STARTED] and len(endpoint.requests) == 1


async def test_error_after_acceptance_ends_the_run_in_words(endpoint: FakeEndpoint, clock: MockClock) -> None:
    stage = Stage()
    endpoint.chat = stage.answer
    async with watched(connector_of(endpoint)) as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.connector.send, turn())
        await stage.began.wait()
        await pass_time(clock, openai.ACCEPT_SECONDS)
        await session.until(lambda: bool(session.events))
        await stage.send(b"HTTP/1.1 400 -\r\nContent-Length: 4\r\n\r\nwhat")
        end = await session.end()
        assert (end.outcome, end.error_kind) == (Outcome.FAILED, "http_400") and "what" in (end.error or "")


async def test_reply_that_falls_silent_is_interrupted_and_slow_chunks_are_not(
    endpoint: FakeEndpoint, clock: MockClock
) -> None:
    stage = Stage()
    endpoint.chat = stage.answer
    async with watched(connector_of(endpoint)) as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.connector.send, turn())
        await stage.began.wait()
        await stage.send(HEAD)
        for text in ("a", "b", "c"):
            await stage.send(chunk(text))
            await session.until(lambda text=text: session.text.endswith(text))  # type: ignore[misc] # its default is the loop's
            await pass_time(clock, openai.NEXT_SECONDS - 10)
            await wait_all_tasks_blocked(BLOCKED)
        assert session.ends == []
        await pass_time(clock, 10)
        end = await session.end()
        assert (end.outcome, end.text, end.error_kind) == (Outcome.INTERRUPTED, "abc", "silent")
        await stage.gone.wait()


async def test_stream_that_never_ends_after_its_finish_is_finished(endpoint: FakeEndpoint, clock: MockClock) -> None:
    stage = Stage()
    endpoint.chat = stage.answer
    async with watched(connector_of(endpoint)) as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.connector.send, turn())
        await stage.began.wait()
        await stage.send(HEAD + chunk("all", finish="stop"))
        await session.until(lambda: session.text == "all")
        await pass_time(clock, openai.TAIL_SECONDS)
        end = await session.end()
        assert (end.outcome, end.text, end.error) == (Outcome.FINISHED, "all", None)


async def test_slow_reader_holds_back_the_reply(endpoint: FakeEndpoint) -> None:
    gate = trio.Event()

    async def wait(event: RunEvent) -> None:
        if isinstance(event, RunDelta):
            await gate.wait()

    async with watched(connector_of(endpoint)) as session:
        session.delivering = wait
        await session.connector.send(turn())
        await wait_all_tasks_blocked(BLOCKED)
        assert session.text == "" and session.ends == []
        gate.set()
        assert (await session.end()).text == "Hello there"


# Aborts and the session


async def half_said(endpoint: FakeEndpoint, session: Watched, run_id: str = "r1") -> Stage:
    stage = Stage()
    endpoint.chat = stage.answer
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.connector.send, turn(run_id=run_id))
        await stage.began.wait()
        await stage.send(HEAD + chunk("half"))
    await session.until(lambda: any(isinstance(e, RunDelta) and e.run_id == run_id for e in session.events))
    return stage


async def test_abort_ends_the_run_with_its_text_and_closes_the_request(endpoint: FakeEndpoint) -> None:
    async with watched(connector_of(endpoint)) as session:
        stage = await half_said(endpoint, session)
        history = await session.connector.history("agent:main:edgebotd:c1")
        assert (history.in_flight_run_id, history.in_flight_text) == ("r1", "half")
        assert not await session.connector.abort("agent:main:edgebotd:c2", "r1")
        assert await session.connector.abort("agent:main:edgebotd:c1", "r1")
        end = await session.end()
        assert (end.outcome, end.text) == (Outcome.ABORTED, "half")
        with trio.fail_after(10):
            await stage.gone.wait()
        assert not await session.connector.abort("agent:main:edgebotd:c1", "r1")
        assert (await session.connector.history("agent:main:edgebotd:c1")).active_run_ids == frozenset()
        assert len(session.ends) == 1


async def test_abort_before_the_endpoint_has_answered_ends_the_run(endpoint: FakeEndpoint) -> None:
    stage = Stage()
    endpoint.chat = stage.answer
    async with watched(connector_of(endpoint)) as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.connector.send, turn())
        await stage.began.wait()
        assert await session.connector.abort("agent:main:edgebotd:c1", "r1")
        assert (await session.end()).outcome is Outcome.ABORTED


async def test_cancelled_session_ends_its_run_with_the_text_so_far(endpoint: FakeEndpoint) -> None:
    async with watched(connector_of(endpoint)) as session:
        await half_said(endpoint, session)
        session.scope.cancel()
        end = await session.end()
        assert (end.outcome, end.text) == (Outcome.INTERRUPTED, "half")
        await session.until(lambda: session.scope.cancelled_caught)
        with pytest.raises(ConnectorError) as caught:
            await session.connector.send(turn(run_id="r2"))
        assert caught.value.trouble is Trouble.LOST


async def test_cancelled_session_does_not_wait_for_a_reader_that_hangs(
    endpoint: FakeEndpoint, clock: MockClock
) -> None:
    async def hang(event: RunEvent) -> None:
        if isinstance(event, RunEnded):
            await trio.sleep_forever()

    async with watched(connector_of(endpoint)) as session:
        await half_said(endpoint, session)
        session.delivering = hang
        session.scope.cancel()
        await pass_time(clock, openai.END_SECONDS)
        await session.until(lambda: session.scope.cancelled_caught)


async def test_turn_that_was_not_accepted_when_the_session_ends_can_be_sent_again(endpoint: FakeEndpoint) -> None:
    stage = Stage()
    endpoint.chat = stage.answer
    connector = connector_of(endpoint)
    errors: list[ConnectorError] = []

    async def send() -> None:
        try:
            await connector.send(turn())
        except ConnectorError as exc:
            errors.append(exc)

    async with trio.open_nursery() as nursery:
        async with watched(connector) as session:
            nursery.start_soon(send)
            await stage.began.wait()
        assert session.events == []
    assert [error.trouble for error in errors] == [Trouble.LOST]
    endpoint.chat = streamed(chunk("again", finish="stop"), DONE)
    async with watched(connector) as session:
        assert await connector.send(turn()) is Accepted.STARTED
        assert (await session.end()).text == "again"


async def test_more_runs_than_the_bound_are_refused_for_now(
    endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai, "MAX_RUNS", 1)
    async with watched(connector_of(endpoint)) as session:
        await half_said(endpoint, session)
        with pytest.raises(ConnectorError) as caught:
            await session.connector.send(turn(run_id="r2"))
        assert (caught.value.trouble, caught.value.reason) == (Trouble.UNAVAILABLE, "busy")


async def test_hello_asks_for_context_and_takes_pictures_and_texts(endpoint: FakeEndpoint) -> None:
    connector: Connector = connector_of(endpoint)
    assert isinstance(connector, OpenAIConnector)
    for status in (200, 404, 405, 429):
        endpoint.models = answered(b"", status)
        async with watched(connector) as session:
            assert session.hello is not None and Feature.CONTEXT in session.hello.features
            assert session.hello.attachments is not None
            assert {"image/png", "text/*"} <= (session.hello.attachments.media_types or frozenset())


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (401, Trouble.BAD_CREDENTIALS),
        (403, Trouble.BAD_CREDENTIALS),
        (301, Trouble.CONFIGURATION),
        (503, Trouble.RESTARTING),
    ],
)
async def test_session_does_not_start_where_the_probe_is_refused(
    endpoint: FakeEndpoint, status: int, trouble: Trouble
) -> None:
    endpoint.models = answered(b"", status)
    async with watched(connector_of(endpoint)) as session:
        assert session.hello is None
        assert session.error is not None and session.error.trouble is trouble


async def test_session_does_not_start_where_nothing_listens(clock: MockClock) -> None:
    async with open_endpoint() as gone:
        pass
    async with watched(connector_of(gone)) as session:
        assert session.error is not None and session.error.trouble is Trouble.REFUSED


async def test_certificate_that_nobody_signed_is_told_and_gets_no_key(clock: MockClock) -> None:
    got: list[bytes] = []

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            got.append(bytes(await stream.receive_some()))

    listeners = await trio.open_ssl_over_tcp_listeners(0, self_signed(), host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, serve, listeners))
        (listener,) = listeners
        assert isinstance(listener.transport_listener, trio.SocketListener)
        port = listener.transport_listener.socket.getsockname()[1]
        connector = OpenAIConnector(f"https://127.0.0.1:{port}/v1", "m", api_key=SecretStr(KEY))
        async with watched(connector) as session:
            assert session.error is not None and session.error.trouble is Trouble.CONFIGURATION
            assert "certificate is not trusted" in session.error.detail
        nursery.cancel_scope.cancel()
    assert b"".join(got) == b""


def self_signed() -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        path = Path(folder, "both.pem")
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        server.load_cert_chain(path)
    return server


@pytest.mark.parametrize("url", ["", "ftp://host/v1", "http://", "http://user:pw@host/v1", "http://[::1", "http://h:x"])
async def test_url_that_cannot_be_right_says_so(url: str) -> None:
    async with watched(OpenAIConnector(url, "m")) as session:
        assert session.error is not None and session.error.trouble is Trouble.CONFIGURATION
        assert "pw" not in session.error.detail


async def test_key_that_cannot_stand_in_a_header_is_not_shown(endpoint: FakeEndpoint) -> None:
    for key in (f"{KEY}\n", f"{KEY}ü", ""):
        connector = OpenAIConnector(endpoint.url, "m", api_key=SecretStr(key))
        async with watched(connector) as session:
            assert session.error is not None and session.error.trouble is Trouble.BAD_CREDENTIALS
            assert KEY not in repr(session.error)
    assert endpoint.paths == []


async def test_session_ends_when_the_endpoint_is_gone_twice(endpoint: FakeEndpoint, clock: MockClock) -> None:
    async with watched(connector_of(endpoint)) as session:
        await pass_time(clock, openai.PROBE_SECONDS)
        await wait_all_tasks_blocked(BLOCKED)
        assert len(endpoint.probes) == 2 and not session.over
        endpoint.scope.cancel()
        await pass_time(clock, openai.PROBE_SECONDS)
        await wait_all_tasks_blocked(BLOCKED)
        assert not session.over, "one failure is none"
        await pass_time(clock, openai.PROBE_AGAIN_SECONDS)
        await session.until(lambda: session.over)
        assert session.error is not None and session.error.trouble is Trouble.REFUSED


async def test_failing_turn_makes_the_session_look_at_once(endpoint: FakeEndpoint) -> None:
    async with watched(connector_of(endpoint)) as session:
        endpoint.scope.cancel()
        await wait_all_tasks_blocked(BLOCKED)
        for _ in range(2):
            with pytest.raises(ConnectorError) as caught:
                await session.connector.send(turn())
            assert caught.value.trouble is Trouble.REFUSED
            await wait_all_tasks_blocked(BLOCKED)
        await session.until(lambda: session.error is not None)


async def test_key_that_is_revoked_later_ends_the_session(endpoint: FakeEndpoint, clock: MockClock) -> None:
    async with watched(connector_of(endpoint)) as session:
        endpoint.models = answered(b"", 401)
        await pass_time(clock, openai.PROBE_SECONDS)
        await session.until(lambda: session.error is not None)
        assert session.error is not None and session.error.needs_person
