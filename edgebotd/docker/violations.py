"""What stands against the profile: one look for what is to be made, for what runs, and for what may be adopted.

Each finding is a sentence for a person. Values of the environment are never among them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgebotd.config import DockerSettings
from edgebotd.config.engine import holds_socket
from edgebotd.docker.spec import BOT_LABEL, GATEWAY_PORT, Spec
from edgebotd.errors import Conflict
from edgebotd.protocol.docker.containers import Container, parse_inspection, published_ports
from edgebotd.protocol.fields import integer, mapping, objects, string, strings

INSIDE: Final = f"{GATEWAY_PORT}/tcp"
NO_NEW_PRIVILEGES: Final = "no-new-privileges"
RESTART: Final = "unless-stopped"

MOST: Final = 40
"""Findings of one container. Further ones would tell nothing new."""
LONGEST: Final = 200

USUAL_CAPABILITIES: Final = frozenset(
    [
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
"""What a container gets unless it is taken away, by Docker and Podman (which tells the names of what is taken)."""

NAMESPACES: Final = {
    "NetworkMode": "network",
    "PidMode": "processes",
    "IpcMode": "shared memory",
    "UTSMode": "host name",
    "UsernsMode": "user ids",
}
OFF: Final = {
    "seccomp=unconfined": "No system call is kept from it (seccomp is off).",
    "apparmor=unconfined": "AppArmor does not confine it.",
    "label=disable": "SELinux does not confine it.",
    "systempaths=unconfined": "It sees the kernel's paths that are hidden from containers.",
}
BODY_KEYS: Final = frozenset(
    {"Image", "Cmd", "Labels", "Env", "StopTimeout", "ExposedPorts", "Healthcheck", "HostConfig"}
)
HOST_KEYS: Final = frozenset(
    {
        *("NetworkMode", "CapDrop", "SecurityOpt", "IpcMode", "Memory", "MemorySwap", "NanoCpus", "PidsLimit", "Init"),
        *("ReadonlyRootfs", "Tmpfs", "Mounts", "RestartPolicy", "LogConfig", "PortBindings"),
    }
)
MOUNT_KEYS: Final = frozenset({"Type", "Source", "Target", "ReadOnly"})
"""Everything that a body may have: what an engine learns to do later is refused before anybody has looked at it."""


@dataclass(frozen=True)
class Around:
    """What an inspection of the container does not tell.

    Attributes:
        image_user: whom its image runs as; None where nobody has looked.
        disguised: named volumes that are folders of this machine: name -> folder.
    """

    image_user: str | None = None
    disguised: Mapping[str, str] | None = None


def allowed_mounts(settings: DockerSettings, bot_id: str | None) -> list[tuple[str, str, bool]]:
    """Return what of this machine a bot's container may have: folder, place in the container, whether read-only."""
    found = []
    for text in settings.mounts.get(bot_id, ()) if bot_id is not None else ():
        source, target, *options = text.split(":")
        found.append((source, target, options == ["ro"]))
    return found


def check_body(body: Mapping[str, Any], *, settings: DockerSettings, spec: Spec | None = None) -> None:
    """Refuse a body of `POST /containers/create` that is not as the profile says.

    Raises:
        Conflict: it says everything that is wrong with it.
    """
    found = [*_unknown(body)]
    bot_id = string(mapping(body.get("Labels")).get(BOT_LABEL))
    if bot_id is None:
        found.append("It names no bot.")
    config = {name: value for name, value in body.items() if name != "HostConfig"}
    container = parse_inspection({"Config": config, "HostConfig": mapping(body.get("HostConfig"))})
    found.extend(violations(container, bot_id=bot_id, settings=settings, spec=spec))
    if found:
        raise Conflict("profile", f"The container is not made, because of how it would be: {' '.join(found)}")


def violations(
    container: Container,
    *,
    bot_id: str | None,
    settings: DockerSettings,
    spec: Spec | None,
    around: Around = Around(),  # immutable
) -> tuple[str, ...]:
    """Return each difference of an inspected container from the profile and, where there is one, from its spec.

    Args:
        bot_id: whose it is, for what the settings allow that bot; None: nobody's yet.
    """
    config, host = mapping(container.raw.get("Config")), mapping(container.raw.get("HostConfig"))
    found = [
        *_rights(host),
        *_namespaces(host, bot_id, settings, spec),
        *_user(config, around, spec),
        *_mounts(container, bot_id, settings, spec, around),
        *_ports(container, spec),
        *_limits(host, spec),
        *([] if spec is None else _differences(container, bot_id, spec)),
    ]
    return tuple(_clipped(text) for text in dict.fromkeys(found))[:MOST]


def _unknown(body: Mapping[str, Any]) -> Iterator[str]:
    host = mapping(body.get("HostConfig"))
    for name in sorted((set(body) - BODY_KEYS) | (set(host) - HOST_KEYS)):
        yield f"The profile has no {name}."
    for mount in objects(host.get("Mounts")):
        for name in sorted(set(mount) - MOUNT_KEYS):
            yield f"The profile's mounts have no {name}."


def _rights(host: Mapping[str, Any]) -> Iterator[str]:
    if host.get("Privileged") is True:
        yield "It is privileged: it may do everything with this machine."
    if added := strings(host.get("CapAdd")):
        yield f"It has the added capabilities {', '.join(sorted(added))}."
    dropped = {name.upper().removeprefix("CAP_") for name in strings(host.get("CapDrop"))}
    if "ALL" not in dropped and not dropped >= USUAL_CAPABILITIES:
        yield "It has capabilities; a bot needs none of them."
    options = [option.replace(":", "=", 1) for option in strings(host.get("SecurityOpt"))]
    if not {NO_NEW_PRIVILEGES, f"{NO_NEW_PRIVILEGES}=true"} & set(options):
        yield "Its processes may gain rights (no-new-privileges is not set)."
    for option, words in OFF.items():
        if option in options:
            yield words
    if host.get("MaskedPaths") == [] or host.get("ReadonlyPaths") == []:
        yield OFF["systempaths=unconfined"]
    for device in objects(host.get("Devices")):
        yield f"It has this machine's device {string(device.get('PathOnHost'))}."
    if host.get("DeviceRequests") or host.get("DeviceCgroupRules"):
        yield "It may use devices of this machine."
    if host.get("Sysctls"):
        yield f"It sets values of the kernel: {', '.join(sorted(mapping(host.get('Sysctls'))))}."


def _namespaces(
    host: Mapping[str, Any], bot_id: str | None, settings: DockerSettings, spec: Spec | None
) -> Iterator[str]:
    for key, words in NAMESPACES.items():
        mode = string(host.get(key)) or ""
        if mode == "host" and not (key == "NetworkMode" and bot_id in settings.host_network):
            yield f"It shares this machine's {words}."
        elif mode.startswith(("container:", "ns:")):
            yield f"It shares another container's {words}."
    if spec is not None and (host.get("NetworkMode") == "host") is not (spec.network == "host"):
        yield f"Its network is not the one that its spec says ({spec.network})."


def _user(config: Mapping[str, Any], around: Around, spec: Spec | None) -> Iterator[str]:
    user = string(config.get("User")) or ""
    if around.image_user is None or user == around.image_user:
        return
    if _is_root(user) and not _is_root(around.image_user):
        yield "It runs as root, which its image does not."
    elif spec is not None:
        yield f"It runs as {user}, not as its image's user."


def _is_root(user: str) -> bool:
    return user.partition(":")[0] in ("", "0", "root")


@dataclass(frozen=True)
class Mount:
    """One mount, of a body or of an inspection. `source` is a folder of this machine, or a volume's name."""

    kind: str
    source: str
    target: str
    read_only: bool


def mounts_of(container: Container) -> list[Mount]:
    """Return a container's mounts, those of its own image too; memory not."""
    host = mapping(container.raw.get("HostConfig"))
    found = []
    for text in strings(host.get("Binds")):
        source, _, rest = text.partition(":")
        target, _, options = rest.partition(":")
        kind = "bind" if source.startswith("/") else "volume"
        found.append(Mount(kind, source, target, "ro" in options.split(",")))
    for mount in objects(host.get("Mounts")):
        kind, target = string(mount.get("Type")) or "volume", string(mount.get("Target")) or ""
        if mapping(mapping(mount.get("VolumeOptions")).get("DriverConfig")).get("Options"):
            kind = "disguised"
        found.append(Mount(kind, string(mount.get("Source")) or "", target, mount.get("ReadOnly") is True))
    for mount in objects(container.raw.get("Mounts")):
        kind = string(mount.get("Type")) or "bind"
        source = string(mount.get("Name" if kind == "volume" else "Source")) or ""
        found.append(Mount(kind, source, string(mount.get("Destination")) or "", mount.get("RW") is False))
    return [mount for mount in dict.fromkeys(found) if mount.kind != "tmpfs"]


def _mounts(
    container: Container, bot_id: str | None, settings: DockerSettings, spec: Spec | None, around: Around
) -> Iterator[str]:
    allowed = allowed_mounts(settings, bot_id)
    for mount in mounts_of(container):
        source = mount.source
        if mount.kind == "volume":
            if (folder := (around.disguised or {}).get(source)) is None:
                continue
            source = folder
        elif mount.kind != "bind":
            yield f"The volume at {mount.target} has options of its own: it may be a folder of this machine."
            continue
        if holds_socket(source, settings.socket):
            yield f"The container engine's socket is in {mount.target}: it may do everything with this machine."
        elif not any((source, mount.target) == (one, place) for one, place, _ in allowed):
            yield f"It has this machine's {source} at {mount.target}."
        elif not mount.read_only and (source, mount.target, True) in allowed:
            yield f"It may write to this machine's {source}, which the settings make read-only."
    if strings(mapping(container.raw.get("HostConfig")).get("VolumesFrom")):
        yield "It has the volumes of another container."
    if spec is None:
        return
    volumes = {(mount.source, mount.target) for mount in mounts_of(container) if mount.kind == "volume"}
    for volume in spec.volumes:
        if (volume.name, volume.path) not in volumes:
            yield f"The volume {volume.name} is not at {volume.path}, as its spec says."


def _ports(container: Container, spec: Spec | None) -> Iterator[str]:
    ports = ports_of(container)
    for inside, places in ports.items():
        if others := sorted({address for address, _ in places if not _is_loopback(address)}):
            yield f"Its port {inside} is published on {' and '.join(others)}, for other machines too."
    if mapping(container.raw.get("HostConfig")).get("PublishAllPorts") is True:
        yield "All ports of its image are published."
    if spec is None or spec.network == "host":
        return
    wanted = {INSIDE: {spec.port}}
    there = {inside: {port for _, port in places} for inside, places in ports.items() if places}
    for inside in sorted(there.keys() - wanted.keys()):
        yield f"Its port {inside} is published, which its spec does not say."
    if there.get(INSIDE) != wanted[INSIDE]:
        yield f"Its port {INSIDE} is not published as {spec.port}, as its spec says."


def ports_of(container: Container) -> dict[str, list[tuple[str, int]]]:
    """Return the published ports: of one that runs as they are, of another as they will be (0: any free one)."""
    found = published_ports(container)
    bindings = mapping(mapping(container.raw.get("HostConfig")).get("PortBindings"))
    for inside, places in bindings.items():
        if inside not in found:
            found[inside] = [
                (string(place.get("HostIp")) or "0.0.0.0", int(port) if port.isdigit() else 0)
                for place in objects(places)
                for port in [string(place.get("HostPort")) or ""]
            ]
    return found


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _limits(host: Mapping[str, Any], spec: Spec | None) -> Iterator[str]:
    memory, pids = integer(host.get("Memory")) or 0, integer(host.get("PidsLimit")) or 0
    cpus = (integer(host.get("NanoCpus")) or 0) / 1_000_000_000
    quota, period = integer(host.get("CpuQuota")) or 0, integer(host.get("CpuPeriod")) or 100_000
    if cpus <= 0 < quota:
        cpus = quota / period
    if memory <= 0:
        yield "It may take all of this machine's memory."
    elif spec is not None and memory != spec.limits.memory_bytes:
        yield f"It may take {memory} bytes of memory; its spec says {spec.limits.memory_bytes}."
    if pids <= 0:
        yield "It may start any number of processes."
    elif spec is not None and pids != spec.limits.pids:
        yield f"It may have {pids} processes; its spec says {spec.limits.pids}."
    if cpus <= 0:
        yield "It may take all of this machine's processors."
    elif spec is not None and abs(cpus - spec.limits.cpus) > 0.01:
        yield f"It may take {cpus:g} processors; its spec says {spec.limits.cpus:g}."
    if host.get("ReadonlyRootfs") is not True and (spec is None or spec.read_only):
        yield "Its image's own files can be changed while it runs."


def _differences(container: Container, bot_id: str | None, spec: Spec) -> Iterator[str]:
    config, host = mapping(container.raw.get("Config")), mapping(container.raw.get("HostConfig"))
    if not _same_image(container, spec.pinned):
        yield f"It is made from {container.image}, not from {spec.pinned}."
    if container.labels.get(BOT_LABEL) != bot_id:
        yield "Its labels do not say whose it is."
    if spec.command and tuple(strings(config.get("Cmd"))) != spec.command:
        yield "Its command is not the one that its spec says."
    policy = string(mapping(host.get("RestartPolicy")).get("Name"))
    if policy != RESTART:
        yield f"The engine does not restart it as the profile says ({RESTART})."
    there = dict(text.partition("=")[::2] for text in strings(config.get("Env")))
    for name, value in spec.environment.items():
        if name not in spec.secret_environment and there.get(name) != value:
            yield f"The environment's {name} is not as its spec says."
    for name in spec.secret_environment:
        if name not in there:
            yield f"The environment has no {name}."


def _same_image(container: Container, pinned: str) -> bool:
    # Podman puts a registry before names that had none; the digest is what counts.
    digest = pinned.rpartition("@")[2]
    return pinned in (container.image, container.image_id) or (
        digest.startswith("sha256:") and container.image.endswith(f"@{digest}")
    )


def _clipped(text: str) -> str:
    line = "".join(c if c.isprintable() else "?" for c in text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
