"""A bot is linked to a login through the page's routes: shown, agreed to, done, and written down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import MockClock

from edgebotd.access import Grant
from edgebotd.errors import Conflict
from edgebotd.store import bots as bot_rows
from edgebotd.store.bots import StoredBot
from tests.accounts.test_delivery import CURRENT, FakeFile
from tests.accounts.test_linking import CONFIG, FILE, LinkedGateways
from tests.web.client import Client
from tests.web.house import open_house

SECRET = "canary-0123456789"
LINK = "/api/profiles/fake:work/link"


class Gateways(LinkedGateways):
    """With what else is asked of them."""

    async def auth_status(self, bot_id: str) -> Mapping[str, Any]:
        await trio.lowlevel.checkpoint()
        return {}


@asynccontextmanager
async def linkable() -> AsyncIterator[tuple[Client, Client, Gateways]]:
    """Yield the pages of an administrator and of somebody who sees the bot `claw`, and its gateway."""
    async with open_house() as house, trio.open_nursery() as nursery:
        row = StoredBot("claw", "openclaw", "Claw", {})
        await house.services.database.write(lambda tx: bot_rows.add(tx.connection, row))
        await house.user("root", admin=True)
        await house.user("ann", claw=Grant.OPERATE)
        root, ann = await house.signed_in("root"), await house.signed_in("ann")
        file = FakeFile("edgebotd-claw", inside=FILE)
        gateways = Gateways({"claw": CURRENT}, files={"claw": file})
        house.services.profiles.wire(gateways, lambda bot_id, _path: file if bot_id == "claw" else None)
        nursery.start_soon(house.services.profiles.delivering.run)
        await root.post("/api/profiles", {"provider": "fake", "name": "work", "secret": SECRET})
        yield root, ann, gateways
        nursery.cancel_scope.cancel()


async def test_it_is_shown_agreed_to_and_done(autojump_clock: MockClock) -> None:
    async with linkable() as (root, ann, gateways):
        shown = await root.get(LINK + "?bot=claw")
        assert (shown.status, shown.json["config"], shown.json["done"]) == (200, CONFIG, None)
        assert not gateways.patches and (await root.get("/api/profiles/fake:work")).json["bots"] == []
        for wrong in ("", "?bot=A", "?bot=claw&file=x", "?bot=claw&provider=a%20b"):
            assert (await root.get(LINK + wrong)).status == 400, wrong
        assert (await root.get(LINK + "?bot=nobody")).status == 404
        assert (await root.get("/api/profiles/fake:none/link?bot=claw")).status == 404
        assert (await ann.get(LINK + "?bot=claw")).status == 403 and (await ann.post(LINK, {})).status == 403

        agreed = {"bot": "claw", "baseHash": shown.json["baseHash"]}
        assert (await root.post(LINK, {"bot": "claw"})).status == 400, "nothing is done that was not shown"
        gateways.base_hash = "hash-2"
        changed = await root.post(LINK, agreed)
        assert (changed.status, changed.json["code"]) == (409, "config_changed")
        assert not gateways.patches
        done = await root.post(LINK, {**agreed, "baseHash": "hash-2"})
        assert (done.status, done.json["done"], done.json["uses"]) == (200, True, True)
        assert gateways.patches == [shown.json["patch"]]
        row = (await root.get("/api/profiles/fake:work")).json
        assert (row["bots"], row["delivered"][0]["current"]) == (["claw"], True)

        audit = await root.get("/api/audit")
        told = [(one["action"], one["botId"]) for one in audit.json["items"] if one["action"].startswith("profile.")]
        assert told == [("profile.link", "claw"), ("profile.bots", "claw"), ("profile.add", None)]
        assert audit.json["items"][0]["detail"] == {"outcome": "linked", "provider": "fake", "file": FILE}
        assert SECRET.encode() not in b"".join(one.body for one in (shown, done, audit))


async def test_a_refusal_says_what_to_write_where_and_is_written_down(autojump_clock: MockClock) -> None:
    async with linkable() as (root, _ann, gateways):
        gateways.refuses = Conflict("gateway_refuses", "The gateway does not allow this: missing scope: operator.admin")
        shown = (await root.get(LINK + "?bot=claw&provider=other")).json
        refused = await root.post(LINK, {"bot": "claw", "provider": "other", "baseHash": shown["baseHash"]})
        assert (refused.status, refused.json["code"], refused.json["into"]) == (409, "gateway_refuses", CONFIG)
        assert refused.json["write"] == shown["patch"] and "other" in shown["patch"]["models"]["providers"]
        newest = (await root.get("/api/audit")).json["items"][0]
        assert (newest["action"], newest["detail"]["outcome"]) == ("profile.link", "refused")
