"""What the engine answers about itself, images and commands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.protocol.docker.streams import parse_time
from edgebotd.protocol.fields import integer, mapping, objects, string, strings

OLDEST_API: Final = (1, 41)
"""Docker 20.10. What it lacks is not used."""
NEWEST_API: Final = (1, 51)
"""What `engine.py` is written against; a newer engine still speaks it."""

_VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})")


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


def version_of(answer: Mapping[str, Any], socket: Path) -> EngineVersion:
    """Read who the engine is, with the newest API that it and edgebotd speak.

    Raises:
        EngineError: REFUSED; there is none, or something else answers.
    """
    if "ApiVersion" not in answer:
        raise EngineError(Trouble.REFUSED, f"What listens at {socket} does not answer as a container engine does.")
    newest, oldest = _api(answer.get("ApiVersion")), _api(answer.get("MinAPIVersion")) or (1, 12)
    if newest is None or newest < OLDEST_API:
        spoken = string(answer.get("ApiVersion"))
        raise EngineError(
            Trouble.REFUSED, f"The engine speaks API {spoken}; 1.41 (Docker 20.10) or a newer one is needed."
        )
    if oldest > NEWEST_API:
        raise EngineError(
            Trouble.REFUSED,
            f"The engine speaks API {oldest[0]}.{oldest[1]} and newer only, which this edgebotd does not.",
        )
    components = [string(part.get("Name")) or "" for part in objects(answer.get("Components"))]
    podman = any("podman" in name.lower() for name in components)
    return EngineVersion(
        version=string(answer.get("Version")) or "unknown",
        api=".".join(str(number) for number in min(newest, NEWEST_API)),
        kind="Podman" if podman else "Docker",
        os=string(answer.get("Os")),
        architecture=string(answer.get("Arch")),
    )


def _api(text: object) -> tuple[int, int] | None:
    match = _VERSION.fullmatch(string(text) or "")
    return None if match is None else (int(match[1]), int(match[2]))


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
