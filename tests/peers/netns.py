"""A network namespace with one cable to this one: a peer in it sees us as an address that is not its loopback.

That is how a gateway in a container sees the daemon behind a published port. Needs root and iproute2.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.peers.install import PeerUnavailable

_NUMBERS = count(1)
_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Namespace:
    """A namespace's name, its end of the cable (`address`), ours (`gateway`), and our interface."""

    name: str
    address: str
    gateway: str
    interface: str

    @property
    def enter(self) -> list[str]:
        """The command in front of which a program runs inside; it replaces itself, so the process id stays."""
        return ["ip", "netns", "exec", self.name]

    def swallow(self) -> None:
        """Let every packet to the namespace vanish from now on, as where a laptop is shut: no FIN, no RST, no error."""
        # To an address on the cable that nobody has. The cable stays up, so nothing tells the sender.
        nobody = "02:00:00:00:00:01"
        _ip("neighbour", "replace", self.address, "lladdr", nobody, "dev", self.interface, "nud", "permanent")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=15)


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Make a namespace with loopback and a veth pair; remove both at the end.

    Raises:
        PeerUnavailable: not root, no `ip`, or the kernel refuses.
    """
    if shutil.which("ip") is None:
        raise PeerUnavailable("`ip` is not installed; on Debian: apt-get install --no-install-recommends iproute2")
    if os.geteuid() != 0:
        raise PeerUnavailable("only root may make a network namespace")
    # Names of interfaces hold 15 characters; a /30 out of 10.192.0.0/12 by process id, so that parallel runs differ.
    number = next(_NUMBERS)
    tag = f"{os.getpid() % 0x40000:05x}{number:x}"
    block = 0x0AC00000 + ((os.getpid() * 16 + number) % 0x40000) * 4
    ours, theirs = (".".join(str((block + n) >> shift & 255) for shift in (24, 16, 8, 0)) for n in (1, 2))
    name, inner, outer = f"edgebotd-{tag}", f"ebi{tag}", f"ebo{tag}"
    try:
        _ip("netns", "add", name)
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
        _ip("address", "add", f"{ours}/30", "dev", outer)
        _ip("link", "set", outer, "up")
        _ip("-n", name, "address", "add", f"{theirs}/30", "dev", inner)
        _ip("-n", name, "link", "set", inner, "up")
        _ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as error:
        _remove(name)
        raise PeerUnavailable(f"cannot make a network namespace: {error.stderr.strip()}") from error
    try:
        yield Namespace(name, theirs, ours, outer)
    finally:
        _remove(name)


def _remove(name: str) -> None:
    # The cable's outer end goes with the inner one.
    with suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
        _ip("netns", "delete", name)


def connect_within(namespace: Path, host: str, port: int, timeout: float = 10) -> socket.socket:
    """Return a TCP connection that was made inside of a network namespace, for use here; blocking.

    Raises:
        OSError: no connection, or the namespace may not be entered.
    """
    return _made_within(namespace, lambda: socket.create_connection((host, port), timeout))


def listen_within(namespace: Path, host: str) -> socket.socket:
    """Return a socket that listens inside of a network namespace, on a free port, for use here; blocking.

    Raises:
        OSError: not an address of the namespace, or that may not be entered.
    """
    return _made_within(namespace, lambda: socket.create_server((host, 0)))


def _made_within(namespace: Path, make: Callable[[], socket.socket]) -> socket.socket:
    made: list[socket.socket | OSError] = []

    def enter() -> None:
        # A thread of its own: whoever enters a namespace stays in it, and a socket belongs to where it was made.
        try:
            with namespace.open() as handle:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
            made.append(make())
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=enter, name="netns")
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]
