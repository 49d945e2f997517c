"""Lengths and cuts as a browser counts them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgebotd.protocol.utf16 import cut_utf16, utf16_length

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def test_a_character_beyond_the_first_plane_counts_twice() -> None:
    assert [utf16_length(text) for text in ("", "ab", "é", "😀", "a😀b")] == [0, 2, 1, 2, 4]


def test_a_cut_through_a_character_is_none() -> None:
    assert [cut_utf16("a😀b", units) for units in range(5)] == ["", "a", None, "a😀", "a😀b"]


@given(TEXTS, TEXTS)
def test_a_cut_at_the_length_of_a_start_gives_the_start(start: str, rest: str) -> None:
    assert cut_utf16(start + rest, utf16_length(start)) == start
