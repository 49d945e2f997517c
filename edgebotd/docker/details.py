"""What an operator is shown of a bot's container beside its state: what it is made of, and nothing secret."""

from __future__ import annotations

from typing import Any

from edgebotd.docker.containers import Containers
from edgebotd.docker.errors import EngineError
from edgebotd.docker.operations import Operations
from edgebotd.docker.redact import is_secret_name, redact_shapes
from edgebotd.events import AtMs, Model
from edgebotd.logs import redact
from edgebotd.protocol.docker.containers import Container, published_ports
from edgebotd.protocol.docker.details import limits_of, mounts_of
from edgebotd.protocol.fields import mapping
from edgebotd.store import containers as rows
from edgebotd.store.containers import Origin, Wanted
from edgebotd.store.database import Database


class ContainerImage(Model):
    """What it runs. `digests` are empty for an image that came from no registry, and where the engine does not say."""

    reference: str
    id: str
    digests: tuple[str, ...] = ()


class ContainerLimits(Model):
    """What it may take; null: as much as the machine has."""

    memory_bytes: int | None
    cpus: float | None
    pids: int | None


class PublishedPort(Model):
    """`inside`, such as 18789/tcp, is reached at this address and port of the machine."""

    inside: str
    address: str
    port: int


class ContainerMount(Model):
    """A folder that is not the image's. `source`: a volume's name, or a path of the machine."""

    kind: str
    """volume, bind, tmpfs."""
    source: str
    path: str
    read_only: bool


class RunningOperation(Model):
    """What is going on with it."""

    id: str
    kind: str
    step: str
    state: str


class ContainerDetails(Model):
    """What a bot's container is made of. Without an engine's word for it: what the store knows."""

    container_id: str | None
    image: ContainerImage | None
    limits: ContainerLimits | None
    ports: tuple[PublishedPort, ...]
    """While it runs."""
    mounts: tuple[ContainerMount, ...]
    created_at: AtMs | None
    started_at: AtMs | None
    origin: Origin | None
    """Made by edgebotd, adopted, or named in the settings file; null while it is being made."""
    wanted: Wanted | None
    """What a person asked for last: running, stopped; any where nobody did."""
    spec: dict[str, Any] | None
    """What it is made from when it is made anew; null for one that edgebotd did not make. A value of the environment is
    null where its name says that it is secret."""
    operation: RunningOperation | None


async def details_of(
    bot_id: str, containers: Containers, operations: Operations, database: Database
) -> ContainerDetails | None:
    """Return it; None for a bot that has no container and is getting none."""
    stored = await database.read(lambda conn: rows.get(conn, bot_id))
    container, work = containers.container_of(bot_id), operations.running(bot_id)
    if stored is None and container is None and work is None:
        return None
    ports: list[PublishedPort] = []
    limits = image = None
    if container is not None:
        given = limits_of(container)
        limits = ContainerLimits(memory_bytes=given.memory_bytes, cpus=given.cpus, pids=given.pids)
        image = await _image_of(container, containers)
        for inside, places in published_ports(container).items():
            ports += [PublishedPort(inside=inside, address=address, port=port) for address, port in places]
    return ContainerDetails(
        container_id=None if container is None else container.id,
        image=image,
        limits=limits,
        ports=tuple(ports),
        mounts=() if container is None else tuple(_mounts(container)),
        created_at=None if container is None else container.created_at,
        started_at=None if container is None else container.started_at,
        origin=None if stored is None else stored.origin,
        wanted=None if stored is None else stored.wanted,
        spec=None if stored is None or not stored.spec else shown_spec(stored.spec),
        operation=None
        if work is None
        else RunningOperation(id=work.id, kind=work.kind, step=work.step, state=work.state),
    )


def shown_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a stored spec as it may be shown: it should hold no secret, but people put them in the wrong place."""
    shown = {name: _shown(value) for name, value in spec.items()}
    if "environment" in spec:
        plain = mapping(spec["environment"])
        shown["environment"] = {name: None if is_secret_name(name) else _shown(value) for name, value in plain.items()}
    if before := mapping(spec.get("previous")):
        shown["previous"] |= {"spec": shown_spec(dict(mapping(before.get("spec"))))}
    return shown


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return redact_shapes(redact(value))
    if isinstance(value, dict):
        return {name: _shown(inner) for name, inner in value.items()}
    return [_shown(inner) for inner in value] if isinstance(value, list) else value


async def _image_of(container: Container, containers: Containers) -> ContainerImage:
    digests: tuple[str, ...] = ()
    try:
        digests = (await containers.usable().image(container.image_id)).digests
    except EngineError:
        pass  # The engine is away, or the image was removed by force; the rest is known.
    return ContainerImage(reference=container.image, id=container.image_id, digests=digests)


def _mounts(container: Container) -> list[ContainerMount]:
    return [
        ContainerMount(kind=one.kind, source=one.source, path=one.path, read_only=one.read_only)
        for one in mounts_of(container)
    ]
