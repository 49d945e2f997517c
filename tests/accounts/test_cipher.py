"""What is sealed opens with the same key, for the same place, as it was; and never else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from edgebotd.accounts.cipher import Cipher, VaultLocked, load_or_make, new_key
from edgebotd.config.credentials import SecretError

KEY = new_key()
CIPHER = Cipher(KEY)


@given(plain=st.binary(max_size=300), place=st.text(alphabet=st.characters(codec="utf-8"), max_size=50))
def test_it_opens_as_it_was_and_looks_different_each_time(plain: bytes, place: str) -> None:
    sealed, again = CIPHER.seal(plain, place), CIPHER.seal(plain, place)
    assert Cipher(KEY).open(sealed, place) == plain
    assert sealed != again
    assert len(plain) < 8 or plain not in sealed


@given(plain=st.binary(max_size=60), at=st.integers(0, 88), bit=st.integers(0, 7))
def test_a_bit_that_is_changed_is_told(plain: bytes, at: int, bit: int) -> None:
    sealed = bytearray(CIPHER.seal(plain, "here"))
    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises(VaultLocked):
        CIPHER.open(bytes(sealed), "here")


@given(data=st.binary(max_size=100))
def test_what_was_never_sealed_does_not_open(data: bytes) -> None:
    with pytest.raises(VaultLocked):
        CIPHER.open(data, "here")


def test_neither_another_key_nor_another_place_opens_it() -> None:
    sealed = CIPHER.seal(b"canary", "the login a:b, generation 1")
    with pytest.raises(VaultLocked, match="another key"):
        Cipher(new_key()).open(sealed, "the login a:b, generation 1")
    with pytest.raises(VaultLocked) as caught:
        CIPHER.open(sealed, "the login a:b, generation 2")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "short", "x" * 44, "AAAA", "é" * 32, "A" * 43 + "=AAAA"])
def test_what_is_no_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(VaultLocked, match="openssl rand") as caught:
        Cipher(SecretStr(text))
    assert not text or text not in str(caught.value)


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    key = load_or_make(path)
    assert load_or_make(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["vault.key"]
    path.chmod(0o644)
    with pytest.raises(SecretError, match="chmod 600"):
        load_or_make(path)


def test_of_two_that_make_it_at_once_both_have_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vault.key"
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert load_or_make(path) == load_or_make(path)
    assert len(list(tmp_path.iterdir())) == 1
