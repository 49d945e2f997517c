"""Containers as the engine tells of them: in a list, by inspection, by an event."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from edgebotd.protocol.docker.streams import parse_time
from edgebotd.protocol.fields import integer, mapping, objects, sequence, string, words

State = Literal["created", "running", "paused", "restarting", "removing", "exited", "missing", "unknown"]
"""The engine's word for a container; `missing` is ours for one that should be there; nobody knows: `unknown`."""
Health = Literal["starting", "healthy", "unhealthy"]

_STATES: Final = frozenset(get_args(State))
_HEALTHS: Final = frozenset(get_args(Health))
# Podman's words for the same.
_SAME: Final[Mapping[str, State]] = {
    "stopped": "exited",
    "dead": "exited",
    "configured": "created",
    "initialized": "created",
    "stopping": "running",
}

LIFECYCLE: Final = (
    "create",
    "start",
    "restart",
    "die",
    "kill",
    "stop",
    "oom",
    "pause",
    "unpause",
    "rename",
    "destroy",
    "remove",
    "died",
    "update",
    "health_status",
)
"""Actions that change what a container is; `remove` and `died` are Podman's, which filters by the latter and tells
of `die`. The engine must be asked for these alone: each health check makes three events, which carry its command."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container. Times are Unix milliseconds.

    Attributes:
        health: None where there is no health check, and where the container does not run: the engine's word then means
            nothing (it turns `unhealthy` with a stop, without an event).
        exit_code: of the last end, None while it has not ended.
        error: the engine's own words for a start that failed.
        raw: the whole inspection, empty for an entry of a list. Its environment may hold
            secrets: never shown as it is.
    """

    id: str
    name: str
    image: str
    image_id: str
    labels: Mapping[str, str]
    state: State
    health: Health | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    error: str | None = None
    restarts: int = 0
    created_at: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    tty: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def since_at(self) -> int | None:
        """Since when it is in its state, as far as the engine tells."""
        if self.state in ("running", "paused", "restarting"):
            return self.started_at
        return self.finished_at if self.state == "exited" else self.created_at


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """Something happened to a container. `action` without what stands behind its colon; `detail` is that."""

    container_id: str
    name: str
    action: str
    detail: str
    attributes: Mapping[str, str]
    at_ms: int


def state_of(word: object) -> State:
    """Return the engine's word for a state, `unknown` for one that nobody knows."""
    name = (string(word) or "").lower()
    known = _SAME.get(name, name)
    return known if known in _STATES else "unknown"  # type: ignore[return-value]  # narrowed by the set


def health_of(word: object) -> Health | None:
    """Return the word for a health check's result; None for none."""
    name = (string(word) or "").lower()
    return name if name in _HEALTHS else None  # type: ignore[return-value]  # narrowed by the set


def parse_inspection(answer: Mapping[str, Any]) -> Container:
    """Read `GET /containers/{id}/json`."""
    state, config = mapping(answer.get("State")), mapping(answer.get("Config"))
    word = state_of(state.get("Status"))
    # In a crash loop it is of the last end, while the next start is waited for.
    ended = word in ("exited", "restarting") or (word == "created" and words(state.get("Error")) is not None)
    return Container(
        id=string(answer.get("Id")) or "",
        name=(string(answer.get("Name")) or "").lstrip("/"),
        image=string(config.get("Image")) or string(answer.get("ImageName")) or "",
        image_id=string(answer.get("Image")) or "",
        labels=_labels(config.get("Labels")),
        state=word,
        health=health_of(mapping(state.get("Health")).get("Status")) if word == "running" else None,
        exit_code=integer(state.get("ExitCode")) if ended else None,
        oom_killed=state.get("OOMKilled") is True,
        error=words(state.get("Error")),
        restarts=integer(answer.get("RestartCount")) or 0,
        created_at=parse_time(answer.get("Created")),
        started_at=parse_time(state.get("StartedAt")),
        finished_at=parse_time(state.get("FinishedAt")),
        tty=config.get("Tty") is True,
        raw=answer,
    )


_HEALTH_WORDS: Final = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")
_EXIT_WORDS: Final = re.compile(r"^Exited \((-?\d+)\)")


def parse_listed(entry: Mapping[str, Any]) -> Container:
    """Read one entry of `GET /containers/json`, which has health and exit code only in its words for people."""
    status = string(entry.get("Status")) or ""
    state = state_of(entry.get("State"))
    names = [name.lstrip("/") for name in sequence(entry.get("Names")) if isinstance(name, str)]
    health, exited = _HEALTH_WORDS.search(status), _EXIT_WORDS.match(status)
    created = integer(entry.get("Created"))
    return Container(
        id=string(entry.get("Id")) or "",
        # One container that another links to is listed with a name for each link, which has a slash more.
        name=next((name for name in names if "/" not in name), ""),
        image=string(entry.get("Image")) or "",
        image_id=string(entry.get("ImageID")) or "",
        labels=_labels(entry.get("Labels")),
        state=state,
        health=health_of(health[1]) if health is not None and state == "running" else None,
        exit_code=int(exited[1]) if exited is not None else None,
        created_at=None if created is None else created * 1000,
        raw={},
    )


def parse_event(line: Mapping[str, Any]) -> ContainerEvent | None:
    """Read one line of `GET /events`; None for what is not about a container."""
    if line.get("Type") != "container":
        return None
    actor = mapping(line.get("Actor"))
    container_id, action = words(actor.get("ID")), words(line.get("Action"))
    if container_id is None or action is None:
        return None
    attributes = {name: value for name, value in mapping(actor.get("Attributes")).items() if isinstance(value, str)}
    nanoseconds, seconds = integer(line.get("timeNano")), integer(line.get("time"))
    name, _, detail = action.partition(":")
    return ContainerEvent(
        container_id,
        attributes.get("name", ""),
        # Podman's words for the same.
        {"remove": "destroy", "died": "die"}.get(name, name),
        detail.strip(),
        attributes,
        nanoseconds // 1_000_000 if nanoseconds else (seconds or 0) * 1000,
    )


def _labels(value: object) -> dict[str, str]:
    return {name: text for name, text in mapping(value).items() if isinstance(text, str)}


def published_ports(container: Container) -> dict[str, list[tuple[str, int]]]:
    """Return an inspected container's published ports: "18789/tcp" -> [(address, port of this machine)]."""
    ports = mapping(mapping(container.raw.get("NetworkSettings")).get("Ports"))
    found: dict[str, list[tuple[str, int]]] = {}
    for inside, bindings in ports.items():
        for binding in objects(bindings):
            port = string(binding.get("HostPort")) or ""
            if port.isdigit():
                found.setdefault(inside, []).append((string(binding.get("HostIp")) or "0.0.0.0", int(port)))
    return found
