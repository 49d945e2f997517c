"""Read fields of JSON that somebody else wrote: a wrong type reads as absent, nothing here raises.

What a peer sends grows with each version of it; a client that trusts its types dies of an update.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

LAST_MILLISECOND: Final = 253_402_300_799_999
"""The end of the year 9999, in Unix milliseconds: Python's dates end there, and JavaScript's not much later."""

# C0 and C1, the separators of lines and paragraphs, and what changes the direction of text.
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def without_controls(text: str) -> str:
    """Pass a text that is shown as one line: in terminals, logs and lists a control character would play with the rest.

    Raises:
        ValueError: it holds one.
    """
    if _CONTROLS.search(text):
        raise ValueError("must hold no control characters, such as a line break")
    return text


def mapping(value: object) -> Mapping[str, Any]:
    """Return an object as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """Return an array as it is, anything else as an empty one."""
    return value if isinstance(value, list) else []


def objects(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of an array."""
    for item in sequence(value):
        if isinstance(item, dict):
            yield item


def string(value: object) -> str | None:
    """Return a string as text that can be encoded, anything else as None."""
    return encodable(value) if isinstance(value, str) else None


def words(value: object) -> str | None:
    """Return a string that says something, stripped; anything else as None."""
    return (string(value) or "").strip() or None


def integer(value: object) -> int | None:
    """Return a whole number (a float without fraction too, as JavaScript writes them), anything else as None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def milliseconds(value: object) -> int | None:
    """Return a Unix time in milliseconds, up to the year 9999, else None."""
    number = integer(value)
    return number if number is not None and 0 <= number <= LAST_MILLISECOND else None


def strings(value: object) -> list[str]:
    """Return the strings of an array."""
    return [text for item in sequence(value) if (text := string(item)) is not None]


def encodable(text: str) -> str:
    """Return text that UTF-8 can carry: surrogate pairs joined, lone surrogates replaced by U+FFFD.

    JSON may hold half of a pair, for instance where a stream of characters was cut between two UTF-16 units.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def json_value(value: object, depth: int = 0) -> Any:
    """Return a JSON value with encodable strings; what is nested over 32 deep becomes null."""
    if isinstance(value, str):
        return encodable(value)
    if depth >= 32:
        return None
    if isinstance(value, dict):
        return {encodable(str(key)): json_value(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [json_value(item, depth + 1) for item in value]
    return value


def text_of(content: object, separator: str = "\n\n") -> str | None:
    """Return the text of a message's content, a string or a list of parts; None where it holds none."""
    if isinstance(content, str):
        return encodable(content)
    texts = [
        text for part in objects(content) if part.get("type") == "text" and isinstance(text := part.get("text"), str)
    ]
    return encodable(separator.join(texts)) if texts else None
