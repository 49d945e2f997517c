"""Run a real OpenClaw gateway on the fake model, from a test.

Tests take one of `gateways.Gateways`: the start takes 14-20 s on two cores.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests.peers.install import CURRENT, Installed, PeerUnavailable, install
from tests.peers.model import API_KEY, MODEL, FakeModel
from tests.peers.netns import Namespace, connect_within
from tests.peers.process import PeerFailed, Program, free_port
from tests.support import require_or_skip

TOKEN = "test-token-of-the-gateway"
REFERRED = "fake:work"
_READY_SECONDS = 150
# Inside a namespace the port is free for certain.
_NAMESPACE_PORT = 18789


def _provider(api: str, base_url: str) -> dict[str, Any]:
    model = {
        "id": MODEL,
        "name": "Fake",
        "reasoning": False,
        "input": ["text", "image"],
        "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
        "contextWindow": 128000,
        "maxTokens": 4096,
    }
    return {"baseUrl": base_url, "apiKey": API_KEY, "api": api, "models": [model]}


def model_config(model: FakeModel, workspace: str) -> dict[str, Any]:
    """Return the parts of a gateway's configuration that have it ask a fake model, and nobody unless asked."""
    return {
        "agents": {
            "defaults": {
                "model": {"primary": f"fake/{MODEL}"},
                "workspace": workspace,
                "skipBootstrap": True,
                "heartbeat": {"every": "0m"},
            }
        },
        "models": {
            "mode": "merge",
            "providers": {
                "fake": _provider("openai-completions", model.url),
                "fakeant": _provider("anthropic-messages", model.origin),
            },
        },
    }


def ready(host: str, port: int, namespace: Path | None = None) -> bool:
    """Whether a gateway, in this or another network, takes clients."""
    return _answers(host, port, "/startupz", namespace) or _answers(host, port, "/readyz", namespace)


def _answers(host: str, port: int, path: str, namespace: Path | None) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        if namespace is not None:
            connection.sock = connect_within(namespace, host, port, 2)
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != 200:
            return False
        said = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return said.get("status") == "started" or said.get("ready") is True


class Gateway:
    """One gateway with its state directory and its fake model. Its methods block; call them from a thread.

    Ownership: whoever calls `start` calls `close`.

    Attributes:
        enter: the command in front of which a program runs in its network.
    """

    def __init__(
        self,
        installed: Installed,
        folder: Path,
        *,
        bind: str = "loopback",
        namespace: Namespace | None = None,
        delay: float = 0.12,
        referred: bool = False,
    ) -> None:
        self._referred = referred
        self.version = installed.version
        self.token = TOKEN
        self.folder = folder
        self.state = folder / "state"
        self.bind = bind
        self.port = free_port() if namespace is None else _NAMESPACE_PORT
        self.host = "127.0.0.1" if namespace is None else namespace.address
        self.model = FakeModel(folder / "model.log", delay=delay, namespace=namespace)
        self.ready_after = 0.0
        self.enter = [] if namespace is None else namespace.enter
        self._command: list[str | Path] = [*self.enter, installed.node, installed.entry]
        self._env = {
            "PATH": f"{installed.node.parent}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "LANG": "C.UTF-8",
            "OPENCLAW_STATE_DIR": str(self.state),
            "OPENCLAW_CONFIG_PATH": str(self.state / "openclaw.json"),
            "OPENCLAW_NO_RESPAWN": "1",
            "OPENCLAW_DISABLE_BONJOUR": "1",
            "NODE_COMPILE_CACHE": str(installed.compile_cache),
        }
        self._program = Program(
            [*self._command, "gateway", "run", "--port", str(self.port)], env=self._env, log=folder / "gateway.log"
        )

    @property
    def url(self) -> str:
        """The gateway's WebSocket, as seen from this network namespace."""
        return f"ws://{self.host}:{self.port}"

    @property
    def secrets(self) -> Path:
        """The file that its configuration refers to for the fake model's key, where it does."""
        return self.state / "edge-secrets.json"

    @property
    def pid(self) -> int:
        """Process id of the launcher, the parent of the gateway and its helpers."""
        return self._program.pid

    @property
    def running(self) -> bool:
        """Whether the launcher lives."""
        return self._program.running

    def start(self, check: Callable[[], None] = lambda: None) -> None:
        """Start the fake model where it does not run, then the gateway, and wait until clients are accepted.

        Args:
            check: called while waiting; what it raises ends the wait.

        Raises:
            PeerFailed: it died, or was not ready in time.
        """
        for part in (self.state / "workspace", self.folder / "home", self.folder / "tmp"):
            part.mkdir(parents=True, exist_ok=True)
        if self.model.port == 0:
            self.model.start()
        self._write_config()
        begin = time.monotonic()
        self._program.start()
        self.wait_ready(check=check)
        self.ready_after = time.monotonic() - begin

    def wait_ready(self, timeout: float = _READY_SECONDS, check: Callable[[], None] = lambda: None) -> None:
        """Wait until WebSocket clients are accepted; `/healthz` would say so seconds too early."""

        def accepted() -> bool:
            if not self._program.running:
                raise PeerFailed(f"the gateway died\n{self._program.last_lines()}")
            return ready(self.host, self.port)

        self._program.wait_until(accepted, timeout, "the gateway to be ready", check)

    def kill(self) -> None:
        """SIGKILL the launcher, the gateway and its helpers."""
        self._program.kill()

    def terminate(self) -> None:
        """SIGTERM the launcher, as an init system does; a gateway with a run in progress drains first, for minutes."""
        self._program.terminate()

    def wait(self, timeout: float) -> int | None:
        """Wait for the launcher to end; None when it still runs."""
        return self._program.wait(timeout)

    def freeze(self) -> None:
        """Stop all its processes where they are: sockets stay open, nothing answers."""
        self._program.signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let frozen processes go on."""
        self._program.signal_all(signal.SIGCONT)

    def restart(self, check: Callable[[], None] = lambda: None) -> None:
        """End what is left of it and start it again on the same port and state."""
        self._program.close()
        self.start(check)

    def cli(self, *arguments: str, timeout: float = 60) -> str:
        """Run one `openclaw` command beside the gateway, as `docker exec` would; return what it printed."""
        done = subprocess.run(
            [*(str(part) for part in self._command), *arguments],
            env=self._env,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if done.returncode != 0:
            raise PeerFailed(f"openclaw {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-600:]}")
        return done.stdout

    def close(self) -> None:
        """End gateway and model."""
        # No grace: nothing of the state is kept, and a drain takes minutes.
        self._program.kill()
        self.model.close()

    def _write_config(self) -> None:
        path = self.state / "openclaw.json"
        if path.exists():
            return  # a restart keeps what the gateway or the test made of it
        config: dict[str, Any] = {
            "gateway": {
                "mode": "local",
                "port": self.port,
                "bind": self.bind,
                "auth": {"mode": "token", "token": self.token},
                "controlUi": {"enabled": False},
            },
            **model_config(self.model, f"{self.state}/workspace"),
            "discovery": {"mdns": {"mode": "off"}},
            "update": {"checkOnStart": False},
        }
        if self._referred:
            reference = {"source": "file", "provider": "edge", "id": f"/{REFERRED}"}
            config["models"]["providers"]["fake"]["apiKey"] = reference
            config["secrets"] = {"providers": {"edge": {"source": "file", "path": str(self.secrets), "mode": "json"}}}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(config, file, indent=1)


def installed_or_skip(version: str = CURRENT) -> Installed:
    """Install the version if need be; skip the test, or fail it where peers are required, when that can't be."""
    try:
        return install(version)
    except PeerUnavailable as error:
        require_or_skip(str(error))


@contextmanager
def running_gateway(
    version: str = CURRENT,
    *,
    bind: str = "loopback",
    namespace: Namespace | None = None,
    delay: float = 0.12,
    referred: bool = False,
) -> Iterator[Gateway]:
    """Run a gateway; plain blocking code, so that the fixture of a whole session can hold it.

    Args:
        version: of the npm package; skipped or failed when it can't be had.
        bind: `loopback` or `lan` (needed in a namespace).
        namespace: network namespace for gateway and model.
        delay: seconds between the fake model's chunks.
        referred: the key of its model is a reference into a file, in place of standing in its configuration.
    """
    installed = installed_or_skip(version)
    folder = Path(mkdtemp(prefix="edgebotd-gateway-"))
    gateway = Gateway(installed, folder, bind=bind, namespace=namespace, delay=delay, referred=referred)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.close()
        shutil.rmtree(folder, ignore_errors=True)
