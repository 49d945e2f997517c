"""Server-Sent Events, both directions, without IO.

Source: WHATWG HTML, section 9.2 "Server-sent events" (parsing: 9.2.5, interpreting: 9.2.6). `docs/channel.md`
numbers the rules that matter to us (S1-S25); they are quoted here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgebotd.errors import EdgebotdError

_ID = re.compile(r"[A-Za-z0-9._~-]{1,64}").fullmatch
_LINE_END = re.compile(r"\r\n|\r|\n")
# EventSource fires events of these names itself; a handler could not tell ours from a lost connection (S18).
_RESERVED_TYPES = frozenset({"open", "error"})
# Browsers hand `retry` to a timer with a signed 32-bit delay: more than this (24.8 days) would fire at once.
MAX_RETRY_MS = 2**31 - 1
MAX_EVENT_BYTES = 8 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class EncodeError(EdgebotdError, ValueError):
    """Raised by `encode` to the publisher: the frame would not arrive as meant. Never holds the refused text."""


class ParseError(EdgebotdError):
    """Raised by `Parser.feed`: the stream cannot be read on. Close it; reconnecting with `last_event_id` is safe."""


def encode(data: str, *, event: str | None = None, id: str | None = None, retry: int | None = None) -> bytes:
    """Encode one event as a frame that every parser reads as exactly this event.

    CRLF, CR and LF in the data all arrive as LF (S4, S6); nothing else is a line end (S5). The frame begins with a
    field name, so data that starts with U+FEFF cannot become the stream's byte order mark (S1).

    Args:
        data: any text that UTF-8 can hold; empty is an event too (S7).
        event: type of the event; None is `message`.
        id: 1 to 64 of `[A-Za-z0-9._~-]`.
        retry: reconnection time in milliseconds, 0 to 2**31 - 1.

    Raises:
        EncodeError: the frame would arrive otherwise or not at all. The message says what, never the text itself.
    """
    if id is not None and _ID(id) is None:
        raise EncodeError("the id of an event is 1 to 64 characters of [A-Za-z0-9._~-]")
    body = _utf8(data, "data")
    # The hot path: JSON has no raw line ends. str.splitlines() would also split at U+2028 and others (S5).
    if b"\n" in body or b"\r" in body:
        body = b"\ndata: ".join([line.encode() for line in _LINE_END.split(data)])
    if event is None and retry is None:
        if id is None:
            return b"data: %b\n\n" % body
        return b"id: %b\ndata: %b\n\n" % (id.encode(), body)
    head = b""
    if event is not None:
        head = b"event: %b\n" % _event_type(event)
    if id is not None:
        head += b"id: %b\n" % id.encode()
    if retry is not None:
        if type(retry) is not int or not 0 <= retry <= MAX_RETRY_MS:
            raise EncodeError(f"retry is a whole number of milliseconds, 0 to {MAX_RETRY_MS}")
        head += b"retry: %d\n" % retry
    return b"%bdata: %b\n\n" % (head, body)


def _event_type(event: str) -> bytes:
    if not event or "\r" in event or "\n" in event or "\0" in event:
        raise EncodeError("the type of an event is not empty and has no CR, LF or NUL")
    if event in _RESERVED_TYPES:
        raise EncodeError("the event types 'open' and 'error' are EventSource's own")
    return _utf8(event, "type")


def _utf8(text: str, what: str) -> bytes:
    position: int
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        position = exc.start
    # Outside of the handler: as a context, the codec's error would carry the whole text along.
    raise EncodeError(f"the {what} of the event is not encodable: a lone surrogate at character {position}")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One dispatched event.

    Attributes:
        type: `message` when the stream names none.
        last_event_id: the id in force when this event was dispatched, its own or an earlier one (S12); may be empty.
        retry: milliseconds that its own block set, if it did.
    """

    type: str
    data: str
    last_event_id: str
    retry: int | None = None


class Parser:
    """Parse one stream incrementally, as a browser does; however it is cut into chunks, the events are the same.

    A line that ends with CR counts at once, without waiting for a possible LF. Bytes that are not UTF-8 become U+FFFD.
    What follows the last blank line when the stream ends is dropped, its id too (S10): there is nothing to call then.

    A block without data dispatches nothing, but as the specification says its id becomes `last_event_id` and its
    `retry` counts. Some browsers ignore such an id (S13), so a server must not rely on it.

    Args:
        last_event_id: the id to start with, of the connection before this one. As in browsers it stays in force until
            the stream gives another one.
        max_event_bytes: bound of one line, and of the kept lines (data, event, id, retry) of one event.
    """

    def __init__(self, *, last_event_id: str = "", max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._last_event_id = last_event_id
        self._retry_ms: int | None = None
        self._partial = bytearray()  # a line whose end has not come; a bytearray, so that tiny chunks cost no copies
        self._after_cr = False
        self._at_start = True
        self._failure: str | None = None
        # Of the block being read:
        self._data = bytearray()  # each line with a LF after it, as in the specification
        self._type = b""
        self._id: str = last_event_id  # the "last event ID buffer": survives the block
        self._block_retry: int | None = None
        self._size = 0

    @property
    def last_event_id(self) -> str:
        """The id to reconnect with; empty is none."""
        return self._last_event_id

    @property
    def retry_ms(self) -> int | None:
        """The reconnection time that the server asked for last, at most 2**31 - 1; None if it never did."""
        return self._retry_ms

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Take the next bytes and return the events that they complete.

        Raises:
            ParseError: an event or line is over the bound. Events that were complete before it are returned first (then
                the next call raises), since `last_event_id` already counts them. Every later call raises again.
        """
        events: list[ServerEvent] = []
        if self._failure is None:
            self._read(chunk, events)
        if self._failure is not None and not events:
            raise ParseError(self._failure)
        return events

    def _read(self, chunk: bytes, events: list[ServerEvent]) -> None:
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == 0x0A:  # the second half of a CRLF (S3)
                chunk = chunk[1:]
        if not chunk:
            return
        self._after_cr = chunk[-1] == 0x0D
        lines = chunk.splitlines()  # of bytes: at CRLF, CR and LF only, unlike that of str
        rest = lines.pop() if chunk[-1] not in b"\r\n" else b""
        for line in lines:
            if self._partial:
                line = bytes(self._partial + line)
                self._partial.clear()
            self._line(line, events)
            if self._failure is not None:
                return
        self._partial += rest
        if len(self._partial) > self._max + self._bom_allowance(self._partial):
            self._fail("line")

    def _bom_allowance(self, line: bytes | bytearray) -> int:
        return len(_BOM) if self._at_start and line.startswith(_BOM) else 0

    def _line(self, line: bytes, events: list[ServerEvent]) -> None:
        if self._at_start:
            line = line[self._bom_allowance(line) :]
            self._at_start = False
        if not line:
            self._end_block(events)
            return
        if len(line) > self._max:
            self._fail("line")
            return
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name not in (b"data", b"event", b"id", b"retry"):  # a comment has an empty name
            return
        self._size += len(line) + 1
        if self._size > self._max:
            self._fail("event")
        elif name == b"data":
            self._data += value
            self._data += b"\n"
        elif name == b"event":
            self._type = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif value.isdigit():  # of bytes: ASCII digits only, and at least one
            digits = value.lstrip(b"0")[:11] or b"0"  # int() refuses thousands of digits; 11 are over the bound
            self._retry_ms = self._block_retry = min(int(digits), MAX_RETRY_MS)

    def _end_block(self, events: list[ServerEvent]) -> None:
        self._last_event_id = self._id
        if self._data:
            data = self._data[:-1].decode("utf-8", "replace")
            name = self._type.decode("utf-8", "replace") or "message"
            events.append(ServerEvent(name, data, self._last_event_id, self._block_retry))
            self._data.clear()
        self._type = b""
        self._block_retry = None
        self._size = 0

    def _fail(self, what: str) -> None:
        self._failure = f"the event stream sent a {what} of more than {self._max} bytes"
        self._partial.clear()
        self._data.clear()
