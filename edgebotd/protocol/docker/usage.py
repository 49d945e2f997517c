"""What a container uses, from two objects of its resource stream (`GET /containers/{id}/stats`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgebotd.protocol.docker.streams import parse_time
from edgebotd.protocol.fields import integer, mapping


@dataclass(frozen=True, slots=True)
class Usage:
    """A container's resource use at one moment.

    Attributes:
        at: Unix milliseconds by the engine's clock.
        cpu_percent: of one processor (two busy ones are 200); None until a second object came.
        memory_bytes: without what the kernel only caches.
        memory_limit_bytes: the container's, or the machine's where it has none.
        received_bytes, sent_bytes: over all its networks since its start; None on the host's network.
        cpu_nanoseconds: of all processors since its start.
    """

    at: int
    cpu_percent: float | None
    memory_bytes: int
    memory_limit_bytes: int | None
    received_bytes: int | None
    sent_bytes: int | None
    pids: int | None = None
    cpu_nanoseconds: int | None = None


def parse_usage(now: Mapping[str, Any]) -> Usage | None:
    """Read one object of the stream; None for one of a container that does not run, which is all zeros.

    Memory is usage without the inactive file cache: `total_inactive_file` of cgroup v1, `inactive_file` of v2.
    """
    at = parse_time(now.get("read"))
    memory = mapping(now.get("memory_stats"))
    used = integer(memory.get("usage"))
    if at is None or used is None:
        return None
    details = mapping(memory.get("stats"))
    cached = integer(details.get("total_inactive_file"))
    if cached is None:
        cached = integer(details.get("inactive_file")) or 0
    networks = mapping(now.get("networks"))
    received = sent = None
    if networks:
        received = sum(integer(mapping(one).get("rx_bytes")) or 0 for one in networks.values())
        sent = sum(integer(mapping(one).get("tx_bytes")) or 0 for one in networks.values())
    return Usage(
        at=at,
        cpu_percent=_cpu_percent(mapping(now.get("cpu_stats")), mapping(now.get("precpu_stats"))),
        memory_bytes=max(0, used - cached),
        memory_limit_bytes=integer(memory.get("limit")),
        received_bytes=received,
        sent_bytes=sent,
        pids=integer(mapping(now.get("pids_stats")).get("current")),
        cpu_nanoseconds=_total(mapping(now.get("cpu_stats"))),
    )


def per_second(now: Usage, before: Usage | None, count: Callable[[Usage], int | None]) -> float | None:
    """Return how fast a count grew between two moments of a container; None where that cannot be said.

    A count that has become smaller began anew with the container, or lost one of its networks.
    """
    if before is None or now.at <= before.at:
        return None
    last, first = count(now), count(before)
    if last is None or first is None or last < first:
        return None
    return round((last - first) * 1000 / (now.at - before.at), 1)


def _cpu_percent(now: Mapping[str, Any], before: Mapping[str, Any]) -> float | None:
    total, total_before = _total(now), _total(before)
    system, system_before = integer(now.get("system_cpu_usage")), integer(before.get("system_cpu_usage"))
    if total is None or total_before is None or system is None or not system_before or system <= system_before:
        return None
    processors = integer(now.get("online_cpus")) or 1
    return round(max(0, total - total_before) / (system - system_before) * processors * 100, 2)


def _total(cpu: Mapping[str, Any]) -> int | None:
    return integer(mapping(cpu.get("cpu_usage")).get("total_usage"))
