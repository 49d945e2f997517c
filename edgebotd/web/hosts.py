"""Which names this daemon answers to, and which Origins are its own. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from edgebotd.errors import Problem

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Misdirected(Problem):
    """The Host is none of ours: a rebound DNS name, or a name that the operator has not configured."""

    def __init__(self) -> None:
        super().__init__(
            421,
            "unknown_host",
            "This daemon does not answer to this host name. Set server.public_url, server.chat_host or the bot's host.",
        )


@dataclass(frozen=True, slots=True)
class Host:
    """A known Host: its name, its authority as sent (lower case), and what is shown there.

    Attributes:
        bot_id: the bot whose own host it is.
        chat: whether it is `server.chat_host`, which shows the chat only.
    """

    name: str
    authority: str
    bot_id: str | None = None
    chat: bool = False


@dataclass(frozen=True, slots=True)
class Hosts:
    """The known names (CHANNEL section 5, hosts).

    Attributes:
        names: of the public URL and the chat host, lower case, without port.
        chat: the chat host's name.
        bots: each bot's own host name -> bot id.
        origins: further Origins that the operator allows, and the public URL's own.
        https: whether browsers come by https even where the request does not say so (TLS ends before us).
    """

    names: frozenset[str] = frozenset()
    bots: Mapping[str, str] = field(default_factory=dict)
    origins: frozenset[str] = frozenset()
    https: bool = False
    chat: str | None = None

    @classmethod
    def configured(
        cls,
        public_url: str | None,
        chat_host: str | None,
        bot_hosts: Mapping[str, str],
        allowed_origins: Iterable[str] = (),
    ) -> Hosts:
        """Make it from the settings; `bot_hosts` is host name -> bot id."""
        names: set[str] = set()
        origins = {normal_origin(origin) for origin in allowed_origins}
        https = False
        if public_url:
            url = urlsplit(public_url)
            names.add(_name(url.netloc))
            origins.add(normal_origin(f"{url.scheme}://{url.netloc}"))
            https = url.scheme == "https"
        if chat_host:
            names.add(_name(chat_host))
        return cls(
            frozenset(names),
            {_name(host): bot_id for host, bot_id in bot_hosts.items()},
            frozenset(origins),
            https,
            _name(chat_host) if chat_host else None,
        )

    def find(self, authority: str | None) -> Host:
        """Return what a `Host` header names.

        Ports are not compared: a forwarded port (ssh -L, a container's) is not the one that we listen on, and the
        guard against DNS rebinding is the name.

        Raises:
            Misdirected: another host, or none.
        """
        if not authority:
            raise Misdirected
        authority = authority.lower()
        name = _name(authority)
        if name in self.bots:
            return Host(name, authority, self.bots[name])
        if name in self.names or is_loopback(name):
            return Host(name, authority, chat=name == self.chat)
        raise Misdirected

    def owns(self, origin: str, authority: str, scheme: str) -> bool:
        """Whether an Origin is the page that we ourselves served on this Host, or one that is allowed."""
        origin = normal_origin(origin)
        return origin == normal_origin(f"{scheme}://{authority}") or origin in self.origins

    def allows(self, origin: str) -> bool:
        """Whether pages of this Origin may call from elsewhere: the operator said so, or it is the public URL's."""
        return normal_origin(origin) in self.origins


def is_loopback(name: str) -> bool:
    """Whether a host name always means this machine."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def normal_origin(origin: str) -> str:
    """Return an Origin in lower case without its scheme's default port; what is none stays as it is."""
    origin = origin.lower().rstrip("/")
    scheme, found, authority = origin.partition("://")
    port = _DEFAULT_PORTS.get(scheme)
    if not found or port is None:
        return origin
    return f"{scheme}://{authority.removesuffix(f':{port}')}"


def _name(authority: str) -> str:
    """Return the host of `host[:port]`, IPv6 with its brackets, without the root's final dot."""
    authority = authority.lower()
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0].rstrip(".")
