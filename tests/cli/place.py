"""A user of the program: surroundings of its own, commands to their end, a demo that runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PROGRAM = [sys.executable, "-m", "edgebotd"]
DEADLINE = 60
"""Seconds for what takes one or two; only a hang gets there."""


class Place:
    """A user's surroundings, with nothing of this machine's in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "runtime").mkdir(mode=0o700)
        (folder / "tmp").mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGEBOTD_")}
        self.env = {
            **kept,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder / "runtime"),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, *arguments: str, status: int = 0, input: str | None = None) -> str:
        """Run a command to its end and return its output."""
        done = subprocess.run(
            [*PROGRAM, *arguments], env=self.env, input=input, capture_output=True, text=True, timeout=DEADLINE
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr if status else done.stdout

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command; it is killed at the end of the block where it still runs."""
        with subprocess.Popen(
            [*PROGRAM, *arguments], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def demo(self, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
        """Start a demo on a free port; yields it and what it printed."""
        with self.started("demo", "--bind", "127.0.0.1:0", *arguments) as process:
            yield process, until(process, "Ctrl-C stops it")


def until(process: subprocess.Popen[str], words: str) -> str:
    """Read output up to a line that has the words."""
    read = ""
    for line in stdout(process):
        read += line
        if words in line:
            return read
    raise AssertionError(f"ended with {process.wait()} before it said {words!r}:\n{read}")


def stdout(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> int:
    process.send_signal(number)
    process.communicate(timeout=DEADLINE)
    return process.returncode
