"""Sends one message by the library Apprise, in a process of its own, which may connect to the open internet only.

Run by `apprise.py` as `python -m edgebotd.alerting.apprise_child`: one JSON document on standard input, one word on
standard output. Its plugins resolve names themselves, so what is looked at is each address that a socket is about to be
connected to; a name in its place, which the system would resolve unseen, is no public address.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

from edgebotd.protocol.addresses import is_near, is_public, is_within

SENT: Final = "sent"
REFUSED: Final = "refused"
FAILED: Final = "failed"
BAD_URL: Final = "bad_url"
MISSING: Final = "missing"

_SOCKETS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
# What a plugin could start would have no guard. The names are of Python's table of audit events.
_PROCESSES: Final = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"})


class Guard:
    """The audit hook. Once something was refused, all is: whoever mixes addresses counts on the next being tried."""

    def __init__(self, allow: tuple[IPv4Network | IPv6Network, ...]) -> None:
        self.refused = False
        self._allow = allow
        self._probing = threading.local()

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _PROCESSES:
            raise PermissionError("no process from here")
        if event in _SOCKETS and not getattr(self._probing, "on", False):
            address = args[1]
            # `sendto` and `sendmsg` of a connected socket name none.
            if address is not None and (self.refused or not self._passes(args[0], address)):
                self._refuse()

    def _refuse(self) -> None:
        self.refused = True
        raise PermissionError("not an address of the open internet")

    def _passes(self, sock: socket.socket, address: object) -> bool:
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            return False
        host = address[0]
        if not isinstance(host, str):
            return False
        if len(address) == 4 and address[3]:
            return False  # a zone of its own: link-local
        if is_within(host, self._allow):
            return True
        return is_public(host) and not self._near(host)

    def _near(self, host: str) -> bool:
        self._probing.on = True
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((host, 443))
                return is_near(host, str(probe.getsockname()[0]))
        except OSError:
            return False  # no way there: the connection itself will say so
        finally:
            self._probing.on = False


def send(document: dict[str, Any], guard: Guard) -> str:
    """Send, and return one of the words above."""
    try:
        import apprise
    except ImportError:
        return MISSING
    asset = apprise.AppriseAsset(storage_mode="memory", secure_logging=True)
    sender = apprise.Apprise(asset=asset)
    if not sender.add(document["url"]):
        return REFUSED if guard.refused else BAD_URL
    sent = sender.notify(title=document["title"], body=document["text"], notify_type=document["type"])
    return SENT if sent and not guard.refused else REFUSED if guard.refused else FAILED


def main() -> None:
    """Read the document, send it, say how it went, and end without waiting for what a plugin has left running."""
    document = json.loads(sys.stdin.buffer.read())
    answer = os.dup(1)
    # Nothing that a library prints or logs gets out: it may hold the URL.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    logging.disable(logging.CRITICAL)
    guard = Guard(tuple(ip_network(text) for text in document["allow"]))
    sys.addaudithook(guard)
    try:
        word = send(document, guard)
    except Exception:  # noqa: BLE001 # whatever a plugin raises, its text may hold the URL
        word = REFUSED if guard.refused else FAILED
    os.write(answer, word.encode())
    os._exit(0)


if __name__ == "__main__":
    main()
