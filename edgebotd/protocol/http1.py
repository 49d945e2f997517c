"""Framing of a response body on a handed-over HTTP/1.1 connection (RFC 9112 section 7.1)."""

from __future__ import annotations

# Ends the body: the zero chunk and an empty trailer section. After it the connection is closed.
LAST_CHUNK = b"0\r\n\r\n"


def chunk(frames: bytes) -> bytes:
    """Return the bytes as one chunk of a chunked body.

    Raises:
        ValueError: there are none. An empty chunk would end the body (`LAST_CHUNK`).
    """
    if not frames:
        raise ValueError("an empty chunk would end the body; send LAST_CHUNK for that")
    return b"%x\r\n%b\r\n" % (len(frames), frames)
