"""A real gateway in a container that somebody else made, adopted: from the first click to a streamed reply."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.peers.engine import DockerEngine
from tests.peers.install import CURRENT, PeerUnavailable
from tests.peers.model import FakeModel, running_model
from tests.peers.openclaw import TOKEN, model_config
from tests.peers.openclaw_image import PORT, STATE, USER, provide, reference
from tests.peers.relay import open_relay
from tests.peers.running_daemon import Channel, Daemon, open_daemon
from tests.support import require_or_skip

NAME = "somebody-openclaw-gateway-1"
READY_SECONDS = 120
FIRST_TOKEN_SECONDS = 60
"""What is promised from the first click to the first streamed token."""


def configuration(model: FakeModel) -> bytes:
    config = {
        "gateway": {"mode": "local", "port": PORT, "bind": "lan", "auth": {"mode": "token", "token": TOKEN}},
        **model_config(model, f"{STATE}/workspace"),
        "discovery": {"mdns": {"mode": "off"}},
        "update": {"checkOnStart": False},
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        text = json.dumps(config).encode()
        entry = tarfile.TarInfo("openclaw.json")
        entry.size, entry.mode, entry.uid, entry.gid = len(text), 0o600, USER, USER
        tar.addfile(entry, io.BytesIO(text))
    return packed.getvalue()


@pytest.fixture
def published(breakable_engine: DockerEngine) -> Iterator[tuple[DockerEngine, int]]:
    """A gateway as people start one: docker run -p 127.0.0.1::18789 -v claw:... IMAGE."""
    engine = breakable_engine
    try:
        provide(engine)
    except PeerUnavailable as error:
        require_or_skip(str(error))
    with running_model(delay=0.02, engine=engine) as model:
        host = {
            "PortBindings": {f"{PORT}/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Binds": [f"claw:{STATE}"],
            "Memory": 2 << 30,
        }
        engine.run(NAME, reference(CURRENT), start=False, HostConfig=host)
        path = f"/containers/{NAME}/archive?path={STATE}"
        engine.api("PUT", path, content=configuration(model), content_type="application/x-tar")
        engine.api("POST", f"/containers/{NAME}/start")
        told = inspected(engine)
        yield engine, int(told["NetworkSettings"]["Ports"][f"{PORT}/tcp"][0]["HostPort"])


def inspected(engine: DockerEngine) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(engine.api("GET", f"/containers/{NAME}/json"))
    return told


@asynccontextmanager
async def open_house(
    published: tuple[DockerEngine, int], folder: Path
) -> AsyncIterator[tuple[Daemon, Channel, DockerEngine]]:
    engine, port = published
    settings = f'\n[docker]\nsocket = "{engine.socket}"\n'
    # The engine's loopback is another one than the daemon's.
    async with (
        open_relay("127.0.0.1", port, namespace=engine.namespace, listen=port),
        open_daemon(folder, settings) as (daemon, channel),
    ):
        deadline = trio.current_time() + READY_SECONDS
        while not (await offered(daemon))["reachable"]:
            assert trio.current_time() < deadline
            await trio.sleep(0.5)  # between questions to a program that starts
        yield daemon, channel, engine


async def offered(daemon: Daemon) -> dict[str, Any]:
    items = (await daemon.ask("GET", "/api/adoptable")).json()["items"]
    return next(item for item in items if item["container"] == NAME)


async def ended(channel: Channel, operation_id: str) -> dict[str, Any]:
    await channel.until(lambda _: bool(channel.of("provision-done", provisionId=operation_id)), 240)
    return channel.of("provision-done", provisionId=operation_id)[0]


async def test_from_the_first_click_to_the_first_streamed_token(
    published: tuple[DockerEngine, int], tmp_path: Path
) -> None:
    async with open_house(published, tmp_path) as (daemon, channel, engine):
        before = inspected(engine)
        began = trio.current_time()
        one = await offered(daemon)
        assert one["suggestedId"] == "somebody" and one["obstacle"] is None
        assert "It has capabilities; a bot needs none of them." in one["violations"]
        wanted = {"id": "claw", "container": NAME, "readToken": True}
        begun = (await daemon.ask("POST", "/api/bots/adopt", wanted)).json()
        done = await ended(channel, begun["id"])
        assert done["ok"], (done["reason"], [event["text"] for event in channel.of("provision-log")])
        sent = await daemon.send("[[say adopted]]", "adopted-1")
        await channel.until(lambda _: bool(channel.of("chat-delta", runId=sent["runId"])))
        took = trio.current_time() - began
        assert took < FIRST_TOKEN_SECONDS, [(event["at"], event["text"]) for event in channel.of("provision-log")]
        assert await channel.ended(sent["runId"]) == "finished"

        after = inspected(engine)
        for told in (before, after):
            # Its own health check goes on, and so does the list of what was run in it.
            told["State"].pop("Health", None)
            told.pop("ExecIDs", None)
        assert before == after
        bot = await daemon.bot()
        assert bot["missing"] == [] and (await offered(daemon))["botId"] == "claw"
        log = (tmp_path / "log").read_text()
        assert TOKEN not in log and TOKEN not in json.dumps(channel.events)
        # What stands against the profile is shown, and left so.
        await channel.until(lambda events: any(_drifts(event) for event in events), 30)


def _drifts(event: dict[str, Any]) -> bool:
    containers = event.get("containers", ()) if event["type"] == "docker:status" else ()
    return any(one.get("botId") == "claw" and one.get("drift") for one in containers)


@pytest.mark.heavy  # 60 s: the gateway is started twice
async def test_taken_over_and_made_anew_it_is_as_edgebotds_own(
    published: tuple[DockerEngine, int], tmp_path: Path
) -> None:
    async with open_house(published, tmp_path) as (daemon, channel, engine):
        wanted = {"id": "claw", "container": NAME, "readToken": True}
        begun = (await daemon.ask("POST", "/api/bots/adopt", wanted)).json()
        assert (await ended(channel, begun["id"]))["ok"]
        place = "/api/bots/claw/container/take-over"
        plan = (await daemon.ask("GET", place)).json()
        assert plan["obstacles"] == [] and f"the volume claw at {STATE}" in plan["keeps"]
        assert (await daemon.ask("POST", place, {"accepted": plan["loses"]})).json()["taken"]
        begun = (await daemon.ask("POST", "/api/bots/claw/container/recreate", {})).json()
        done = await ended(channel, begun["id"])
        assert done["ok"], (done["reason"], [event["text"] for event in channel.of("provision-log")])
        made = inspected(engine)["HostConfig"]
        assert (made["CapDrop"], made["ReadonlyRootfs"], made["PidsLimit"]) == (["ALL"], True, 512)
        # The pairing is in the volume, and so is what was said.
        sent = await daemon.send("[[say anew]]", "anew-1")
        assert await channel.ended(sent["runId"]) == "finished"
        last = channel.of("docker:status")[-1]["containers"]
        assert [one.get("drift", []) for one in last if one.get("botId") == "claw"] == [[]]


@pytest.mark.heavy  # 40 s
async def test_with_a_wrong_token_there_is_no_bot_and_the_id_is_free(
    published: tuple[DockerEngine, int], tmp_path: Path
) -> None:
    async with open_house(published, tmp_path) as (daemon, channel, _):
        for token, ok in (("wrong-token-of-the-test", False), (TOKEN, True)):
            wanted = {"id": "claw", "container": NAME, "token": token}
            begun = (await daemon.ask("POST", "/api/bots/adopt", wanted)).json()
            told = await ended(channel, begun["id"])
            assert told["ok"] is ok and (ok or "token" in told["reason"])
            answer = await daemon.ask("GET", "/api/bots/claw", check=False)
            assert answer.status_code == (200 if ok else 404)
