"""Chat completions without IO: whatever a server sends, and however it is cut, a run has text, words and one end."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.protocol import sse
from edgebotd.protocol.openai import (
    Redactor,
    Reply,
)
from edgebotd.protocol.openai.reply import MAX_TOOL_CALLS
from edgebotd.protocol.run import Outcome, RunDelta, RunEnded, RunEvent, RunStatus, ToolActivity
from tests.protocol.openai_values import JSON, KEY


def chunk(content: Any = None, *, finish: Any = None, **delta: Any) -> dict[str, Any]:
    if content is not None:
        delta["content"] = content
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def stream(*payloads: Any, done: bool = True) -> bytes:
    lines = [payload if isinstance(payload, str) else json.dumps(payload) for payload in payloads]
    return b"".join(sse.encode(line) for line in [*lines, *(["[DONE]"] if done else [])])


def read(data: bytes, cuts: list[int] | None = None, max_bytes: int = 1024 * 1024) -> tuple[list[RunEvent], RunEnded]:
    """Read an answer in pieces; return its events, deltas of neighbours joined, and its end."""
    reply = Reply("r1", "s1", Redactor(KEY), max_bytes)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or ())})
    events: list[RunEvent] = []
    for start, stop in itertools.pairwise(places):
        events += reply.feed(data[start:stop])
    events += reply.close()
    assert reply.end is not None
    assert reply.feed(b"data: {}\n\n") == [] and reply.end.text == reply.text
    units = b""
    for event in events:
        if isinstance(event, RunDelta):
            assert event.offset * 2 == len(units), "each delta begins where the one before it ended"
            units += event.text.encode("utf-16-le")
    assert units.decode("utf-16-le") == reply.end.text
    return events, reply.end


def told(events: list[RunEvent]) -> list[Any]:
    shown: list[Any] = []
    for event in events:
        if isinstance(event, RunDelta):
            shown.append(event.text)
        elif isinstance(event, RunStatus):
            shown.append(event.activity.value)
        elif isinstance(event, ToolActivity):
            shown.append((event.tool_call_id, event.name, event.phase, event.arguments))
    return shown


def call(index: Any, name: str | None = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {"index": index, "function": function, **more}


# Replies


def test_activities_are_told_when_they_change() -> None:
    events, end = read(
        stream(
            chunk("", role="assistant"),
            chunk(reasoning_content="a"),
            chunk(reasoning="b"),
            chunk("x"),
            chunk("y"),
            chunk(reasoning_content="c"),
            chunk("z", finish="stop"),
            {"choices": [], "usage": {"total_tokens": 3}},
        )
    )
    assert told(events) == ["thinking", "streaming", "x", "y", "thinking", "streaming", "z"]
    assert (end.outcome, end.text, end.error) == (Outcome.FINISHED, "xyz", None)


def test_character_that_json_cuts_in_two_arrives_whole() -> None:
    halves = ['{"choices":[{"delta":{"content":"a\\ud83d"}}]}', '{"choices":[{"delta":{"content":"\\ude00b"}}]}']
    events, end = read(stream(*halves))
    assert end.text == "a😀b"
    assert [event.offset for event in events if isinstance(event, RunDelta)] == [0, 1]


def test_half_a_character_alone_becomes_a_replacement() -> None:
    assert read(stream('{"choices":[{"delta":{"content":"a\\ude00b"}}]}'))[1].text == "a\ufffdb"


def test_content_as_parts_is_read_as_text_and_thought() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    events, end = read(stream(chunk([thinking]), chunk([{"type": "text", "text": "yes"}], finish="stop")))
    assert told(events) == ["thinking", "streaming", "yes"] and end.text == "yes"


def test_refusal_of_the_model_is_its_reply() -> None:
    assert read(stream(chunk(refusal="I cannot."), chunk(finish="stop")))[1].text == "I cannot."


def test_only_the_first_choice_counts() -> None:
    payload = {"choices": [{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {"content": "yes"}}]}
    assert read(stream(payload))[1].text == "yes"


def test_parallel_tool_calls_are_put_together_by_their_index() -> None:
    events, _ = read(
        stream(
            chunk(tool_calls=[call(0, "look", '{"a":', id="x"), call(1, "hear", "", id="x")]),
            chunk(tool_calls=[call(1, None, "not json")]),
            chunk(tool_calls=[call(0, None, "1}")], finish="stop"),
        )
    )
    assert told(events) == [
        ("r1-call-1", "look", "start", None),
        ("r1-call-2", "hear", "start", None),
        ("r1-call-1", "look", "update", {"a": 1}),
        ("r1-call-2", "hear", "update", "not json"),
    ]


@pytest.mark.parametrize(
    "calls",
    [
        [call(0, "one", {"n": 1}, id="a"), call(0, "two", {"n": 2}, id="b")],
        [call(None, "one", '{"n":1}'), call(None, "two", '{"n":2}')],
    ],
    ids=["all numbered 0", "not numbered"],
)
def test_tool_calls_without_useful_numbers_stay_apart(calls: list[dict[str, Any]]) -> None:
    events, _ = read(stream(chunk(tool_calls=calls[:1]), chunk(tool_calls=calls[1:]), chunk(finish="stop")))
    assert [line[1:] for line in told(events) if line[2] == "update"] == [
        ("one", "update", {"n": 1}),
        ("two", "update", {"n": 2}),
    ]


def test_more_tool_calls_than_the_bound_are_left_out() -> None:
    calls = [chunk(tool_calls=[call(n, "t", id=str(n))]) for n in range(MAX_TOOL_CALLS + 5)]
    events, end = read(stream(*calls, chunk("ok", finish="stop")))
    assert sum(isinstance(event, ToolActivity) for event in events) == MAX_TOOL_CALLS
    assert end.outcome is Outcome.FINISHED


@pytest.mark.parametrize(
    ("finish", "code", "outcome"),
    [
        ("stop", None, Outcome.FINISHED),
        ("eos", None, Outcome.FINISHED),
        ("length", "length", Outcome.FINISHED),
        ("content_filter", "content_filter", Outcome.FINISHED),
        ("tool_calls", "tool_calls", Outcome.FINISHED),
        ("error", "endpoint_error", Outcome.FAILED),
        ("weather", "stopped", Outcome.FINISHED),
    ],
)
def test_reason_of_the_end_is_told_in_words(finish: str, code: str | None, outcome: Outcome) -> None:
    end = read(stream(chunk("x", finish=finish)))[1]
    assert (end.outcome, end.error_kind, end.text, end.truncated) == (outcome, code, "x", False)
    assert (end.error is None) == (code is None)


def test_reply_is_finished_by_its_reason_done_or_both_but_not_by_neither() -> None:
    finish, plain = chunk("x", finish="stop"), chunk("x")
    assert read(stream(finish))[1].outcome is Outcome.FINISHED
    assert read(stream(finish, done=False))[1].outcome is Outcome.FINISHED
    assert read(stream(plain))[1].outcome is Outcome.FINISHED
    cut = read(stream(plain, done=False))[1]
    assert (cut.outcome, cut.error_kind, cut.text) == (Outcome.INTERRUPTED, "cut", "x")


def test_last_event_counts_without_the_blank_line_after_it() -> None:
    end = read(stream(chunk("x", finish="stop"), done=False).rstrip(b"\n"))[1]
    assert (end.outcome, end.text) == (Outcome.FINISHED, "x")


def test_empty_reply_is_told() -> None:
    end = read(stream(chunk("", role="assistant"), chunk(finish="stop")))[1]
    assert (end.outcome, end.error_kind) == (Outcome.FINISHED, "empty_reply")


@pytest.mark.parametrize("data", [b"", b"\n\n", b"<!doctype html><p>hi", b"{", b'{"hello": 1}', b"data: hi\n\n", b"[]"])
def test_what_is_no_chat_completion_fails_with_a_hint_at_the_url(data: bytes) -> None:
    end = read(data)[1]
    assert (end.outcome, end.error_kind) == (Outcome.FAILED, "not_understood")
    assert "URL" in (end.error or "")


@pytest.mark.parametrize(
    "payload",
    [
        {"error": {"message": "boom", "type": "x", "code": None}},
        {"error": "boom"},
        {"object": "error", "message": "boom"},
        {"detail": "boom"},
        {"detail": [{"msg": "boom", "loc": []}]},
        [{"error": {"message": "boom"}}],
    ],
)
def test_errors_of_all_forms_end_the_run_streamed_or_not(payload: Any) -> None:
    for data in (stream(chunk("half"), payload), stream(payload), json.dumps(payload).encode()):
        end = read(data)[1]
        assert (end.outcome, end.error_kind) == (Outcome.FAILED, "endpoint_error")
        assert "boom" in (end.error or "")


def test_event_of_the_type_error_ends_the_run_whatever_it_holds() -> None:
    end = read(b"event: error\ndata: boom\n\n")[1]
    assert (end.outcome, end.error) == (Outcome.FAILED, "The endpoint failed: boom")


def test_reply_stops_at_its_bound_with_the_text_until_there() -> None:
    end = read(stream(*[chunk("ü" * 10)] * 10), max_bytes=45)[1]
    assert (end.outcome, end.error_kind, end.text) == (Outcome.FAILED, "too_long", "ü" * 22)


def test_tool_arguments_count_towards_the_bound() -> None:
    end = read(stream(*[chunk(tool_calls=[call(0, "t", "x" * 20)])] * 10), max_bytes=45)[1]
    assert (end.outcome, end.error_kind) == (Outcome.FAILED, "too_long")


def test_event_over_the_bound_of_the_stream_ends_the_run() -> None:
    end = read(b"data: " + b"x" * (sse.MAX_EVENT_BYTES + 1))[1]
    assert (end.outcome, end.error_kind) == (Outcome.FAILED, "too_long")


def test_document_over_its_bound_ends_the_run() -> None:
    reply = Reply("r1", "s1", Redactor(None), 10)
    reply.feed(b"{")
    reply.feed(b" " * (sse.MAX_EVENT_BYTES + 10))
    assert reply.end is not None and reply.end.error_kind == "too_long"


WHOLE_STREAM = stream(
    chunk(reasoning_content="hm"),
    chunk("aü😀"),
    chunk(tool_calls=[call(0, "look", '{"a": [1')]),
    chunk(tool_calls=[call(0, None, "]}")]),
    chunk("end", finish="stop"),
)
WHOLE_DOCUMENT = json.dumps(
    {"choices": [{"message": {"content": "aü😀", "tool_calls": [call(0, "t", "{}")]}, "finish_reason": "stop"}]}
).encode()


@given(st.sampled_from([WHOLE_STREAM, WHOLE_DOCUMENT]), st.lists(st.integers(0, 10_000), max_size=20))
def test_reply_is_the_same_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    assert read(data, cuts) == read(data)


@given(
    st.sampled_from([WHOLE_STREAM, WHOLE_DOCUMENT]),
    st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=6)), max_size=6),
    st.lists(st.integers(0, 10_000), max_size=4),
)
def test_bytes_that_changed_on_the_way_never_raise(
    data: bytes, changes: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    changed = bytearray(data)
    for place, new in changes:
        start = place % len(data)
        changed[start : start + len(new)] = new
    read(bytes(changed), cuts)


@given(st.lists(JSON, max_size=5), JSON)
def test_chunks_of_any_shape_never_raise(payloads: list[Any], inner: Any) -> None:
    shaped = [{"choices": [{"index": 0, "delta": payload}]} for payload in payloads]
    calls = [chunk(tool_calls=[{"index": 0, "id": inner, "function": payload}]) for payload in payloads]
    for data in (stream(*payloads), stream(*shaped, *calls, {"choices": inner}), json.dumps(inner).encode()):
        _, end = read(data)
        # What comes out must be able to travel.
        repr(end).encode()
        (end.text or "").encode()
        (end.error or "").encode()
