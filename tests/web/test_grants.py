"""Access tokens for agents: a token that was made for the one login is handed it, and may do no more."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from edgebotd.access import Scope
from edgebotd.config import Settings
from tests.web.client import Client
from tests.web.house import House, open_house

SECRET = "canary-9876543210"
KEY = {"provider": "anthropic", "name": "work", "secret": SECRET}
ONE = "/api/profiles/anthropic:work/token"
SETTINGS = Settings.model_validate({"providers": {"anthropic": {"name": "Anthropic"}}})


async def furnished(house: House) -> Client:
    await house.user("root", admin=True)
    root = await house.signed_in("root")
    for name in ("work", "other"):
        assert (await root.post("/api/profiles", {**KEY, "name": name, "secret": f"{SECRET}-{name}"})).status == 201
    return root


def over_socket(client: Client, uid: int = 1234) -> Client:
    return replace(client, unix_uid=uid)


async def test_a_token_made_for_a_login_is_handed_it_and_nothing_else(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_house(SETTINGS) as house:
        root = await furnished(house)
        made = await root.post("/api/profiles/anthropic:work/grants", {"name": "agent"})
        assert made.status == 201 and made.json["userId"] == "root"
        agent = over_socket(house.client.with_token(made.json["token"]))
        for _ in range(3):
            answer = await agent.get(ONE)
            assert answer.status == 200 and answer.json["token"] == f"{SECRET}-work"
        assert ("cache-control", "no-store") in answer.headers
        for path in ("/api/profiles/anthropic:other/token", "/api/profiles/no:such/token", "/api/profiles", "/api/me",
                     "/api/bots", "/api/events", "/api/profiles/anthropic:work"):  # fmt: skip
            assert (await agent.get(path)).status == 403, path
        assert (await agent.post("/api/tokens", {"name": "x", "scopes": ["read"]})).status == 403
        # Over the network it is worth nothing.
        assert (await house.client.with_token(made.json["token"]).get(ONE)).status == 403
        audit = await root.get("/api/audit")
        handed = [item for item in audit.json["items"] if item["action"] == "profile.token"]
        assert len(handed) == 1 and handed[0]["subject"] == "anthropic:work"
        listed = (await root.get("/api/tokens")).json["items"]
        assert [(one["profileId"], one["scopes"]) for one in listed] == [("anthropic:work", [])]
        assert SECRET not in audit.body.decode() and made.json["token"] not in audit.body.decode()
        assert SECRET not in caplog.text and made.json["token"] not in caplog.text


async def test_an_administrator_sees_and_revokes_what_opens_a_login(autojump_clock: MockClock) -> None:
    async with open_house(SETTINGS) as house:
        root = await furnished(house)
        await house.user("ann")
        place = "/api/profiles/anthropic:work/grants"
        assert (await root.get(place)).json == {"items": []}
        now = house.services.now()
        body = {"name": "agent", "userId": "ann", "expiresAt": now + 3_600_000}
        made = (await root.post(place, body)).json
        await root.post("/api/profiles/anthropic:other/grants", {"name": "elsewhere"})
        await house.token("ann", Scope.READ)
        assert (await over_socket(house.client.with_token(made["token"])).get(ONE)).status == 200
        assert (await root.get(place)).json["items"] == [
            {**body, "id": made["id"], "createdAt": now, "usedAt": now},
        ]
        assert (await (await house.signed_in("ann")).get(place)).status == 403
        assert (await root.get("/api/profiles/no:such/grants")).status == 404
        await root.post(place, {**body, "name": "short", "expiresAt": now + 1000})
        await trio.sleep(2)
        assert [one["name"] for one in (await root.get(place)).json["items"]] == ["agent"], (
            "what has ended opens nothing"
        )
        assert (await root.request("DELETE", f"/api/tokens/{made['id']}")).status == 204
        assert (await root.get(place)).json == {"items": []}
        assert (await over_socket(house.client.with_token(made["token"])).get(ONE)).status == 401


async def test_nobodys_rights_replace_such_a_token(autojump_clock: MockClock) -> None:
    async with open_house(SETTINGS) as house:
        root = await furnished(house)
        everything = house.client.with_token(await house.token("root", *Scope))
        asked = [root, house.client.local(0), over_socket(everything), everything]
        assert [(await client.get(ONE)).status for client in asked] == [403] * 4
        assert (await over_socket(house.client).get(ONE)).status == 401
        assert (await root.post("/api/profiles/no:such/grants", {"name": "agent"})).status == 404
        assert (await house.client.local(0).post("/api/profiles/anthropic:work/grants", {"name": "a"})).status == 400
        await house.user("ann")
        ann = await house.signed_in("ann")
        assert (await ann.post("/api/profiles/anthropic:work/grants", {"name": "agent"})).status == 403


async def test_it_dies_with_the_login_and_opens_no_other_of_its_name(autojump_clock: MockClock) -> None:
    async with open_house(SETTINGS) as house:
        root = await furnished(house)
        agent = over_socket(house.client.with_token(await house.profile_token("root", "anthropic:work")))
        assert (await agent.get(ONE)).status == 200
        assert (await root.delete("/api/profiles/anthropic:work")).status == 204
        assert (await agent.get(ONE)).status == 401
        assert (await root.post("/api/profiles", KEY)).status == 201
        assert (await agent.get(ONE)).status == 401


async def test_it_ends_in_time_and_expired_ones_make_room(autojump_clock: MockClock) -> None:
    async with open_house(SETTINGS) as house:
        await furnished(house)
        soon = house.services.now() + 1000
        agent = over_socket(
            house.client.with_token(await house.profile_token("root", "anthropic:work", expires_at=soon))
        )
        assert (await agent.get(ONE)).status == 200
        autojump_clock.jump(2)
        assert (await agent.get(ONE)).status == 401
        await house.profile_token("root", "anthropic:work")
        record = house.services.people.record("root")
        assert record is not None and len(record.tokens) == 1
