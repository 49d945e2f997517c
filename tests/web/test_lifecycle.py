"""Starting and stopping a bot's container, and its log, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from edgebotd.access import Grant
from edgebotd.store import audit
from edgebotd.web.policy import POLICIES
from tests.docker.fake_container import FakeContainer
from tests.docker.fake_engine import FakeEngine, open_fake_engine
from tests.docker.house import FakeBots
from tests.web.client import Client
from tests.web.house import Clock, House, open_house

CONTAINER = "/api/bots/own/container"


@asynccontextmanager
async def open_ship() -> AsyncIterator[tuple[House, Client, FakeEngine, FakeContainer]]:
    """Open a house with a bot whose container runs, and an operator of it."""
    clock = Clock()
    async with (
        open_fake_engine(clock) as engine,
        open_house(clock=clock, engine=engine, bots=FakeBots(names={"own": "Own"})) as house,
        trio.open_nursery() as nursery,
    ):
        container = engine.add("edgebotd-own")
        engine.begin(container)
        docker = house.services.docker
        docker.containers.bind("own", "edgebotd-own")
        for run in docker.jobs.values():
            nursery.start_soon(run)
        await docker.containers.wait("own", lambda status: status is not None and status.state == "running")
        await house.user("operator", own=Grant.OPERATE)
        yield house, await house.signed_in("operator"), engine, container
        nursery.cancel_scope.cancel()


async def test_a_stop_is_answered_at_once_and_goes_on_without_its_asker(autojump_clock: MockClock) -> None:
    async with open_ship() as (_house, operator, _engine, container):
        container.stop_seconds = 20
        answer = await operator.post(CONTAINER + "/stop", {"drain": "abort", "seconds": 60})
        assert (answer.status, answer.json["kind"], answer.json["botId"]) == (202, "stop", "own")
        await trio.sleep(1)
        work = (await operator.get(CONTAINER + "/operation")).json["operation"]
        assert (work["operationId"], work["state"]) == (answer.json["operationId"], "running")
        assert work["doing"] == "waits for it to end, 60 s at most"
        refused = await operator.post(CONTAINER + "/start")
        assert (refused.status, refused.code) == (409, "bot_stopping")
        await trio.sleep(30)
        work = (await operator.get(CONTAINER + "/operation")).json["operation"]
        assert (work["state"], work["doing"], container.state) == ("succeeded", None, "exited")
        for route, state in (("/start", "running"), ("/restart", "running")):
            assert (await operator.post(CONTAINER + route)).status == 202
            await trio.sleep(30)
            assert container.state == state


async def test_who_asked_stands_in_the_audit(autojump_clock: MockClock) -> None:
    async with open_ship() as (house, operator, _engine, _container):
        await operator.post(CONTAINER + "/restart", {"now": True})
        await trio.sleep(30)
        rows = await house.services.database.read(lambda conn: audit.page(conn, limit=5))
        found = [(row.action, row.bot_id, row.actor) for row in rows if row.action.startswith("bot.")]
        assert found == [("bot.restart.succeeded", "own", "operator"), ("bot.restart", "own", "operator")]


async def test_what_cannot_be_is_refused_in_words(autojump_clock: MockClock) -> None:
    async with open_ship() as (house, operator, engine, _container):
        too_long = await operator.post(CONTAINER + "/stop", {"seconds": 5000})
        assert (too_long.status, "330 s at most" in too_long.json["detail"]) == (400, True)
        assert (await operator.post(CONTAINER + "/stop", {"drain": "kill"})).status == 400
        assert (await operator.get(CONTAINER + "/logs?tail=5001")).status == 400
        assert (await operator.get(CONTAINER + "/operation")).json == {"operation": None}
        house.services.docker.containers.bind("own", None)
        for route in ("/start", "/stop", "/restart"):
            assert (await operator.post(CONTAINER + route)).code == "no_container"
        assert (await operator.get(CONTAINER + "/logs")).code == "no_container"
        assert not [call for call in engine.calls if call.split()[0] in ("start", "stop")]


async def test_without_an_engine_it_is_said_what_to_do(autojump_clock: MockClock) -> None:
    async with open_house(bots=FakeBots(names={"own": "Own"})) as house:
        house.services.docker.containers.bind("own", "edgebotd-own")
        await house.user("operator", own=Grant.OPERATE)
        operator = await house.signed_in("operator")
        for answer in (await operator.post(CONTAINER + "/start"), await operator.get(CONTAINER + "/logs")):
            assert (answer.status, answer.code) == (503, "engine_none")
            assert "docker.socket" in answer.json["detail"]
        # There is none to adopt either.
        house.services.docker.containers.bind("own", None)
        bare = await operator.post(CONTAINER + "/start")
        assert (bare.code, "docker.socket" in bare.json["detail"]) == ("no_container", True)
        assert "Adopt" not in bare.json["detail"]


async def test_the_log_is_read_and_downloaded(autojump_clock: MockClock) -> None:
    async with open_ship() as (_house, operator, engine, container):
        for number in range(3):
            engine.say(container, f"line {number} api_key=0123456789", "stderr" if number == 1 else "stdout")
        lines = (await operator.get(CONTAINER + "/logs?tail=2")).json["items"]
        assert [line["text"] for line in lines] == ["line 1 api_key=[redacted]", "line 2 api_key=[redacted]"]
        (line,) = (await operator.get(CONTAINER + "/logs?stream=stderr&contains=LINE")).json["items"]
        assert line["stream"] == "stderr"
        file = await operator.get(CONTAINER + "/logs/download?contains=line%202")
        assert file.header("content-type") == "text/plain; charset=utf-8"
        assert file.header("content-disposition") == 'attachment; filename="own.log"'
        (text,) = file.body.decode().splitlines()
        assert text.endswith("Z stdout line 2 api_key=[redacted]")


async def test_ends_by_itself_are_listed_in_words(autojump_clock: MockClock) -> None:
    async with open_ship() as (_house, operator, engine, container):
        engine.say(container, "last words")
        engine.end(container, 137, oom=True)
        await trio.sleep(1)
        (crash,) = (await operator.get(CONTAINER + "/crashes")).json["items"]
        assert (crash["exitCode"], crash["oomKilled"], crash["lines"]) == (137, True, ["last words"])
        assert crash["detail"] == "It needed more memory than it may have, and was killed."


async def test_each_row_is_for_operators() -> None:
    assert {policy.need.value for policy in POLICIES if "/container/" in policy.path and "log" in policy.path} == {
        "operate"
    }
