"""What belongs to the machine: containers, provisioning, accounts, alerts, jobs."""

from __future__ import annotations

from typing import Literal

from edgebotd.events.model import AtMs, BotId, Event, Model


class ContainerStatus(Model):
    """One container; `bot_id` is None for one that belongs to no bot (admins only)."""

    name: str
    bot_id: BotId | None = None
    state: str
    detail: str | None = None
    source: str = "engine"
    since_at: AtMs


class EngineStatus(Model):
    """The container engine."""

    state: Literal["up", "down", "frozen", "unknown"]
    version: str | None = None
    since_at: AtMs


class PullProgress(Model):
    """An image on its way."""

    image: str
    bytes_done: int
    bytes_total: int | None = None


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
    step: str
    text: str
    at: AtMs


class ProvisionDone(Event):
    """A provisioning ended."""

    type: Literal["provision-done"] = "provision-done"
    provision_id: str
    ok: bool
    reason: str | None = None
    at: AtMs


class AuthProfileRefreshed(Event):
    """A provider login's token was refreshed, or was not. Never a secret."""

    type: Literal["auth-profiles:refreshed"] = "auth-profiles:refreshed"
    profile_id: str
    outcome: str
    expires_at: AtMs | None = None
    detail: str | None = None
    at: AtMs


class UsageWindow(Model):
    """One window of an account's limits."""

    name: str
    used_percent: float | None = None
    resets_at: AtMs | None = None


class AuthProfileUsage(Event):
    """How much of one account is used. Admins see which bots use it, users only their own of them."""

    type: Literal["auth-profiles:usage-updated"] = "auth-profiles:usage-updated"
    profile_id: str
    bot_ids: tuple[BotId, ...] = ()
    windows: tuple[UsageWindow, ...] = ()
    fetched_at: AtMs


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
