"""What an inspected container has of the machine: its limits and its folders."""

from __future__ import annotations

from dataclasses import dataclass

from edgebotd.protocol.docker.containers import Container
from edgebotd.protocol.fields import integer, mapping, objects, string


@dataclass(frozen=True, slots=True)
class Given:
    """What a container may take; None where it has no limit."""

    memory_bytes: int | None
    cpus: float | None
    pids: int | None


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of a container that is not its own. `source`: a volume's name, or a path of the machine."""

    kind: str
    source: str
    path: str
    read_only: bool


def limits_of(container: Container) -> Given:
    """Return an inspected container's limits. Zero, and less for processes, is the engine's word for none."""
    host = mapping(container.raw.get("HostConfig"))
    nano, quota = integer(host.get("NanoCpus")), integer(host.get("CpuQuota"))
    cpus = nano / 1_000_000_000 if nano else None
    if cpus is None and quota is not None and quota > 0:
        cpus = quota / (integer(host.get("CpuPeriod")) or 100_000)
    pids = integer(host.get("PidsLimit"))
    return Given(integer(host.get("Memory")) or None, cpus, pids if pids is not None and pids > 0 else None)


def mounts_of(container: Container) -> list[Mount]:
    """Return an inspected container's volumes and folders of the machine, in order of their place."""
    found = [
        Mount(
            kind=string(one.get("Type")) or "unknown",
            source=string(one.get("Name")) or string(one.get("Source")) or "",
            path=string(one.get("Destination")) or "",
            read_only=one.get("RW") is False,
        )
        for one in objects(container.raw.get("Mounts"))
    ]
    return sorted(found, key=lambda mount: mount.path)
