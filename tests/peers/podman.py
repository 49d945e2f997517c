"""Podman's service in Docker's place, from Debian's package, with storage and settings in a temporary folder.

Its containers have no network here. Docker's engine is what most tests run on; this one shows which part of the API
Podman answers alike. A start takes 1 s. Needs root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from typing_extensions import override

from tests.peers.engine import DockerEngine
from tests.peers.engine_leftovers import end_cgroup, mount_cgroups, remove_folder
from tests.peers.image import bot_image
from tests.peers.install import PeerUnavailable
from tests.peers.process import PeerFailed, Program

PLAIN = "localhost/edgebotd-test/plain:1"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Podman(DockerEngine):
    """Podman's service. From `running_podman`, which removes every trace of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.socket = folder / "podman.sock"
        self.enter = []
        settings = {
            # Debian's other runtime wants one kind of cgroups alone.
            "containers.conf": f"""
[containers]
default_ulimits = []
netns = "none"
cgroup_parent = "/{self.cgroup}"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{folder}/tmp"
static_dir = "{folder}/static"
volume_path = "{folder}/volumes"
[network]
network_config_dir = "{folder}/networks"
""",
            "storage.conf": f"""
[storage]
driver = "overlay"
graphroot = "{folder}/data"
runroot = "{folder}/exec"
""",
            "registries.conf": 'unqualified-search-registries = ["docker.io"]\n',
        }
        for name, text in settings.items():
            (folder / name).write_text(text)
            variable = f"CONTAINERS_{'' if name == 'containers.conf' else name.split('.')[0].upper() + '_'}CONF"
            self._env[variable] = str(folder / name)

    @override
    def open(self) -> None:
        mount_cgroups()
        self.start()
        self.load(bot_image("edgebotd-test/plain:1", health=False))

    @override
    def start(self, *, live_restore: bool = False) -> None:
        arguments = ["podman", "system", "service", "--time=0", f"unix://{self.socket}"]
        program = Program(arguments, env=self._env, log=self.folder / "podman.log")
        self._engine = program
        program.start()

        def ready() -> bool:
            if not program.running:
                raise PeerFailed(f"podman ended\n{program.last_lines()}")
            return self._answers()

        program.wait_until(ready, 60, "podman to answer")

    @override
    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
        with suppress(subprocess.SubprocessError):
            gone = ["podman", "rm", "--all", "--force", "--time=0", "--volumes"]
            subprocess.run(gone, env=self._env, check=False, capture_output=True, timeout=60)
        end_cgroup(self.cgroup)
        remove_folder(self.folder)


@contextmanager
def running_podman() -> Iterator[Podman]:
    """Run Podman's service with one image; plain blocking code.

    Raises:
        PeerUnavailable: it is not installed, or we are not root.
    """
    for program, package in (("podman", "podman"), ("runc", "runc"), ("busybox", "busybox-static")):
        if shutil.which(program, path=_PATH) is None:
            raise PeerUnavailable(f"no `{program}`; on Debian: apt-get install --no-install-recommends {package}")
    if os.geteuid() != 0:
        raise PeerUnavailable("only root may start Podman's service")
    podman = Podman(Path(mkdtemp(prefix="ebp-", dir="/tmp")))
    try:
        podman.open()
        yield podman
    finally:
        podman.close()
