"""What the engine answers about itself, images and commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgebotd.protocol.docker.streams import parse_time
from edgebotd.protocol.fields import integer, mapping, string, strings


@dataclass(frozen=True, slots=True)
class EngineVersion:
    """Which engine answers. `kind`: Docker, or Podman in its place. `api` is what is spoken with it."""

    version: str
    api: str
    kind: str
    os: str | None = None
    architecture: str | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the engine. Sizes in bytes, times Unix milliseconds."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    """name@sha256:..., as it was pulled."""
    size: int
    created_at: int | None
    config: Mapping[str, Any]
    """The image's own `Config` where it was inspected, else empty."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command in a container came to. `output`: its stdout; `errors`: its stderr."""

    exit_code: int
    output: str
    errors: str


def image_of(entry: Mapping[str, Any]) -> Image:
    """Read one entry of a list of images, or an inspection."""
    created = entry.get("Created")
    return Image(
        id=string(entry.get("Id")) or "",
        tags=tuple(tag for tag in strings(entry.get("RepoTags")) if tag != "<none>:<none>"),
        digests=tuple(digest for digest in strings(entry.get("RepoDigests")) if not digest.startswith("<none>")),
        size=integer(entry.get("Size")) or 0,
        created_at=created * 1000 if isinstance(created, int) else parse_time(created),
        config=mapping(entry.get("Config")),
    )
