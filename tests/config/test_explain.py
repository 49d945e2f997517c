"""What an administrator reads of the configuration: each value, who said so, and no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebotd.config import Explained, Settings, explain, load

HOME = {"HOME": "/home/nobody"}
SECRET = "canary-0123456789"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edgebotd.toml"
    path.touch(mode=0o600)
    return path


def told(settings: Settings) -> dict[str, Explained]:
    found = explain(settings)
    by_key = {one.key: one for one in found}
    assert len(by_key) == len(found)
    assert SECRET not in str(found)
    return by_key


def where(one: Explained) -> tuple[object, str, str | None]:
    return one.value, one.origin, one.place


def test_each_value_is_told_with_who_said_so(file: Path) -> None:
    file.write_text(
        '[server]\nbind = ["127.0.0.1:1"]\ngraceful_seconds = 3\n\n[storage]\nstate_dir = "state"\n'
        '[bots]\natlas = { kind = "echo", name = "Atlas" }\n'
    )
    env = {**HOME, "EDGEBOTD_CHAT__QUEUED_SECONDS": "60", "EDGEBOTD_BOTS__ATLAS__PACE_MS": "5"}
    settings = load(file, env, {"logging.level": "debug", "server.graceful_seconds": 4})
    assert settings.sources.file == file
    by_key = told(settings)
    assert where(by_key["server.bind"]) == (["127.0.0.1:1"], "file", "edgebotd.toml:2:1")
    assert where(by_key["server.graceful_seconds"]) == (4, "flag", "--graceful-seconds")
    assert where(by_key["storage.state_dir"]) == (str(file.parent / "state"), "file", "edgebotd.toml:6:1")
    assert where(by_key["chat.queued_seconds"]) == (60, "environment", "EDGEBOTD_CHAT__QUEUED_SECONDS")
    assert where(by_key["logging.level"]) == ("debug", "flag", "--level")
    assert where(by_key["bots.atlas.name"]) == ("Atlas", "file", "edgebotd.toml:8:26")
    assert where(by_key["bots.atlas.pace_ms"]) == (5, "environment", "EDGEBOTD_BOTS__ATLAS__PACE_MS")
    assert where(by_key["bots.atlas.url"]) == (None, "default", None)
    assert where(by_key["server.socket"]) == ("/run/edgebotd.sock", "default", None), "though `load` filled it in"
    assert not by_key["server.public_url"].present and by_key["server.bind"].present
    assert all(one.doc for one in by_key.values())
    wanted = [
        f"{name}.{key}"
        for name, section in settings
        if name not in ("bots", "providers")
        for key in type(section).model_fields
        if (name, key) != ("alerts", "channels")
    ]
    assert [key for key in by_key if not key.startswith("bots.")] == wanted


@pytest.mark.parametrize("way", ["token", "token_file", "token_credential"])
def test_of_a_secret_only_that_it_is_there_is_told(file: Path, way: str) -> None:
    named = file.parent / "atlas.token"
    named.write_text(SECRET)
    named.chmod(0o600)
    value = {"token": SECRET, "token_file": str(named), "token_credential": "atlas.token"}[way]
    file.write_text(f'[bots.atlas]\nkind = "openclaw"\nurl = "ws://127.0.0.1:1"\n{way} = "{value}"\n')
    settings = load(file, {**HOME, "CREDENTIALS_DIRECTORY": str(file.parent)})
    assert settings.bots["atlas"].token is not None
    token = told(settings)["bots.atlas.token"]
    assert (token.secret, token.present, *where(token)) == (True, True, None, "file", "edgebotd.toml:4:1")
    without = told(load(None, {**HOME, "EDGEBOTD_BOTS__E__KIND": "echo"}, search=False))["bots.e.token"]
    assert (without.secret, without.present, *where(without)) == (True, False, None, "default", None)
    assert not told(settings)["bots.atlas.token_file"].secret


def test_a_key_in_a_url_is_not_told(file: Path) -> None:
    file.write_text(
        f'[bots.a]\nkind = "openai"\nmodel = "m"\nurl = "https://h/v1?key={SECRET}"\n'
        '[bots.b]\nkind = "openai"\nmodel = "m"\nurl = "https://h/v1"\n'
    )
    by_key = told(load(file, HOME))
    assert [by_key[f"bots.{bot}.url"].value for bot in "ab"] == ["https://h/v1?…", "https://h/v1"]


def test_the_defaults_of_a_caller_are_nobodys_word(file: Path) -> None:
    env = {**HOME, "EDGEBOTD_BOTS__ECHO__NAME": "E"}
    defaults: dict[str, object] = {
        "server.bind": ("127.0.0.1:7",), "server.graceful_seconds": 2, "bots": {"echo": {"kind": "echo"}},
        "bots.echo.kind": "echo",
    }  # fmt: skip
    settings = load(None, env, {"server.graceful_seconds": 3}, search=False, defaults=defaults)
    by_key = told(settings)
    assert where(by_key["server.bind"]) == (["127.0.0.1:7"], "default", None)
    assert where(by_key["server.graceful_seconds"]) == (3, "flag", "--graceful-seconds")
    assert where(by_key["bots.echo.kind"]) == ("echo", "default", None)
    assert where(by_key["bots.echo.name"]) == ("E", "environment", "EDGEBOTD_BOTS__ECHO__NAME")


def test_where_settings_come_from_makes_them_no_others(file: Path) -> None:
    file.write_text("[chat]\nsettle_seconds = 5\n")
    assert load(file, HOME) == load(None, HOME, search=False)
