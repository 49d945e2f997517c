"""What a bot's container is made from, as the store keeps it: everything that a recreate needs, and no secret."""

from __future__ import annotations

import secrets
from typing import Annotated, Final, Literal

from pydantic import Field

from edgebotd.events import Model

GATEWAY_PORT: Final = 18789
STATE_PATH: Final = "/home/node/.openclaw"
"""Where OpenClaw's image keeps its state, its configuration and its workspace."""

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]{0,127}$")]
SecretName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
EnvironmentText = Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]

BOT_LABEL: Final = "edgebotd.bot"
INSTALLATION_LABEL: Final = "edgebotd.installation"
OPERATION_LABEL: Final = "edgebotd.operation"
"""Labels of what edgebotd makes: whose it is, by which installation, and in which operation."""


class Limits(Model):
    """What a container may take of the machine."""

    memory_bytes: Annotated[int, Field(ge=64 * 1024 * 1024)]
    cpus: Annotated[float, Field(gt=0, le=1024)]
    pids: Annotated[int, Field(ge=32)]


class Volume(Model):
    """A named volume of the engine, and where the container has it."""

    name: str
    path: str


class Spec(Model):
    """What to make a container from.

    Attributes:
        image: as it was asked for, name:tag.
        pinned: the same by digest, or the image's id where it has no digest (it was built here).
        port: on 127.0.0.1 of this machine, for the gateway's 18789.
        environment: plain values; `secret_environment`: names of secrets, looked up when the container is made.
        read_only: the image's own files cannot be changed.
    """

    image: str
    pinned: str
    port: Annotated[int, Field(ge=1, le=65_535)]
    network: Literal["bridge", "host"] = "bridge"
    limits: Limits
    volumes: tuple[Volume, ...]
    environment: dict[EnvironmentName, EnvironmentText] = Field(default_factory=dict)
    secret_environment: dict[EnvironmentName, SecretName] = Field(default_factory=dict)
    read_only: bool = True


def container_name(bot_id: str) -> str:
    """Return the name of a bot's container."""
    return f"edgebotd-{bot_id}"


def state_volume(bot_id: str) -> Volume:
    """Return the volume that a bot's state is in. Its name is used once: what an earlier one left stays apart."""
    return Volume(name=f"edgebotd-{bot_id}-{secrets.token_hex(4)}", path=STATE_PATH)
