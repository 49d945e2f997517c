"""Chat completions without IO: whatever a server sends, and however it is cut, a run has text, words and one end."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.protocol import sse
from edgebotd.protocol.openai import (
    MAX_TEXT_BYTES,
    Content,
    Kind,
    Redactor,
    Refusal,
    Reply,
    Unsendable,
    refusal,
    request_body,
)
from edgebotd.protocol.openai import request as request_module
from edgebotd.protocol.openai.reply import MAX_TOOL_CALLS
from edgebotd.protocol.run import Outcome, RunDelta, RunEnded, RunEvent, RunStatus, ToolActivity

KEY = "sk-canary-4f9a1c77e0b2d8"


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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.sampled_from(["stop", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "index",
                    "id",
                    "finish_reason",
                    "error",
                    "detail",
                    "code",
                    "type",
                    "text",
                    "reasoning_content",
                    "refusal",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


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


# Refusals


def refuse(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Refusal:
    return refusal(status, headers or {}, body, model="m-1", has_key=True, redactor=Redactor(KEY))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "17"}, 17.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after": "0"}, 1.0),
        ({"retry-after": "-5"}, 1.0),
        ({"retry-after": "99999999"}, 300.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, 300.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Mon, 02 Nov 2026 10:00:30 GMT", "date": "Mon, 02 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Mon, 02 Nov 2026 10:00:30 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_seconds_within_bounds(headers: dict[str, str], seconds: float | None) -> None:
    assert refuse(429, headers=headers).retry_after == seconds


def test_missing_key_is_not_called_a_wrong_one() -> None:
    without = refusal(401, {}, b"", model="m", has_key=False, redactor=Redactor(None))
    assert "wants an API key" in without.detail and "refuses" in refuse(401).detail


def test_redirect_shows_where_to_without_query() -> None:
    refused = refuse(308, headers={"location": "https://other.example/v1/x?secret=1#y"})
    assert refused.kind is Kind.CONFIGURATION
    assert "https://other.example/v1/x " in refused.detail and "secret" not in refused.detail


@given(st.integers(300, 599), st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_refusal_of_any_shape_is_one_bounded_line(status: int, body: bytes) -> None:
    detail = refuse(status, body).detail
    detail.encode()
    assert detail.isprintable() and len(detail) < 600


@given(
    st.text(max_size=30),
    st.integers(0, len(KEY) - 8),
    st.integers(8, len(KEY)),
    st.text(max_size=30),
    st.sampled_from([300, 400, 401, 403, 404, 413, 429, 500, 503]),
    st.booleans(),
)
def test_no_part_of_the_key_is_shown(
    before: str, start: int, length: int, after: str, status: int, as_json: bool
) -> None:
    said = before + KEY[start : start + length] + after
    body = json.dumps({"error": {"message": said}}).encode() if as_json else said.encode("utf-8", "replace")
    detail = refuse(status, body, {"location": f"http://h/{said}"}).detail
    assert not any(KEY[place : place + 8] in detail for place in range(len(KEY) - 7))


def test_short_key_is_taken_out_whole_and_no_key_takes_out_nothing() -> None:
    assert Redactor("abc").line("xabcx abab") == "x[API key]x abab"
    assert Redactor(None).line("abc") == Redactor("").line("abc") == "abc"
    assert KEY not in repr(Redactor(KEY))


# Requests


@dataclass(frozen=True)
class File:
    name: str
    media_type: str
    data: bytes


def sent(*messages: Content) -> Any:
    return json.loads(request_body("m", messages))["messages"]


def test_neighbours_of_one_role_become_one_message() -> None:
    said = sent(Content("user", "a"), Content("user", "b"), Content("assistant", ""), Content("user", "c"))
    assert said == [{"role": "user", "content": "a\n\nb\n\nc"}]


def test_pictures_travel_as_data_urls_and_texts_with_their_name() -> None:
    picture, notes = File("a.png", "image/PNG", b"\x89P"), File("n.csv", "text/csv", "\ufeffa;ü".encode())
    (message,) = sent(Content("user", "look", (picture, notes)))
    url = "data:image/png;base64," + base64.b64encode(b"\x89P").decode()
    assert message["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "[File: n.csv]\na;ü"},
    ]


def test_text_in_utf_16_is_read_and_texts_alone_stay_a_plain_string() -> None:
    (message,) = sent(Content("user", "", (File("n.txt", "text/plain", "hä".encode("utf-16")),)))
    assert message["content"] == "[File: n.txt]\nhä"


@pytest.mark.parametrize(
    "file",
    [
        File("a.zip", "application/zip", b"PK"),
        File("a.txt", "text/plain", b"\xff\xff"),
        File("a.txt", "text/plain", b"a\0b"),
        File("a.txt", "text/plain", b"x" * (MAX_TEXT_BYTES + 1)),
        File("a.svg", "image/svg+xml", b"<svg/>"),
    ],
)
def test_unreadable_file_is_refused_in_a_new_message_and_left_out_of_an_old_one(file: File) -> None:
    with pytest.raises(Unsendable, match=file.name.replace(".", r"\.")):
        request_body("m", [Content("user", "see", (file,))])
    assert sent(Content("user", "see", (file,)), Content("assistant", "no"), Content("user", "why"))[0] == {
        "role": "user",
        "content": "see",
    }


def test_pictures_over_the_bound_are_left_out_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_module, "MAX_IMAGES_BYTES", 10)
    pictures = [Content("user", str(n), (File("p.png", "image/png", b"12345"),)) for n in range(3)]
    between = Content("assistant", "ok")
    said = sent(pictures[0], between, pictures[1], between, pictures[2])
    assert [isinstance(message["content"], list) for message in said[::2]] == [False, True, True]
