"""Programs that tests start, each with all that it started: signalled by their ids and nothing broader."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

_LOWEST_PORT = 20_000
"""Below it are the ports that services have by themselves."""
_POLL_SECONDS = (0.02, 0.1)
"""At first, when it may be there in a moment; and in the end, when each look costs who is still starting."""


class PeerFailed(Exception):
    """Raised when a program died or did not become ready; the message ends with the last lines of its log."""


def free_port() -> int:
    """Return a loopback TCP port that was free a moment ago, and that nobody is given who asks for any.

    One of the latter may be taken before the program that is told of it listens, or while it is started again: by a
    connection of whatever runs beside the test.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    choice = range(_LOWEST_PORT, lowest)
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", secrets.choice(choice) if choice else 0))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port


class Process(Protocol):
    """What of `subprocess.Popen` is used here."""

    @property
    def pid(self) -> int:
        """Its id, which is its group's too."""
        ...

    def poll(self) -> int | None:
        """Return how it ended; None while it runs."""
        ...

    def wait(self, timeout: float) -> int:
        """Wait for its end, or raise `subprocess.TimeoutExpired`."""
        ...

    def terminate(self) -> None:
        """Send SIGTERM."""
        ...


class Program:
    """One running program and whatever it starts.

    Ownership: whoever calls `start` calls `close`.
    """

    def __init__(self, arguments: Sequence[str | Path], *, env: Mapping[str, str], log: Path) -> None:
        self.arguments = [str(argument) for argument in arguments]
        self.env = dict(env)
        self.log = log
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """Process id of the leader, which is the id of its group too."""
        if self._process is None:
            raise PeerFailed(f"{self.arguments[0]} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the leader lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the program; its output goes to the end of the log."""
        with self.log.open("ab") as log:
            self._process = self._spawn(log)

    def _spawn(self, log: IO[bytes]) -> Process:
        return subprocess.Popen(
            self.arguments, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to the program and all its descendants that live."""
        for pid in self._living():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # it ended while we looked

    def terminate(self) -> None:
        """Ask the leader alone to end, as an init system does; returns at once."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End the program and all its descendants now, and reap it."""
        if self._process is None:
            return
        # Taken while the parents live: an orphan is no descendant any more.
        family = self._living()
        # Stopped first, so that nobody starts another one meanwhile.
        self.signal_all(signal.SIGSTOP)
        family |= self._living()
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended by itself
        self._process.wait(10)
        # The others are reaped by init; their ports are free only when they are gone.
        self.wait_until(lambda: not family & _running().keys(), 10, "its descendants to be gone")
        self._process = None

    def wait(self, timeout: float) -> int | None:
        """Wait for the leader to end; return its status, or None when it still runs."""
        if self._process is None:
            return 0
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def close(self, grace: float = 5) -> None:
        """End the program: a polite signal first, the group's end after `grace` seconds at the latest."""
        self.signal_all(signal.SIGCONT)
        self.terminate()
        self.wait(grace)
        self.kill()

    def wait_until(
        self, ready: Callable[[], bool], timeout: float, what: str, check: Callable[[], None] = lambda: None
    ) -> None:
        """Poll until `ready`; `check` is called in between and may raise to give up (cancellation).

        Raises:
            PeerFailed: the timeout passed.
        """
        deadline = time.monotonic() + timeout
        pause, longest = _POLL_SECONDS
        while not ready():
            if time.monotonic() > deadline:
                raise PeerFailed(f"waited {timeout} s for {what}\n{self.last_lines()}")
            check()
            time.sleep(pause)
            pause = min(pause * 1.2, longest)

    def last_lines(self, count: int = 30) -> str:
        """Return the end of the log, for an error message."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
        except OSError as error:
            return f"(no log: {error})"

    def _living(self) -> set[int]:
        """Return the ids of the program and its descendants; a helper may have a group and a session of its own."""
        if self._process is None:
            return set()
        running = _running()
        family = {self._process.pid} & running.keys()
        # Helpers that outlived their parent are still of the group.
        family |= {pid for pid, (_parent, group) in running.items() if group == self._process.pid}
        while more := {pid for pid, (parent, _group) in running.items() if parent in family} - family:
            family |= more
        return family


def _running() -> dict[int, tuple[int, int]]:
    """Return parent and process group of every process that is no zombie."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # After the command's name in brackets: state, parent, process group.
                state, parent, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue  # it ended while we looked
            if state not in "ZX":
                found[int(entry.name)] = (int(parent), int(group))
    return found
