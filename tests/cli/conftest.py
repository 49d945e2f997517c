"""A daemon's stand-in and a way to call commands against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgebotd.cli import root
from tests.cli.daemon import Script, serve

Command = Callable[..., Result]


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep this machine's own daemon, demo and settings out of the tests."""
    for name in ("EDGEBOTD_CONFIG", "EDGEBOTD_SOCKET", "EDGEBOTD_URL", "EDGEBOTD_TOKEN", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    (home / "runtime").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "runtime"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def command(tmp_path: Path, script: Script) -> Iterator[Command]:
    """Run a command against the stand-in."""
    socket = tmp_path / "daemon.sock"

    def run(*arguments: str, input: str | None = None) -> Result:
        return CliRunner().invoke(root, ["--socket", str(socket), *arguments], input=input)

    with serve(socket, script):
        yield run
