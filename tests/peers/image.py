"""Makes images without a network: archives for `POST /images/load`, the same bytes for the same wishes each time.

A test's bot is busybox with a script that does what its environment says, so that a container gets into each state.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import random
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

BUSYBOX = Path("/bin/busybox")
_CREATED = "2020-01-01T00:00:00Z"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_SECOND = 1_000_000_000
_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
# Engines see by the bytes whether a layer is packed.
_LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"

BOT = r"""#!/bin/sh
# By its environment: TICK (s), HEALTHY=0, EXIT_AFTER (ticks), EXIT_CODE, IGNORE_TERM=1, TERM_CODE, EAT_MEM (MiB).
# Healthy while /tmp/healthy is there.
[ "${HEALTHY:-1}" = 1 ] && : > /tmp/healthy
if [ "${IGNORE_TERM:-0}" = 1 ]; then trap '' TERM; else trap 'echo "bot: got TERM"; exit ${TERM_CODE:-0}' TERM; fi
trap 'echo "bot: got HUP"' HUP
echo "bot: start pid=$$ host=$(hostname)"
echo "bot: to stderr" >&2
# In place of the shell: the engine reports the end of the container's first process.
[ -n "$EAT_MEM" ] && exec dd if=/dev/zero of=/dev/null bs="${EAT_MEM}M" count=1
n=0
while :; do
  n=$((n+1)); echo "bot: tick $n"
  [ $((n % 3)) = 0 ] && echo "bot: warn $n" >&2
  if [ -n "$EXIT_AFTER" ] && [ "$n" -ge "$EXIT_AFTER" ]; then
    echo "bot: exiting ${EXIT_CODE:-0}" >&2; exit "${EXIT_CODE:-0}"
  fi
  sleep "${TICK:-1}" & wait $!
done
"""
_HEALTHY = "test -e /tmp/healthy && echo ok || { echo not-healthy; exit 1; }"


@dataclass(frozen=True)
class Layer:
    """One layer: a tar by its digest, in memory or in a file."""

    digest: str
    size: int
    source: bytes | Path

    @classmethod
    def of(cls, data: bytes) -> Layer:
        """Return a layer in memory."""
        return cls(hashlib.sha256(data).hexdigest(), len(data), data)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open its bytes."""
        with io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source.open("rb") as opened:
            yield opened


@dataclass(frozen=True)
class Image:
    """An image to be made: its layers from the lowest on, and its `Config`."""

    tag: str
    layers: Sequence[Layer]
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def described(self) -> bytes:
        """What the image's id is the digest of."""
        described = {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": _CREATED,
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in self.layers]},
            "history": [{"created": _CREATED, "created_by": "edgebotd's tests"} for _ in self.layers],
        }
        return json.dumps(described, sort_keys=True).encode()

    def archive(self) -> bytes:
        """Return the archive for `POST /images/load`."""
        described = self.described
        image_id = hashlib.sha256(described).hexdigest()
        layers = {f"{layer.digest}/layer.tar": layer for layer in self.layers}
        manifest = [{"Config": f"{image_id}.json", "RepoTags": [self.tag], "Layers": list(layers)}]
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for name, layer in layers.items():
                with layer.open() as data:
                    archive.addfile(_entry(name, layer.size), data)
            for name, text in ((f"{image_id}.json", described), ("manifest.json", json.dumps(manifest).encode())):
                archive.addfile(_entry(name, len(text)), io.BytesIO(text))
        return out.getvalue()

    def publish(self, registry: Path) -> str:
        """Put it into a registry's folder, as a push would but without packing the layers, which takes a CPU many
        seconds; a layer that is a file is linked. Return the manifest's digest.
        """
        described = self.described
        layers = [
            {"mediaType": _LAYER_TYPE, "size": layer.size, "digest": f"sha256:{layer.digest}"} for layer in self.layers
        ]
        config = Layer.of(described)
        manifest = Layer.of(
            json.dumps(
                {
                    "schemaVersion": 2,
                    "mediaType": _MANIFEST_TYPE,
                    "config": {"mediaType": _CONFIG_TYPE, "size": config.size, "digest": f"sha256:{config.digest}"},
                    "layers": layers,
                }
            ).encode()
        )
        root = registry / "docker/registry/v2"
        name, _, tag = self.tag.partition("/")[2].rpartition(":")
        repository = root / "repositories" / name
        for blob in (*self.layers, config, manifest):
            place = root / "blobs/sha256" / blob.digest[:2] / blob.digest / "data"
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(blob.source, Path):
                    place.symlink_to(blob.source)
                else:
                    place.write_bytes(blob.source)
        links = [f"_layers/sha256/{blob.digest}" for blob in (*self.layers, config)]
        of_tag = f"_manifests/tags/{tag}"
        revisions = (f"_manifests/revisions/sha256/{manifest.digest}", f"{of_tag}/index/sha256/{manifest.digest}")
        for link in (*links, *revisions, f"{of_tag}/current"):
            blob = manifest if link.startswith("_manifests") else Layer(link.rpartition("/")[2], 0, b"")
            (repository / link).mkdir(parents=True, exist_ok=True)
            (repository / link / "link").write_text(f"sha256:{blob.digest}")
        return f"sha256:{manifest.digest}"


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry


class Tar:
    """A layer in the making. Times are zero and owners are root unless told, so that it is the same each time."""

    def __init__(self, out: BinaryIO | None = None) -> None:
        self._out = io.BytesIO() if out is None else out
        self._tar = tarfile.open(fileobj=self._out, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 - `done` closes

    def folder(self, name: str, mode: int = 0o755, owner: int = 0) -> None:
        """Add a folder."""
        entry = self._entry(name, mode, owner)
        entry.type = tarfile.DIRTYPE
        self._tar.addfile(entry)

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        entry = self._entry(name, 0o777, 0)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(entry)

    def file(self, name: str, data: bytes, mode: int = 0o644, owner: int = 0) -> None:
        """Add a file."""
        entry = self._entry(name, mode, owner)
        entry.size = len(data)
        self._tar.addfile(entry, io.BytesIO(data))

    def copy(self, name: str, source: Path) -> None:
        """Add a file of this machine, executable if it is."""
        with source.open("rb") as data:
            status = os.fstat(data.fileno())
            entry = self._entry(name, 0o755 if status.st_mode & 0o100 else 0o644, 0)
            entry.size = status.st_size
            self._tar.addfile(entry, data)

    def close(self) -> None:
        """Write its end."""
        self._tar.close()

    def done(self) -> Layer:
        """Return the layer, which was made in memory."""
        self.close()
        assert isinstance(self._out, io.BytesIO)
        return Layer.of(self._out.getvalue())

    @staticmethod
    def _entry(name: str, mode: int, owner: int) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(name)
        entry.mode, entry.uid, entry.gid = mode, owner, owner
        return entry


def base_layer(passwd: Iterable[str] = ("bot:x:1000:1000::/tmp:/bin/sh",)) -> Layer:
    """Return a file system of busybox alone, with `root` and these users."""
    users = ["root:x:0:0:root:/:/bin/sh", *passwd]
    groups = [":".join([user.split(":")[0], "x", user.split(":")[3], ""]) for user in users]
    applets = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    layer = Tar()
    for name in ("bin", "etc", "dev", "proc", "sys", "root", "var", "usr", "usr/bin"):
        layer.folder(name)
    layer.folder("tmp", 0o1777)
    layer.file("bin/busybox", BUSYBOX.read_bytes(), 0o755)
    for applet in sorted(set(applets) - {"busybox"}):
        layer.link(f"bin/{applet}", "busybox")
    layer.file("etc/passwd", "".join(f"{user}\n" for user in users).encode())
    layer.file("etc/group", "".join(f"{group}\n" for group in groups).encode())
    return layer.done()


def bot_image(tag: str, *, health: bool = True, labels: Mapping[str, str] | None = None, ballast_mib: int = 0) -> Image:
    """Describe a test's bot.

    Args:
        health: with a check each second; 20 of those are noticed on two cores.
        labels: beside `edgebotd.test`; other labels are another image of the same layers.
        ballast_mib: size of each of two more layers that nothing compresses, for a pull that takes a while.
    """
    script = Tar()
    script.file("bot.sh", BOT.encode(), 0o755)
    layers = [base_layer(), script.done()]
    noise = random.Random(ballast_mib)
    for number in range(2 if ballast_mib else 0):
        ballast = Tar()
        ballast.file(f"ballast{number}", noise.randbytes(ballast_mib << 20))
        layers.append(ballast.done())
    config: dict[str, Any] = {
        "Env": ["PATH=/bin:/usr/bin"],
        "Cmd": ["/bot.sh"],
        "WorkingDir": "/",
        "Labels": {"edgebotd.test": "1", **(labels or {})},
        "StopSignal": "SIGTERM",
    }
    if health:
        config["Healthcheck"] = {
            "Test": ["CMD-SHELL", _HEALTHY],
            "Interval": _SECOND,
            "Timeout": 2 * _SECOND,
            "StartPeriod": 0,
            "Retries": 2,
        }
    return Image(tag, layers, config)
