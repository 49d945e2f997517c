"""How a bot is: what its connection says, with what its container says where there is no connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from edgebotd.events import BotState, ContainerStatus

STOPPED: Final = "Its container is stopped."
LOOPED: Final = "Its container ended by itself again and again, and is left stopped until somebody starts it."
WORDS: Final = {
    "exited": STOPPED,
    "created": "Its container was made, and has not been started.",
    "missing": "Its container is gone.",
    "paused": "Its container is paused.",
    "stopping": "Its container is being stopped.",
    "removing": "Its container is being removed.",
}


@dataclass(frozen=True)
class Status:
    """What a bot's registry row says. `extra` holds what a person needs, such as a pairing's request id."""

    state: BotState
    since_at: int
    reason: str | None = None
    detail: str | None = None
    source: str = "connection"
    extra: dict[str, str] = field(default_factory=dict)


def with_container(connection: Status, container: ContainerStatus | None) -> Status:
    """Return what to show: a bot whose container does not run is stopped, not merely out of reach.

    A connection that holds has the last word, and an engine that says nothing changes nothing.
    """
    if container is None or connection.state is BotState.CONNECTED:
        return connection
    starting = container.state == "restarting" or (container.state == "running" and container.health == "starting")
    if starting and connection.state is not BotState.ERROR:
        detail = container.detail or "Its container is starting."
        return Status(BotState.STARTING, container.since_at, "container_starting", detail, "engine")
    if container.state not in WORDS:
        return connection
    words = LOOPED if container.crash_loop and container.state == "exited" else WORDS[container.state]
    detail = " ".join(filter(None, (words, container.detail)))
    state = BotState.DISCONNECTED if container.state in ("paused", "stopping") else BotState.STOPPED
    return Status(state, container.since_at, f"container_{container.state}", detail, "engine")
