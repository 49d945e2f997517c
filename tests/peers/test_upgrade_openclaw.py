"""A real OpenClaw gateway goes from one version to the next, and its talk goes on; one that fails is rolled back."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.peers.engine import DockerEngine
from tests.peers.install import CURRENT, OLDER, PeerUnavailable
from tests.peers.model import FakeModel, running_model
from tests.peers.openclaw_image import STATE, openclaw_image, provide, reference
from tests.peers.running_daemon import Channel, Daemon, open_daemon, text_of, wait_state
from tests.peers.test_provision_openclaw import DOCKER, SECRET, containers, done, moved, request
from tests.support import require_or_skip

BROKEN = f"echo spoiled > {STATE}/openclaw.json; echo cannot go on; exit 3"


def publish(engine: DockerEngine) -> str:
    """Put both versions into the engine's registry, and one that spoils its state and ends; return its name."""
    provide(engine, OLDER)
    provide(engine, CURRENT, pull=False)
    whole = openclaw_image(CURRENT)
    broken = dataclasses.replace(
        whole, tag=reference("broken"), config={**whole.config, "Cmd": ["/bin/sh", "-c", BROKEN]}
    )
    engine.publish(broken)
    return broken.tag


async def talk(daemon: Daemon, channel: Channel, words: str, conversation: str | None = None) -> str:
    """Have a turn, in the conversation of an earlier one; return its conversation."""
    more = {} if conversation is None else {"conversationId": conversation}
    sent = await daemon.send(f"[[say {words}]]", words, **more)
    assert await channel.ended(sent["runId"], 240) == "finished"
    message = await channel.stored(sent["runId"])
    assert text_of(message) == words
    return str(message["conversationId"])


def asked(model: FakeModel, words: str) -> int:
    """Return with how many messages the model was asked for this answer."""
    return int([entry for entry in model.requests() if f"[[say {words}]]" in entry["user"]][-1]["messages"])


async def upgrade(daemon: Daemon, channel: Channel, **body: Any) -> tuple[dict[str, Any], str]:
    begun = (await daemon.ask("POST", "/api/bots/claw/container/upgrade", body)).json()
    shown = await done(daemon, channel, begun["id"])
    return shown, "\n".join(f"{line['at']} {line['step']}: {line['text']}" for line in shown["lines"])


@pytest.mark.heavy  # two minutes: two versions are pulled, and a gateway starts five times
async def test_a_real_gateway_is_upgraded_and_talks_on_and_a_broken_one_is_rolled_back(
    breakable_engine: DockerEngine, tmp_path: Path
) -> None:
    engine = breakable_engine
    try:
        broken = await trio.to_thread.run_sync(publish, engine)
    except PeerUnavailable as error:
        require_or_skip(str(error))
    key = tmp_path / "fake.key"
    key.touch(0o600)
    key.write_text(SECRET)
    toml = DOCKER.format(socket=engine.socket, image=reference(OLDER), folder=tmp_path)
    with running_model(delay=0.02, engine=engine) as model:
        async with open_daemon(tmp_path, toml, enter=engine.enter) as (daemon, channel):
            begun = (await daemon.ask("POST", "/api/bots", request(model))).json()
            made = await done(daemon, channel, begun["id"])
            assert made["state"] == "succeeded", made["reason"]
            await wait_state(channel, "connected")
            assert (await daemon.bot())["version"] == OLDER
            conversation = await talk(daemon, channel, "the first")
            alone = asked(model, "the first")

            shown, log = await upgrade(daemon, channel, image=reference(CURRENT))
            assert shown["state"] == "succeeded", log
            assert f"Connected: OpenClaw {CURRENT}." in log and "It answers: " in log, log
            await wait_state(channel, "connected")
            assert (await daemon.bot())["version"] == CURRENT
            await talk(daemon, channel, "the second", conversation)
            # It knows what was said to the version before it.
            assert asked(model, "the second") >= alone + 2

            (before,) = containers(engine)
            shown, log = await upgrade(daemon, channel, image=broken)
            assert (shown["state"], shown["step"]) == ("failed", "healthy"), log
            assert "| cannot go on" in log and "The old one runs again." in log, log
            (after,) = containers(engine)
            assert after["Id"] == before["Id"]
            await wait_state(channel, "connected")
            await talk(daemon, channel, "the third", conversation)
            assert asked(model, "the third") >= alone + 4

            shown, log = await upgrade(daemon, channel, back=True)
            assert shown["state"] == "succeeded", log
            await wait_state(channel, "connected")
            assert (await daemon.bot())["version"] == OLDER
            await talk(daemon, channel, "the fourth", conversation)

            await moved(daemon, channel, "restart")
            await talk(daemon, channel, "the fifth", conversation)
