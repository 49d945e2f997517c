"""Taking an adopted container over: nothing is lost that nobody accepted, and it can be recreated from then on."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from edgebotd.docker.taking import TakeOverRequest
from edgebotd.docker.upgrade import UpgradeRequest
from edgebotd.errors import Conflict, Problem
from edgebotd.store import containers as rows
from tests.docker.test_adopt import House, open_house

ACTOR = {"kind": "session", "user_id": "root"}


async def adopted(house: House) -> None:
    container = house.gateway(Env=["TZ=Europe/Vienna", "ANTHROPIC_API_KEY=hidden"])
    container.body["HostConfig"]["Binds"] = ["claw:/home/node/.openclaw"]
    house.engine.have_image("ghcr.io/openclaw/openclaw:2026.9.6")
    assert (await house.adopt(container="claw", readToken=True)).state == "succeeded"


async def test_what_is_lost_is_accepted_word_for_word(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await adopted(house)
        taking, calls = house.docker.taking, len(house.engine.calls)
        with pytest.raises(Conflict, match="take it over first: edgebotd bots take-over atlas"):
            await house.docker.recreating.begin("atlas", ACTOR)
        with pytest.raises(Conflict, match="take it over first: edgebotd bots take-over atlas"):
            await house.docker.upgrading.begin("atlas", UpgradeRequest(), ACTOR)
        plan = await taking.plan("atlas")
        assert not plan.taken and plan.obstacles == () and "hidden" not in plan.model_dump_json()
        assert any("ANTHROPIC_API_KEY" in text for text in plan.loses)
        with pytest.raises(Conflict, match="ANTHROPIC_API_KEY") as caught:
            await taking.take("atlas", TakeOverRequest(accepted=plan.loses[:1]))
        assert caught.value.code == "would_lose"
        assert (await taking.take("atlas", TakeOverRequest(accepted=plan.loses))).taken
        stored = await house.database.read(lambda conn: rows.get(conn, "atlas"))
        assert stored is not None and stored.origin == "adopted" and "hidden" not in str(stored.spec)
        assert stored.spec["environment"] == {"TZ": "Europe/Vienna"}
        # Nothing but looking was done to the container.
        asked = house.engine.calls[calls:]
        assert all(call.startswith(("image", "info", "list")) for call in asked), asked
        assert (await taking.plan("atlas")).taken
        assert (await taking.take("atlas", TakeOverRequest())).taken
        begun = await house.docker.recreating.begin("atlas", ACTOR)
        done = await house.docker.operations.wait(begun.id)
        assert done.state == "succeeded", await house.lines(done)
        made = house.engine.named("claw").body
        assert made["HostConfig"]["CapDrop"] == ["ALL"] and "TZ=Europe/Vienna" in made["Env"]
        assert {"Type": "volume", "Source": "claw", "Target": "/home/node/.openclaw"} in made["HostConfig"]["Mounts"]


async def test_one_without_limits_gets_at_most_the_processors_of_its_machine(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await adopted(house)
        house.engine.cpus = 1
        plan = await house.docker.taking.plan("atlas")
        await house.docker.taking.take("atlas", TakeOverRequest(accepted=plan.loses))
        done = await house.docker.operations.wait((await house.docker.recreating.begin("atlas", ACTOR)).id)
        assert done.state == "succeeded", await house.lines(done)
        assert house.engine.named("claw").body["HostConfig"]["NanoCpus"] == 1_000_000_000


async def test_what_has_to_be_done_first_is_said(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        house.gateway()
        house.engine.have_image("ghcr.io/openclaw/openclaw:2026.9.6")
        await house.adopt(container="claw", readToken=True)
        plan = await house.docker.taking.plan("atlas")
        assert any("would be lost" in text for text in plan.obstacles)
        with pytest.raises(Conflict, match="would be lost"):
            await house.docker.taking.take("atlas", TakeOverRequest(accepted=plan.loses))
        with pytest.raises(Problem, match="no container that was adopted"):
            await house.docker.taking.plan("nobody")
