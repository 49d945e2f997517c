"""A process that was forked warm is to its caller what a started one is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.warm import CHECKOUT, WarmProgram, run_warm

ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONUNBUFFERED": "1"}


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["status", "--nothing-like-it"]])
def test_it_says_and_ends_with_what_a_cold_one_does(arguments: list[str]) -> None:
    cold = subprocess.run(
        [sys.executable, "-m", "edgebotd", *arguments], cwd=CHECKOUT, env=ENVIRONMENT, capture_output=True, text=True
    )
    warm = run_warm(arguments, env=ENVIRONMENT)
    assert (warm.returncode, warm.stdout, warm.stderr) == (cold.returncode, cold.stdout, cold.stderr)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_is_alone_in_its_group_and_dies_of_what_it_is_sent(tmp_path: Path, number: signal.Signals) -> None:
    command = ["demo", "--bind", "127.0.0.1:0", "--state-dir", str(tmp_path / "state")]
    program = WarmProgram(command, env=ENVIRONMENT, log=tmp_path / "log")
    program.start()
    try:
        program.wait_until(lambda: "Ctrl-C stops it" in program.log.read_text(), 30, "the demo")
        assert program.pid == os.getpgid(program.pid) == os.getsid(program.pid)
        assert program.wait(0) is None and program.running
        program.signal_all(number)
        assert program.wait(10) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        assert not program.running
    finally:
        program.close()
