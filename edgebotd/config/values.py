"""The kinds of values that settings have, each with its check; a message says what would be right."""

from __future__ import annotations

import ipaddress
import os
import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from edgebotd.protocol.fields import without_controls

MIB: Final = 1024 * 1024

BOT_ID_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,31}$"
"""As in events.py, which stands above this package; a test holds the two equal."""

UNIX_PATH_MAX: Final = 107
"""Bytes of a unix socket's path: sizeof(sockaddr_un.sun_path) - 1, unix(7)."""


def parse_address(text: str) -> tuple[str, int]:
    """Split `host:port`, `[v6]:port` or `:port` (every address) into host and port.

    Raises:
        ValueError: it is of no such form.
    """
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^\[\]:\s/]*)):([0-9]{1,5})", text)
    if match is None or int(match[3]) > 65535:
        raise ValueError(f"must be host:port, such as 127.0.0.1:8787 or [::1]:8787, not {text!r}")
    return match[1] or match[2] or "0.0.0.0", int(match[3])


def address_url(host: str, port: int, *, tls: bool) -> str:
    """Return the URL under which an address of this machine that is listened on can be opened here."""
    # Listening on every address is no place to go to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether a host of a bind address is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _address(text: str) -> str:
    parse_address(text)
    return text


def _origin(text: str) -> str:
    parts = urlsplit(text)  # raises ValueError for a broken IPv6 address
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("must be an origin such as https://bots.example.org")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"must be an origin without a path: {parts.scheme}://{parts.netloc}")
    _ = parts.port  # raises ValueError when out of range
    return f"{parts.scheme}://{parts.netloc}".lower()


def _host(text: str) -> str:
    name = text.lower().rstrip(".")
    label = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
    if len(name) > 253 or not re.fullmatch(rf"{label}(?:\.{label})*", name):
        raise ValueError("must be a host name such as chat.example.org, without scheme, port or path")
    return name


def _network(value: object) -> object:
    try:
        return ipaddress.ip_network(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("must be an IP address, or a network such as 10.0.0.0/8") from None


def _path(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        raise ValueError("must not be empty")
    return os.path.expanduser(value) if isinstance(value, str) else value


def _socket_path(path: Path) -> Path:
    if len(os.fsencode(path)) > UNIX_PATH_MAX:
        raise ValueError(f"a unix socket's path may have {UNIX_PATH_MAX} bytes at most")
    return path


def _mount(text: str) -> str:
    if not re.fullmatch(r"/[^:\x00-\x1f\x7f]+:/[^:\x00-\x1f\x7f]+(:ro)?", text):
        raise ValueError("must be FOLDER:PLACE or FOLDER:PLACE:ro, both in full and neither of them / itself")
    return text


def _ports(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,5}-[0-9]{1,5}", text, re.ASCII):
        raise ValueError("must be FIRST-LAST out of 1-65535, such as 18900-19899")
    return text


def _words(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


# Numbers are strict: `true` is no number and "10" is a string; the environment's text is converted before it gets here.
Seconds = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=1)]
Days = Annotated[int, Field(strict=True, ge=1)]
Bytes = Annotated[int, Field(strict=True, ge=1024)]
Flag = Annotated[bool, Field(strict=True)]
Words = Annotated[str, AfterValidator(_words)]
Name = Annotated[str, AfterValidator(_words), AfterValidator(without_controls)]
Mount = Annotated[str, AfterValidator(_mount)]
Ports = Annotated[str, AfterValidator(_ports)]
Address = Annotated[str, AfterValidator(_address)]
Origin = Annotated[str, AfterValidator(_origin)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Host = Annotated[str, AfterValidator(_host)]
FilePath = Annotated[Path, BeforeValidator(_path)]
SocketPath = Annotated[Path, BeforeValidator(_path), AfterValidator(_socket_path)]
BotId = Annotated[str, Field(pattern=BOT_ID_PATTERN)]
