"""What is one's own: logins, one's own and others', and what the page is on the host that it came from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from edgebotd.access import Scope
from edgebotd.config.settings import Settings
from tests.web.house import House, open_house


async def logins_of(house: House, user_id: str) -> list[str]:
    record = house.people.record(user_id)
    return [] if record is None else [session.id for session in record.sessions]


async def test_an_administrator_sees_and_ends_everybodys_logins(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("root", admin=True)
        await house.user("ann")
        root = await house.signed_in("root")
        await trio.sleep(1)
        ann = await house.signed_in("ann")
        own = (await ann.get("/api/sessions")).json["items"]
        assert [(row["userId"], row["current"]) for row in own] == [("ann", True)]
        everybodys = (await root.get("/api/sessions?all=true")).json["items"]
        assert [(row["userId"], row["current"]) for row in everybodys] == [("ann", False), ("root", True)]
        assert [row["userId"] for row in (await root.get("/api/sessions?all=false")).json["items"]] == ["root"]
        assert (await ann.get("/api/sessions?all=true")).status == 403
        [anns], [roots] = await logins_of(house, "ann"), await logins_of(house, "root")
        assert (await ann.delete(f"/api/sessions/{roots}")).status == 404
        assert (await root.delete("/api/sessions/s_none")).status == 404
        root.peer = "192.0.2.7"
        assert (await root.delete(f"/api/sessions/{anns}")).status == 204
        assert (await ann.get("/api/me")).status == 401
        entry = (await root.get("/api/audit?limit=1")).json["items"][0]
        assert (entry["actor"], entry["action"], entry["subject"]) == ("root", "session.end", "ann")
        assert (entry["detail"], entry["address"]) == ({"sessionId": anns}, "192.0.2.7")
        assert (await root.get("/api/me")).status == 200


async def test_on_a_bots_own_host_an_administrator_has_the_own_logins_only(autojump_clock: MockClock) -> None:
    settings = Settings.model_validate({"bots": {"own": {"kind": "echo", "host": "own.example.org"}}})
    async with open_house(settings) as house:
        await house.user("root", admin=True)
        await house.user("ann")
        root = await house.signed_in("root")
        await house.signed_in("ann")
        root.headers.update(host="own.example.org", origin="http://own.example.org")
        assert (await root.get("/api/sessions?all=true")).status == 403
        [anns] = await logins_of(house, "ann")
        assert (await root.delete(f"/api/sessions/{anns}")).status == 404


async def test_the_list_of_users_says_when_each_was_last_seen(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("root", admin=True)
        await house.user("ann")
        await house.user("ben")
        root, ann = await house.signed_in("root"), await house.signed_in("ann")
        token = house.client.with_token(await house.token("ann", Scope.READ))
        await trio.sleep(5)
        await ann.get("/api/me")
        await trio.sleep(5)
        await token.get("/api/me")
        at = house.clock()
        await trio.sleep(5)
        seen = {row["id"]: row["lastSeenAt"] for row in (await root.get("/api/users")).json["items"]}
        assert seen == {"ann": at, "ben": None, "root": house.clock()}


@pytest.mark.parametrize(
    ("host", "surface", "host_bot_id", "bots"),
    [
        ("localhost:8787", "dashboard", None, None),
        ("edge.example.org", "dashboard", None, None),
        ("chat.example.org:8443", "chat", None, None),
        ("Own.Example.org", "bot", "own", ["own"]),
    ],
)
async def test_the_page_learns_on_which_host_it_is(
    autojump_clock: MockClock, host: str, surface: str, host_bot_id: str | None, bots: list[str] | None
) -> None:
    settings = Settings.model_validate(
        {
            "server": {"public_url": "http://edge.example.org", "chat_host": "chat.example.org"},
            "bots": {"own": {"kind": "echo", "host": "own.example.org"}},
        }
    )
    async with open_house(settings) as house:
        await house.user("root", admin=True)
        root = await house.signed_in("root")
        there = replace(root, headers={**root.headers, "host": host, "origin": f"http://{host}"})
        me = (await there.get("/api/me")).json
        assert (me["surface"], me["hostBotId"], me["bots"]) == (surface, host_bot_id, bots)
        assert me["admin"] == (host_bot_id is None)
        page = await there.get("/")
        assert page.status == 200
        assert page.body == (await house.client.get("/")).body, "one page for all hosts"
