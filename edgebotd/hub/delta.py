"""Merging of streamed text. Offsets count UTF-16 code units (`protocol.utf16`)."""

from __future__ import annotations

from edgebotd.events import ChatDelta
from edgebotd.protocol.utf16 import cut_utf16, utf16_length


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
