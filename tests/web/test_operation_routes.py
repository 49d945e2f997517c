"""Bots made, made anew and taken away over HTTP, and the work on them seen, cancelled and tried again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.config.settings import DockerSettings, Settings
from edgebotd.store import audit
from edgebotd.store import containers as rows
from tests.docker.fake_engine import FakeEngine, open_fake_engine
from tests.web.client import Client
from tests.web.house import Clock, House, open_house

IMAGE = "registry.example/claw:1"


@asynccontextmanager
async def open_place() -> AsyncIterator[tuple[House, FakeEngine, Client]]:
    clock = Clock()
    async with open_fake_engine(clock) as engine:
        engine.have_image(IMAGE)
        settings = Settings(docker=DockerSettings(image=IMAGE))
        async with open_house(settings, clock=clock, engine=engine) as house, trio.open_nursery() as nursery:
            nursery.start_soon(house.services.docker.run)
            await wait_all_tasks_blocked()
            await house.user("ada", admin=True)
            yield house, engine, await house.signed_in("ada")
            nursery.cancel_scope.cancel()


async def test_a_bot_is_made_seen_and_removed(autojump_clock: MockClock) -> None:
    async with open_place() as (house, engine, admin):
        answer = await admin.post("/api/bots", {"id": "atlas", "name": "Atlas"})
        assert answer.status == 202
        begun = answer.json
        assert (begun["botId"], begun["kind"], begun["state"], begun["userId"]) == ("atlas", "create", "running", "ada")
        assert begun["steps"] == ["validate", "pull", "create", "start", "healthy", "pair", "hello"]
        await house.services.docker.operations.wait(begun["id"])
        shown = (await admin.get(f"/api/operations/{begun['id']}")).json
        assert (shown["state"], shown["step"]) == ("succeeded", "hello")
        assert [line["number"] for line in shown["lines"]] == list(range(1, len(shown["lines"]) + 1))
        assert [row["id"] for row in (await admin.get("/api/operations?botId=atlas")).json["items"]] == [begun["id"]]
        assert (await admin.get("/api/operations?botId=bert")).json["items"] == []

        refused = await admin.request("DELETE", "/api/bots/atlas")
        assert (refused.status, refused.json["code"]) == (409, "bot_has_container")

        answer = await admin.post("/api/bots/atlas/container/recreate", {})
        assert (answer.status, answer.json["kind"]) == (202, "recreate")
        await house.services.docker.operations.wait(answer.json["id"])

        answer = await admin.post("/api/bots/atlas/container/remove", {"keepVolumes": False})
        assert (answer.status, answer.json["request"]) == (202, {"keepHistory": True, "keepVolumes": False})
        ended = await house.services.docker.operations.wait(answer.json["id"])
        assert (ended.state, ended.reason) == ("succeeded", None)
        assert (engine.all, engine.volumes_here) == ({}, {})
        assert await house.services.database.read(lambda conn: rows.get(conn, "atlas")) is None

        entries = await house.services.database.read(lambda conn: audit.page(conn, bot_id="atlas"))
        actions = [entry.action for entry in reversed(entries)]
        assert actions == [
            "bot.create", "bot.create.succeeded", "bot.recreate", "bot.recreate.succeeded",
            "bot.remove", "bot.remove.succeeded",
        ]  # fmt: skip


async def test_one_that_goes_on_is_cancelled_and_tried_again(autojump_clock: MockClock) -> None:
    async with open_place() as (house, engine, admin):
        engine.pull_seconds = 60
        begun = (await admin.post("/api/bots", {"id": "atlas"})).json
        await trio.sleep(3)
        same = await admin.post("/api/bots", {"id": "atlas"})
        assert (same.status, same.json["id"]) == (202, begun["id"])
        cancelled = await admin.post(f"/api/operations/{begun['id']}/cancel", {})
        assert cancelled.json["state"] in ("undoing", "cancelled")
        await house.services.docker.operations.wait(begun["id"])
        again = await admin.post(f"/api/operations/{begun['id']}/retry", {})
        assert again.status == 202
        ended = await house.services.docker.operations.wait(again.json["id"])
        assert ended.state == "succeeded"
        late = await admin.post(f"/api/operations/{again.json['id']}/cancel", {})
        assert (late.status, late.json["code"]) == (409, "operation_ended")
        entries = await house.services.database.read(lambda conn: audit.page(conn, bot_id="atlas"))
        assert "bot.create.cancel" in [entry.action for entry in entries]


async def test_what_cannot_be_is_said(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ada", admin=True)
        admin = await house.signed_in("ada")
        none = await admin.post("/api/bots", {"id": "atlas"})
        assert (none.status, none.json["code"]) == (503, "engine_none")
        assert (await admin.post("/api/bots", {"id": "Atlas!"})).status == 400
        assert (await admin.get("/api/operations/op_none")).status == 404
        for action in ("recreate", "remove"):
            answer = await admin.post(f"/api/bots/atlas/container/{action}", {})
            assert (answer.status, answer.json["code"]) == (409, "no_container")
