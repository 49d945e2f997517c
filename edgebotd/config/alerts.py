"""[alerts] and [alerts.channels.<id>]: when somebody is needed, and how that is told outside of the page."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from datetime import time
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from typing_extensions import override

from edgebotd.config.providers import CredentialName
from edgebotd.config.section import Contradiction, Section
from edgebotd.config.values import BotId, Count, FilePath, Flag, Network, Seconds, Words, one_or_many
from edgebotd.protocol.addresses import is_public, is_within

Percent = Annotated[float, Field(strict=True, gt=0, le=100, allow_inf_nan=False)]
Severity = Literal["info", "warning", "critical"]
ChannelId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]

# A cloud tells its machines' secrets by these, and nobody's home is there; the mapped ones would be a second spelling.
_NEVER: Final = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("169.254.0.0/16"),
    IPv4Network("168.63.129.16/32"),
    IPv4Network("224.0.0.0/3"),
    IPv6Network("fd00:ec2::/32"),
    IPv6Network("::ffff:0:0/96"),
    IPv6Network("fe80::/10"),
    IPv6Network("ff00::/8"),
)


def _home(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    for never in _NEVER:
        if network.version == never.version and network.overlaps(never):
            raise ValueError(f"must not reach into {never}, where no receiver of messages is")
    return network


def _hours(text: str) -> str:
    hours = parse_hours(text)
    if hours[0] == hours[1]:
        raise ValueError("must begin and end at different times")
    return text


def parse_hours(text: str) -> tuple[time, time]:
    """Split `22:00-07:00`. Raises ValueError."""
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", text)
    if match is None:
        raise ValueError("must be two times of a day, such as 22:00-07:00")
    first, minute, last, end_minute = map(int, match.groups())
    return time(first, minute), time(last, end_minute)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be the name of a time zone that this machine knows, such as Europe/Berlin") from None
    return name


_OF_THE_MACHINE: Final = frozenset({"dbus", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"})
"""Schemes of Apprise that write to the machine's own log or screen, with no connection that could be checked."""


class AlertChannelSettings(Section):
    """[alerts.channels.<id>]"""

    kind: Literal["webhook", "ntfy", "apprise"]
    """webhook: JSON to a server of yours; ntfy: a topic of an ntfy server; apprise: all that its library reaches."""
    name: Words | None = None
    """The name that people see; the id where it is not set."""
    url: SecretStr | None = None
    """Where to; whoever knows it can send there. Better in a file of its own or a systemd credential:"""
    url_file: FilePath | None = None
    """File that holds the URL, readable by its owner only."""
    url_credential: CredentialName | None = None
    """Name of the systemd credential that holds the URL."""
    secret: SecretStr | None = None
    """webhook: the key that signs; ntfy: the access token. In the same three ways:"""
    secret_file: FilePath | None = None
    """File that holds the secret, readable by its owner only."""
    secret_credential: CredentialName | None = None
    """Name of the systemd credential that holds the secret."""
    min_severity: Severity = "warning"
    """What is less severe is not sent here."""
    bots: tuple[BotId, ...] = ()
    """Send only what is about these bots and the accounts that they use; without it everything."""
    quiet: Annotated[str, AfterValidator(_hours)] | None = None
    """Hours in which nothing is sent: "22:00-07:00"; what came meanwhile is told in one message at their end."""
    timezone: Annotated[str, AfterValidator(_zone)] | None = None
    """The time zone of these hours; the machine's own where it is not set."""
    critical_passes: Flag = True
    """Send what is critical in quiet hours too."""

    @property
    def url_key(self) -> str:
        """By which key the URL is given."""
        return "url_file" if self.url_file is not None else "url_credential" if self.url_credential else "url"

    @override
    def contradictions(self) -> Iterator[Contradiction]:
        if self.url is None and self.url_file is None and self.url_credential is None:
            yield "url", "is required: url_file, url_credential or url"
        if self.timezone is not None and self.quiet is None:
            yield "timezone", "means nothing without quiet"
        if self.kind == "apprise":
            for key in ("secret", "secret_file", "secret_credential"):
                if getattr(self, key) is not None:
                    yield key, "means nothing for kind apprise, whose URL holds what is needed"

    @override
    def wrong_secrets(self) -> Iterator[Contradiction]:
        if self.url is not None and (wrong := self._wrong_with(self.url.get_secret_value())):
            yield "url", wrong

    def _wrong_with(self, url: str) -> str | None:
        try:
            parts = urlsplit(url)
            _ = parts.port  # raises ValueError when out of range
        except ValueError:
            parts = SplitResult("", "", "", "", "")
        if self.kind == "apprise":
            if parts.scheme in _OF_THE_MACHINE:
                return f"{parts.scheme}:// stays on this machine; alerts are sent to people elsewhere"
            return None if parts.scheme or "://" in url else "must be a URL of Apprise, such as mailto://..."
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return "must begin with https:// (or http:// for a network of alerts.allow_networks) and name a host"
        if parts.username is not None or parts.password is not None:
            return "must hold no user and password"
        if self.kind == "ntfy" and not re.fullmatch(r"/[A-Za-z0-9_-]{1,64}", parts.path):
            return "must be a server and a topic, such as https://ntfy.sh/my-topic"
        return None


class AlertsSettings(Section):
    """[alerts]"""

    usage_info_percent: Percent = 80.0
    """An account's window that is used so far is told of."""
    usage_warning_percent: Percent = 95.0
    """So far, it is a warning."""
    usage_critical_percent: Percent = 100.0
    """So far, it is critical."""
    usage_hysteresis_percent: Annotated[float, Field(strict=True, ge=0, le=50, allow_inf_nan=False)] = 3.0
    """So much a window must fall below a threshold before that is taken back."""
    refresh_attempts: Count = 3
    """A login whose refresh failed so often in a row is told of."""
    down_seconds: Seconds = 300
    """A bot that is not connected for so long, and neither stopped on purpose nor being upgraded, is told of."""
    silent_seconds: Seconds = 1200
    """A bot that is at work and of which nothing came for so long is told of."""
    reopen_seconds: Seconds = 600
    """What comes back within this time after it was mended is told of only if it stays."""
    allow_networks: Annotated[tuple[Annotated[Network, AfterValidator(_home)], ...], BeforeValidator(one_or_many)] = ()
    """Addresses or networks of the house that channels may reach, by http too; else they reach public ones only."""
    channels: dict[ChannelId, AlertChannelSettings] = Field(default_factory=dict)
    """Where alerts are sent."""

    @override
    def contradictions(self) -> Iterator[Contradiction]:
        if not self.usage_info_percent <= self.usage_warning_percent <= self.usage_critical_percent:
            yield "usage_warning_percent", "must lie between usage_info_percent and usage_critical_percent"
        for channel_id, channel in self.channels.items():
            if (wrong := _unreachable(channel, self.allow_networks)) is not None:
                yield ("channels", channel_id, channel.url_key), wrong


def _unreachable(channel: AlertChannelSettings, allow: tuple[IPv4Network | IPv6Network, ...]) -> str | None:
    """Return why nothing would ever be sent to a channel, as far as its URL tells; names are looked up when it is."""
    parts = urlsplit("" if channel.url is None else channel.url.get_secret_value())
    numbers = _address(parts.hostname or "", as_resolved=channel.kind != "apprise")
    if numbers is not None and not is_public(numbers) and not is_within(numbers, allow):
        return "leads to an address that is neither of the open internet nor of alerts.allow_networks"
    if (
        channel.kind != "apprise"
        and parts.scheme == "http"
        and not (allow if numbers is None else is_within(numbers, allow))
    ):
        return "must begin with https://; by http only what is in alerts.allow_networks is reached"
    return None


def _address(host: str, *, as_resolved: bool) -> str | None:
    """Return the address that stands in a name's place, None for a name.

    Args:
        as_resolved: it may be written in every way that the resolver takes, such as 2130706433. What is the host in a
            URL of Apprise is often a number of another kind.
    """
    try:
        if not as_resolved:
            return str(ip_address(host))
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4][0])
    except (OSError, ValueError):
        return None
