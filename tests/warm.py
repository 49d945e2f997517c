"""edgebotd's command line without the wait for its imports: each process is forked from one that has done them.

What such a process does is what `python -m edgebotd` does, from reading its arguments to its end. What happens before
is the business of tests/cli, which starts the program as people do.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import importlib.util
import io
import json
import os
import pkgutil
import select
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Final

from typing_extensions import override

from tests.peers.process import Process, Program

CHECKOUT: Final = Path(__file__).parent.parent
_MOST_BYTES: Final = 1 << 17
PLANT: Final = "TESTS_PLANT"
"""The variable with the Python that a process runs first, to plant a bug; it is gone when the command begins."""


class WarmProgram(Program):
    """A command of edgebotd's that runs until it is ended; the arguments are those after `edgebotd`."""

    @override
    def _spawn(self, log: IO[bytes]) -> Process:
        with open(os.devnull, "rb") as nothing:
            return _nest().hatch(self.arguments, self.env, (nothing, log, log))


def run_warm(
    arguments: Sequence[str], *, env: Mapping[str, str], text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of edgebotd's to its end, as `subprocess.run` does."""
    read, write = os.pipe()
    with open(read, "rb") as stdin, open(write, "wb") as given, _file() as out, _file() as err:
        process = _nest().hatch(arguments, env, (stdin, out, err))
        stdin.close()
        given.write((text or "").encode())
        given.close()
        code = process.wait(60)
        said = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode() for file in (out, err)]
    return subprocess.CompletedProcess(list(arguments), code, *said)


def _file() -> IO[bytes]:
    return open(os.memfd_create("output"), "r+b")


class Hatched:
    """A process that is the nest's child: what of `subprocess.Popen` is used of it."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._returncode: int | None = None
        self.pid = int(line.recv(64))

    def poll(self) -> int | None:
        """Return how it ended; None while it runs."""
        return self._returncode if self._ended(0) else None

    def wait(self, timeout: float) -> int:
        """Wait for its end and return how it ended.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        if not self._ended(timeout) or self._returncode is None:
            raise subprocess.TimeoutExpired("edgebotd", timeout)
        return self._returncode

    def terminate(self) -> None:
        """Ask it to end."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def _ended(self, timeout: float) -> bool:
        if self._returncode is None and select.select([self._line], [], [], timeout)[0]:
            self._returncode = int(self._line.recv(64))
            self._line.close()
        return self._returncode is not None


class Nest:
    """The process that has imported everything. Ends with the one that made it."""

    def __init__(self) -> None:
        self._line, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            script = (
                f"from edgebotd.__main__ import main\nfrom tests.warm import serve\nif serve({far.fileno()}): main()\n"
            )
            self._process = subprocess.Popen(
                [sys.executable, "-c", script],
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                pass_fds=[far.fileno()],
                # Ctrl-C is for who waits for the tests.
                start_new_session=True,
            )

    def hatch(self, arguments: Sequence[str], env: Mapping[str, str], files: Sequence[IO[bytes]]) -> Hatched:
        """Start a process with these as its standard files, in a session and a group of its own."""
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            wanted = json.dumps([list(arguments), dict(env), os.getcwd()]).encode()
            socket.send_fds(self._line, [wanted], [far.fileno(), *(file.fileno() for file in files)])
        return Hatched(near)

    def close(self) -> None:
        """End it; nothing of what it hatched is ended."""
        self._line.close()
        self._process.wait(10)


@cache
def _nest() -> Nest:
    nest = Nest()
    atexit.register(nest.close)
    return nest


def serve(fd: int) -> bool:
    """Fork a process for each that is asked for, and tell how it ended.

    Returns:
        True in such a process, which is as if just started; False in the nest, when nobody can ask any more.
    """
    import edgebotd.cli

    for module in pkgutil.iter_modules(edgebotd.cli.__path__, "edgebotd.cli."):
        importlib.import_module(module.name)
    importlib.import_module("edgebotd.daemon")
    # What is there now is never freed: not to be looked at, and so copied, in each process anew.
    gc.freeze()
    line = socket.socket(fileno=fd)
    running: dict[int, tuple[int, socket.socket]] = {}
    """By their pidfds, which can be read when they have ended: their ids, and who waits for that."""
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd in running:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    pid, waits = running.pop(key.fd)
                    _tell(waits, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                    waits.close()
                    continue
                wanted, fds, _, _ = socket.recv_fds(line, _MOST_BYTES, 4)
                if not wanted:
                    return False
                waits = socket.socket(fileno=fds.pop(0))
                if not (pid := os.fork()):
                    # Each is closed by who opened it: a number that is free is soon another file's.
                    for pidfd, (_, other) in running.items():
                        os.close(pidfd)
                        other.close()
                    waits.close()
                    line.close()
                    _become(json.loads(wanted), fds)
                    return True
                for other_fd in fds:
                    os.close(other_fd)
                pidfd = os.pidfd_open(pid)
                running[pidfd] = (pid, waits)
                selector.register(pidfd, selectors.EVENT_READ)
                _tell(waits, pid)


def _tell(waits: socket.socket, number: int) -> None:
    try:
        waits.send(str(number).encode())
    except OSError:
        pass  # nobody waits for it


def _become(wanted: tuple[list[str], dict[str, str], str], fds: list[int]) -> None:
    """Let this process be what a shell would have started."""
    arguments, env, cwd = wanted
    os.setsid()
    os.chdir(cwd)
    for standard, fd in enumerate(fds):
        os.dup2(fd, standard)
        os.close(fd)
    os.environ.clear()
    os.environ.update(env)
    program = importlib.util.find_spec("edgebotd.__main__")
    assert program is not None and program.origin is not None
    sys.argv[:] = [program.origin, *arguments]
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(write_through="PYTHONUNBUFFERED" in env)
    if (plant := os.environ.pop(PLANT, None)) is not None:
        exec(plant, {"__name__": "plant"})
