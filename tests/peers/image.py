"""Makes images without a network: archives for `POST /images/load`, the same bytes for the same wishes each time.

A test's bot is busybox with a script that does what its environment says, so that a container gets into each state.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import random
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

BUSYBOX = Path("/bin/busybox")
_CREATED = "2020-01-01T00:00:00Z"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_SECOND = 1_000_000_000

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
class Image:
    """An image to be made: its layers as tars, from the lowest on, and its `Config`."""

    tags: Sequence[str]
    layers: Sequence[bytes]
    config: Mapping[str, Any] = field(default_factory=dict)

    def write(self, out: BinaryIO) -> str:
        """Write the archive and return the image's id."""
        digests = [hashlib.sha256(layer).hexdigest() for layer in self.layers]
        described = {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": _CREATED,
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
            "history": [{"created": _CREATED, "created_by": "edgebotd's tests"} for _ in digests],
        }
        config = json.dumps(described, sort_keys=True).encode()
        image_id = hashlib.sha256(config).hexdigest()
        files = {f"{digest}/layer.tar": layer for digest, layer in zip(digests, self.layers, strict=True)}
        manifest = [{"Config": f"{image_id}.json", "RepoTags": list(self.tags), "Layers": list(files)}]
        files |= {f"{image_id}.json": config, "manifest.json": json.dumps(manifest).encode()}
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for name, data in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return f"sha256:{image_id}"

    def archive(self) -> bytes:
        """Return the archive."""
        out = io.BytesIO()
        self.write(out)
        return out.getvalue()


class Layer:
    """One layer in the making. Times are zero and owners are root unless told, so that it is the same each time."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 - closed by `done`

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

    def done(self) -> bytes:
        """Return the layer's tar."""
        self._tar.close()
        return self._buffer.getvalue()

    @staticmethod
    def _entry(name: str, mode: int, owner: int) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(name)
        entry.mode, entry.uid, entry.gid = mode, owner, owner
        return entry


def base_layer(passwd: Iterable[str] = ("bot:x:1000:1000::/tmp:/bin/sh",)) -> bytes:
    """Return a file system of busybox alone, with `root` and these users."""
    users = ["root:x:0:0:root:/root:/bin/sh", *passwd]
    groups = [":".join([user.split(":")[0], "x", user.split(":")[3], ""]) for user in users]
    applets = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    layer = Layer()
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
    script = Layer()
    script.file("bot.sh", BOT.encode(), 0o755)
    layers = [base_layer(), script.done()]
    noise = random.Random(ballast_mib)
    for number in range(2 if ballast_mib else 0):
        ballast = Layer()
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
    return Image([tag], layers, config)
