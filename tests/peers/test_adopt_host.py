"""A real gateway that runs on a machine itself, in no container: found without an engine, adopted, talked with."""

from __future__ import annotations

import json
from pathlib import Path

import trio

from tests.peers.gateways import Gateways
from tests.peers.install import CURRENT
from tests.peers.running_daemon import open_daemon, text_of, wait_state

WITHOUT_ENGINE = '\n[docker]\nsocket = "off"\n'


async def test_a_gateway_beside_the_daemon_is_found_and_adopted_as_it_is(gateways: Gateways, tmp_path: Path) -> None:
    # In a network of its own, where the usual port is free: so for the two of them that is the machine.
    gateway = await trio.to_thread.run_sync(gateways.distant, CURRENT)
    async with open_daemon(tmp_path, WITHOUT_ENGINE, enter=gateway.enter) as (daemon, channel):
        offered = (await daemon.ask("GET", "/api/adoptable")).json()
        (one,) = offered["items"]
        assert (one["kind"], one["url"], one["reachable"], one["obstacle"]) == (
            "host",
            "ws://127.0.0.1:18789",
            True,
            None,
        )
        assert "a gateway answers on port 18789" in one["why"]
        assert any(why.startswith("a process looks like a gateway") for why in one["why"])

        pid = gateway.pid
        begun = (await daemon.ask("POST", "/api/bots/adopt", {"id": "claw", "token": gateway.token})).json()
        await channel.until(lambda _: bool(channel.of("provision-done", provisionId=begun["id"])), 120)
        (done,) = channel.of("provision-done", provisionId=begun["id"])
        assert done["ok"], (done["reason"], [event["text"] for event in channel.of("provision-log")])
        await wait_state(channel, "connected")
        sent = await daemon.send("[[say from the machine itself]]", "host-1")
        assert await channel.ended(sent["runId"]) == "finished"
        assert text_of(await channel.stored(sent["runId"])) == "from the machine itself"

        assert gateway.running and gateway.pid == pid
        (one,) = (await daemon.ask("GET", "/api/adoptable")).json()["items"]
        assert one["botId"] == "claw"
        again = await daemon.ask("POST", "/api/bots/adopt", {"id": "twice", "token": gateway.token}, check=False)
        assert (again.status_code, again.json()["code"]) == (409, "already_a_bot")
        told = json.dumps(channel.events) + (tmp_path / "log").read_text()
        assert gateway.token not in told
