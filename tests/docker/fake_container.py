"""One container of the fake engine, and how it behaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from edgebotd.docker.errors import EngineError
from edgebotd.protocol.docker.streams import OutputLine, parse_time
from edgebotd.protocol.docker.usage import Usage

NEVER = "0001-01-01T00:00:00Z"


@dataclass(eq=False)
class FakeContainer:
    """One container, and how it behaves.

    Attributes:
        stop_seconds: how long it takes after SIGTERM; None: it ignores it.
        linger_seconds: how long its processes stay after the engine says that it has ended.
        start_error: why it cannot be started.
        lives: how many seconds each of its next starts lasts before it ends by itself, with `dies_with`.
        uses: processor in percent of one, memory, and bytes a second of its network in each direction.
        usage_seconds: how often the engine tells what it uses.
        measured: how many read what it uses.
        restarts_by_itself: as a policy `unless-stopped` does, after 0.1 s, then twice as long each time.
    """

    id: str
    name: str
    body: dict[str, Any]
    state: str = "created"
    health: str | None = None
    exit_code: int = 0
    oom: bool = False
    error: str = ""
    created_at: str = NEVER
    started_at: str = NEVER
    finished_at: str = NEVER
    restarts: int = 0
    manually_stopped: bool = False
    stop_seconds: float | None = 0.1
    linger_seconds: float = 0.0
    start_error: EngineError | None = None
    lives: list[float] = field(default_factory=list)
    dies_with: tuple[int, bool] = (1, False)
    restarts_by_itself: bool = True
    uses: tuple[float, int, int] = (50.0, 100_000_000, 1000)
    usage_seconds: float = 1.0
    measured: int = 0
    output: list[OutputLine] = field(default_factory=list)
    ended: trio.Event = field(default_factory=trio.Event)
    said: trio.Event = field(default_factory=trio.Event)
    gone_at: float = 0.0
    files: dict[str, bytes] = field(default_factory=dict)
    image_id: str = "sha256:" + "a" * 64

    @property
    def running(self) -> bool:
        return self.state in ("running", "paused")

    def usage(self, at: int, *, first: bool) -> Usage:
        """Return what it uses; the first object of a stream has nothing to compare the processor with."""
        cpu, memory, per_second = self.uses
        lived = (at - (parse_time(self.started_at) or at)) / 1000
        transferred = round(lived * per_second)
        return Usage(
            at, None if first else cpu, memory, 1 << 31, transferred, transferred, 7, round(lived * cpu * 10_000_000)
        )

    async def measure(self, take: Callable[[Usage], None], clock: Callable[[], int], gone: trio.Event) -> None:
        """Tell what it uses until the engine goes; while it does not run, with empty objects that hold nothing."""
        self.measured += 1
        try:
            first = True
            while not gone.is_set():
                if self.running:
                    take(self.usage(clock(), first=first))
                first = False
                with trio.move_on_after(self.usage_seconds):
                    await gone.wait()
        finally:
            self.measured -= 1

    def volume_at(self, path: str) -> str | None:
        """Return the volume that it has at a place."""
        return next((one["Source"] for one in self.mounts if (one["Type"], one["Target"]) == ("volume", path)), None)

    @property
    def mounts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (self.body.get("HostConfig") or {}).get("Mounts") or []
        return found

    def inspection(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "Status": self.state, "OOMKilled": self.oom, "ExitCode": self.exit_code, "Error": self.error,
            "StartedAt": self.started_at, "FinishedAt": self.finished_at,
        }  # fmt: skip
        if self.health is not None:
            state["Health"] = {"Status": self.health}
        host = dict(self.body.get("HostConfig") or {})
        ports = {
            inside: [{"HostIp": one.get("HostIp") or "0.0.0.0", "HostPort": one.get("HostPort")} for one in bindings]
            for inside, bindings in (host.get("PortBindings") or {}).items()
        }
        config = {name: value for name, value in self.body.items() if name not in ("HostConfig", "NetworkingConfig")}
        return {
            "Id": self.id, "Name": f"/{self.name}", "Image": self.image_id, "RestartCount": self.restarts,
            "Created": self.created_at, "State": state, "Config": config, "HostConfig": host,
            "NetworkSettings": {"Ports": ports if self.running else {}}, "Mounts": [],
        }  # fmt: skip
