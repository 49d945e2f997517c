"""edgebotd as an installed service: the units of systemd/ in a booted container, as docs/install.md has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.peers.process import PeerFailed
from tests.peers.systemd import CHECKOUT, Container, open_container

EDGEBOTD = "/opt/edgebotd/bin/edgebotd"
CONFIG = "/etc/edgebotd/edgebotd.toml"
CREDENTIALS = "/etc/edgebotd/credentials"
DROP_INS = "/etc/systemd/system/edgebotd.service.d"
UNITS = ("edgebotd.socket", "edgebotd.service")
CONFIGURATION = """[server]
graceful_seconds = 10
[bots.echo]
kind = "echo"
pace_ms = 1
"""


@contextmanager
def open_machine() -> Iterator[Container]:
    """Boot a systemd and install the units.

    Raises:
        PeerUnavailable: this machine cannot.
    """
    with open_container() as container:
        units = CHECKOUT / "systemd"
        container.write("/etc/sysusers.d/edgebotd.conf", (units / "edgebotd.sysusers").read_text())
        for name in UNITS:
            container.write(f"/etc/systemd/system/{name}", (units / name).read_text())
        container.run("systemd-sysusers")
        container.run("systemctl", "daemon-reload")
        yield container


def make_fresh(machine: Container) -> None:
    """Leave no trace of an earlier daemon, and a good configuration."""
    script = f"""
        systemctl stop {" ".join(UNITS)}; systemctl reset-failed; rm -rf /var/lib/edgebotd /etc/edgebotd {DROP_INS}
        systemctl daemon-reload; journalctl --sync --rotate --vacuum-time=1us
        install -d -m 0750 -g edgebotd /etc/edgebotd; install -d -m 0750 {CREDENTIALS}
    """
    machine.run("sh", "-c", script, check=False)
    configure(machine, CONFIGURATION)


def configure(machine: Container, text: str) -> None:
    """Write the configuration as docs/install.md says: root's, and readable for the service."""
    machine.write(CONFIG, text, 0o640, "edgebotd")


def set_drop_in(machine: Container, text: str) -> None:
    machine.write(f"{DROP_INS}/test.conf", text)
    machine.run("systemctl", "daemon-reload")


def start(machine: Container) -> None:
    machine.run("systemctl", "start", "edgebotd")


def failed_start(machine: Container) -> str:
    """Start in vain; return what the journal says."""
    with pytest.raises(PeerFailed):
        start(machine)
    return machine.journal()


def main_pid(machine: Container) -> str:
    pid = machine.show("edgebotd", "MainPID")
    assert pid != "0"
    return pid


def starts(machine: Container) -> int:
    return machine.journal(lines=500).count("Starting edgebotd.service")


def edgebotd(machine: Container, *arguments: str) -> str:
    return machine.run(EDGEBOTD, *arguments).stdout


def ask(machine: Container, path: str) -> str:
    """Ask the daemon over TCP, inside; returns status and body."""
    script = (
        f"import urllib.request; answer = urllib.request.urlopen('http://127.0.0.1:8787{path}', timeout=60); "
        "print(answer.status, answer.read().decode())"
    )
    return machine.python(script).stdout.strip()
