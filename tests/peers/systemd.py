"""A real systemd as PID 1, in a throw-away container made of this machine's own /usr (systemd-nspawn).

Nothing is downloaded: the container has our /usr read-only, an empty volatile /etc and /var, and a network of its own
with a loopback only. Needs root and Debian's systemd-container.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.peers.install import PeerUnavailable
from tests.peers.process import PeerFailed, Program

CHECKOUT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
INSIDE = ("-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w")
"""Every namespace of the container, for nsenter."""

BINARY = f"python{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = ("env", "LD_LIBRARY_PATH=/opt/edgebotd/python/lib", f"/opt/edgebotd/python/bin/{BINARY}")

WRAPPER = """#!/bin/sh
export PYTHONPATH=/opt/edgebotd/checkout:/opt/edgebotd/packages LD_LIBRARY_PATH=/opt/edgebotd/python/lib
export PYTHONDONTWRITEBYTECODE=1
exec /opt/edgebotd/python/bin/{python} -m edgebotd "$@"
"""


class Container:
    """A booted systemd; commands run inside as root."""

    def __init__(self, program: Program, leader: int, folder: Path) -> None:
        self._program = program
        self._leader = leader
        self.folder = folder
        """Shared with the container, there as /run/host/test."""
        self.socket = Path(f"/proc/{leader}/root/run/edgebotd.sock")
        """The daemon's unix socket as this side reaches it: we are root there too."""

    def run(
        self, *argv: str, check: bool = True, timeout: float = 60, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside and return what it said.

        Raises:
            PeerFailed: it ended with another status than 0 and `check` is set.
        """
        enter = ["nsenter", "-t", str(self._leader), *INSIDE]
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "TERM=dumb", "SYSTEMD_PAGER="]
        done = subprocess.run(
            [*enter, *clean, *argv], capture_output=True, text=True, timeout=timeout, check=False, input=input
        )
        if check and done.returncode:
            raise PeerFailed(f"{' '.join(argv)}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.journal()}")
        return done

    def popen(self, *argv: str) -> subprocess.Popen[str]:
        """Start a command inside; the caller waits for it."""
        enter = ["nsenter", "-t", str(self._leader), *INSIDE]
        return subprocess.Popen([*enter, *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def python(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a Python script inside."""
        return self.run(*PYTHON, "-c", script)

    def popen_python(self, script: str) -> subprocess.Popen[str]:
        """Start a Python script inside; the caller waits for it."""
        return self.popen(*PYTHON, "-c", script)

    def show(self, unit: str, name: str) -> str:
        """Return one property of a unit."""
        return self.run("systemctl", "show", "-P", name, unit).stdout.strip()

    def journal(self, unit: str = "edgebotd", lines: int = 40) -> str:
        """Return the last lines of a unit's journal."""
        self.run("journalctl", "--sync", check=False)
        said = self.run("journalctl", "-u", unit, "-n", str(lines), "-o", "cat", "--no-pager", check=False)
        return said.stdout

    def write(self, path: str, text: str, mode: int = 0o644, group: str = "root") -> None:
        """Write a file inside, its folders made."""
        staged = self.folder / "staged"
        staged.write_text(text)
        self.run("install", "-D", "-m", f"{mode:o}", "-g", group, "/run/host/test/staged", path)

    def until(self, condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
        """Poll from a thread or a test without a loop.

        Raises:
            PeerFailed: the timeout passed; the message ends with the journal.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise PeerFailed(f"waited {timeout} s for {what}\n{self.journal()}")
            time.sleep(0.2)


@contextmanager
def open_container() -> Iterator[Container]:
    """Boot a container with this checkout and its Python in /opt/edgebotd; end it on leaving.

    Raises:
        PeerUnavailable: this machine cannot.
    """
    for tool in ("systemd-nspawn", "nsenter"):
        if shutil.which(tool) is None:
            raise PeerUnavailable(
                f"`{tool}` is not installed; on Debian: apt-get install --no-install-recommends systemd-container"
            )
    if os.geteuid() != 0:
        raise PeerUnavailable("only root may boot a container")
    with tempfile.TemporaryDirectory(prefix="edgebotd-systemd-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        program = Program(
            _argv(folder), env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}, log=folder / "log"
        )
        program.start()
        try:
            yield Container(program, _wait_for_boot(program), folder)
        finally:
            program.close(grace=10)


def _argv(folder: Path) -> list[str]:
    python = Path(sys.base_prefix)
    wrapper = folder / "edgebotd"
    wrapper.write_text(WRAPPER.format(python=BINARY))
    wrapper.chmod(0o755)
    places = [
        (CHECKOUT, "/opt/edgebotd/checkout"),
        (Path(sysconfig.get_path("purelib")), "/opt/edgebotd/packages"),
        (python, "/opt/edgebotd/python"),
        (wrapper, "/opt/edgebotd/bin/edgebotd"),
        (folder, "/run/host/test"),
        # What a small Debian may lack; the container's own /etc is empty.
        *((Path(path), path) for path in ("/etc/ssl", "/etc/alternatives") if Path(path).exists()),
    ]
    return [
        "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--boot", "--console=pipe",
        # There is no machined to ask for a scope, and nobody else may see this container's traffic.
        "-D", "/", "--volatile=yes",
        *(f"--bind-ro={source}:{target}" for source, target in places),
        "systemd.log_target=journal", "systemd.show_status=no", "systemd.unit=multi-user.target",
        # Without these an empty /etc means a first boot, which asks questions and enables every unit of the machine.
        "systemd.condition-first-boot=no", "systemd.mask=systemd-firstboot.service",
    ]  # fmt: skip


def _wait_for_boot(program: Program) -> int:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not program.running:
            raise PeerUnavailable(f"systemd-nspawn does not run here:\n{program.last_lines(5)}")
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
        for child in children:
            probe = subprocess.run(
                ["nsenter", "-t", child, *INSIDE, "systemctl", "is-system-running"],
                capture_output=True,
                text=True,
                check=False,
            )
            if probe.stdout.strip() in ("running", "degraded"):
                return int(child)
        time.sleep(0.2)
    raise PeerFailed(f"systemd did not come up\n{program.last_lines()}")
