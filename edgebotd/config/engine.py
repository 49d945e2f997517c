"""Where container engines listen. Whoever can write to one of these sockets has the machine."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Final, Literal

USUAL: Final = ("/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock")
"""Where one is looked for."""
_SOCKETS: Final = (*USUAL, "/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock")
_NAMES: Final = frozenset({"docker.sock", "podman.sock", "containerd.sock", "crio.sock"})


def holds_socket(source: str, configured: Path | Literal["off"] | None) -> bool:
    """Say whether a path of this machine is an engine's socket or a folder that one is in, by the path's words.

    Args:
        configured: docker.socket of the settings.
    """
    # Two slashes at the beginning are one to the kernel, and not to normpath().
    path = posixpath.normpath(f"/{source.lstrip('/')}")
    own = [str(configured)] if isinstance(configured, Path) else []
    return posixpath.basename(path) in _NAMES or any(
        socket == path or socket.startswith(path.rstrip("/") + "/") for socket in (*_SOCKETS, *own)
    )
