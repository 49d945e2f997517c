"""Replies and refusals of OpenAI-compatible endpoints, over a real socket that also does what it should not."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from edgebotd.bots import openai
from edgebotd.bots.connector import (
    Accepted,
    ConnectorError,
    ContextMessage,
    OutgoingFile,
    Trouble,
)
from edgebotd.bots.openai import OpenAIConnector
from edgebotd.protocol.run import Outcome, RunDelta, RunStatus, ToolActivity
from tests.bots.endpoint_session import (
    KEY,
    connector_of,
    ended,
    refused,
    turn,
    watched,
)
from tests.bots.fake_endpoint import DONE, FakeEndpoint, Request, chunk, open_endpoint, streamed
from tests.bots.fake_endpoint import whole as answered


@pytest.fixture
def clock() -> MockClock:
    """Real time that a test can also jump over."""
    return MockClock(rate=1.0)


@pytest.fixture
async def endpoint(clock: MockClock) -> AsyncIterator[FakeEndpoint]:
    async with open_endpoint() as served:
        yield served


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
