"""Secrets in their three forms: which are taken, which refused, and that none is ever shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgebotd.config import ConfigError, Settings, load

HOME = {"HOME": "/home/nobody"}
SECRET = "s3cret-Token_0123"


class Place:
    """A folder with a configuration of one bot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "edgebotd.toml"
        self.token = folder / "atlas.token"
        self.warnings: list[str] = []

    def load(self, lines: str, env: dict[str, str] | None = None, mode: int = 0o600) -> Settings:
        self.file.write_text(f'[bots.atlas]\nkind = "openclaw"\nurl = "ws://h"\n{lines}\n')
        self.file.chmod(mode)
        return load(self.file, {**HOME, **(env or {})}, warn=self.warnings.append)

    def problems(self, lines: str, env: dict[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self.load(lines, env)
        text = str(caught.value)
        assert SECRET not in text
        assert SECRET not in repr(caught.value.findings)
        return text.replace(str(self.folder), "D").split("\n")

    def write(self, content: bytes = SECRET.encode() + b"\n", mode: int = 0o600) -> None:
        self.token.write_bytes(content)
        self.token.chmod(mode)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def _token(settings: Settings) -> str | None:
    token = settings.bots["atlas"].token
    return token.get_secret_value() if token else None


def test_a_value_is_taken_and_never_shown(place: Place) -> None:
    settings = place.load(f'token = "{SECRET}"')
    assert _token(settings) == SECRET
    assert place.warnings == []
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()


def test_a_value_in_a_file_that_others_read_is_warned_of(place: Place) -> None:
    place.load(f'token = "{SECRET}"', mode=0o644)
    [warning] = place.warnings
    assert "other users can read this file" in warning
    assert f"{place.file}:4:1: bots.atlas.token" in warning


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_file_is_taken_relative_to_the_configuration(place: Place, end: bytes) -> None:
    place.write(SECRET.encode() + end)
    assert _token(place.load('token_file = "atlas.token"')) == SECRET
    assert place.warnings == []


def test_a_file_open_to_its_group_is_warned_of_and_one_open_to_all_is_refused(place: Place) -> None:
    place.write(mode=0o640)
    assert _token(place.load('token_file = "atlas.token"')) == SECRET
    assert "open to its group; run: chmod 600" in place.warnings[0]
    place.write(mode=0o604)
    assert place.problems('token_file = "atlas.token"') == [
        "D/edgebotd.toml:4:1: bots.atlas.token_file: D/atlas.token is open to every user of the machine; "
        "run: chmod 600 D/atlas.token"
    ]


def test_what_another_user_owns_may_be_read_through_its_group(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service reads root's files through its group: 640 is as tight as these can be."""
    owner = place.folder.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    place.write(mode=0o640)
    assert _token(place.load('token_file = "atlas.token"')) == SECRET
    place.load(f'token = "{SECRET}"', mode=0o640)
    assert place.warnings == []
    place.write(mode=0o660)
    place.load('token_file = "atlas.token"')
    assert "open to its group" in place.warnings[0]


def test_a_credential_is_taken_from_systemds_directory(place: Place) -> None:
    folder = place.folder / "credentials"
    folder.mkdir()
    (folder / "edgebotd_atlas").write_text(SECRET)
    env = {"CREDENTIALS_DIRECTORY": str(folder)}
    assert _token(place.load('token_credential = "atlas"', env)) == SECRET
    assert "LoadCredential=other:" in place.problems('token_credential = "other"', env)[0]
    assert "not started by a systemd unit" in place.problems('token_credential = "atlas"')[0]


def test_no_secret_at_all_is_fine(place: Place) -> None:
    assert _token(place.load("")) is None


def test_two_forms_at_once_are_refused_wherever_they_come_from(place: Place) -> None:
    place.write()
    both = f'token_file = "atlas.token"\ntoken = "{SECRET}"'
    assert place.problems(both) == [
        "D/edgebotd.toml:4:1: bots.atlas.token_file: there is token too (D/edgebotd.toml:5:1); keep one of them"
    ]
    [problem] = place.problems('token_file = "atlas.token"', {"EDGEBOTD_BOTS__ATLAS__TOKEN": SECRET})
    assert "there is token too (EDGEBOTD_BOTS__ATLAS__TOKEN)" in problem


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"  \n", b"a b", b"a\nb\n", b"a\x00", b"\xff\xfe", "ü".encode(), b"x" * 20_000]
)
def test_a_blank_or_malformed_secret_is_refused(place: Place, content: bytes) -> None:
    place.write(content)
    [problem] = place.problems('token_file = "atlas.token"')
    assert problem.startswith("D/edgebotd.toml:4:1: bots.atlas.token_file: ")
    assert "blank" in problem or "malformed" in problem
    assert "xxx" not in problem


def test_what_is_missing_unreadable_or_no_file_is_named(place: Place) -> None:
    assert "D/atlas.token cannot be read: No such file or directory" in place.problems('token_file = "atlas.token"')[0]
    os.mkfifo(place.token, 0o600)
    assert "D/atlas.token is not a file" in place.problems('token_file = "atlas.token"')[0]
    place.token.unlink()
    place.token.mkdir(mode=0o700)
    assert place.problems('token_file = "atlas.token"')[0].startswith(
        "D/edgebotd.toml:4:1: bots.atlas.token_file: D/atlas"
    )


def test_a_blank_value_from_the_environment_is_an_error(place: Place) -> None:
    assert place.problems("", {"EDGEBOTD_BOTS__ATLAS__TOKEN": ""}) == ["EDGEBOTD_BOTS__ATLAS__TOKEN: is blank"]
