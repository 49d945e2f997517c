"""Install the real things that the peer tests run against, once, into a cache directory outside the clone.

Only npm packages are fetched: Node itself comes as the package `node-linux-<arch>`. No install script is run.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NODE_VERSION = "24.21.0"
CURRENT = "2026.9.6"
OLDER = "2026.5.28"

# 650 MB over a slow line; what takes longer hangs.
_NPM_SECONDS = 900
_ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}


class PeerUnavailable(Exception):
    """Raised when a real peer cannot be had on this machine; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Installed:
    """One installed gateway."""

    version: str
    node: Path
    entry: Path
    compile_cache: Path


def peers_dir() -> Path:
    """Return the cache directory: EDGEBOTD_PEERS_DIR, else `edgebotd-peers` in the user's cache."""
    if configured := os.environ.get("EDGEBOTD_PEERS_DIR"):
        return Path(configured).expanduser().resolve()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser().resolve() / "edgebotd-peers"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file: a second installer waits for the first and finds its work done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def npm_package(name: str, version: str, *, first_in_path: Path | None = None) -> Path:
    """Install one npm package with what it needs; return its folder below `node_modules`.

    Raises:
        PeerUnavailable: npm is missing, or the registry could not be reached.
    """
    home = peers_dir() / f"{name}-{version}"
    stamp = home / ".complete"
    package = home / "node_modules" / name
    if stamp.exists():
        return package
    npm = shutil.which("npm")
    if npm is None:
        raise PeerUnavailable("npm is not installed; on Debian: apt-get install --no-install-recommends npm")
    with locked(peers_dir() / f"{name}-{version}.lock"):
        if stamp.exists():
            return package
        # What an interrupted install left behind is not worth repairing.
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        (home / "package.json").write_text('{"private": true}\n')
        environment = dict(os.environ)
        if first_in_path is not None:
            environment["PATH"] = f"{first_in_path}:{environment.get('PATH', '/usr/bin:/bin')}"
        flags = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
        try:
            subprocess.run(
                [npm, "install", *flags, f"{name}@{version}"],
                cwd=home,
                env=environment,
                check=True,
                capture_output=True,
                text=True,
                timeout=_NPM_SECONDS,
            )
        except subprocess.CalledProcessError as error:
            raise PeerUnavailable(f"npm install {name}@{version} failed: {error.stderr.strip()[-600:]}") from error
        except subprocess.TimeoutExpired as error:
            raise PeerUnavailable(f"npm install {name}@{version} took over {_NPM_SECONDS} s") from error
        stamp.touch()
    return package


def node() -> Path:
    """Install Node if it is not there yet; return its program.

    Raises:
        PeerUnavailable: with the reason.
    """
    machine = platform.machine()
    architecture = _ARCHITECTURES.get(machine)
    if architecture is None:
        raise PeerUnavailable(f"no Node package for the processor {machine!r}")
    return npm_package(f"node-linux-{architecture}", NODE_VERSION) / "bin" / "node"


def install(version: str = CURRENT) -> Installed:
    """Install Node and `openclaw@version` if they are not there yet; blocking, about a minute the first time.

    Raises:
        PeerUnavailable: with the reason.
    """
    runtime = node()
    gateway = npm_package("openclaw", version, first_in_path=runtime.parent)
    return Installed(version, runtime, gateway / "openclaw.mjs", peers_dir() / "compile-cache")
