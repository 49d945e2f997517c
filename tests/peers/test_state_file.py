"""A real engine's container, shut off as bots' are: its secrets are replaced while it runs and while it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from edgebotd.daemon import wall_clock
from edgebotd.docker.containers import Containers
from edgebotd.docker.engine import open_engine
from edgebotd.docker.spec import BOT_LABEL, INSTALLATION_LABEL, STATE_PATH
from edgebotd.docker.state_file import state_file
from tests.docker.house import INSTALLATION
from tests.peers.engine import DockerEngine

NAME = "edgebotd-keys"
FILE = f"{STATE_PATH}/edge-secrets.json"


@pytest.mark.parametrize("running", [True, False])
async def test_it_is_replaced_with_mode_and_owner(engine: DockerEngine, running: bool) -> None:
    body: dict[str, Any] = {
        "Entrypoint": ["/bin/sh", "-c", "sleep 300"],
        "Labels": {BOT_LABEL: "keys", INSTALLATION_LABEL: INSTALLATION},
        "HostConfig": {
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "Mounts": [{"Type": "volume", "Source": f"{NAME}-state", "Target": STATE_PATH}],
        },
    }
    container = await trio.to_thread.run_sync(lambda: engine.run(NAME, **body))
    try:
        with trio.fail_after(60):
            async with open_engine(engine.socket) as client:
                containers = Containers(client, lambda _: None, installation=INSTALLATION, now=wall_clock)
                containers.learn(await client.inspect(NAME), "list", None)
                await client.run(container, ("sh", "-c", f"echo {{}} > {STATE_PATH}/openclaw.json"))
                if not running:
                    await client.stop(container, 1)
                file = state_file(containers, "keys", "edge-secrets.json")
                assert file is not None and await file.read() is None
                for content in (b'{"a": "canary-1"}', b'{"a": "canary-2"}'):
                    await file.write(content)
                    assert await file.read() == content
                if not running:
                    await client.start(container)
                seen = await client.run(container, ("sh", "-c", f"ls -lan {STATE_PATH}; cat {FILE}"))
                lines = seen.output.splitlines()
                assert json.loads(lines[-1]) == {"a": "canary-2"}
                listed = next(line for line in lines if line.endswith("edge-secrets.json"))
                assert listed.startswith("-rw-------") and listed.split()[2] == "0" and ".new" not in seen.output
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(engine.api, "DELETE", f"/containers/{container}?force=1&v=1")
            await trio.to_thread.run_sync(engine.api, "DELETE", f"/volumes/{NAME}-state?force=1")
