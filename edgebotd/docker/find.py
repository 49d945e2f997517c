"""Where the container engine is."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from edgebotd.config.engine import USUAL


def find_socket(configured: Path | Literal["off"] | None, env: Mapping[str, str]) -> Path | None:
    """Return the engine's socket; None where there is to be none, or none was found.

    A configured one is taken whether it is there or not: the engine may start later.
    """
    if configured == "off":
        return None
    if configured is not None:
        return configured
    return next((path for path in _places(env) if _is_socket(path)), None)


def _places(env: Mapping[str, str]) -> Iterator[Path]:
    if (host := env.get("DOCKER_HOST", "")).startswith("unix://"):
        yield Path(host.removeprefix("unix://"))
    # A rootless engine of the daemon's own user comes before the machine's.
    if runtime := env.get("XDG_RUNTIME_DIR"):
        yield Path(runtime, "docker.sock")
        yield Path(runtime, "podman", "podman.sock")
    yield from map(Path, USUAL)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False
