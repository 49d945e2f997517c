"""What a bot's container is made from, as the store keeps it: everything that a recreate needs, and no secret."""

from __future__ import annotations

import posixpath
import secrets
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from edgebotd.events import Model
from edgebotd.protocol.fields import without_controls

GATEWAY_PORT: Final = 18789
STATE_PATH: Final = "/home/node/.openclaw"
"""Where OpenClaw's image keeps its state, its configuration and its workspace."""

ENVIRONMENT_NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
"""Small letters too: of http_proxy some programs know no other spelling."""
EnvironmentName = Annotated[str, Field(pattern=ENVIRONMENT_NAME_PATTERN)]
PROFILE_PREFIX: Final = "profile:"
_LOGIN: Final = r"[a-z0-9][a-z0-9-]{0,31}:[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}"
LoginName = Annotated[str, Field(pattern=rf"^{_LOGIN}$")]
SecretName = Annotated[str, Field(pattern=rf"^([a-z0-9][a-z0-9_-]{{0,63}}|{PROFILE_PREFIX}{_LOGIN})$")]
"""A name out of docker.secrets, or `profile:` and a login at a provider: profile:anthropic:work."""
EnvironmentText = Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]
VolumeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{1,127}$")]
"""Of such a form it cannot be read as a path of the machine, which an engine would mount in its place."""

BOT_LABEL: Final = "edgebotd.bot"
INSTALLATION_LABEL: Final = "edgebotd.installation"
OPERATION_LABEL: Final = "edgebotd.operation"
"""Labels of what edgebotd makes: whose it is, by which installation, and in which operation."""


def _place(path: str) -> str:
    without_controls(path)
    if not path.startswith("/") or posixpath.normpath(path) != path or path == "/":
        raise ValueError("must be the full path of a folder, without . and ..")
    if path.split("/")[1] in ("proc", "sys", "dev"):
        raise ValueError("may not be in /proc, /sys or /dev")
    return path


class Limits(Model):
    """What a container may take of the machine. Less than the lower bounds an engine takes for no limit at all."""

    memory_bytes: Annotated[int, Field(ge=64 * 1024 * 1024, le=2**50)]
    cpus: Annotated[float, Field(ge=0.01, le=1024, allow_inf_nan=False)]
    pids: Annotated[int, Field(ge=32, le=2**22)]


class Volume(Model):
    """A named volume of the engine, and where the container has it."""

    name: VolumeName
    path: Annotated[str, Field(max_length=1024), AfterValidator(_place)]


class Spec(Model):
    """What to make a container from.

    Attributes:
        image: as it was asked for, name:tag.
        pinned: the same by digest, or the image's id where it has no digest (it was built here).
        port: on 127.0.0.1 of this machine, for the gateway's 18789.
        environment: plain values; `secret_environment`: names of secrets or logins, looked up as it is made.
        read_only: the image's own files cannot be changed.
        command: in place of the image's own; empty: the image's.
        previous: what it was before its last upgrade.
    """

    image: str
    pinned: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65_535)]
    network: Literal["bridge", "host"] = "bridge"
    limits: Limits
    volumes: tuple[Volume, ...]
    environment: dict[EnvironmentName, EnvironmentText] = Field(default_factory=dict)
    secret_environment: dict[EnvironmentName, SecretName] = Field(default_factory=dict)
    read_only: bool = True
    command: Annotated[tuple[EnvironmentText, ...], Field(max_length=64)] = ()
    previous: Previous | None = None

    @property
    def alone(self) -> Spec:
        """The same without what was before it."""
        return self.model_copy(update={"previous": None})

    @property
    def all_volumes(self) -> tuple[Volume, ...]:
        """Its volumes, and those that are kept of what was before it."""
        return self.volumes if self.previous is None else (*self.volumes, *self.previous.spec.volumes)


class Previous(Model):
    """What an upgrade replaced, kept so that it can be gone back to.

    Attributes:
        spec: what the container was made from; its volumes are as they were then.
        at: when, Unix milliseconds.
        size_bytes: of what its volumes hold.
    """

    spec: Spec
    at: int
    size_bytes: int


def container_name(bot_id: str) -> str:
    """Return the name of a bot's container."""
    return f"edgebotd-{bot_id}"


def state_volume(bot_id: str) -> Volume:
    """Return the volume that a bot's state is in. Its name is used once: what an earlier one left stays apart."""
    return Volume(name=f"edgebotd-{bot_id}-{secrets.token_hex(4)}", path=STATE_PATH)
