"""Lengths and cuts in UTF-16 code units, as browsers count a text (CHANNEL section 5, chat-delta)."""

from __future__ import annotations


def utf16_length(text: str) -> int:
    """Return the number of UTF-16 code units of a text."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def cut_utf16(text: str, units: int) -> str | None:
    """Return the first `units` code units of a text, None where that would cut a character in two."""
    if text.isascii():
        return text[:units]
    try:
        return text.encode("utf-16-le")[: 2 * units].decode("utf-16-le")
    except UnicodeDecodeError:
        return None
