"""A real OpenClaw gateway in a container that the daemon made: paired, chatted with, started again, made anew, removed.

The daemon is a process of its own in the engine's network, and dies in the middle of it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.peers.engine import DockerEngine
from tests.peers.install import CURRENT, PeerUnavailable
from tests.peers.model import FakeModel, running_model
from tests.peers.oauth import CLIENT, OAuthServer
from tests.peers.openclaw import model_config
from tests.peers.openclaw_image import STATE, provide, reference
from tests.peers.relay import open_relay
from tests.peers.running_daemon import Channel, Daemon, open_daemon, streamed, text_of, wait_state
from tests.support import require_or_skip

DOCKER = """
[docker]
socket = "{socket}"
image = "{image}"
drain_seconds = 20
secrets = {{ fake = "{folder}/fake.key" }}
"""
PROVIDER = """
[providers.fake.oauth]
token_url = "http://127.0.0.1:{port}/token"
client_id = "{client}"
"""
LOGIN = "/api/profiles/fake:work"
SECRET = "sk-of-the-fake-model"
LOGIN_KEY = "sk-of-a-login-1"
WRITES = "cd && touch /tmp/a .config/a .npm/a .openclaw/.cache/a && printf written"


def request(model: FakeModel) -> dict[str, Any]:
    config = model_config(model, f"{STATE}/workspace")
    for provider in config["models"]["providers"].values():
        provider["apiKey"] = "${FAKE_KEY}"
    return {"id": "claw", "name": "Claw", "config": config, "secretEnvironment": {"FAKE_KEY": "fake"}}


async def done(daemon: Daemon, channel: Channel, operation_id: str) -> dict[str, Any]:
    """Wait for an operation's end as the channel tells it, and return it with its log."""
    await channel.until(lambda _: bool(channel.of("provision-done", provisionId=operation_id)), 240)
    shown: dict[str, Any] = (await daemon.ask("GET", f"/api/operations/{operation_id}")).json()
    return shown


def log_of(shown: dict[str, Any]) -> str:
    lines = [f"{line['at']} {line['step']}: {line['text']}" for line in shown["lines"]]
    return "\n".join([*lines, shown["reason"] or ""])


async def reached(channel: Channel, operation_id: str, step: str) -> None:
    await channel.until(lambda _: bool(channel.of("provision-log", provisionId=operation_id, step=step)), 120)


async def moved(daemon: Daemon, channel: Channel, how: str) -> None:
    """Stop, start or restart its container, and wait until that is done."""
    begun = (await daemon.ask("POST", f"/api/bots/claw/container/{how}", {})).json()
    ended = await done(daemon, channel, begun["operationId"])
    assert ended["state"] == "succeeded", log_of(ended)


async def talk(daemon: Daemon, channel: Channel, words: str, key: str, **more: str) -> str:
    """Have a turn, which waits for the gateway where that just starts."""
    sent = await daemon.send(f"[[say {words}]]", key, **more)
    assert await channel.ended(sent["runId"], 240) == "finished"
    return text_of(await channel.stored(sent["runId"]))


async def log_in(daemon: Daemon, server: OAuthServer, expires_at: int) -> None:
    """Give the daemon a login of the OAuth server, out of another program's store."""
    (login,) = await server.logins(1)
    profile = {"type": "oauth", "provider": "fake", "access": login.access, "refresh": login.refresh}
    content = json.dumps({"version": 1, "profiles": {"fake:work": {**profile, "expires": expires_at}}})
    body = {"kind": "openclaw", "content": content, "owner": "edgebotd"}
    (item,) = (await daemon.ask("POST", "/api/profiles/import", body)).json()["items"]
    assert item["outcome"] == "added", item


async def given(daemon: Daemon, *, after: int) -> int:
    """Wait until the bot has a later generation of the login; return it."""
    with trio.fail_after(60):
        while True:
            row = (await daemon.ask("GET", LOGIN)).json()
            for one in row["delivered"]:
                if one["current"] and one["generation"] > after:
                    assert one["error"] is None, one
                    return int(one["generation"])
            await trio.sleep(0.1)


def key(model: FakeModel, words: str) -> str:
    """Return with which key the model was asked last for an answer to these words."""
    return str([one["auth"] for one in model.requests() if words in one["user"]][-1]).removeprefix("Bearer ")


async def linked_while_it_talks(daemon: Daemon, channel: Channel, model: FakeModel, server: OAuthServer) -> set[str]:
    """Link the bot to an OAuth login, rotate it under a turn; return the tokens that the model was asked with."""
    await log_in(daemon, server, int(time.time() * 1000) + 3_600_000)
    plan = (await daemon.ask("GET", f"{LOGIN}/link?bot=claw")).json()
    assert (plan["keyFrom"], plan["file"], plan["uses"]) == ("environment", f"{STATE}/edge-secrets.json", False)
    agreed = {"bot": "claw", "baseHash": plan["baseHash"]}
    done = (await daemon.ask("POST", f"{LOGIN}/link", agreed)).json()
    assert (done["done"], done["complaint"]) == (True, None)
    assert await talk(daemon, channel, "linked", "link-1") == "linked"
    before = key(model, "linked")
    assert await server.works(before), "it is the login's own"

    running = await daemon.send("[[long 400]] under way", "link-2")
    await channel.until(streamed(channel, running["runId"]))
    row = (await daemon.ask("POST", f"{LOGIN}/refresh", {})).json()
    assert row["state"] == "fresh"
    await given(daemon, after=row["generation"] - 1)
    assert not [e for e in channel.of("chat-status", runId=running["runId"]) if e["state"] == "finished"]
    beside = (await daemon.ask("POST", "/api/bots/claw/conversations", {})).json()["id"]
    assert await talk(daemon, channel, "rotated", "link-3", conversationId=beside) == "rotated"
    assert await channel.ended(running["runId"]) == "finished"
    after = key(model, "rotated")
    assert after not in (before, SECRET) and await server.works(after) and key(model, "under way") == before

    plan = (await daemon.ask("GET", f"{LOGIN}/link?bot=claw")).json()
    assert (plan["keyFrom"], plan["uses"]) == ("linked", True)
    again = (await daemon.ask("POST", f"{LOGIN}/link", {**agreed, "baseHash": plan["baseHash"]})).json()
    assert again["done"] is False
    return {before, after}


def containers(engine: DockerEngine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(engine.api("GET", "/containers/json?all=1"))
    return found


async def prepared(engine: DockerEngine, folder: Path) -> str:
    """Put the image into the engine and the model's key into a file; return the daemon's settings."""
    try:
        await trio.to_thread.run_sync(provide, engine, CURRENT)
    except PeerUnavailable as error:
        require_or_skip(str(error))
    key = folder / "fake.key"
    key.touch(0o600)
    key.write_text(SECRET)
    return DOCKER.format(socket=engine.socket, image=reference(), folder=folder)


async def test_a_real_gateway_is_made_over_a_crash_talked_with_made_anew_and_taken_away(
    breakable_engine: DockerEngine, oauth_server: OAuthServer, tmp_path: Path
) -> None:
    engine = breakable_engine
    toml = await prepared(engine, tmp_path)
    port = int(oauth_server.url.rpartition(":")[2])
    with running_model(delay=0.02, engine=engine) as model:
        async with (
            open_relay("127.0.0.1", port, within=engine.namespace) as relay,
            open_daemon(tmp_path, toml + PROVIDER.format(port=relay.port, client=CLIENT), enter=engine.enter) as (
                daemon,
                channel,
            ),
        ):
            begun = (await daemon.ask("POST", "/api/bots", request(model))).json()
            await reached(channel, begun["id"], "pair")
            await trio.to_thread.run_sync(daemon.program.kill)
            await daemon.start()
            made = await done(daemon, channel, begun["id"])
            assert made["state"] == "succeeded", log_of(made)
            texts = [line["text"] for line in made["lines"]]
            assert "edgebotd started again; going on here." in texts
            assert texts[-1] == f"Connected: OpenClaw {CURRENT}."
            await wait_state(channel, "connected")
            assert await talk(daemon, channel, "in a box", "made-1") == "in a box"
            detail = await daemon.bot()
            assert (detail["missing"], detail["version"]) == ([], CURRENT)

            started = engine.api("GET", "/containers/edgebotd-claw/json")
            tokens = await linked_while_it_talks(daemon, channel, model, oauth_server)
            now = engine.api("GET", "/containers/edgebotd-claw/json")
            assert json.loads(now)["State"]["StartedAt"] == json.loads(started)["State"]["StartedAt"]

            # What is secret is in none of the places that are kept or told.
            token = (tmp_path / "state/bots/claw/token").read_text()
            told = json.dumps([made, channel.events, detail]) + (tmp_path / "log").read_text()
            secrets = {token, SECRET, *tokens}
            assert not [one for one in secrets if one in told]
            for file in (tmp_path / "state").glob("edgebotd.db*"):
                assert not [one for one in secrets if one.encode() in file.read_bytes()]
            assert not [one for one in {token, *tokens} if one in now.decode()]

            # What it has in memory is gone then, and has to be its own to write to once more.
            await moved(daemon, channel, "stop")
            await moved(daemon, channel, "start")
            assert await talk(daemon, channel, "again in a box", "made-2") == "again in a box"
            assert await trio.to_thread.run_sync(engine.shell, "edgebotd-claw", WRITES) == "written"

            (before,) = containers(engine)
            begun = (await daemon.ask("POST", "/api/bots/claw/container/recreate", {})).json()
            recreated = await done(daemon, channel, begun["id"])
            assert recreated["state"] == "succeeded", log_of(recreated)
            (after,) = containers(engine)
            assert after["Id"] != before["Id"]
            await wait_state(channel, "connected")
            assert await talk(daemon, channel, "the same bot", "made-3") == "the same bot"
            assert key(model, "the same bot") in tokens, "it is linked as before"

            wanted = {"keepHistory": True, "keepVolumes": False}
            begun = (await daemon.ask("POST", "/api/bots/claw/container/remove", wanted)).json()
            removed = await done(daemon, channel, begun["id"])
            assert removed["state"] == "succeeded", log_of(removed)
            assert containers(engine) == []
            assert json.loads(engine.api("GET", "/volumes"))["Volumes"] in (None, [])
            assert (await daemon.ask("GET", "/api/bots")).json()["items"] == []
            assert not (tmp_path / "state/bots/claw").exists()


@pytest.mark.heavy  # a minute: a gateway starts for the second time
async def test_with_the_hosts_network_it_listens_on_loopback_at_a_port_of_its_own(
    breakable_engine: DockerEngine, tmp_path: Path
) -> None:
    engine = breakable_engine
    toml = await prepared(engine, tmp_path) + 'host_network = ["claw"]\n'
    with running_model(delay=0.02, engine=engine) as model:
        async with open_daemon(tmp_path, toml, enter=engine.enter) as (daemon, channel):
            refused = await daemon.ask("POST", "/api/bots", {"id": "other", "network": "host"}, check=False)
            assert (refused.status_code, refused.json()["code"]) == (409, "host_network")
            # With a login from the start, in place of a key.
            await daemon.ask("POST", "/api/profiles", {"provider": "fake", "name": "work", "secret": LOGIN_KEY})
            wanted = {**request(model), "network": "host", "logins": ["fake:work"], "secretEnvironment": {}}
            for provider in wanted["config"]["models"]["providers"].values():
                del provider["apiKey"]
            begun = (await daemon.ask("POST", "/api/bots", wanted)).json()
            made = await done(daemon, channel, begun["id"])
            assert made["state"] == "succeeded", log_of(made)
            await wait_state(channel, "connected")
            assert await talk(daemon, channel, "beside you", "host-1") == "beside you"
            assert key(model, "beside you") == LOGIN_KEY
            await daemon.ask("PUT", f"{LOGIN}/secret", {"secret": f"{LOGIN_KEY}-2"})
            await given(daemon, after=1)
            assert await talk(daemon, channel, "with another key", "host-2") == "with another key"
            assert key(model, "with another key") == f"{LOGIN_KEY}-2"
            (inspected,) = [json.loads(engine.api("GET", "/containers/edgebotd-claw/json"))]
            assert inspected["HostConfig"]["NetworkMode"] == "host"
            listens = await trio.to_thread.run_sync(engine.shell, "edgebotd-claw", "cat /proc/net/tcp")
            port = (await daemon.bot())["url"].rpartition(":")[2]
            assert f"0100007F:{int(port):04X}" in listens and f"00000000:{int(port):04X}" not in listens
            await channel.until(lambda _: _health(channel) == "healthy", 240)


def _health(channel: Channel) -> str | None:
    """Return what the container's own check says of it, as it was told last."""
    for event in reversed(channel.of("docker:status")):
        for one in event["containers"]:
            if one["botId"] == "claw":
                return str(one.get("health"))
    return None
