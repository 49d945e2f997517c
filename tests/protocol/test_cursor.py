"""The opaque cursor: C2 and S23."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.protocol.cursor import MAX_LIFE, MAX_SEQ, CursorSeal

KEY = bytes(range(32))
SEAL = CursorSeal(KEY)
POSITIONS = st.tuples(st.integers(0, MAX_LIFE), st.integers(0, MAX_SEQ))


@given(POSITIONS)
def test_a_sealed_position_opens_and_fits_the_alphabet_of_ids(position: tuple[int, int]) -> None:
    text = SEAL.seal(*position)
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", text)
    assert SEAL.open(text) == position


@pytest.mark.parametrize("position", [(0, 0), (MAX_LIFE, MAX_SEQ), (0, MAX_SEQ), (MAX_LIFE, 0)])
def test_the_corners_open(position: tuple[int, int]) -> None:
    assert SEAL.open(SEAL.seal(*position)) == position


def test_the_same_key_seals_alike_in_the_next_process() -> None:
    # A fixed text: a change of the format would turn every client's cursor into a gap.
    assert SEAL.seal(3, 141592) == CursorSeal(KEY).seal(3, 141592) == "snBO3mNIbJR98WNxsskStA"


@given(POSITIONS, st.binary(min_size=32, max_size=32).filter(lambda key: key != KEY))
def test_a_cursor_of_another_installation_does_not_open(position: tuple[int, int], key: bytes) -> None:
    assert CursorSeal(key).open(SEAL.seal(*position)) is None


def test_neighbouring_positions_look_unrelated() -> None:
    texts = [SEAL.seal(1, seq) for seq in range(2000)]
    assert len(set(texts)) == 2000
    blocks = [int.from_bytes(text.encode(), "big") for text in texts]
    rising = sum(a < b for a, b in pairwise(blocks))
    assert 900 < rising < 1100  # no order: a counter would give 1999
    # At no place do neighbours share their character more often than by chance (1/64; the last has 2 bits only).
    for place in range(21):
        assert sum(a[place] == b[place] for a, b in pairwise(texts)) < 80


@given(POSITIONS, st.integers(0, 21), st.characters())
def test_a_change_of_any_character_does_not_open(position: tuple[int, int], place: int, other: str) -> None:
    text = SEAL.seal(*position)
    changed = text[:place] + other + text[place + 1 :]
    assert SEAL.open(changed) == (position if changed == text else None)


def test_spare_bits_other_alphabets_and_padding_are_not_another_spelling() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings = [SEAL.seal(1, seq) for seq in range(200)]
    assert any("-" in text for text in spellings)
    for text in spellings:
        last = alphabet.index(text[-1])
        for spare in range(1, 16):
            assert SEAL.open(text[:-1] + alphabet[last + spare]) is None
        for odd in (text + "==", text + "\n", " " + text, text[:-1], text + "A"):
            assert SEAL.open(odd) is None
        if "-" in text or "_" in text:
            assert SEAL.open(text.replace("-", "+").replace("_", "/")) is None


@given(
    st.text()
    | st.text(alphabet="ABCxyz019-_+/= \n~.", min_size=20, max_size=24)
    | st.text(st.characters(categories=["Cs"]))
)
def test_s23_any_text_is_no_cursor_and_never_raises(text: str) -> None:
    assert SEAL.open(text) is None


@pytest.mark.parametrize("text", ["", "A" * 10_240, "A" * 22, "=" * 22, "\ud800" * 22, "ä" * 22, "\0" * 22, "0", "-1"])
def test_s23_odd_texts_are_no_cursor(text: str) -> None:
    assert SEAL.open(text) is None


def test_a_bad_text_leaves_nothing_behind_for_the_next() -> None:
    text = SEAL.seal(5, 6)
    for odd in ("A" * 22, text[:-1], "", "=" * 22):
        SEAL.open(odd)
        assert SEAL.open(text) == (5, 6)


@pytest.mark.parametrize("position", [(-1, 0), (0, -1), (MAX_LIFE + 1, 0), (0, MAX_SEQ + 1)])
def test_a_position_that_does_not_fit_is_refused_rather_than_reused(position: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="32 bits"):
        SEAL.seal(*position)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused_without_showing_it(length: int) -> None:
    with pytest.raises(ValueError, match=f"is 32 bytes, not {length}"):
        CursorSeal(b"k" * length)
