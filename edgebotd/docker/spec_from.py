"""From a container that somebody else made to the spec of one that edgebotd would make in its place.

Says what it would keep, what it would lose, and what has to be done first. Nothing is done here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from edgebotd.config import DockerSettings
from edgebotd.docker.answers import Image
from edgebotd.docker.gateway import has_secret, looks_secret
from edgebotd.docker.looks import address_of, config_paths, environment_of, gateway_port, has_host_network
from edgebotd.docker.profile import ENVIRONMENT
from edgebotd.docker.spec import ENVIRONMENT_NAME_PATTERN, GATEWAY_PORT, Limits, Spec, Volume
from edgebotd.docker.violations import INSIDE, Around, Mount, allowed_mounts, mounts_of, ports_of, violations
from edgebotd.protocol.docker.containers import Container
from edgebotd.protocol.docker.images import BadReference, parse_reference
from edgebotd.protocol.fields import integer, mapping, string, strings

_NAME: Final = re.compile(ENVIRONMENT_NAME_PATTERN)
_SECRET_OPTION: Final = re.compile(r"--?[\w-]*(?:token|password|secret|api-?key)", re.IGNORECASE)
_USUAL_NETWORKS: Final = frozenset({"bridge", "host", "podman", "none"})


@dataclass(frozen=True)
class Plan:
    """What making a container anew would come to.

    Attributes:
        spec: what it would be made from; None where it cannot be.
        keeps, loses: in words.
        obstacles: what has to be done first.
    """

    spec: Spec | None
    keeps: tuple[str, ...]
    loses: tuple[str, ...]
    obstacles: tuple[str, ...]


def plan(container: Container, image: Image, *, bot_id: str, settings: DockerSettings, around: Around) -> Plan:
    """Return what it would come to for an inspected container, with its image inspected."""
    obstacles = [*_obstacles(container, bot_id, settings)]
    plain, secret, lost = _environment(container, image, settings)
    host = mapping(container.raw.get("HostConfig"))
    volumes = [mount for mount in mounts_of(container) if mount.kind == "volume" and mount.source]
    address = address_of(container)
    spec: Spec | None = None
    try:
        spec = Spec(
            image=container.image,
            pinned=_pinned(container, image),
            port=GATEWAY_PORT if address is None else address[1],
            network="host" if has_host_network(container) else "bridge",
            limits=_limits(host, settings),
            volumes=tuple(Volume(name=one.source, path=one.target) for one in dict.fromkeys(map(_bare, volumes))),
            environment=plain,
            secret_environment=secret,
            command=_command(container, image),
        )
    except ValidationError as exc:
        where = ", ".join(".".join(map(str, error["loc"])) for error in exc.errors(include_input=False))
        obstacles.append(f"It has what edgebotd cannot make: {where}.")
    found = violations(container, bot_id=bot_id, settings=settings, spec=None, around=around)
    return Plan(
        spec=None if obstacles else spec,
        keeps=tuple(_keeps(container, volumes, [*plain, *secret])),
        loses=(*(f"No longer so: {text}" for text in found), *lost, *_loses(container, image)),
        obstacles=tuple(obstacles),
    )


def _bare(mount: Mount) -> Mount:
    return Mount("volume", mount.source, mount.target, read_only=False)


def _keeps(container: Container, volumes: list[Mount], names: list[str]) -> Iterator[str]:
    yield f"the image {container.image}"
    for mount in dict.fromkeys(map(_bare, volumes)):
        yield f"the volume {mount.source} at {mount.target}"
    if (address := address_of(container)) is not None:
        yield f"the port {address[1]}"
    if names:
        yield f"of the environment {', '.join(sorted(names))}"


def _obstacles(container: Container, bot_id: str, settings: DockerSettings) -> Iterator[str]:
    inside, address = gateway_port(container), address_of(container)
    if has_host_network(container):
        if bot_id not in settings.host_network:
            yield f"It has this machine's network. Name '{bot_id}' in docker.host_network, or make it anew yourself."
    elif inside != GATEWAY_PORT:
        yield f"Its gateway listens on {inside}; edgebotd publishes {GATEWAY_PORT}. Change its configuration first."
    elif address is None:
        yield f"Its port {GATEWAY_PORT} is not published, so that no port could be kept."
    elif address[0] != "127.0.0.1":
        yield f"It is reached at {address[0]}; edgebotd publishes on 127.0.0.1 alone. Give the bot that address first."
    words = strings(mapping(container.raw.get("Config")).get("Cmd"))
    if any(_SECRET_OPTION.match(word) for word in words):
        yield "A secret stands in its command, which is not kept here. Put it into the gateway's configuration first."
    state = config_paths(container)[0].rpartition("/")[0]
    holding = [mount for mount in mounts_of(container) if f"{state}/".startswith(f"{mount.target.rstrip('/')}/")]
    if not holding:
        yield f"Its state at {state} is in no volume, and would be lost. Move it into one first."
        return
    allowed = {(source, place) for source, place, _ in allowed_mounts(settings, bot_id)}
    for mount in dict.fromkeys(holding):
        if mount.kind == "bind" and (mount.source, mount.target) not in allowed:
            yield (
                f"Its state is in this machine's {mount.source}. Let the bot have it, in docker.mounts of the settings:"
                f' {bot_id} = ["{mount.source}:{mount.target}"]'
            )


def _loses(container: Container, image: Image) -> Iterator[str]:
    config = mapping(container.raw.get("Config"))
    if strings(config.get("Entrypoint")) != strings(image.config.get("Entrypoint")):
        yield "Its own entrypoint: the image's would be used."
    user, own = string(config.get("User")) or "", string(image.config.get("User")) or ""
    if user != own:
        yield f"Its user {user or 'root'}: it would run as its image's, {own or 'root'}."
    for name in sorted(mapping(mapping(container.raw.get("NetworkSettings")).get("Networks"))):
        if name not in _USUAL_NETWORKS:
            yield f"The network {name}, by which other containers reach it."
    for inside in sorted(ports_of(container)):
        if inside != INSIDE and ports_of(container)[inside]:
            yield f"Its published port {inside}."
    labels = [name for name in container.labels if name not in mapping(image.config.get("Labels"))]
    if any(name.startswith("com.docker.compose.") for name in labels):
        yield "Its place in a compose project: compose would make another one beside it. Take it out of there."
    elif labels:
        yield f"Its labels {', '.join(sorted(labels))}."


def _environment(
    container: Container, image: Image, settings: DockerSettings
) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Return what is kept as it is, what is kept by a secret's name, and what is lost, in words without values."""
    own = set(strings(image.config.get("Env")))
    plain: dict[str, str] = {}
    secret: dict[str, str] = {}
    lost: list[str] = []
    for name, value in environment_of(container).items():
        if f"{name}={value}" in own or ENVIRONMENT.get(name) == value:
            continue
        named = name.lower().replace("_", "-").strip("-")
        if not _NAME.fullmatch(name) or len(value) > 4096:
            lost.append(f"The environment's {name}: it is of no form that is kept.")
        elif not (looks_secret(name) or has_secret(value)):
            plain[name] = value
        elif named in settings.secrets:
            secret[name] = named
        else:
            lost.append(
                f"The environment's {name}: it is a secret, and those are not kept here. To keep it, write it into a"
                f" file and name that in docker.secrets of the settings: {named} = FILE"
            )
    return plain, secret, lost


def _command(container: Container, image: Image) -> tuple[str, ...]:
    command = strings(mapping(container.raw.get("Config")).get("Cmd"))
    return () if command == strings(image.config.get("Cmd")) else tuple(command)


def _limits(host: object, settings: DockerSettings) -> Limits:
    given = mapping(host)
    memory, pids = integer(given.get("Memory")) or 0, integer(given.get("PidsLimit")) or 0
    cpus = (integer(given.get("NanoCpus")) or 0) / 1_000_000_000
    return Limits(
        memory_bytes=memory if memory > 0 else settings.memory_bytes,
        cpus=cpus if cpus > 0 else settings.cpus,
        pids=pids if pids > 0 else settings.pids,
    )


def _pinned(container: Container, image: Image) -> str:
    """Return the container's image by digest, if it was pulled by that name, else by its id."""
    try:
        name = parse_reference(container.image).name
    except BadReference:
        return image.id
    return next((digest for digest in image.digests if digest.partition("@")[0] == name), image.id)
