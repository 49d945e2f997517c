"""What is told of accounts' use: figures, history, Prometheus; to each what the own bots use, and not what it costs."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import MockClock

from edgebotd.access import Grant
from edgebotd.accounts.http import Answer
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.usage.asking import Trouble
from edgebotd.accounts.usage.record import Record
from edgebotd.config import Settings
from edgebotd.events import UsageErrorKind
from edgebotd.protocol.usage import Billing, Usage, Window
from edgebotd.store import bots as bot_rows
from edgebotd.store import usage as rows
from edgebotd.store.bots import StoredBot
from edgebotd.store.profiles import Profile
from edgebotd.store.usage import Point
from tests.web.client import Client
from tests.web.house import House, open_house

SECRET = "canary-0123456789"
ONE = "/api/profiles/acme:work/usage"
SETTINGS = Settings.model_validate(
    {
        "providers": {"acme": {"usage": {"kind": "codex", "url": "https://acme.example/usage"}}},
        "alerts": {"channels": {"phone": {"kind": "ntfy", "url": "https://ntfy.sh/topic"}}},
    }
)


async def furnished(house: House) -> tuple[Client, Client, Client]:
    """Return an administrator's, a user's and a stranger's page; the user's bot uses a login of which much is known."""
    bot = StoredBot("own", "echo", "own", {})
    await house.services.database.write(lambda tx: bot_rows.add(tx.connection, bot))
    vault = house.services.profiles.vault
    profile = await vault.add(Profile("acme:work", "acme", "api_key"), Login(access=SECRET))
    await vault.add(Profile("other:x", "other", "api_key"), Login(access=SECRET + "x"))
    await vault.set_bots("acme:work", ["own"])
    now = house.services.now()
    record = Record.begin(profile)
    windows = (Window("5h", "5 hours", 97.5, 18000, now + 3_600_000), Window("7d", "7 days", 12.0))
    record.take(Usage(windows, (Billing("balance", "USD", amount=3.5),), "max"), now)
    points = [Point("5h", now - (2000 - n) * 1000, n / 21, now + 3_600_000) for n in range(2000)]
    points.append(Point("7d", now - 9 * 86_400_000, 1.0))
    await house.services.database.write(lambda tx: rows.put(tx.connection, record.row(), points))
    await house.services.profiles.usage.load()
    await house.user("root", admin=True)
    await house.user("ann", own=Grant.VIEW)
    await house.user("bob")
    return await house.signed_in("root"), await house.signed_in("ann"), await house.signed_in("bob")


async def test_each_sees_the_windows_of_what_the_own_bots_use(autojump_clock: MockClock) -> None:
    async with open_house(SETTINGS) as house:
        root, ann, bob = await furnished(house)
        whole = (await root.get(ONE)).json
        assert [(one["id"], one["usedPercent"]) for one in whole["windows"]] == [("5h", 97.5), ("7d", 12.0)]
        assert (whole["plan"], whole["billing"][0]["amount"], whole["error"]) == ("max", 3.5, None)
        assert whole["fetchedAt"] == house.services.now() and whole["botIds"] == ["own"]
        seen = (await ann.get(ONE)).json
        assert (seen["windows"], seen["plan"], seen["billing"]) == (whole["windows"], None, [])
        for path in (ONE, ONE + "/history"):
            assert (await bob.get(path)).status == 404
        items: list[list[Any]] = [(await client.get("/api/usage")).json["items"] for client in (root, ann, bob)]
        assert [[one["profileId"] for one in found] for found in items] == [["acme:work"], ["acme:work"], []]
        nothing = (await root.get("/api/profiles/other:x/usage")).json
        assert (nothing["fetchedAt"], nothing["windows"], nothing["error"]) == (None, [], None)
        assert (await root.get("/api/profiles/acme:nobody/usage")).status == 404


async def test_an_administrator_has_it_asked_now_and_that_is_in_the_audit(autojump_clock: MockClock) -> None:
    asked: list[str] = []

    async def call(method: str, url: str, **_: Any) -> Answer:
        asked.append(f"{method} {url}")
        return Answer(500, {}, SECRET.encode())

    async with open_house(SETTINGS, call=call) as house, trio.open_nursery() as nursery:
        root, ann, _ = await furnished(house)
        nursery.start_soon(house.services.profiles.usage.run)
        await trio.sleep(90)
        before = len(asked)
        assert (await ann.post(ONE, {})).status == 403
        told = await root.post(ONE, {})
        assert told.status == 200 and told.json["error"]["status"] == 500 and len(asked) == before + 1
        assert [one["usedPercent"] for one in told.json["windows"]] == [97.5, 12.0], "the last ones stay"
        again = await root.post(ONE, {})
        assert (again.status, again.json["code"]) == (409, "too_soon") and "may be asked again in" in again.json[
            "detail"
        ]
        assert (await root.post("/api/profiles/other:x/usage", {})).json["code"] == "not_asked"
        assert (await root.post("/api/profiles/no:such/usage", {})).status == 404
        audit = (await root.get("/api/audit")).json["items"]
        assert [one["subject"] for one in audit if one["action"] == "profile.usage"] == ["acme:work"]
        assert len(asked) == before + 1
        nursery.cancel_scope.cancel()


async def test_history_is_as_long_as_was_asked_for_and_keeps_its_peaks(autojump_clock: MockClock) -> None:
    async with open_house(SETTINGS) as house:
        _, ann, _ = await furnished(house)
        found = (await ann.get(ONE + "/history")).json
        assert [(one["id"], one["label"]) for one in found["windows"]] == [("5h", "5 hours")]
        points = found["windows"][0]["points"]
        assert len(points) == 500 and points[-1]["usedPercent"] == 1999 / 21
        assert [one["at"] for one in points] == sorted(one["at"] for one in points)
        longer = (await ann.get(ONE + "/history?days=30&window=7d")).json
        assert [[one["id"], len(one["points"])] for one in longer["windows"]] == [["7d", 1]]
        for query in ("days=0", "days=x", "days=1e999", "since=1"):
            assert (await ann.get(f"{ONE}/history?{query}")).status == 400, query


async def test_figures_name_the_login_and_the_window_and_no_more(autojump_clock: MockClock) -> None:
    async with open_house(SETTINGS) as house:
        await furnished(house)
        text = house.services.metrics.render().decode()
        assert 'edgebotd_account_used_percent{profile="acme:work",window="5h"} 97.5' in text
        assert 'edgebotd_account_usage_failing{profile="acme:work"} 0.0' in text
        assert 'edgebotd_account_resets_timestamp_seconds{profile="acme:work",window="5h"}' in text
        record = house.services.profiles.usage._record(house.services.profiles.vault.get("acme:work"))
        kinds: tuple[tuple[UsageErrorKind, float], ...] = (("http", 1.0), ("unsupported", 0.0))
        for kind, failing in kinds:
            record.fail(Trouble(kind, "x"), 1, 1)
            line = f'edgebotd_account_usage_failing{{profile="acme:work"}} {failing}'
            assert line in house.services.metrics.render().decode(), "nobody is to be called for what is for good"
        assert SECRET not in text and "max" not in text.replace("_max", "")
        assert 'edgebotd_account_deliveries_total{outcome="failed"} 0.0' in text
        assert 'edgebotd_alert_messages_total{channel="phone",outcome="sent"} 0.0' in text


async def test_what_is_known_is_part_of_the_snapshot(autojump_clock: MockClock) -> None:
    async with open_house(SETTINGS) as house:
        _, ann, _ = await furnished(house)
        answer = await ann.get("/api/events/poll?wait=0")
        told = [one for one in answer.json["events"] if one["type"] == "auth-profiles:usage-updated"]
        assert [one["profileId"] for one in told] == ["acme:work"] and not told[0].get("billing")
