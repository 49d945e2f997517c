"""Preferences: one object for each user, on all devices, for persons only."""

from __future__ import annotations

import json

import pytest
from trio.testing import MockClock

from edgebotd.access import Grant, Scope
from edgebotd.people.audit import SYSTEM
from edgebotd.store import preferences
from edgebotd.web.routes.preferences import MAX_BYTES
from tests.web.house import open_house


async def test_preferences_are_the_same_on_all_devices_of_a_user(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        await house.user("ben")
        phone, desk, ben = [await house.signed_in(name) for name in ("ann", "ann", "ben")]
        assert (await phone.get("/api/me/preferences")).json == {"values": {}}
        values = {"favourites": ["atlas"], "sort": {"by": "last", "down": True}, "é\u2028": None, "n": 1.5}
        put = await phone.put("/api/me/preferences", {"values": values})
        assert (put.status, put.json) == (200, {"values": values})
        assert (await desk.get("/api/me/preferences")).json == {"values": values}
        assert (await ben.get("/api/me/preferences")).json == {"values": {}}
        await desk.put("/api/me/preferences", {"values": {"sort": None}})
        assert (await phone.get("/api/me/preferences")).json == {"values": {"sort": None}}, "all of it is replaced"
        await house.services.accounts.remove(SYSTEM, "ann")
        assert await house.services.database.read(lambda conn: preferences.get(conn, "ann")) is None


async def test_preferences_are_for_persons_the_local_administrator_too(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann", own=Grant.CHAT)
        await house.user("root", admin=True)
        local = house.client.local(0)
        assert (await local.put("/api/me/preferences", {"values": {"a": 1}})).status == 200
        assert (await local.get("/api/me/preferences")).json == {"values": {"a": 1}}
        full = house.client.with_token(await house.token("root", Scope.ADMIN))
        assert (await full.get("/api/me/preferences")).status == 200
        narrow = house.client.with_token(await house.token("ann", Scope.CHAT))
        assert (await narrow.get("/api/me/preferences")).status == 403, "they may name bots that the token may not know"


@pytest.mark.parametrize(
    "data",
    [b"{}", b'{"values":[]}', b'{"values":{"a":"\\ud800"}}', b'{"values":{},"more":1}', b"", b"[" * 300,
     b'{"values":{"a":' + b"1" * 5000 + b"}}"],
)  # fmt: skip
async def test_what_is_no_object_is_refused(autojump_clock: MockClock, data: bytes) -> None:
    async with open_house() as house:
        await house.user("ann")
        ann = await house.signed_in("ann")
        assert (await ann.request("PUT", "/api/me/preferences", data=data)).status == 400
        assert (await ann.get("/api/me/preferences")).json == {"values": {}}


async def test_preferences_are_bounded(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        ann = await house.signed_in("ann")
        fits = "é" * ((MAX_BYTES - len('{"values":{"a":""}}')) // 2)
        assert (await ann.put("/api/me/preferences", {"values": {"a": fits}})).status == 200
        assert len((await ann.get("/api/me/preferences")).body) <= MAX_BYTES
        refused = await ann.put("/api/me/preferences", {"values": {"a": fits + "éé"}})
        assert (refused.status, refused.code) == (413, "too_large")
        assert (await ann.get("/api/me/preferences")).json == {"values": {"a": fits}}
        whole = json.dumps({"values": {"a": "x" * 70_000}}).encode()
        assert (await ann.request("PUT", "/api/me/preferences", data=whole)).status == 413
