"""The event-stream rules of docs/channel.md section 3 (S numbers) that need no IO, and C12."""

import random
import re
import traceback
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgebotd.protocol.sse import MAX_RETRY_MS, EncodeError, ParseError, Parser, ServerEvent, encode
from tests.protocol.event_stream_reference import Dispatched, read_stream

# Whatever matters to the grammar, often enough to meet each other.
STREAM_PIECES = st.sampled_from(
    rb"data|data:|data: |event: e|event|id: 7|id:|retry: 50|retry:|retry: 1x|: comment|Data: x|x|:| ".split(b"|")
) | st.sampled_from(
    "\r,\n,\r\n,\n\n,\r\r,id: a\0b,\0,retry:١,\u2028,\x85,\x0b,\ufeff,😀".encode().split(b",")
    + b"\xef,\xbb,\xff,\xf0\x9f,\xed\xa0\x80".split(b",")
)
STREAMS = st.lists(STREAM_PIECES | st.binary(max_size=6), max_size=40).map(b"".join)
# st.text() leaves surrogates out when told so; the rest of Unicode, and the line ends of other worlds more often.
TEXTS = st.text(
    st.sampled_from("\r\n\0 :\ufeff\u2028\u2029\x0b\x0c\x1c\x85aü😀") | st.characters(exclude_categories=["Cs"]),
    max_size=60,
)


def parse(*chunks: bytes) -> list[ServerEvent]:
    parser = Parser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def data_of(*chunks: bytes) -> list[str]:
    return [event.data for event in parse(*chunks)]


def bytewise(stream: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in stream]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(marks)]


def arrives(text: str) -> str:
    """What a reader must see of published text: line ends become LF, all else is untouched."""
    return re.sub("\r\n|\r", "\n", text)


# S1


@pytest.mark.parametrize("cut_at", [0, 1, 2, 3, 4])
def test_s1_a_leading_byte_order_mark_is_dropped_however_it_is_cut(cut_at: int) -> None:
    stream = b"\xef\xbb\xbfdata:1\n\n"
    assert data_of(stream[:cut_at], stream[cut_at:]) == ["1"]


def test_s1_only_one_byte_order_mark_and_only_at_the_start() -> None:
    assert data_of(b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\n") == ["2"]
    assert data_of(b"data:1\n\n\xef\xbb\xbfdata:2\n\n") == ["1"]


def test_s1_data_that_starts_with_a_byte_order_mark_arrives_intact() -> None:
    frame = encode("\ufeffx")
    assert frame[0] != 0xEF
    assert data_of(frame) == ["\ufeffx"]


# S2, S3


def test_s2_the_three_line_ends_may_be_mixed() -> None:
    assert data_of(b"data:a\r\n\r\ndata:b\r\rdata:c\n\ndata:d\r\n\n") == ["a", "b", "c", "d"]


@given(TEXTS, st.none() | st.just("7"))
def test_s2_the_encoder_writes_lf_only(text: str, id: str | None) -> None:
    assert b"\r" not in encode(text, id=id)


def test_s3_crlf_split_across_chunks_is_one_line_end() -> None:
    assert data_of(b"data:a\r", b"\ndata:b\r\n", b"\r\n") == ["a\nb"]
    assert data_of(*bytewise(b"data:a\r\ndata:b\r\n\r\n")) == ["a\nb"]


def test_s3_an_empty_chunk_between_cr_and_lf_changes_nothing() -> None:
    assert data_of(b"data:a\r", b"", b"\ndata:b\n\n") == ["a\nb"]


def test_s3_an_event_that_ends_with_cr_is_dispatched_without_waiting_for_more() -> None:
    parser = Parser()
    assert [event.data for event in parser.feed(b"data:a\r\r")] == ["a"]
    assert parser.feed(b"\n") == []


# S4-S8


def test_s4_a_lone_cr_in_data_cannot_inject_a_field() -> None:
    assert parse(encode("x\rid: 999", id="1")) == [ServerEvent("message", "x\nid: 999", "1")]


@pytest.mark.parametrize("other", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\0"])
def test_s5_no_other_character_ends_a_line(other: str) -> None:
    text = f"a{other}b"
    assert encode(text) == f"data: {text}\n\n".encode()
    assert data_of(encode(text)) == [text]
    assert encode(f"{text}\nb") == f"data: {text}\ndata: b\n\n".encode()


@pytest.mark.parametrize(
    ("text", "seen"), [("a\n", "a\n"), ("\n\n", "\n\n"), ("a\r\nb", "a\nb"), ("\r", "\n"), ("\n\r", "\n\n")]
)
def test_s6_each_line_of_data_gets_its_own_field(text: str, seen: str) -> None:
    assert encode(text).count(b"data: ") == seen.count("\n") + 1
    assert data_of(encode(text)) == [seen]


def test_s7_empty_data_is_an_event() -> None:
    assert encode("") == b"data: \n\n"
    assert data_of(encode(""), b"data\n\n", b"data:\n\n") == ["", "", ""]


@pytest.mark.parametrize("text", [" lead", ": colon", "  two", "data: x"])
def test_s8_exactly_one_leading_space_is_removed(text: str) -> None:
    assert data_of(encode(text)) == [text]
    assert data_of(b"data:  x\n\n", b"data:x\n\n") == [" x", "x"]


# S9-S13


def test_s9_a_cut_anywhere_inside_a_frame_neither_dispatches_it_nor_counts_its_id() -> None:
    first, second = encode("a", id="7"), encode("b\nc", event="e", id="9", retry=5)
    for length in range(len(second)):
        parser = Parser()
        assert [event.data for event in parser.feed(first + second[:length])] == ["a"]
        assert parser.last_event_id == "7"


def test_s10_an_id_counts_only_when_its_block_ends() -> None:
    parser = Parser()
    parser.feed(b"id:7\ndata:a\n\nid:9\ndata:zz")
    assert parser.last_event_id == "7"
    parser.feed(b"\n\n")
    assert parser.last_event_id == "9"


def test_s11_an_id_with_nul_is_ignored() -> None:
    assert [event.last_event_id for event in parse(b"id:7\ndata:a\n\n", b"id:8\0\ndata:b\n\n")] == ["7", "7"]


@pytest.mark.parametrize("id", ["", "a b", "a\n", "a\0", "ü", "\ud800", "x" * 65, "a/b", "a\rdata: x"])
def test_s11_the_encoder_refuses_ids_outside_its_alphabet(id: str) -> None:
    with pytest.raises(EncodeError, match="id of an event"):
        encode("x", id=id)


def test_s12_the_last_id_persists_and_an_empty_one_clears_it() -> None:
    stream = b"id:7\ndata:a\n\ndata:b\n\nid\ndata:c\n\ndata:d\n\n"
    assert [event.last_event_id for event in parse(stream)] == ["7", "7", "", ""]


def test_s12_the_id_of_the_connection_before_stays_until_a_new_one_comes() -> None:
    parser = Parser(last_event_id="7")
    assert parser.last_event_id == "7"
    assert parser.feed(encode("{}", event="hello")) == [ServerEvent("hello", "{}", "7")]
    assert parser.last_event_id == "7"


def test_s13_a_block_with_only_an_id_dispatches_nothing_and_moves_the_cursor() -> None:
    parser = Parser()
    assert parser.feed(b"id:7\n\n") == []
    assert parser.last_event_id == "7"
    assert parser.feed(b"data:x\n\n") == [ServerEvent("message", "x", "7")]


# S14, S15


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"1.5", b"1e3", b"5s", b" 5", "٣".encode(), b"0x10"])
def test_s14_retry_takes_ascii_digits_only(value: bytes) -> None:
    parser = Parser()
    parser.feed(b"retry: 7\nretry: %b\n\n" % value)
    assert parser.retry_ms == 7


def test_s14_an_enormous_retry_is_the_longest_that_timers_know() -> None:
    parser = Parser()
    parser.feed(b"retry: " + b"9" * 10_000 + b"\n")
    assert parser.retry_ms == MAX_RETRY_MS
    parser.feed(b"retry: " + b"0" * 10_000 + b"12\n")
    assert parser.retry_ms == 12


@pytest.mark.parametrize("retry", [-1, True, MAX_RETRY_MS + 1, 10**400])
def test_s14_the_encoder_refuses_what_is_no_plain_non_negative_integer(retry: int) -> None:
    with pytest.raises(EncodeError, match="retry"):
        encode("x", retry=retry)


def test_s15_retry_stays_until_the_next_one_and_needs_no_event() -> None:
    assert Parser().retry_ms is None
    parser = Parser()
    assert parser.feed(b"retry: 300\n\n") == []
    assert parser.feed(b"data: x\n\n") == [ServerEvent("message", "x", "", None)]
    assert parser.retry_ms == 300
    assert parser.feed(encode("y", retry=0)) == [ServerEvent("message", "y", "", 0)]
    assert parser.retry_ms == 0


# S18, S25, and what is refused without being shown


@pytest.mark.parametrize("event", ["open", "error", "", "a\nb", "a\rb", "a\0b", "\ud800"])
def test_s18_a_type_that_would_collide_or_break_out_is_refused(event: str) -> None:
    with pytest.raises(EncodeError, match="type"):
        encode("x", event=event)


def test_a_named_event_with_everything_is_written_in_a_fixed_order() -> None:
    assert encode("x", event="bye", id="7", retry=5) == b"event: bye\nid: 7\nretry: 5\ndata: x\n\n"


@pytest.mark.parametrize("text", ["hunter2\ud800", "hunter2\n\ud800"])
def test_s25_unencodable_text_raises_at_the_publisher_without_showing_it(text: str) -> None:
    with pytest.raises(EncodeError, match="lone surrogate at character") as caught:
        encode(text)
    # The codec's own error holds the whole text; it must not hang on ours as context either.
    assert caught.value.__context__ is None
    assert "hunter2" not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)


# The parser: fields, invalid bytes, bounds


def test_comments_unknown_fields_and_wrong_case_are_ignored() -> None:
    assert data_of(b": hi\n\n:\nfoo: x\nData: x\n data: x\ndata: y\n\n") == ["y"]


def test_the_type_of_an_event_without_data_does_not_reach_the_next_event() -> None:
    assert parse(b"event: e\n\ndata: x\n\n") == [ServerEvent("message", "x", "")]


# Replacement per "maximal subpart", as the WHATWG Encoding Standard has it.
@pytest.mark.parametrize(
    ("sent", "replacements"),
    [
        (b"\xff", 1),
        (b"\xf0\x9f\x98", 1),
        (b"\xc0\x80", 2),
        (b"\xed\xa0\x80", 3),
        (b"\xf4\x90\x80\x80", 4),
        (b"\xe2\x82", 1),
    ],
)
def test_bytes_that_are_not_utf8_are_replaced_as_a_browser_does(sent: bytes, replacements: int) -> None:
    stream = b"data: " + sent + b"\ndata: b" + sent + b"c\n\n"
    bad = "\ufffd" * replacements
    assert data_of(stream) == data_of(*bytewise(stream)) == [f"{bad}\nb{bad}c"]


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 100, b"data: x\n" * 20, b":" + b"x" * 100, b"id: 1\n" * 20])
def test_an_event_or_line_over_the_bound_is_an_error_however_it_is_cut(stream: bytes) -> None:
    for chunks in ([stream + b"\n\n"], bytewise(stream + b"\n\n")):
        parser = Parser(max_event_bytes=64)
        with pytest.raises(ParseError, match="more than 64 bytes"):
            for chunk in chunks:
                parser.feed(chunk)
        with pytest.raises(ParseError):
            parser.feed(b"\n\ndata: x\n\n")


def test_the_bound_is_of_one_event_not_of_the_stream() -> None:
    assert len(data_of(encode("x" * 4_000_000), encode("y" * 4_000_000), encode("z" * 4_000_000))) == 3
    parser = Parser(max_event_bytes=8)
    assert [event.data for event in parser.feed(b":ping\n" * 50 + b"data: 1\n\n" * 50)] == ["1"] * 50


def test_events_before_the_one_over_the_bound_are_not_lost() -> None:
    parser = Parser(max_event_bytes=64)
    good = parser.feed(encode("a", id="7") + b"id: 8\ndata: " + b"x" * 100 + b"\n\n")
    assert [event.data for event in good] == ["a"]
    assert parser.last_event_id == "7"
    with pytest.raises(ParseError):
        parser.feed(b"")


def test_one_huge_line_in_tiny_chunks_is_not_quadratic() -> None:
    parser = Parser()
    parser.feed(b"data: ")
    for _ in range(200_000):  # 2 MB; copying the buffer each time would move 200 GB
        parser.feed(b"0123456789")
    assert len(parser.feed(b"\n\n")[0].data) == 2_000_000


# Properties


@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=12))
@example(b"\xef\xbb\xbfdata:1\r\n\r\n", [1, 2, 8, 9, 10, 11])
def test_any_stream_in_any_chunks_is_read_as_the_specification_says(stream: bytes, places: list[int]) -> None:
    expected, last_event_id, retry = read_stream(stream)
    for chunks in ([stream], cut(stream, places), bytewise(stream)):
        parser = Parser()
        events = [event for chunk in chunks for event in parser.feed(chunk)]
        assert [(event.type, event.data, event.last_event_id) for event in events] == expected
        assert parser.last_event_id == last_event_id
        assert parser.retry_ms == (None if retry is None else min(retry, MAX_RETRY_MS))


EVENTS = st.tuples(
    TEXTS,
    st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=9),
    st.none() | st.from_regex(r"[A-Za-z0-9._~-]{1,64}", fullmatch=True),
    st.none() | st.integers(0, MAX_RETRY_MS),
)


@given(st.lists(EVENTS, max_size=6), st.lists(st.integers(0, 10_000), max_size=12))
def test_what_is_encoded_is_parsed_as_the_same_events(
    sent: list[tuple[str, str | None, str | None, int | None]], places: list[int]
) -> None:
    sent = [item for item in sent if item[1] not in ("open", "error")]
    stream = b"".join(encode(data, event=event, id=id, retry=retry) for data, event, id, retry in sent)
    assert not stream or stream.startswith((b"data:", b"event:", b"id:", b"retry:"))
    expected, last_id = [], ""
    for data, event, id, retry in sent:
        last_id = id or last_id
        expected.append(ServerEvent(event or "message", arrives(data), last_id, retry))
    assert parse(*cut(stream, places)) == expected


# C12


def check_random_strings(count: int, seed: int) -> None:
    """Publish random strings; the reference reads each as exactly one event with the same data, or it was refused."""
    rng = random.Random(seed)
    grammar = "\r\n\0 :;dataievnretryop019\ufeff\u2028\u2029\x0b\x0c\x1c\x85"
    refused = 0
    for start in range(0, count, 100):
        sent: list[Dispatched] = []
        frames: list[bytes] = []
        for number in range(start, start + 100):
            length = rng.randrange(24)
            text = "".join(
                rng.choice(grammar) if rng.random() < 0.8 else chr(rng.randrange(0x110000)) for _ in range(length)
            )
            try:
                frames.append(encode(text, id=str(number)))
            except EncodeError:
                assert any("\ud800" <= character <= "\udfff" for character in text)
                refused += 1
            else:
                sent.append(("message", arrives(text), str(number)))
        stream = b"".join(frames)
        assert read_stream(stream)[0] == sent
        ours = parse(*cut(stream, [rng.randrange(10_000) for _ in range(5)]))
        assert [(event.type, event.data, event.last_event_id) for event in ours] == sent
    assert 0 < refused < count / 2


def test_c12_twenty_thousand_random_strings_arrive_as_one_event_each() -> None:
    check_random_strings(20_000, seed=12)


@pytest.mark.heavy
def test_c12_a_million_random_strings_arrive_as_one_event_each() -> None:
    check_random_strings(1_000_000, seed=13)
