"""Start the fake language model (`fake_model.py`) as a process of its own."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from tests.peers.engine import DockerEngine
from tests.peers.netns import Namespace, connect_within
from tests.peers.process import Program

API_KEY = "sk-fake-local"
MODEL = "fake-1"


class FakeModel:
    """A running fake model. `origin` is as its clients beside it see it (inside the namespace, when it has one)."""

    def __init__(
        self,
        log: Path,
        *,
        delay: float = 0.12,
        namespace: Namespace | None = None,
        engine: DockerEngine | None = None,
    ) -> None:
        script = Path(__file__).with_name("fake_model.py")
        enter: list[str] = []
        host = "127.0.0.1"
        if namespace is not None:
            enter, host = namespace.enter, "0.0.0.0"
        elif engine is not None:
            enter, host = engine.enter, engine.bridge
        arguments: list[str | Path] = [*enter, sys.executable, script, "--delay", str(delay), "--host", host]
        self._program = Program(arguments, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, log=log)
        self._reachable = "127.0.0.1" if namespace is None else namespace.address
        self._engine = engine
        self.host = "127.0.0.1" if engine is None else host
        """Where its clients find it: those in containers by their bridge's address."""
        self.port = 0

    @property
    def origin(self) -> str:
        """Base of the Anthropic-style API."""
        return f"http://{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Base of the OpenAI-style API."""
        return f"{self.origin}/v1"

    def start(self) -> None:
        """Start, and wait until it listens."""
        self._program.start()
        self._program.wait_until(self._announced, 15, "the fake model to listen")

    def close(self) -> None:
        """End it."""
        self._program.kill()

    def requests(self) -> list[dict[str, Any]]:
        """Return what it was asked so far, newest last; blocking, but on loopback."""
        connection = http.client.HTTPConnection(self._reachable, self.port, timeout=5)
        if self._engine is not None:
            connection.sock = connect_within(self._engine.namespace, self.host, self.port, 5)
        try:
            connection.request("GET", "/_log")
            log: list[dict[str, Any]] = json.load(connection.getresponse())
        finally:
            connection.close()
        return log

    def _announced(self) -> bool:
        for line in self._program.log.read_text().splitlines():
            if line.startswith("{"):
                self.port = int(json.loads(line)["port"])
                return True
        return False


@contextmanager
def running_model(*, delay: float = 0.12, engine: DockerEngine | None = None) -> Iterator[FakeModel]:
    """Run a fake model on a free loopback port, or beside an engine's containers; for fixtures of a whole session."""
    with TemporaryDirectory(prefix="edgebotd-model-") as folder:
        model = FakeModel(Path(folder) / "model.log", delay=delay, engine=engine)
        try:
            model.start()
            yield model
        finally:
            model.close()


@asynccontextmanager
async def open_model(*, delay: float = 0.12) -> AsyncIterator[FakeModel]:
    """Run a fake model on a free loopback port for one test."""
    with TemporaryDirectory(prefix="edgebotd-model-") as folder:
        model = FakeModel(Path(folder) / "model.log", delay=delay)
        try:
            await trio.to_thread.run_sync(model.start)
            yield model
        finally:
            with trio.move_on_after(15, shield=True):
                await trio.to_thread.run_sync(model.close)
