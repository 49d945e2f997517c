"""A real Docker engine with a registry beside it, from Debian's packages, in a network namespace of its own.

Bridge, packet filter, published ports and registry are inside the namespace, so the machine's network stays as it is
and engines run side by side; the API's unix socket is reached from anywhere. Nothing outside can be reached from it.
A start with images and registry takes 2 to 4 s, one more start of dockerd about 1 s. Needs root.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import ip_network
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from typing_extensions import override

from tests.peers.engine_leftovers import (
    command_of,
    end_cgroup,
    end_process,
    end_shims,
    mount_cgroups,
    remove_folder,
)
from tests.peers.image import BUSYBOX, Image, bot_image
from tests.peers.install import PeerUnavailable
from tests.peers.process import PeerFailed, Program

REGISTRY: Final = "127.0.0.1:5000"
"""As the engine sees it: in its namespace the port is free for certain, and plain HTTP is allowed on loopback."""
BOT: Final = "edgebotd-test/bot:1"
"""In the engine: with a health check each second."""
PLAIN: Final = "edgebotd-test/plain:1"
"""In the engine: the same without a health check."""
REMOTE: Final = f"{REGISTRY}/edgebotd-test/bot"
"""In the registry alone: tags 1, 2 (another id, the same layers) and big (two layers of 8 MiB)."""

_PROGRAMS: Final = {
    "dockerd": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "docker-registry": "docker-registry",
    str(BUSYBOX): "busybox-static",
    "iptables": "iptables",
    "ip": "iproute2",
}
_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
_READY_SECONDS: Final = 60.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("engine", timeout=timeout)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class DockerEngine:
    """One engine. Its methods block; call them from a thread. From `running_engine`, which removes every trace of it.

    Attributes:
        socket: of its API.
        namespace: a file that stands for its network namespace.
        registry: host and port of the registry, as in an image's reference.
        enter: the command in front of which a program runs in the namespace; it replaces itself.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.namespace = folder / "netns"
        self.registry = REGISTRY
        self.enter = ["nsenter", f"--net={self.namespace}"]
        self.cgroup = f"edgebotd-test-{folder.name}"
        self._env = {"PATH": _PATH, "HOME": str(folder)}
        self._live_restore = False
        self._engine: Program | None = None
        self._registry: Program | None = None

    def open(self) -> None:
        """Make the namespace, start registry and engine, and fill both with images.

        Raises:
            PeerUnavailable: the machine cannot.
            PeerFailed: it did not come up.
        """
        mount_cgroups()
        self.namespace.touch()
        try:
            made = ["unshare", f"--net={self.namespace}", "ip", "link", "set", "lo", "up"]
            subprocess.run(made, check=True, capture_output=True, text=True, timeout=15)
        except subprocess.CalledProcessError as error:
            raise PeerUnavailable(f"cannot make a network namespace: {error.stderr.strip()}") from error
        # 20.10 would write its key to /etc; engines that keep it in their own folder refuse the setting.
        told = subprocess.run(["dockerd", "--version"], capture_output=True, text=True, env=self._env, check=True)
        settings = {"deprecated-key-path": str(self.folder / "key.json")} if " 20.10." in told.stdout else {}
        (self.folder / "daemon.json").write_text(json.dumps(settings))
        self.start_registry()
        self.start()
        self.load(bot_image(BOT))
        self.load(bot_image(PLAIN, health=False))
        self.publish(bot_image(f"{REMOTE}:1"))
        self.publish(bot_image(f"{REMOTE}:2", labels={"edgebotd.release": "2"}))
        self.publish(bot_image(f"{REMOTE}:big", ballast_mib=8))

    @property
    def bridge(self) -> str:
        """Address of the namespace's own end of the bridge: what listens there is reached by containers."""
        (network,) = json.loads(self.api("GET", "/networks/bridge"))["IPAM"]["Config"]
        # The first one of it; it is said only where it was set.
        return str(next(ip_network(network["Subnet"]).hosts()))

    # dockerd

    @property
    def pid(self) -> int:
        """Process id of dockerd."""
        if self._engine is None:
            raise PeerFailed("the engine is not running")
        return self._engine.pid

    def start(self, *, live_restore: bool = False) -> None:
        """Start dockerd, after `stop` or `kill` too, and wait until it answers.

        Args:
            live_restore: containers then run on while it is away.
        """
        self._live_restore = live_restore
        for leftover in ("dockerd.pid", "docker.sock"):
            (self.folder / leftover).unlink(missing_ok=True)
        containerd = self.folder / "exec/containerd/containerd.pid"
        if containerd.exists() and command_of(int(containerd.read_text() or 0)) != "containerd":
            containerd.unlink()
        arguments: list[str | Path] = [
            *self.enter, "dockerd", "--config-file", self.folder / "daemon.json", "-H", f"unix://{self.socket}",
            "--group", "root", "--pidfile", self.folder / "dockerd.pid", "--data-root", self.folder / "data",
            "--exec-root", self.folder / "exec", "--storage-driver", "overlay2", "--cgroup-parent", f"/{self.cgroup}",
            # Without CAP_SYS_RESOURCE a negative one is refused.
            "--exec-opt", "native.cgroupdriver=cgroupfs", "--oom-score-adjust=0", "--shutdown-timeout=5",
            *(["--live-restore"] if live_restore else []),
        ]  # fmt: skip
        program = Program(arguments, env=self._env, log=self.folder / "dockerd.log")
        self._engine = program
        program.start()

        def ready() -> bool:
            if not program.running:
                raise PeerFailed(f"dockerd ended\n{program.last_lines()}")
            return self._answers()

        program.wait_until(ready, _READY_SECONDS, "dockerd to answer")

    def stop(self) -> None:
        """End dockerd as `systemctl stop docker` does: SIGTERM. Its containers end with it, but with live-restore."""
        if self._engine is not None:
            self._engine.terminate()
            if self._engine.wait(30) is None:
                raise PeerFailed(f"dockerd did not end within 30 s\n{self._engine.last_lines()}")
            self._engine = None

    def kill(self) -> None:
        """SIGKILL dockerd alone: containerd and the containers run on."""
        if self._engine is not None:
            os.kill(self._engine.pid, signal.SIGKILL)
            self._engine.wait(10)
            self._engine = None

    def freeze(self) -> None:
        """Stop dockerd where it is: it keeps its connections and takes new ones, and says nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    @property
    def frozen(self) -> bool:
        """Whether dockerd is stopped where it is."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def thaw(self) -> None:
        """Let a frozen dockerd go on."""
        os.kill(self.pid, signal.SIGCONT)

    # The registry

    def start_registry(self) -> None:
        """Start the registry and wait until it listens."""
        settings = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "registry")}, "delete": {"enabled": True}},
            "http": {"addr": REGISTRY},
        }
        written = self.folder / "registry.yml"
        written.write_text(json.dumps(settings))  # JSON is YAML
        program = Program(
            [*self.enter, "docker-registry", "serve", written], env=self._env, log=self.folder / "registry.log"
        )
        self._registry = program
        program.start()

        def listens() -> bool:
            if not program.running:
                raise PeerFailed(f"docker-registry ended\n{program.last_lines()}")
            return self._registry_port("0A")

        program.wait_until(listens, _READY_SECONDS, "the registry to listen")

    def _registry_port(self, state: str) -> bool:
        """Whether its port has a socket in a state of the kernel's: to ask it itself one would have to be inside."""
        assert self._registry is not None
        port = f":{int(REGISTRY.split(':')[1]):04X}"
        rows = [line.split() for line in Path(f"/proc/{self._registry.pid}/net/tcp").read_text().splitlines()[1:]]
        return any(local.endswith(port) and found == state for _, local, _, found, *_ in rows)

    def stop_registry(self) -> None:
        """End the registry; what it holds is kept."""
        if self._registry is not None:
            self._registry.kill()
            self._registry = None

    def freeze_registry(self) -> None:
        """Stop the registry where it is: it takes connections, and says nothing."""
        self._signal_registry(signal.SIGSTOP)

    def thaw_registry(self) -> None:
        """Let a frozen registry go on."""
        self._signal_registry(signal.SIGCONT)

    def registry_is_asked(self) -> bool:
        """Whether somebody is connected to it."""
        return self._registry_port("01")

    def _signal_registry(self, number: signal.Signals) -> None:
        if self._registry is not None:
            self._registry.signal_all(number)

    def remove_blob(self, digest: str) -> None:
        """Lose a layer in the registry: a pull of it fails after its answer has begun."""
        self.blob(digest).unlink()

    def blob(self, digest: str) -> Path:
        """Return the registry's file of a layer, configuration or manifest."""
        hexadecimal = digest.removeprefix("sha256:")
        return self.folder / "registry/docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"

    def repository(self, name: str) -> Path:
        """Return the registry's folder of an image's name."""
        return self.folder / "registry/docker/registry/v2/repositories" / name

    # Images, and the API for what tests do beside the daemon

    def load(self, image: Image) -> None:
        """Put an image into the engine."""
        self.api("POST", "/images/load", content=image.archive(), content_type="application/x-tar")

    def publish(self, image: Image) -> str:
        """Put an image into the registry, and not into the engine; return its digest there."""
        return image.publish(self.folder / "registry")

    def pull(self, reference: str) -> None:
        """Have the engine pull an image by tag or digest."""
        name, mark, version = reference.rpartition("@" if "@" in reference else ":")
        assert mark
        said = self.api("POST", f"/images/create?fromImage={name}&tag={version}", seconds=300)
        if b'"errorDetail"' in said:
            raise PeerFailed(f"the pull of {reference} failed: {said[-400:].decode(errors='replace')}")

    def api(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content: bytes | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        seconds: float = 60,
    ) -> bytes:
        """Call the engine's API and return the answer's body.

        Raises:
            PeerFailed: another status than 2xx or 304.
        """
        data = content if body is None else json.dumps(body).encode()
        connection = _UnixConnection(self.socket, seconds)
        try:
            connection.request(method, path, body=data, headers={"Content-Type": content_type, **(headers or {})})
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if not (200 <= answer.status < 300 or answer.status == 304):
            raise PeerFailed(f"{method} {path}: {answer.status} {said[:400].decode(errors='replace')}")
        return said

    def run(self, name: str, image: str = PLAIN, *, start: bool = True, **body: Any) -> str:
        """Make a container, start it, and return its id. Further arguments are the body's, as the API has them."""
        made = json.loads(self.api("POST", f"/containers/create?name={name}", {"Image": image, **body}))
        if start:
            self.api("POST", f"/containers/{made['Id']}/start")
        container_id: str = made["Id"]
        return container_id

    def shell(self, container: str, script: str) -> str:
        """Run a shell script in a container to its end; return what it wrote to stdout."""
        wanted = {"Cmd": ["/bin/sh", "-c", script], "AttachStdout": True}
        made = json.loads(self.api("POST", f"/containers/{container}/exec", wanted))
        said = self.api("POST", f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})
        pieces = []
        while said:  # eight bytes, of which the last four are the length, before each piece
            end = 8 + int.from_bytes(said[4:8], "big")
            pieces.append(said[8:end])
            said = said[end:]
        return b"".join(pieces).decode()

    def clear(self) -> None:
        """Remove all containers, and the volumes that no container has."""
        for container in json.loads(self.api("GET", "/containers/json?all=1")):
            self.api("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        for volume in json.loads(self.api("GET", "/volumes"))["Volumes"] or []:
            self.api("DELETE", f"/volumes/{volume['Name']}?force=1")

    def forget_pulled(self) -> None:
        """Remove the bots' images that were pulled: a second pull of the same has nothing to tell."""
        for image in json.loads(self.api("GET", "/images/json")):
            names = [name for name in (image["RepoTags"] or []) + (image["RepoDigests"] or []) if "<none>" not in name]
            if names and all(name.startswith(REMOTE) for name in names):
                self.api("DELETE", f"/images/{image['Id']}?force=1")

    def make_whole(self) -> None:
        """Have engine and registry run, thawed, without containers and pulled images, whatever a test did to them."""
        if self._engine is not None and self._engine.running:
            self.thaw()
            if self._live_restore:
                self.stop()
        if self._engine is None or not self._engine.running:
            self.start()
        if self._registry is None or not self._registry.running:
            self.start_registry()
        self.thaw_registry()
        self.clear()
        self.forget_pulled()

    def close(self) -> None:
        """End and remove everything: containers, processes, cgroups, mounts, the folder."""
        if self._engine is not None and self._engine.running:
            self.thaw()
            with suppress(OSError, PeerFailed, http.client.HTTPException):
                self.clear()
            self._engine.terminate()
            if self._engine.wait(15) is None:
                self._engine.kill()
        end_process(self.folder / "exec/containerd/containerd.pid", "containerd")
        end_shims(self.folder / "exec")
        end_cgroup(self.cgroup)
        self.stop_registry()
        subprocess.run(["umount", "--lazy", self.namespace], check=False, capture_output=True)
        remove_folder(self.folder)

    def _answers(self) -> bool:
        try:
            return self.api("GET", "/_ping", seconds=2) == b"OK"
        except (OSError, http.client.HTTPException, PeerFailed):
            return False


@contextmanager
def running_engine() -> Iterator[DockerEngine]:
    """Run an engine with registry and images; plain blocking code, so that the fixture of a whole session can hold it.

    Raises:
        PeerUnavailable: what it needs is not there.
    """
    missing = {package for program, package in _PROGRAMS.items() if shutil.which(program, path=_PATH) is None}
    if missing:
        raise PeerUnavailable(
            f"no container engine: on Debian: apt-get install --no-install-recommends {' '.join(sorted(missing))}"
        )
    if os.geteuid() != 0:
        raise PeerUnavailable("only root may start a container engine")
    # Not pytest's folder: a unix socket's path has at most 107 bytes, and containerd's is deeper than ours.
    engine = DockerEngine(Path(mkdtemp(prefix="ebe-", dir="/tmp")))
    try:
        engine.open()
        yield engine
    finally:
        engine.close()
