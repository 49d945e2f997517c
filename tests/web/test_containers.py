"""The engine over HTTP: who sees what of containers, resource use, images and the disk, and what figures tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio
from trio.testing import MockClock

from edgebotd.access import Grant
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.store import containers as rows
from edgebotd.store.containers import Sample
from edgebotd.store.database import Transaction
from tests.docker.fake_engine import FakeEngine, open_fake_engine
from tests.web.house import START, Clock, House, open_house


@asynccontextmanager
async def open_engine_house() -> AsyncIterator[tuple[House, FakeEngine]]:
    """Open a house whose engine is followed, with a container of the bot `own` and a stranger's."""
    clock = Clock()
    async with open_fake_engine(clock) as engine:
        engine.begin(engine.add("own-container", health="healthy"))
        engine.begin(engine.add("stranger", {"Env": ["TOKEN=canary"]}))
        engine.have_image("fake/bot:1")
        async with open_house(clock=clock, engine=engine) as house, trio.open_nursery() as nursery:
            house.services.docker.containers.bind("own", "own-container")
            nursery.start_soon(house.services.docker.run)
            await trio.sleep(1)
            await house.user("root", admin=True)
            await house.user("ann", own=Grant.VIEW)
            await house.user("otto", own=Grant.OPERATE)
            yield house, engine
            nursery.cancel_scope.cancel()


async def test_administrators_see_all_containers_and_users_the_state_of_their_bots(autojump_clock: MockClock) -> None:
    async with open_engine_house() as (house, _):
        root, ann, otto = [await house.signed_in(name) for name in ("root", "ann", "otto")]
        answer = (await root.get("/api/containers")).json
        assert (answer["engine"]["state"], answer["engine"]["kind"], answer["pulls"]) == ("up", "Docker", [])
        assert [(one["name"], one["botId"]) for one in answer["containers"]] == [
            ("own-container", "own"),
            ("stranger", None),
        ]
        seen = (await ann.get("/api/bots/own/container")).json
        assert (seen["status"]["state"], seen["status"]["health"], seen["details"]) == ("running", "healthy", None)
        shown = (await otto.get("/api/bots/own/container")).json["details"]
        assert (shown["image"]["reference"], shown["mounts"], shown["operation"]) == ("fake/bot:1", [], None)
        assert shown["startedAt"] is not None
        for answer in (await root.get("/api/containers"), await root.get("/api/bots/own/container")):
            assert b"canary" not in answer.body


async def test_a_bot_without_a_container_has_none_and_one_that_is_not_there_is_absent(
    autojump_clock: MockClock,
) -> None:
    async with open_engine_house() as (house, _):
        root = await house.signed_in("root")
        assert (await root.get("/api/bots/other/container")).json == {"status": None, "details": None}
        for page in ("container", "container/usage"):
            answer = await root.get(f"/api/bots/nowhere/{page}")
            assert (answer.status, answer.json["detail"]) == (404, "No such bot: 'nowhere'.")


async def test_the_day_s_use_is_for_who_may_see_the_bot(autojump_clock: MockClock) -> None:
    async with open_engine_house() as (house, _):
        ann = await house.signed_in("ann")

        def add(sample: Sample, tx: Transaction) -> None:
            rows.add_sample(tx.connection, "own", sample)

        for sample in (Sample(START - 90_000_000, 9.0, 9, None, None), Sample(START - 300_000, 12.5, 4096, None, 1.5)):
            await house.services.database.write(partial(add, sample))
        answer = (await ann.get("/api/bots/own/container/usage")).json
        assert answer["everySeconds"] == 300
        (shown,) = answer["items"]
        assert shown == {
            "at": START - 300_000,
            "cpuPercent": 12.5,
            "memoryBytes": 4096,
            "receivedPerSecond": None,
            "sentPerSecond": 1.5,
        }


async def test_an_image_is_removed_once_and_that_is_in_the_audit(autojump_clock: MockClock) -> None:
    async with open_engine_house() as (house, engine):
        root = await house.signed_in("root")
        (image,) = (await root.get("/api/images")).json["items"]
        assert (image["tags"], image["bots"], image["containers"]) == (["fake/bot:1"], ["own"], ["stranger"])
        body = {"reference": "fake/bot:1"}
        used = await root.request("DELETE", "/api/images", body)
        assert (used.status, used.code) == (409, "image_used")
        assert used.json["detail"].startswith("The image fake/bot:1 is used by the bot own and the container stranger")
        for name in ("own-container", "stranger"):
            await engine.remove(name, force=True)
        assert (await root.request("DELETE", "/api/images", body)).status == 204
        assert (await root.request("DELETE", "/api/images", body)).status == 404
        assert (await root.request("DELETE", "/api/images", {"reference": "-f"})).status == 400
        audited = (await root.get("/api/audit?limit=50")).json["items"]
        assert [(one["actor"], one["subject"]) for one in audited if one["action"] == "image.remove"] == [
            ("root", "fake/bot:1")
        ]


async def test_the_disk_is_told(autojump_clock: MockClock) -> None:
    async with open_engine_house() as (house, _):
        disk = (await (await house.signed_in("root")).get("/api/engine/disk")).json
        nothing = {"count": 0, "sizeBytes": 0, "reclaimableBytes": 0}
        assert [disk[part] for part in ("images", "containers", "volumes", "buildCache")] == [nothing] * 4
        assert disk["eachVolume"] == []


async def test_an_engine_that_is_away_is_a_refusal_in_words_and_the_rest_is_whole(autojump_clock: MockClock) -> None:
    async with open_engine_house() as (house, engine):
        engine.go_away(EngineError(Trouble.DOWN, "Nothing answers at /run/docker.sock."))
        await trio.sleep(5)
        root = await house.signed_in("root")
        for path in ("/api/images", "/api/engine/disk"):
            answer = await root.get(path)
            assert (answer.status, answer.code) == (503, "engine_down")
            assert "Nothing answers" in answer.json["detail"]
        assert (await root.get("/api/containers")).json["engine"]["state"] == "down"
        shown = (await root.get("/api/bots/own/container")).json
        assert (shown["status"]["state"], shown["details"]["image"]["digests"]) == ("unknown", [])
        assert (await root.get("/api/status")).json["containers"] == {"unknown": 1}


async def test_status_and_figures_tell_the_engine_to_administrators_and_name_no_bot(autojump_clock: MockClock) -> None:
    async with open_engine_house() as (house, _):
        root, ann = await house.signed_in("root"), await house.signed_in("ann")
        status = (await root.get("/api/status")).json
        assert (status["engine"]["state"], status["containers"]) == ("up", {"running": 1})
        seen = (await ann.get("/api/status")).json
        assert (seen["engine"], seen["containers"]) == (None, None)
        figures = (await root.get("/metrics")).body.decode()
        assert 'edgebotd_engine_state{state="up"} 1.0' in figures
        assert 'edgebotd_engine_state{state="frozen"} 0.0' in figures
        assert 'edgebotd_bot_containers{state="running"} 1.0' in figures
        assert 'edgebotd_bot_containers{state="stopping"} 0.0' in figures
        assert "own-container" not in figures and "stranger" not in figures
