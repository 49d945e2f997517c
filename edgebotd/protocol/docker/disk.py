"""What an engine has on the disk, from `GET /system/df`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edgebotd.protocol.fields import integer, mapping, objects, string


@dataclass(frozen=True, slots=True)
class Room:
    """What one kind of thing takes. `reclaimable_bytes`: of what nothing uses."""

    count: int
    size_bytes: int
    reclaimable_bytes: int


@dataclass(frozen=True, slots=True)
class VolumeRoom:
    """One volume. `size_bytes` is None where the engine cannot say."""

    name: str
    labels: Mapping[str, str]
    size_bytes: int | None
    used: bool


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Everything. `containers`: what they have written beside their images and volumes."""

    images: Room
    containers: Room
    volumes: Room
    build_cache: Room
    each_volume: tuple[VolumeRoom, ...]


def parse_disk(answer: Mapping[str, Any]) -> DiskUse:
    """Read the answer. Sizes of -1 are the engine's word for not known.

    Layers that images share are on the disk once: so what all images take is told apart from what each takes, and what
    is reclaimable is all of it but what the used ones have for themselves, as `docker system df` has it.
    """
    images = list(objects(answer.get("Images")))
    own = {id(image): max(0, _size(image, "Size") - _size(image, "SharedSize")) for image in images}
    used = sum(own[id(image)] for image in images if (integer(image.get("Containers")) or 0) > 0)
    layers = integer(answer.get("LayersSize"))
    all_images = sum(_size(image, "Size") for image in images) if layers is None else max(0, layers)
    volumes = tuple(sorted(map(_volume, objects(answer.get("Volumes"))), key=lambda one: one.name))
    return DiskUse(
        images=Room(len(images), all_images, max(0, all_images - used)),
        containers=_room(
            (_size(one, "SizeRw"), string(one.get("State")) in ("running", "paused", "restarting"))
            for one in objects(answer.get("Containers"))
        ),
        volumes=_room((one.size_bytes or 0, one.used) for one in volumes),
        build_cache=_room((_size(one, "Size"), one.get("InUse") is True) for one in objects(answer.get("BuildCache"))),
        each_volume=volumes,
    )


def _volume(entry: Mapping[str, Any]) -> VolumeRoom:
    usage = mapping(entry.get("UsageData"))
    size = integer(usage.get("Size"))
    return VolumeRoom(
        name=string(entry.get("Name")) or "",
        labels={name: text for name, text in mapping(entry.get("Labels")).items() if isinstance(text, str)},
        size_bytes=None if size is None or size < 0 else size,
        # Not known is as good as used: nobody is to be told that it can go.
        used=integer(usage.get("RefCount")) != 0,
    )


def _room(sizes: Iterable[tuple[int, bool]]) -> Room:
    all_sizes = list(sizes)
    return Room(
        len(all_sizes), sum(size for size, _ in all_sizes), sum(size for size, is_used in all_sizes if not is_used)
    )


def _size(entry: Mapping[str, Any], name: str) -> int:
    return max(0, integer(entry.get(name)) or 0)
