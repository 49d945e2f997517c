"""An image with a real OpenClaw gateway, made like the published one from its npm packages, without pulling anything.

What it has in common with `ghcr.io/openclaw/openclaw`: user `node` (1000), HOME, `/app` with `openclaw.mjs` and
`dist/`, a state folder of the user's own, the command (which listens on loopback alone, unless the configuration says
`gateway.bind: lan`), and a health check **that is made each three minutes only**: an engine says `starting` until then
(Docker before 25 in any case), so a container's health says nothing about when its gateway is there. Instead of
Debian it holds busybox and those libraries of this machine that Node and its addons need.

With a read-only root it wants a tmpfs at /tmp, and to be able to write at XDG_CACHE_HOME (else /home/node/.cache), each
time that it starts: it ends with 78 where it cannot.

Cost, on two cores that are free: the first time 15 s and 470 MB in the cache for a version (2026.5.28: 210 MB) beside
130 MB of Node for all of them; a pull, from a registry in which the layers are linked and not packed, 10 to 15 s and as
many MB in the engine; a gateway is ready after 15 to 20 s and takes 0.6 GB; approving a device takes 3 s.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.peers.engine import REGISTRY, DockerEngine
from tests.peers.image import Image, Layer, Tar, base_layer
from tests.peers.install import CURRENT, Installed, install, locked, peers_dir

PORT: Final = 18789
STATE: Final = "/home/node/.openclaw"
USER: Final = 1000
HEALTH_SECONDS: Final = 180

_RECIPE: Final = 1
"""Counts up when the layers are made in another way: cached ones are then made anew."""
_LEFT_OUT: Final = re.compile(r"\.(?:d\.[mc]?ts|map|gz|br)$")
"""A quarter of the files, which nothing reads at run time."""
_LIBRARY: Final = re.compile(r"(?:=> )?(/\S+\.so\S*) \(")
_SECOND: Final = 1_000_000_000
_CHECK: Final = f"fetch('http://127.0.0.1:{PORT}/healthz').then((r)=>process.exit(r.ok?0:1)).catch(()=>process.exit(1))"


def openclaw_image(version: str = CURRENT) -> Image:
    """Describe the image, its layers made or found in the cache; blocking.

    Raises:
        PeerUnavailable: Node or the package could not be had.
    """
    installed = install(version)
    config: dict[str, Any] = {
        "User": "node",
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/home/node", "NODE_ENV=production"],
        "Cmd": ["node", "openclaw.mjs", "gateway", "--allow-unconfigured"],
        "WorkingDir": "/app",
        "ExposedPorts": {f"{PORT}/tcp": {}},
        "Labels": {"edgebotd.test": "1", "org.opencontainers.image.version": version},
        "Healthcheck": {
            "Test": ["CMD", "node", "-e", _CHECK],
            "Interval": HEALTH_SECONDS * _SECOND,
            "Timeout": 10 * _SECOND,
            "StartPeriod": 15 * _SECOND,
            "Retries": 3,
        },
    }
    layers = [
        base_layer([f"node:x:{USER}:{USER}::/home/node:/bin/sh"]),
        _cached(f"node-{installed.node.parents[3].name}", lambda tar: _node(tar, installed)),
        _cached(f"openclaw-{version}", lambda tar: _openclaw(tar, installed)),
    ]
    return Image(reference(version), layers, config)


def reference(version: str = CURRENT) -> str:
    """Return how the image is named, in the engine's own registry."""
    return f"{REGISTRY}/edgebotd-test/openclaw:{version}"


def provide(engine: DockerEngine, version: str = CURRENT, *, pull: bool = True) -> str:
    """Put the image into the engine's registry and, unless told not to, into the engine; return its digest.

    Raises:
        PeerUnavailable: Node or the package could not be had.
    """
    digest = engine.publish(openclaw_image(version))
    if pull:
        engine.pull(reference(version))
    return digest


def _cached(name: str, fill: Callable[[Tar], None]) -> Layer:
    """Return a layer that is kept beside the packages; its digest is the name of a file beside it."""
    folder = peers_dir() / "image-layers"
    path = folder / f"{name}-{_RECIPE}.tar"
    stamp = path.with_suffix(".sha256")
    with locked(folder / f"{name}.lock"):
        if not stamp.exists():
            with path.open("wb") as out:
                tar = Tar(out)
                fill(tar)
                tar.close()
            with path.open("rb") as made:
                stamp.write_text(hashlib.file_digest(made, "sha256").hexdigest())
        return Layer(stamp.read_text(), path.stat().st_size, path)


def _node(tar: Tar, installed: Installed) -> None:
    """Node with the libraries that it and the addons of the gateway were linked with."""
    for folder in ("usr/local", "usr/local/bin", "lib", "lib64", "home"):
        tar.folder(folder)
    tar.folder("home/node", 0o755, USER)
    tar.folder(STATE.lstrip("/"), 0o700, USER)
    tar.copy("usr/local/bin/node", installed.node)
    tar.link("usr/local/bin/openclaw", "/app/openclaw.mjs")
    # `#!/usr/bin/env node` of the launcher.
    tar.link("usr/bin/env", "/bin/busybox")
    for library in sorted(_libraries(installed.node)):
        tar.copy(library.lstrip("/"), Path(library))
    tar.file("etc/nsswitch.conf", b"hosts: files dns\n")


def _libraries(program: Path) -> set[str]:
    said = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    found = set(_LIBRARY.findall(said))
    # Loaded by name at run time, or by addons alone.
    beside = Path(next(path for path in found if "/libc.so" in path)).parent
    extra = ("libresolv.so.2", "libnss_files.so.2", "libnss_dns.so.2", "librt.so.1", "libutil.so.1")
    return found | {str(beside / name) for name in extra if (beside / name).exists()}


def _openclaw(tar: Tar, installed: Installed) -> None:
    """The package as `/app`, with what it alone has in its `node_modules`; Node looks in the one above as well."""
    package = installed.entry.parent
    tar.folder("app")
    tar.folder("node_modules")
    for path, name in _files(package, "app"):
        _add(tar, path, name)
    for path, name in _files(package.parent, "node_modules", without=package):
        _add(tar, path, name)


def _add(tar: Tar, path: Path, name: str) -> None:
    if path.is_symlink():
        tar.link(name, str(path.readlink()))
    elif path.is_dir():
        tar.folder(name)
    elif not _LEFT_OUT.search(path.name):
        tar.copy(name, path)


def _files(folder: Path, name: str, without: Path | None = None) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.iterdir()):
        if path == without or path.name.startswith(".package-lock"):
            continue
        inner = f"{name}/{path.name}"
        yield path, inner
        if path.is_dir() and not path.is_symlink():
            yield from _files(path, inner)
