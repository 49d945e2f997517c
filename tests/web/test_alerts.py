"""`GET /api/alerts` shows to everybody what the channel would: the same alerts, as they are now."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from edgebotd.access import Grant, Scope
from edgebotd.events import ALL, Alert
from tests.web.client import Client
from tests.web.house import House, open_house


async def tell(house: House, alert_id: str, bot_id: str | None, at: int) -> None:
    alert = Alert(alert_id=alert_id, bot_id=bot_id, severity="critical", state="open", title=alert_id, at=at)
    await house.services.hub.transact(lambda tx: tx.emit(bot_id or ALL, alert))


async def shown(client: Client) -> list[str]:
    return [item["alertId"] for item in (await client.get("/api/alerts")).json["items"]]


async def test_each_sees_the_alerts_of_the_own_bots(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("root", admin=True)
        await house.user("ann", own=Grant.VIEW)
        root, ann = await house.signed_in("root"), await house.signed_in("ann")
        assert await shown(root) == []
        for number, (alert_id, bot_id) in enumerate((("of all", None), ("of own", "own"), ("of other", "other"))):
            await tell(house, alert_id, bot_id, number)
            await trio.sleep(1)
        # Of a bot that is no longer there.
        await tell(house, "of gone", "gone", 3)
        assert await shown(root) == ["of other", "of own", "of all"]
        assert await shown(ann) == ["of own"]
        token = await house.token("root", Scope.READ, bots=frozenset({"other"}))
        assert await shown(house.client.with_token(token)) == ["of other"]
