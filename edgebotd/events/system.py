"""What belongs to the machine: containers, provisioning, accounts, alerts, jobs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgebotd.events.model import AtMs, BotId, Event, Model

ContainerState = Literal[
    "created", "running", "paused", "restarting", "stopping", "removing", "exited", "missing", "unknown"
]
"""The engine's words, and three of ours: `stopping` until it and its processes are gone, `missing` for one that should
be there, `unknown` while the engine does not say."""


EngineState = Literal["up", "down", "frozen", "unknown", "none"]
"""`none`: no engine is configured, and none was found."""


class ContainerStatus(Model):
    """One container; `bot_id` is None for one that belongs to no bot (admins only)."""

    name: str
    container_id: str | None = None
    """Its first twelve characters, as the engine's own tools show them."""
    bot_id: BotId | None = None
    image: str | None = None
    state: ContainerState
    health: Literal["starting", "healthy", "unhealthy"] | None = None
    """None where it has no health check, and while it does not run."""
    exit_code: int | None = None
    oom_killed: bool = False
    restarts: int = 0
    """How often it ended by itself lately."""
    crash_loop: bool = False
    """It ended so often that it is left stopped until a person starts it; one that edgebotd neither made nor started is
    left as it is, and this holds until it stays up.
    """
    doing: str | None = None
    """What edgebotd does with it now, for a person: "waits for 1 run to end"."""
    detail: str | None = None
    drift: tuple[str, ...] = ()
    """Where it is not as a bot's container should be, in words."""
    source: Literal["event", "list", "call"] = "list"
    """What told it: the engine's events, a look at all, or an answer to what edgebotd did."""
    since_at: AtMs
    seen_at: AtMs
    """When the engine last told of it."""

    def told_to_viewers(self) -> ContainerStatus:
        """Return what of it those see who do not operate the bot: what differs from the profile names places of the
        machine.
        """
        return self.model_copy(update={"drift": ()})


class EngineStatus(Model):
    """The container engine."""

    state: EngineState
    kind: str | None = None
    """Docker, or Podman in its place."""
    version: str | None = None
    detail: str | None = None
    """What is wrong and what to do, for a person."""
    since_at: AtMs


class PullProgress(Model):
    """An image on its way."""

    image: str
    bytes_done: int
    bytes_total: int | None = None
    layers_done: int = 0
    layers: int = 0


class DockerStatus(Event):
    """The engine and its containers. Users see the containers of their bots."""

    type: Literal["docker:status"] = "docker:status"
    engine: EngineStatus
    containers: tuple[ContainerStatus, ...] = ()
    pulls: tuple[PullProgress, ...] = ()


class ProvisionLog(Event):
    """A line or a step's progress of a provisioning."""

    type: Literal["provision-log"] = "provision-log"
    provision_id: str
    bot_id: BotId | None = None
    kind: str | None = None
    """create, adopt, recreate, upgrade, remove; start, stop, restart."""
    step: str
    text: str
    at: AtMs


class ProvisionDone(Event):
    """A provisioning ended."""

    type: Literal["provision-done"] = "provision-done"
    provision_id: str
    bot_id: BotId | None = None
    kind: str | None = None
    ok: bool
    reason: str | None = None
    at: AtMs


class AuthProfileRefreshed(Event):
    """A provider login's token was refreshed, or was not; or it was added, changed or removed. Never a secret."""

    type: Literal["auth-profiles:refreshed"] = "auth-profiles:refreshed"
    profile_id: str
    outcome: str
    """Of a refresh, or `added`, `changed` (another login or secret, its label, the bots that use it), `removed`."""
    expires_at: AtMs | None = None
    detail: str | None = None
    at: AtMs


class UsageWindow(Model):
    """One limit of an account that starts anew."""

    id: str
    """The same from event to event."""
    label: str
    used_percent: Annotated[float, Field(ge=0)]
    """Over 100 where the provider lets one go on."""
    window_seconds: int | None = None
    resets_at: AtMs | None = None
    scope: str | None = None
    """The model or feature that it is about; None for all."""
    runs_out_at: AtMs | None = None
    """At this pace. None where it lasts until it starts anew, and while that cannot be said."""


class UsageBilling(Model):
    """Money or credits: a balance has an `amount`, a budget `used` and `limit`, spend `used` alone."""

    type: Literal["balance", "budget", "spend"]
    unit: str
    """A currency, or what the provider counts."""
    amount: float | None = None
    used: float | None = None
    limit: float | None = None
    period: str | None = None


UsageErrorKind = Literal["auth", "unsupported", "rate_limited", "timeout", "unreachable", "malformed", "http"]
"""`auth`: the login is not well; `unsupported`: it may not read its use, and that stays so until another login."""


class UsageError(Model):
    """Why the figures are not renewed. They are the last good ones, which `fetched_at` tells the age of."""

    kind: UsageErrorKind
    status: int | None = None
    detail: str
    """For a person."""
    since_at: AtMs
    retry_at: AtMs | None = None
    """When the provider is asked again, if the login does not change before; None: not by itself."""


class AuthProfileUsage(Event):
    """How much of one account is used. Admins see which bots use it, users only their own of them."""

    type: Literal["auth-profiles:usage-updated"] = "auth-profiles:usage-updated"
    profile_id: str
    bot_ids: tuple[BotId, ...] = ()
    plan: str | None = None
    windows: tuple[UsageWindow, ...] = ()
    billing: tuple[UsageBilling, ...] = ()
    fetched_at: AtMs | None = None
    """When the provider said so; None while it has said nothing of this login."""
    source: Literal["poll", "gateway"] | None = None
    error: UsageError | None = None
    removed: bool = False
    """The login is gone, and what was said of it with it."""


class Alert(Event):
    """Something needs a person, or is mended. `bot_id` where it is about one bot."""

    type: Literal["alert"] = "alert"
    alert_id: str
    bot_id: BotId | None = None
    severity: Literal["info", "warning", "critical"]
    state: Literal["open", "resolved"]
    title: str
    detail: str | None = None
    at: AtMs


class JobStatus(Event):
    """A background job's health."""

    type: Literal["job:status"] = "job:status"
    job: str
    state: Literal["running", "waiting", "restarting", "failed", "stopped"]
    detail: str | None = None
    restarts: int = 0
    at: AtMs
