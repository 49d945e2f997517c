"""The settings: one frozen model for each table of the TOML file; `load` makes them from all their sources."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr
from typing_extensions import override

from edgebotd.config.alerts import AlertsSettings
from edgebotd.config.engine import holds_socket
from edgebotd.config.providers import AccountsSettings, CredentialName, ProviderId, ProviderSettings
from edgebotd.config.section import Contradiction, Section
from edgebotd.config.sources import Sources
from edgebotd.config.values import (
    MIB,
    Address,
    BotId,
    Bytes,
    Count,
    Days,
    FilePath,
    Flag,
    Host,
    Mount,
    Name,
    Network,
    Origin,
    Ports,
    Seconds,
    SocketPath,
    Words,
    is_loopback,
    one_or_many,
    parse_address,
)


def default_state_dir(env: Mapping[str, str]) -> Path:
    """Return where state is kept when nobody says: systemd's StateDirectory=, else the XDG state directory."""
    if given := env.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    base = env.get("XDG_STATE_HOME") or os.path.join(env.get("HOME") or os.path.expanduser("~"), ".local", "state")
    return Path(base) / "edgebotd"


def default_socket(env: Mapping[str, str]) -> Path:
    """Return the unix socket for local admins: in the user's runtime directory, where there is one, else in /run."""
    runtime = env.get("XDG_RUNTIME_DIR")
    return Path(runtime, "edgebotd.sock") if runtime else Path("/run/edgebotd.sock")


class ServerSettings(Section):
    """[server]"""

    bind: Annotated[tuple[Address, ...], BeforeValidator(one_or_many)] = ("127.0.0.1:8787",)
    """Addresses to listen on; none at all leaves the unix socket."""
    socket: SocketPath = Field(default_factory=lambda: default_socket(os.environ))
    """Unix socket for local administrators; the commands use it."""
    public_url: Origin | None = None
    """The origin under which people reach the page."""
    chat_host: Host | None = None
    """A host name that shows the chat only."""
    allowed_origins: Annotated[tuple[Origin, ...], BeforeValidator(one_or_many)] = ()
    """Further origins whose pages may call with a cookie."""
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(one_or_many)] = ()
    """Addresses or networks of reverse proxies whose X-Forwarded-For and -Proto are believed."""
    tls_certificate: FilePath | None = None
    """PEM file: the certificate with its chain."""
    tls_key: FilePath | None = None
    """PEM file: the certificate's private key."""
    admin_uids: tuple[Annotated[int, Field(strict=True, ge=0)], ...] = ()
    """User ids, beside root, that are administrators over the unix socket."""
    graceful_seconds: Seconds = 10
    """How long requests in flight may take to end when the daemon stops."""
    max_body_bytes: Bytes = MIB
    """The largest request body, attachments apart."""

    @override
    def contradictions(self) -> Iterator[Contradiction]:
        for key, other in (("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")):
            if getattr(self, key) is not None and getattr(self, other) is None:
                yield key, f"needs {other} too"
        open_to_others = [text for text in self.bind if not is_loopback(parse_address(text)[0])]
        if open_to_others and self.tls_certificate is None and not self.trusted_proxies:
            yield (
                "bind",
                f"{open_to_others[0]} is reachable from other machines, which needs tls_certificate and tls_key, "
                "or trusted_proxies for a reverse proxy that does TLS",
            )
        if len(set(self.bind)) < len(self.bind):
            yield "bind", "names an address twice"


class StorageSettings(Section):
    """[storage]"""

    state_dir: FilePath = Field(default_factory=lambda: default_state_dir(os.environ))
    """Directory of the database, attachments and keys."""
    message_days: Days | None = None
    """Messages older than this are deleted; kept for ever where it is not set."""
    audit_days: Days | None = None
    """Audit entries older than this are deleted; kept for ever where it is not set."""

    @property
    def database(self) -> Path:
        """The database's file."""
        return self.state_dir / "edgebotd.db"


class ChannelSettings(Section):
    """[channel]"""

    heartbeat_seconds: Seconds = 15
    """A stream without events gets a heartbeat after this time."""
    backlog_bytes: Bytes = MIB
    """What may wait for one slow stream before it is closed."""
    max_streams: Count = 2000
    """Streams at once; newcomers are asked to come back."""
    max_streams_per_user: Count = 64
    """Streams at once of one user."""
    max_age_seconds: Seconds = 21_600
    """A stream ends at 80 to 100 % of this age, and its client resumes."""
    ring_events: Count = 10_000
    """Events kept in memory for clients that resume."""
    journal_days: Days = 7
    """Days that journalled events can be replayed."""
    journal_events: Count = 1_000_000
    """Journalled events kept at most."""
    delta_frames_per_second: Count = 20
    """Frames a second that the text of one streaming reply makes at most."""


class ChatSettings(Section):
    """[chat]"""

    queued_seconds: Seconds = 900
    """How long a message waits for a bot that is not connected before it fails."""
    idempotency_seconds: Seconds = 86_400
    """How long a repeated send with the same key gets the same answer."""
    settle_seconds: Seconds = 5
    """How long to wait for the rest of a run whose end the gateway did not tell."""
    attachment_max_bytes: Bytes = 20 * MIB
    """The largest attachment; a bot's own limit may be lower."""
    remote_images: Flag = True
    """Fetch an image from elsewhere when somebody clicks on its placeholder; else the page has a link only."""


class PeopleSettings(Section):
    """[people]"""

    session_days: Days = 30
    """Days that a login lasts."""
    setup_code_seconds: Seconds = 900
    """How long a one-time setup link works."""
    login_attempts: Count = 10
    """Wrong passwords a minute for one account and one address before further ones wait."""


class DockerSettings(Section):
    """[docker]"""

    socket: Literal["off"] | SocketPath | None = None
    """The container engine's unix socket, or "off"; where it is not set, the usual places are looked at."""
    image: Words = "ghcr.io/openclaw/openclaw:2026.9.6"
    """The image of new bots; what it is at that moment is pinned by its digest."""
    memory_bytes: Bytes = 2048 * MIB
    """Memory of a new bot's container."""
    cpus: Annotated[float, Field(strict=True, gt=0, le=1024, allow_inf_nan=False)] = 2.0
    """Processors of a new bot's container."""
    pids: Count = 512
    """Processes and threads of a new bot's container."""
    ports: Ports = "18900-19899"
    """Ports of 127.0.0.1 for the gateways of new bots."""
    drain_seconds: Seconds = 330
    """How long a bot that is stopped may take to end its runs before it is killed."""
    reconcile_seconds: Seconds = 30
    """How often all containers are looked at, beside what the engine tells by itself."""
    crash_limit: Count = 5
    """So often a container may end by itself within crash_seconds; then it is left stopped."""
    crash_seconds: Seconds = 300
    """See crash_limit."""
    operations_at_once: Count = 4
    """Bots that are provisioned at the same time; further ones wait."""
    host_network: tuple[BotId, ...] = ()
    """Bots whose container may use the host's network."""
    mounts: dict[BotId, tuple[Mount, ...]] = Field(default_factory=dict)
    """Folders of this machine that a bot's container may have: "/srv/notes:/notes:ro"."""
    secrets: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")], FilePath] = Field(default_factory=dict)
    """Names for files with secrets, which a bot's environment may refer to."""

    @property
    def port_range(self) -> range:
        """The ports of `ports`, as numbers."""
        first, _, last = self.ports.partition("-")
        return range(int(first), int(last) + 1)

    @override
    def contradictions(self) -> Iterator[Contradiction]:
        ports = self.port_range
        if not ports or ports[0] < 1 or ports[-1] > 65_535:
            yield "ports", "must be FIRST-LAST out of 1-65535, such as 18900-19899"
        for bot_id, mounts in self.mounts.items():
            for at, mount in enumerate(mounts):
                if holds_socket(mount.partition(":")[0], self.socket):
                    yield ("mounts", bot_id, at), "holds a container engine's socket: the bot would have this machine"


class LoggingSettings(Section):
    """[logging]"""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are written."""
    format: Literal["auto", "text", "json", "journal"] = "auto"
    """auto: the journal under systemd, else text."""


class BotSettings(Section):
    """[bots.<id>]; read-only for everyone but this file."""

    kind: Literal["openclaw", "openai", "echo"]
    """What speaks at the other end."""
    name: Name | None = None
    """The name that people see; the id where it is not set."""
    host: Host | None = None
    """A host name of its own, which shows this bot only."""
    url: str | None = None
    """openclaw: ws:// or wss:// of the gateway; openai: http(s):// of the API, up to /v1."""
    token: SecretStr | None = None
    """The gateway's token or the API key. Better in a file of its own or a systemd credential:"""
    token_file: FilePath | None = None
    """File that holds the token, readable by its owner only."""
    token_credential: CredentialName | None = None
    """Name of the systemd credential that holds the token."""
    agent_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "main"
    """openclaw: which agent of the gateway."""
    model: Words | None = None
    """openai: the model to ask for."""
    system_prompt: Words | None = None
    """openai: said to the model before each conversation."""
    container: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$")] | None = None
    """openclaw: the name of the container that it runs in, where it is one of the engine's."""
    device: Flag = True
    """openclaw: pair as a device with a key of its own, not by token alone."""
    pace_ms: Annotated[int, Field(strict=True, ge=0, le=60_000)] = 30
    """echo: pause between two pieces of a reply."""

    @override
    def contradictions(self) -> Iterator[Contradiction]:
        schemes = {"openclaw": ("ws", "wss"), "openai": ("http", "https")}.get(self.kind, ())
        if not schemes:
            if self.url is not None:
                yield "url", f"a bot of kind {self.kind} has none"
        elif self.url is None:
            yield "url", f"is required for kind {self.kind}"
        else:
            yield from _url_contradictions(self.url, schemes)
        if self.kind == "openai" and self.model is None:
            yield "model", "is required for kind openai"
        takers = {
            "openclaw": ("agent_id", "device", "container"),
            "openai": ("model", "system_prompt"),
            "echo": ("pace_ms",),
        }
        for key, kind in ((key, kind) for kind, keys in takers.items() for key in keys):
            if key in self.model_fields_set and kind != self.kind:
                yield key, f"means nothing for kind {self.kind}, only for {kind}"


def _url_contradictions(url: str, schemes: tuple[str, ...]) -> Iterator[Contradiction]:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        yield "url", f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)} and name a host"
    elif parts.username is not None or parts.password is not None or "token" in parts.query:
        yield "url", "must hold no user, password or token; put the secret in token_file"


class Settings(Section):
    """Everything that can be set."""

    server: ServerSettings = Field(default_factory=ServerSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    channel: ChannelSettings = ChannelSettings()
    chat: ChatSettings = ChatSettings()
    people: PeopleSettings = PeopleSettings()
    docker: DockerSettings = DockerSettings()
    logging: LoggingSettings = LoggingSettings()
    accounts: AccountsSettings = AccountsSettings()
    providers: dict[ProviderId, ProviderSettings] = Field(default_factory=dict)
    alerts: AlertsSettings = AlertsSettings()
    bots: dict[BotId, BotSettings] = Field(default_factory=dict)
    _sources: Sources = PrivateAttr(default_factory=Sources)

    @property
    def sources(self) -> Sources:
        """Where they come from, as `load` found it."""
        return self._sources

    def told_by(self, sources: Sources) -> Settings:
        """Return the same settings, with where they come from."""
        told = self.model_copy()
        told._sources = sources
        return told
