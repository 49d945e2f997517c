"""Merging of streamed text. Offsets count UTF-16 code units, as browsers do (CHANNEL section 5, chat-delta)."""

from __future__ import annotations

from edgebotd.events import ChatDelta


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


def spliced(offset: int, text: str, later_offset: int, later_text: str) -> tuple[int, str] | None:
    """Return one (offset, text) that does to a reply what both do one after the other, or None where none can.

    An offset below the end so far cuts there first: a retry replaced the text.
    """
    if later_offset <= offset:
        return later_offset, later_text
    end = offset + utf16_length(text)
    if later_offset > end:
        return None
    kept = text if later_offset == end else cut_utf16(text, later_offset - offset)
    return None if kept is None else (offset, kept + later_text)


def merged(earlier: ChatDelta, later: ChatDelta) -> ChatDelta | None:
    """Return one delta of the same run in place of two, or None where they cannot merge."""
    both = spliced(earlier.offset, earlier.text, later.offset, later.text)
    if both is None:
        return None
    return earlier.model_copy(update={"offset": both[0], "text": both[1]})
