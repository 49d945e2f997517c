"""What is asked of chat completions, and what their HTTP errors mean."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.protocol.openai import (
    MAX_TEXT_BYTES,
    Content,
    Kind,
    Redactor,
    Refusal,
    Unsendable,
    refusal,
    request_body,
)
from edgebotd.protocol.openai import request as request_module
from tests.protocol.openai_values import JSON, KEY

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
