"""Where in a TOML text each key and each element of an array stands.

`tomllib` keeps no positions (nor does any library at hand), so errors could not say where. This scanner goes over a
text that `tomllib` has already accepted, and can therefore be lax: it finds the ends of things and judges nothing.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

Key = tuple[str | int, ...]
"""Path of a value: names of tables and keys, indices of array elements."""
Position = tuple[int, int]
"""Line and column, both from 1; columns count characters."""

_BLANK: Final = re.compile(r"[ \t\r]*")
_BETWEEN: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_PART: Final = re.compile(r"""("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)""")
_STRING: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}|' + r"'''.*?'{3,5}(?!')|" + r'"(?:[^"\\]|\\.)*"|' + r"'[^']*'", re.DOTALL
)
_BARE: Final = re.compile(r"[^\n,\]}#]*")


def positions(text: str) -> dict[Key, Position]:
    """Return the first place of each table, key and array element of a valid TOML text."""
    return _Scanner(text).scan()


def position_at(text: str, index: int) -> Position:
    """Return line and column of a character."""
    start = text.rfind("\n", 0, index) + 1
    return text.count("\n", 0, index) + 1, index - start + 1


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[Key, Position] = {}
        self._last_of: dict[Key, int] = {}
        """Index of the newest entry of each array of tables."""

    def scan(self) -> dict[Key, Position]:
        table: Key = ()
        while True:
            self._skip(_BETWEEN)
            if self._at >= len(self._text):
                return self._found
            if self._text.startswith("[[", self._at):
                table = self._header(2)
            elif self._text[self._at] == "[":
                table = self._header(1)
            else:
                self._pair(table)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        assert match is not None, "the pattern matches the empty string"
        self._at = match.end()

    def _note(self, key: Key, index: int) -> None:
        if key not in self._found:
            self._found[key] = position_at(self._text, index)

    def _parts(self) -> list[tuple[str, int]]:
        """Read a dotted key: its parts and where each begins."""
        parts = []
        while True:
            self._skip(_BLANK)
            match = _PART.match(self._text, self._at)
            assert match is not None, "tomllib has accepted the text"
            name: str = tomllib.loads(f"x = {match[1]}")["x"] if match[1][0] in "\"'" else match[1]
            parts.append((name, self._at))
            self._at = match.end()
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return parts
            self._at += 1

    def _header(self, brackets: int) -> Key:
        self._at += brackets
        parts = self._parts()
        self._at += brackets
        key: Key = ()
        for number, (name, index) in enumerate(parts):
            key += (name,)
            self._note(key, index)
            if brackets == 2 and number == len(parts) - 1:
                self._last_of[key] = self._last_of.get(key, -1) + 1
            if key in self._last_of:
                key += (self._last_of[key],)
                self._note(key, index)
        return key

    def _pair(self, table: Key) -> None:
        key = table
        for name, index in self._parts():
            key += (name,)
            self._note(key, index)
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        self._value(key)

    def _value(self, key: Key) -> None:
        char = self._text[self._at]
        if char == "[":
            self._array(key)
        elif char == "{":
            self._inline_table(key)
        elif char in "\"'":
            self._skip(_STRING)
        else:
            self._skip(_BARE)

    def _array(self, key: Key) -> None:
        self._at += 1
        number = 0
        while True:
            self._skip(_BETWEEN)
            if self._text[self._at] == "]":
                break
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._note((*key, number), self._at)
            self._value((*key, number))
            number += 1
        self._at += 1

    def _inline_table(self, key: Key) -> None:
        self._at += 1
        while True:
            self._skip(_BETWEEN)
            if self._text[self._at] == "}":
                break
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._pair(key)
        self._at += 1
