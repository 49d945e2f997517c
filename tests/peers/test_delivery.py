"""A real gateway whose model's key is rotated under a running turn: the turn ends well, the next has the new key."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from edgebotd.protocol.openclaw import FIRST_SCOPES
from tests.peers.gateway_client import open_client
from tests.peers.install import OLDER
from tests.peers.openclaw import REFERRED, Gateway, running_gateway
from tests.peers.running_daemon import Channel, Daemon, bot, open_daemon, streamed, wait_state

FIRST, SECOND, THIRD = "sk-canary-first-0001", "sk-canary-second-0002", "sk-canary-third-0003"
OWN = "sk-ant-canary-own-0003"
ONE = f"/api/profiles/{REFERRED}"
Connected = tuple[Daemon, Channel]


@pytest.fixture(scope="module")
def referring() -> Iterator[Gateway]:
    """A gateway that has its model's key from a file, which is not there yet."""
    with running_gateway(delay=0.1, referred=True) as gateway:
        yield gateway


@pytest.fixture
async def connected(referring: Gateway, tmp_path: Path) -> AsyncIterator[Connected]:
    async with open_client(referring.url, token=referring.token, scopes=FIRST_SCOPES) as client:
        # A key of the gateway's own, beside the one that it is given.
        await client.call("models.authSetApiKey", {"provider": "fakeant", "apiKey": OWN})
    settings = bot(referring.url, referring.token)
    settings += f'\n[accounts]\nsecret_files = {{ claw = "{referring.secrets}" }}\n'
    async with open_daemon(tmp_path, settings) as (daemon, channel):
        await wait_state(channel, "connected")
        yield daemon, channel


async def given(daemon: Daemon, generation: int) -> dict[str, Any]:
    """Wait until the bot has a generation of the login."""
    with trio.fail_after(60):
        while True:
            row: dict[str, Any] = (await daemon.ask("GET", ONE)).json()
            if any(one["generation"] == generation and one["current"] for one in row["delivered"]):
                return row
            await trio.sleep(0.1)


def keys(gateway: Gateway, text: str) -> list[str]:
    """Return with which keys the model was asked for an answer to a text."""
    asked = gateway.model.requests()
    return [one["auth"].removeprefix("Bearer ") for one in asked if text in str(one)]


async def test_a_key_is_rotated_under_a_running_turn(connected: Connected, referring: Gateway) -> None:
    daemon, channel = connected
    boots = referring.pid
    body = {"provider": "fake", "name": "work", "secret": FIRST, "bots": ["claw"]}
    assert (await daemon.ask("POST", "/api/profiles", body)).status_code == 201
    row = await given(daemon, 1)
    assert [(one["botId"], one["error"]) for one in row["delivered"]] == [("claw", None)]
    assert stat.S_IMODE(referring.secrets.stat().st_mode) == 0o600
    running = await daemon.send("[[long 60]] turn-one", "one")
    await channel.until(streamed(channel, running["runId"]))
    assert (await daemon.ask("PUT", f"{ONE}/secret", {"secret": SECOND})).status_code == 200
    await given(daemon, 2)
    assert not [e for e in channel.of("chat-status", runId=running["runId"]) if e["state"] == "finished"]
    assert await channel.ended(running["runId"]) == "finished"
    after = await daemon.send("[[say well]] turn-two", "two")
    assert await channel.ended(after["runId"]) == "finished"
    assert set(keys(referring, "turn-one")) >= {FIRST} and keys(referring, "turn-two")[-1] == SECOND
    assert referring.running and referring.pid == boots

    # A gateway that is told while it prepares a turn ends that one: it is told when it has begun, before the next one.
    turns = [await daemon.send("[[say well]] turn-three", "three")]
    assert (await daemon.ask("PUT", f"{ONE}/secret", {"secret": THIRD})).status_code == 200
    for number in range(3):
        await trio.sleep(0.1)
        beside = (await daemon.ask("POST", "/api/bots/claw/conversations", {})).json()["id"]
        turns.append(await daemon.send("[[say well]] turn-beside", f"beside-{number}", conversationId=beside))
    await given(daemon, 3)
    turns.append(await daemon.send("[[say well]] turn-four", "four"))
    assert [await channel.ended(turn["runId"]) for turn in turns] == ["finished"] * 5
    # Those beside it went out before the gateway was told, or after.
    assert set(keys(referring, "turn-beside")) <= {SECOND, THIRD} and keys(referring, "turn-four")[-1] == THIRD

    # What the gateway has of its own is shown, and is nothing that is given or refreshed.
    own = (await daemon.ask("GET", "/api/profiles/fakeant:manual@claw")).json()
    assert (own["owner"], own["place"], own["bots"], own["type"], own["state"], own["fingerprint"]) == (
        "gateway", "claw", ["claw"], "api_key", "static", None,
    )  # fmt: skip

    # Taken from the bot, it is taken out of the file.
    assert (await daemon.ask("PUT", f"{ONE}/bots", {"bots": []})).status_code == 200
    with trio.fail_after(60):
        while THIRD in referring.secrets.read_text():  # noqa: ASYNC110 - a file has no event
            await trio.sleep(0.1)
    seen = [
        (daemon.folder / "log").read_text(errors="replace"),
        str(channel.events),
        (await daemon.ask("GET", "/api/audit")).text,
        (await daemon.ask("GET", "/metrics")).text,
        (await daemon.ask("GET", "/api/profiles")).text,
    ]
    assert not [text for text in seen if any(key in text for key in (FIRST, SECOND, THIRD, OWN))]


@pytest.mark.heavy
async def test_an_older_gateway_reads_ours_beside_its_own(tmp_path: Path) -> None:
    own = {"type": "token", "provider": "fakeant", "token": OWN}
    with running_gateway(OLDER, delay=0.02) as gateway:
        store = gateway.state / "agents/main/agent/auth-profiles.json"
        store.parent.mkdir(parents=True, exist_ok=True)
        store.write_text(json.dumps({"version": 1, "profiles": {"fakeant:own": own}}))
        settings = bot(gateway.url, gateway.token) + f'\n[accounts]\nsecret_files = {{ claw = "{store}" }}\n'
        async with open_daemon(tmp_path, settings) as (daemon, channel):
            await wait_state(channel, "connected")
            body = {"provider": "fake", "name": "work", "secret": FIRST, "bots": ["claw"]}
            assert (await daemon.ask("POST", "/api/profiles", body)).status_code == 201
            for generation, key, text in ((1, FIRST, "turn-first"), (2, SECOND, "turn-second")):
                if generation == 2:
                    await daemon.ask("PUT", f"{ONE}/secret", {"secret": SECOND})
                await given(daemon, generation)
                sent = await daemon.send(f"[[say well]] {text}", text)
                assert await channel.ended(sent["runId"]) == "finished"
                assert keys(gateway, text)[-1] == key
            kept = json.loads(store.read_text())["profiles"]
            assert kept["fakeant:own"] == own and set(kept) == {"fakeant:own", "fake:work"}
            assert gateway.running
