"""Sends by Apprise in a child process, which is watched by `apprise_child.py` from inside and a deadline from here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final

import trio
from pydantic import SecretStr

import edgebotd
from edgebotd.alerting import apprise_child as child
from edgebotd.alerting.message import Message
from edgebotd.alerting.senders import NotDelivered

SECONDS: Final = 25.0
"""For the start of a Python, the library and its service; less than the commands wait for the answer to a test."""
AT_ONCE: Final = 2
"""Each takes some 60 MB; the others wait."""

_WORDS: Final = {
    child.REFUSED: "Its service is at an address that is not of the open internet; see alerts.allow_networks.",
    child.BAD_URL: "Apprise does not know such a URL.",
    child.MISSING: 'The library Apprise is not installed. Install it: pip install "edgebotd[apprise]".',
    child.FAILED: "Its service did not take the message.",
}
# What the interpreter needs. No proxy, no HOME: of a .netrc or a key that lies there, a plugin must not make use.
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")


class Apprise:
    """One channel's way out by an Apprise URL."""

    def __init__(
        self,
        url: SecretStr,
        allow: tuple[IPv4Network | IPv6Network, ...],
        room: trio.CapacityLimiter,
        seconds: float = SECONDS,
    ) -> None:
        self._url = url
        self._allow = allow
        self._room = room
        self._seconds = seconds

    async def send(self, message: Message) -> None:
        document = {
            "url": self._url.get_secret_value(),
            "title": message.title,
            "text": message.text if message.url is None else f"{message.text}\n\n{message.url}",
            "type": _type(message),
            "allow": [str(network) for network in self._allow],
        }
        async with self._room:
            word = await self._run(json.dumps(document).encode())
        if word != child.SENT:
            raise NotDelivered(_WORDS.get(word, _WORDS[child.FAILED]))

    async def _run(self, document: bytes) -> str:
        package = Path(edgebotd.__file__).parent.parent
        env = {name: os.environ[name] for name in _KEPT if name in os.environ}
        with trio.move_on_after(self._seconds) as scope:
            try:
                ended = await trio.run_process(
                    [sys.executable, "-m", child.__name__],
                    stdin=document,
                    capture_stdout=True,
                    stderr=subprocess.DEVNULL,
                    check=False,
                    cwd="/",
                    env={**env, "PYTHONPATH": str(package), "HOME": "/nonexistent"},
                    deliver_cancel=_kill,
                )
            except OSError:
                raise NotDelivered("The process that sends by Apprise could not be started.") from None
        if scope.cancelled_caught:
            raise NotDelivered(f"Its service did not answer within {self._seconds:.0f} seconds.")
        return ended.stdout.decode("ascii", "replace")


async def _kill(process: trio.Process) -> None:
    process.kill()


def _type(message: Message) -> str:
    if message.kind == "resolved":
        return "success"
    return {"info": "info", "warning": "warning", "critical": "failure"}[message.severity]
