"""The framings of the engine's streams: lines of JSON, and a container's output with or without a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

HEADER_BYTES: Final = 8
MAX_LINE_BYTES: Final = 65_536
"""A line of a log is cut here: a program that writes no newline must not fill the memory."""
MAX_JSON_BYTES: Final = 4 * 1024 * 1024


class BrokenFraming(Exception):
    """The bytes are not of the framing that they were said to be."""


@dataclass(frozen=True, slots=True)
class OutputLine:
    """One line of a container's output. `at` is Unix milliseconds, None where the engine gave no time."""

    stream: Literal["stdout", "stderr"]
    text: str
    at: int | None


class JsonLines:
    """Splits a body of JSON objects, one a line, as events, pulls and resource use come."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Mapping[str, Any]]:
        """Yield the objects that are whole now; what is no JSON object is left out.

        Raises:
            BrokenFraming: a line without an end.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_JSON_BYTES:
            raise BrokenFraming("The engine sent a line without an end.")
        for line in lines:
            yield from _object(line)

    def end(self) -> Iterator[Mapping[str, Any]]:
        """Yield what the last line without a newline holds."""
        rest, self._rest = self._rest, b""
        yield from _object(rest)


def _object(line: bytes) -> Iterator[Mapping[str, Any]]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return
    if isinstance(value, dict):
        yield value


class Output:
    """Splits a container's output into lines.

    Args:
        tty: whether the container has a terminal (inspect's `Config.Tty`): then the bytes come as they are; else each
            piece has a header of 8 bytes: stream (1 or 2), three zeros, length as a big-endian number. Engines before
            API 1.42 do not say which by a content type.
        timestamps: whether each line begins with a time, as asked for by `timestamps=1`.
    """

    def __init__(self, *, tty: bool, timestamps: bool = True) -> None:
        self._tty = tty
        self._timestamps = timestamps
        self._buffer = b""
        self._rests: dict[Literal["stdout", "stderr"], bytes] = {"stdout": b"", "stderr": b""}

    def feed(self, data: bytes) -> Iterator[OutputLine]:
        """Yield the lines that are whole now.

        Raises:
            BrokenFraming: no header where one must be.
        """
        if self._tty:
            yield from self._lines("stdout", data)
            return
        self._buffer += data
        while len(self._buffer) >= HEADER_BYTES:
            header = self._buffer[:HEADER_BYTES]
            if header[0] > 2 or header[1:4] != b"\0\0\0":
                raise BrokenFraming("The container's output came without the headers that it should have.")
            end = HEADER_BYTES + int.from_bytes(header[4:], "big")
            if len(self._buffer) < end:
                return
            piece, self._buffer = self._buffer[HEADER_BYTES:end], self._buffer[end:]
            stream: Literal["stdout", "stderr"] = "stderr" if header[0] == 2 else "stdout"
            yield from self._lines(stream, self._without_stamp(piece) if self._rests[stream] else piece)

    def end(self) -> Iterator[OutputLine]:
        """Yield what was written without a last newline."""
        for stream, rest in self._rests.items():
            if rest:
                self._rests[stream] = b""
                yield self._line(stream, rest)

    def _without_stamp(self, piece: bytes) -> bytes:
        """Return a piece that goes on with a line. Docker keeps a long line in pieces of 16 KiB, each with its time."""
        stamp, _, text = piece.partition(b" ")
        return text if self._timestamps and parse_time(stamp.decode("utf-8", "replace")) is not None else piece

    def _lines(self, stream: Literal["stdout", "stderr"], data: bytes) -> Iterator[OutputLine]:
        *lines, rest = (self._rests[stream] + data).split(b"\n")
        for line in lines:
            while len(line) > MAX_LINE_BYTES:
                yield self._line(stream, line[:MAX_LINE_BYTES])
                line = line[MAX_LINE_BYTES:]
            yield self._line(stream, line)
        while len(rest) > MAX_LINE_BYTES:
            yield self._line(stream, rest[:MAX_LINE_BYTES])
            rest = rest[MAX_LINE_BYTES:]
        self._rests[stream] = rest

    def _line(self, stream: Literal["stdout", "stderr"], line: bytes) -> OutputLine:
        text = line.decode("utf-8", "replace").rstrip("\r")
        stamp, _, rest = text.partition(" ")
        at = parse_time(stamp) if self._timestamps else None
        return OutputLine(stream, text, None) if at is None else OutputLine(stream, rest, at)


def parse_time(text: object) -> int | None:
    """Return an RFC 3339 time, with up to nine digits of a second, as Unix milliseconds; None for none.

    The engine's zero time ("0001-01-01T00:00:00Z") is none.
    """
    if not isinstance(text, str) or len(text) > 40 or text.startswith("0001-"):
        return None
    whole, dot, fraction = text.partition(".")
    if dot:
        digits = len(fraction) - len(fraction.lstrip("0123456789"))
        text = f"{whole}.{fraction[: min(digits, 6)].ljust(6, '0')}{fraction[digits:]}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, int(moment.timestamp() * 1000))
