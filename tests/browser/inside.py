"""A daemon in a container engine's own network, where its bots' gateways are, with a window to it for a browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio

from tests.browser.fresh import PASSWORD, Fresh
from tests.peers.engine import DockerEngine
from tests.peers.model import FakeModel
from tests.peers.openclaw_image import reference
from tests.peers.process import free_port
from tests.peers.relay import open_relay
from tests.peers.test_provision_openclaw import DOCKER, SECRET, request


def gateway_config(model: FakeModel) -> str:
    """Return what is typed in for a gateway that asks the fake model, whose key comes from its environment."""
    return json.dumps(request(model)["config"])


@contextmanager
def open_window(engine: DockerEngine, port: int) -> Iterator[None]:
    """Have a port of the engine's loopback on ours too; the relay runs in a thread of its own."""
    told: list[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = []
    ready = threading.Event()

    async def pass_on() -> None:
        with trio.CancelScope() as scope:
            async with open_relay("127.0.0.1", port, namespace=engine.namespace, listen=port):
                told.append((trio.lowlevel.current_trio_token(), scope))
                ready.set()
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(pass_on,), name="window")
    thread.start()
    assert ready.wait(10)
    token, scope = told[0]
    try:
        yield
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join(10)


@contextmanager
def open_inside(folder: Path, engine: DockerEngine) -> Iterator[Fresh]:
    """Run a daemon in the engine's network, with ada as its administrator and the fake model's key as a secret."""
    key = folder / "fake.key"
    key.touch(0o600)
    key.write_text(SECRET)
    port = free_port()
    more = DOCKER.format(socket=engine.socket, image=reference(), folder=folder)
    with open_window(engine, port):
        fresh = Fresh(folder, built_in=False, more=more, port=port, enter=engine.enter)
        try:
            fresh.run("user", "add", "ada", "--admin", text=f"{PASSWORD}\n")
            yield fresh
        finally:
            fresh.program.close(grace=15)


def containers(engine: DockerEngine) -> dict[str, dict[str, Any]]:
    """Return the engine's containers by name."""
    found = json.loads(engine.api("GET", "/containers/json?all=1"))
    return {one["Names"][0].removeprefix("/"): one for one in found}
