"""How the container of a bot is made: shut off from this machine, with a limit to everything it takes.

`violations.py` holds what is there against the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from typing import Any, Final

from pydantic import SecretStr

from edgebotd.config import DockerSettings
from edgebotd.docker.spec import BOT_LABEL, INSTALLATION_LABEL, OPERATION_LABEL, STATE_PATH, Spec
from edgebotd.docker.violations import INSIDE, NO_NEW_PRIVILEGES, RESTART, allowed_mounts, check_body
from edgebotd.errors import Conflict

LOOPBACK: Final = "127.0.0.1"

ENVIRONMENT: Final = {
    "HOME": "/home/node",
    "TERM": "xterm-256color",
    # There is nobody to be found by multicast from within a container's own network.
    "OPENCLAW_DISABLE_BONJOUR": "1",
    # The engine restarts it; a process that it left behind for itself would not be the container's.
    "OPENCLAW_NO_RESPAWN": "1",
    # OpenClaw starts only where it can put copies of its databases there, and clears them away by itself. They can be
    # larger than what memory should hold.
    "XDG_CACHE_HOME": f"{STATE_PATH}/.cache",
}
"""What OpenClaw recommends or needs for containers; a spec's own values go before."""

_TMPFS: Final = "rw,noexec,nosuid,nodev,mode=1777"
TMPFS: Final = {
    "/tmp": f"{_TMPFS},size=256m",
    "/home/node/.config": f"{_TMPFS},size=16m",
    "/home/node/.npm": f"{_TMPFS},size=128m",
}
"""Where OpenClaw writes beside its state (its log files are in /tmp/openclaw). They count as the container's memory.

runc before 1.1.8 lets a tmpfs have its mode only where nothing is yet; from the container's second start on it has that
of the folder which the first one made, 0755 of root. Hence the owner that `body` gives those that images do not have
themselves, and hence no tmpfs for what a gateway cannot start without.
"""

LOG: Final = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}
"""Of itself Docker lets a container's output grow until the disk is full."""


def body(
    spec: Spec,
    *,
    bot_id: str,
    installation: str,
    operation_id: str,
    settings: DockerSettings,
    secrets: Mapping[str, SecretStr],
    owner: int | None = None,
) -> dict[str, Any]:
    """Return the body of `POST /containers/create`.

    Args:
        installation, operation_id: for the labels, by which what was left behind is found again.
        secrets: by the names that the spec's `secret_environment` has.
        owner: the user whom the image runs as; None for an engine that gives a tmpfs no owner.

    Raises:
        Conflict: the settings do not allow what the spec says, or the profile what the settings say (the engine's
            socket among a bot's folders), or a secret is not there.
    """
    labels = {BOT_LABEL: bot_id, INSTALLATION_LABEL: installation, OPERATION_LABEL: operation_id}
    binds = _binds(settings, bot_id)
    places = {volume.path for volume in spec.volumes}
    kept = places | {bind["Target"] for bind in binds if not bind["ReadOnly"]}
    host: dict[str, Any] = {
        "NetworkMode": spec.network,
        "CapDrop": ["ALL"],
        "SecurityOpt": [NO_NEW_PRIVILEGES],
        "IpcMode": "private",
        "Memory": spec.limits.memory_bytes,
        # The same as Memory: no swap beside it.
        "MemorySwap": spec.limits.memory_bytes,
        "NanoCpus": round(spec.limits.cpus * 1_000_000_000),
        "PidsLimit": spec.limits.pids,
        "ReadonlyRootfs": spec.read_only,
        "Tmpfs": {path: _owned(options, owner) for path, options in TMPFS.items() if path not in places},
        "Mounts": [*(_volume(volume.name, volume.path) for volume in spec.volumes), *binds],
        # Reaps what tools leave behind.
        "Init": True,
        "RestartPolicy": {"Name": RESTART},
        "LogConfig": LOG,
    }
    made: dict[str, Any] = {
        "Image": spec.pinned,
        "Labels": labels,
        "Env": [f"{name}={value}" for name, value in _environment(spec, secrets, kept).items()],
        "StopTimeout": math.ceil(settings.drain_seconds),
        "HostConfig": host,
    }
    if spec.command:
        made["Cmd"] = list(spec.command)
    if spec.network == "bridge":
        made["ExposedPorts"] = {INSIDE: {}}
        host["PortBindings"] = {INSIDE: [{"HostIp": LOOPBACK, "HostPort": str(spec.port)}]}
    elif bot_id not in settings.host_network:
        raise Conflict(
            "host_network",
            f"The bot '{bot_id}' may not use the host's network. Name it in docker.host_network in the settings.",
        )
    else:
        # The image's own listens, and looks, at 18789, where another bot may be.
        made.setdefault("Cmd", _command(spec.port))
        made["Healthcheck"] = {"Test": ["CMD", "node", "-e", _HEALTH.format(port=spec.port)]}
    check_body(made, settings=settings, spec=spec)
    return made


_HEALTH: Final = (
    "fetch('http://127.0.0.1:{port}/healthz').then((r) => process.exit(r.ok ? 0 : 1)).catch(() => process.exit(1))"
)


def _owned(options: str, owner: int | None) -> str:
    return options if owner is None else f"{options},uid={owner}"


def _environment(spec: Spec, secrets: Mapping[str, SecretStr], kept: Set[str]) -> dict[str, str]:
    # A container that was taken over may have its state elsewhere.
    has_state = any(f"{STATE_PATH}/".startswith(f"{place}/") for place in kept)
    elsewhere = {} if has_state else {"XDG_CACHE_HOME": "/tmp/.cache"}
    values = {**ENVIRONMENT, **elsewhere, **spec.environment}
    for name, secret in spec.secret_environment.items():
        if secret not in secrets:
            raise Conflict("secret_missing", f"There is no secret '{secret}'.")
        values[name] = secrets[secret].get_secret_value()
    return values


def _command(port: int) -> list[str]:
    return ["node", "dist/index.js", "gateway", "--bind", "loopback", "--port", str(port)]


def _volume(name: str, path: str) -> dict[str, Any]:
    return {"Type": "volume", "Source": name, "Target": path}


def _binds(settings: DockerSettings, bot_id: str) -> list[dict[str, Any]]:
    """Return the folders that the settings file gives a bot."""
    return [
        {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}
        for source, target, read_only in allowed_mounts(settings, bot_id)
    ]
