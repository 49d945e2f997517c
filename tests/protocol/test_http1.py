import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.protocol.http1 import LAST_CHUNK, chunk

HEAD = b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"


def reader(head: bytes) -> h11.Connection:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/api/events", headers=[("Host", "localhost")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(head)
    assert isinstance(connection.next_event(), h11.Response)
    return connection


def body_of(connection: h11.Connection) -> tuple[bytes, bool]:
    """Return the body bytes so far and whether the message has ended."""
    body = b""
    while (event := connection.next_event()) is not h11.NEED_DATA:
        if isinstance(event, h11.EndOfMessage):
            return body, True
        assert isinstance(event, h11.Data)
        body += bytes(event.data)
    return body, False


@given(st.lists(st.binary(min_size=1, max_size=600), max_size=8))
def test_an_http_reader_gets_the_frames_and_then_the_end(parts: list[bytes]) -> None:
    connection = reader(HEAD)
    for part in parts:
        connection.receive_data(chunk(part))
        assert body_of(connection) == (part, False)
    connection.receive_data(LAST_CHUNK)
    assert body_of(connection) == (b"", True)


@pytest.mark.parametrize("size", [1, 9, 10, 15, 16, 255, 256, 65_535, 65_536, 1_048_576])
def test_the_size_is_hexadecimal_and_exact(size: int) -> None:
    connection = reader(HEAD)
    connection.receive_data(chunk(b"\r" * size) + chunk(b"0\r\n\r\n"))
    assert body_of(connection) == (b"\r" * size + b"0\r\n\r\n", False)


def test_an_empty_chunk_is_refused_since_it_would_end_the_body() -> None:
    with pytest.raises(ValueError, match="LAST_CHUNK"):
        chunk(b"")
