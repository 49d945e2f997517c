"""Adopting over HTTP; what it does is tested where it is done."""

from __future__ import annotations

from pathlib import Path

from trio.testing import MockClock

from edgebotd.docker.host import HostSigns
from tests.web.house import House, open_house

TOKEN = "given-token-of-the-test"


async def prepared(house: House) -> None:
    async def look() -> HostSigns:
        return HostSigns((), (), (Path("/srv/ann/.openclaw/openclaw.json"),))

    house.services.docker.adopting.candidates.look_at_host = look
    await house.user("root", admin=True)


async def test_what_could_be_adopted_is_told_without_an_engine_too(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await prepared(house)
        answer = await (await house.signed_in("root")).get("/api/adoptable")
        assert answer.status == 200 and "container engine" in answer.json["detail"]
        (item,) = answer.json["items"]
        assert (item["kind"], item["suggestedId"], item["reachable"]) == ("host", "openclaw", False)
        assert item["config"] == ["/srv/ann/.openclaw/openclaw.json"] and "Start the gateway" in item["obstacle"]


async def test_refusals_say_what_to_do_and_no_token(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await prepared(house)
        admin = await house.signed_in("root")
        answers = [
            await admin.post("/api/bots/adopt", {"id": "own", "token": TOKEN}),
            await admin.post("/api/bots/adopt", {"id": "new", "token": TOKEN}),
            await admin.post("/api/bots/adopt", {"id": "new", "token": TOKEN, "container": "claw"}),
            await admin.post("/api/bots/adopt", {"id": "new", "token": [TOKEN]}),
            await admin.post("/api/bots/adopt", {"id": "new"}),
        ]
        assert [answer.status for answer in answers] == [409, 409, 503, 400, 400]
        assert not any(TOKEN in answer.body.decode() for answer in answers)
