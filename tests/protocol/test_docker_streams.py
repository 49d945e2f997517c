"""The engine's framings, however the network cuts them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.protocol.docker.streams import (
    MAX_JSON_BYTES,
    MAX_LINE_BYTES,
    BrokenFraming,
    JsonLines,
    Output,
    OutputLine,
    parse_time,
)

STAMP = "2026-11-23T21:48:21.013598628Z"
AT = 1795470501013

pieces = st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.binary(max_size=40)), max_size=8)
cuts = st.lists(st.integers(1, 7), min_size=1, max_size=5)


def framed(parts: Iterable[tuple[int, bytes]]) -> bytes:
    return b"".join(bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data for stream, data in parts)


def lines_of(output: Output, chunks: Iterable[bytes]) -> list[OutputLine]:
    return [*(line for chunk in chunks for line in output.feed(chunk)), *output.end()]


def cut(data: bytes, lengths: list[int]) -> list[bytes]:
    """Cut into pieces of such lengths, over and over."""
    found, at, turn = [], 0, 0
    while at < len(data):
        length = lengths[turn % len(lengths)]
        found.append(data[at : at + length])
        at, turn = at + length, turn + 1
    return found


@given(pieces, cuts, st.booleans())
def test_output_is_the_same_however_it_is_cut(parts: list[tuple[int, bytes]], lengths: list[int], tty: bool) -> None:
    data = b"".join(text for _, text in parts) if tty else framed(parts)
    whole = lines_of(Output(tty=tty), [data])
    assert lines_of(Output(tty=tty), cut(data, lengths)) == whole
    assert lines_of(Output(tty=tty), cut(data, [1])) == whole


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=20), max_size=6))
def test_what_was_written_is_what_is_read(written: list[str]) -> None:
    # A stamp that a program writes itself is no time of the engine's: there is one before it.
    data = framed((1, f"{STAMP} {text}\n".encode()) for text in written)
    assert [(line.text, line.at) for line in lines_of(Output(tty=False), [data])] == [(text, AT) for text in written]


def test_stdout_and_stderr_keep_their_unended_lines_apart() -> None:
    data = framed([(1, b"out "), (2, b"err"), (1, b"put\n"), (2, b"or")])
    told = lines_of(Output(tty=False, timestamps=False), [data])
    assert told == [OutputLine("stdout", "out put", None), OutputLine("stderr", "error", None)]


def test_the_time_of_a_long_lines_later_pieces_is_not_text() -> None:
    parts = [(1, f"{STAMP} lo".encode()), (2, f"{STAMP} other\n".encode()), (1, f"{STAMP} ng {STAMP} li".encode())]
    data = framed([*parts, (1, f"{STAMP} ne\n{STAMP} next\n".encode())])
    told = lines_of(Output(tty=False), [data])
    assert [(line.text, line.at) for line in told] == [("other", AT), (f"long {STAMP} line", AT), ("next", AT)]


def test_a_terminals_line_ends_are_not_text() -> None:
    assert lines_of(Output(tty=True), [f"{STAMP} a\r\n{STAMP} \r\n".encode()]) == [
        OutputLine("stdout", "a", AT),
        OutputLine("stdout", "", AT),
    ]


@pytest.mark.parametrize("step", [MAX_LINE_BYTES * 4, 1000])
def test_a_line_without_end_is_told_in_pieces_and_nothing_of_it_is_lost(step: int) -> None:
    text = b"x" * (MAX_LINE_BYTES * 2 + 5) + b"\nnext"
    told = lines_of(Output(tty=True, timestamps=False), [text[at : at + step] for at in range(0, len(text), step)])
    assert [len(line.text) for line in told] == [MAX_LINE_BYTES, MAX_LINE_BYTES, 5, 4]


@pytest.mark.parametrize("data", [b"plain text that is no frame", b"\x03\0\0\0\0\0\0\x01x", b"\x01\0\x01\0\0\0\0\x01x"])
def test_output_without_its_headers_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenFraming):
        list(Output(tty=False).feed(data))


json_objects = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=10) | st.none(), max_size=3)


@given(st.lists(json_objects, max_size=6), cuts, st.sampled_from(["\n", "\r\n"]))
def test_objects_are_the_same_however_they_are_cut(objects: list[dict[str, Any]], lengths: list[int], end: str) -> None:
    data = end.join(json.dumps(one) for one in objects).encode()
    lines = JsonLines()
    assert [*(one for chunk in cut(data, lengths) for one in lines.feed(chunk)), *lines.end()] == objects


@given(st.binary(max_size=200))
def test_what_is_no_object_is_left_out(data: bytes) -> None:
    lines = JsonLines()
    for one in [*lines.feed(data), *lines.feed(b'\n{"a": 1}\n[1]\n"text"\n'), *lines.end()]:
        assert isinstance(one, dict)


def test_deeply_nested_and_endless_lines_do_not_harm() -> None:
    lines = JsonLines()
    assert list(lines.feed(b"[" * 100_000 + b'\n{"a": 1}\n')) == [{"a": 1}]
    with pytest.raises(BrokenFraming):
        list(lines.feed(b"x" * (MAX_JSON_BYTES + 1)))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (STAMP, AT),
        ("2026-11-23T21:48:21Z", 1795470501000),
        ("2026-11-23T22:48:21.5+01:00", 1795470501500),
        ("2026-11-23T21:48:21", 1795470501000),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        ("yesterday", None),
        ("1969-01-01T00:00:00Z", 0),
        ("2026-11-23T21:48:21.Z", 1795470501000),
        ("9" * 100, None),
        (None, None),
        (17, None),
    ],
)
def test_times(text: object, at: int | None) -> None:
    assert parse_time(text) == at


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - with a zone
    st.text("0123456789", max_size=3),
)
def test_a_time_of_any_precision_is_read_to_the_millisecond(moment: datetime, more: str) -> None:
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + more + "Z"
    read = parse_time(text)
    assert read is not None and abs(read - moment.timestamp() * 1000) <= 1


@given(st.text(max_size=45))
def test_no_text_breaks_the_reading_of_a_time(text: str) -> None:
    assert parse_time(text) is None or isinstance(parse_time(text), int)
