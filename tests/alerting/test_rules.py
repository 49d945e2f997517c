"""When somebody is needed: bots that are down or silent, accounts that fill up, refreshes that fail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from edgebotd.alerting.intake import RANK
from edgebotd.alerting.profiles import level
from edgebotd.config import AlertsSettings
from edgebotd.events import AuthProfileUsage, BotState, UsageWindow
from edgebotd.store import deliveries, profiles
from edgebotd.store.database import Transaction, open_database
from edgebotd.store.deliveries import Severity
from edgebotd.store.profiles import Profile
from tests.alerting.house import House, open_house
from tests.web.house import Clock

SETTINGS = AlertsSettings()
THRESHOLDS: dict[Severity, float] = {"info": 80, "warning": 95, "critical": 100}


async def rounds(house: House, seconds: float) -> dict[str, str]:
    """Look every 10 s for so long; return what is open, with its severity."""
    for _ in range(int(seconds // 10)):
        await house.alerting.look()
        await trio.sleep(10)
    await house.alerting.look()
    return {alert_id: alert.severity for alert_id, alert in (await house.open()).items()}


async def told(house: House) -> list[str]:
    def read(conn: Any) -> list[str]:
        rows = conn.execute(
            "SELECT json_extract(data, '$.alertId') || ' ' || json_extract(data, '$.state') || ' '"
            " || json_extract(data, '$.severity') FROM alerts_told ORDER BY number"
        )
        return [row for (row,) in rows]

    return await house.database.read(read)


async def last_detail(house: House) -> str | None:
    """Return what the last alert said to do; what is mended says of nothing that nothing is left to do."""
    found = await house.database.read(lambda conn: deliveries.told(conn, 100))
    return found[-1][1].detail


async def test_a_bot_that_is_down_for_long(autojump_clock: MockClock) -> None:
    async with open_house(SETTINGS, run=False) as house:
        house.bots.set("atlas", BotState.DISCONNECTED, "The gateway takes no connection.")
        assert await rounds(house, 280) == {}
        # It tries: that is not connected either.
        house.bots.set("atlas", BotState.CONNECTING)
        house.bots.set("atlas", BotState.DISCONNECTED, "The gateway takes no connection.")
        assert await rounds(house, 30) == {"bot:atlas:down": "critical"}
        alert = (await house.open())["bot:atlas:down"]
        assert (alert.title, alert.bot_id) == ("Atlas has not been connected for 5 min", "atlas")
        assert alert.detail == "The gateway takes no connection."
        await rounds(house, 3600)
        house.bots.set("atlas", BotState.CONNECTED)
        assert await rounds(house, 10) == {}
        assert await told(house) == ["bot:atlas:down open critical", "bot:atlas:down resolved critical"]


async def test_a_bot_that_is_away_on_purpose(autojump_clock: MockClock) -> None:
    async with open_house(SETTINGS, run=False) as house:
        house.bots.set("atlas", BotState.STOPPED)
        house.bots.away.add("atlas")
        assert await rounds(house, 3600) == {}
        house.bots.away.clear()
        assert await rounds(house, 290) == {}
        assert await rounds(house, 20) == {"bot:atlas:down": "critical"}
        house.bots.away.add("atlas")
        assert await rounds(house, 0) == {}
        house.bots.away.clear()
        await rounds(house, 310)
        house.bots.summaries.clear()
        assert await rounds(house, 0) == {}


async def test_a_bot_of_which_nothing_comes(autojump_clock: MockClock) -> None:
    async with open_house(SETTINGS, run=False) as house:
        house.bots.set("atlas", BotState.CONNECTED)
        house.bots.runs["atlas"] = {"r": 1}
        assert await rounds(house, 1190) == {}
        house.bots.runs["atlas"] = {"r": 2}
        assert await rounds(house, 1190) == {}
        assert await rounds(house, 30) == {"bot:atlas:silent": "warning"}
        house.bots.runs["atlas"]["r"] += 1
        assert await rounds(house, 0) == {}
        await rounds(house, 1220)
        house.bots.runs["atlas"] = {}
        assert await rounds(house, 0) == {}
        house.bots.runs["atlas"] = {"s": 1}
        await rounds(house, 1220)
        house.bots.set("atlas", BotState.DISCONNECTED)
        assert await rounds(house, 0) == {}
        assert len(await told(house)) == 6
        assert await last_detail(house) == "That has an alert of its own, if it stays so."


async def test_a_restart_tells_nothing_twice(autojump_clock: MockClock) -> None:
    clock = Clock()
    async with open_database(None) as database:
        async with open_house(SETTINGS, database=database, clock=clock, run=False) as house:
            house.bots.set("atlas", BotState.CONNECTED)
            house.bots.set("iris", BotState.DISCONNECTED)
            house.bots.runs["atlas"] = {"r": 1}
            house.alerting.usage.take(usage(house, 96))
            await add(house, Profile("p:a", "p", "oauth"))
            assert len(await rounds(house, 1210)) == 3
        async with open_house(SETTINGS, database=database, clock=clock, run=False) as house:
            house.bots.set("atlas", BotState.CONNECTED)
            house.bots.set("iris", BotState.DISCONNECTED)
            house.bots.runs["atlas"] = {"r": 1}
            house.alerting.usage.take(usage(house, 96))
            assert len(await rounds(house, 1300)) == 3
            house.bots.runs["atlas"]["r"] += 1
            house.bots.set("iris", BotState.CONNECTED)
            house.alerting.usage.take(usage(house, 10))
            assert await rounds(house, 0) == {}
            assert len(await told(house)) == 6


# Accounts


async def add(house: House, profile: Profile) -> None:
    await house.database.write(lambda tx: profiles.add(tx.connection, profile, None))


async def change(house: House, profile: Profile) -> None:
    def write(tx: Transaction) -> None:
        was = profiles.get(tx.connection, profile.id)
        assert was is not None and profiles.replace(tx.connection, profile, was=was)

    await house.database.write(write)


def usage(house: House, percent: float, resets_in: float | None = 3600) -> AuthProfileUsage:
    resets_at = None if resets_in is None else house.clock() + round(resets_in * 1000)
    window = UsageWindow(id="5h", label="5h", used_percent=percent, resets_at=resets_at)
    return AuthProfileUsage(profile_id="p:a", windows=(window,), fetched_at=house.clock())


async def test_a_window_that_fills_up_and_starts_anew(autojump_clock: MockClock) -> None:
    async with open_house(SETTINGS, run=False) as house:
        await add(house, Profile("p:a", "p", "oauth"))
        key = "profile:p:a:5h"
        for percent, severity in (
            (79, None),
            (80, "info"),
            (94, "info"),
            (95, "warning"),
            (93, "warning"),  # not enough less
            (91, "info"),
            (78, "info"),
            (96, "warning"),
            (100, "critical"),
        ):
            house.alerting.usage.take(usage(house, percent))
            assert (await rounds(house, 10)).get(key) == severity, percent
        assert (await house.open())[key].title == "p:a: 100 % of 5h is used"
        # No new word from the provider: the window is over all the same, and what was read is of the old one.
        assert await rounds(house, 3600) == {}
        house.alerting.usage.take(usage(house, 100, resets_in=-60))
        assert await rounds(house, 10) == {}
        house.alerting.usage.take(usage(house, 100, resets_in=None))
        assert await rounds(house, 10) == {key: "critical"}
        house.alerting.usage.take(AuthProfileUsage(profile_id="p:a", fetched_at=house.clock()))
        assert await rounds(house, 10) == {}
        house.alerting.usage.take(usage(house, 96))
        assert await rounds(house, 10) == {key: "warning"}
        # The settings of its provider say no more where to ask.
        house.alerting.usage.take(AuthProfileUsage(profile_id="p:a"))
        assert await rounds(house, 10) == {}
        assert (await told(house))[-1] == f"{key} resolved warning"


async def test_a_window_whose_name_has_a_colon_stays_open(autojump_clock: MockClock) -> None:
    async with open_house(SETTINGS, run=False) as house:
        await add(house, Profile("p:a", "p", "oauth"))
        event = usage(house, 96)
        window = event.windows[0].model_copy(update={"id": "week:opus"})
        house.alerting.usage.take(event.model_copy(update={"windows": (window,)}))
        assert await rounds(house, 60) == {"profile:p:a:week:opus": "warning"}
        assert len(await told(house)) == 1


@given(st.lists(st.floats(0, 120), min_size=1), st.floats(0, 10))
def test_a_severity_is_kept_within_the_hysteresis_and_never_above_its_threshold(
    used: list[float], hysteresis: float
) -> None:
    before: Severity | None = None
    for one in used:
        now = level(one, THRESHOLDS, before, hysteresis)
        bare = level(one, THRESHOLDS, None, hysteresis)
        if now is None:
            assert bare is None
        else:
            assert one >= THRESHOLDS[now] - hysteresis
            assert bare is None or RANK[now] >= RANK[bare]
            assert now == bare or (before is not None and RANK[now] <= RANK[before])
        before = now


@pytest.mark.parametrize("end", ["fresh", "needs_login", "gone"])
async def test_a_refresh_that_keeps_failing(autojump_clock: MockClock, end: str) -> None:
    async with open_house(SETTINGS, run=False) as house:
        key, hour = "profile:p:a:refresh", house.clock() + 3_600_000
        profile = Profile("p:a", "p", "oauth", state="fresh", expires_at=hour)
        await add(house, profile)
        assert await rounds(house, 10) == {}
        failing = replace(profile, state="backoff", attempts=2, reason="The provider answers with the status 503.")
        await change(house, failing)
        assert await rounds(house, 10) == {}
        await change(house, replace(failing, attempts=3))
        assert await rounds(house, 10) == {key: "warning"}
        said = "The provider answers with the status 503. It is tried again by itself."
        assert (await house.open())[key].detail == said
        # While it tries it is no better.
        await change(house, replace(failing, state="refreshing", attempts=3))
        assert await rounds(house, 3600) == {key: "critical"}
        if end == "gone":
            await house.tell("profile:p:a:login", severity="critical")
            await house.database.write(lambda tx: profiles.remove(tx.connection, "p:a"))
        elif end == "fresh":
            await change(house, replace(profile, expires_at=hour * 2))
        else:
            await change(house, replace(profile, state="needs_login"))
        assert await rounds(house, 10) == {}
        said = "That has an alert of its own: somebody has to log in."
        assert await last_detail(house) == (said if end == "needs_login" else None)
