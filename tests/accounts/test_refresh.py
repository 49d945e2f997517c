"""The refresher under virtual time: when it asks, what becomes of each answer, and who gets a token meanwhile."""

from __future__ import annotations

import dataclasses
import logging
from email.utils import formatdate
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from edgebotd.accounts.http import Answer
from edgebotd.accounts.refresh_alerts import RefreshAlerts
from edgebotd.accounts.schedule import BACKOFF_CAP_MS, BACKOFF_MS, LAST_TRY_MS
from edgebotd.config import ProviderSettings
from edgebotd.errors import Conflict, Problem
from edgebotd.store.alerts import open_alerts
from edgebotd.store.database import open_database
from edgebotd.store.profiles import Profile
from tests.accounts.provider import ID, START, TTL_S, FakeProvider, clock, oauth, open_desk, until

LEAD_MS = TTL_S * 100


async def test_a_token_is_refreshed_before_its_end_and_the_next_is_planned(autojump_clock: MockClock) -> None:
    acme = FakeProvider()
    async with open_desk(acme.call) as desk:
        login = acme.login()
        made = await desk.add(login)
        assert made.expires_at is not None
        await until(lambda: desk.profile.generation == 2)
        early = made.expires_at - clock()
        assert LEAD_MS - 5000 <= early <= LEAD_MS + 60_000
        assert (desk.profile.state, desk.profile.claim, desk.profile.attempts) == ("fresh", None, 0)
        assert desk.profile.refreshed_at is not None and acme.newest(await desk.vault.login(ID))
        assert desk.profile.expires_at is not None and desk.profile.next_at is not None
        lead = desk.profile.expires_at - desk.profile.next_at
        assert LEAD_MS <= lead <= LEAD_MS + 60_000
        assert await desk.outcomes() == ["refreshed"] and await desk.alerts() == []
        await until(lambda: desk.profile.generation == 5)
        assert len(acme.asked) == 4 and not acme.dead


@pytest.mark.parametrize(
    ("lead_seconds", "lifetime_s", "lead_s"),
    [(None, 3600, 360), (None, 600, 300), (None, 60, 30), (None, 20_000, 2000), (120.0, 3600, 120), (900.0, 1000, 500)],
)
async def test_how_early(autojump_clock: MockClock, lead_seconds: float | None, lifetime_s: int, lead_s: int) -> None:
    acme = FakeProvider()
    async with open_desk(acme.call, oauth(lead_seconds=lead_seconds)) as desk:
        await desk.add(acme.login(), seconds=lifetime_s, lifetime_ms=lifetime_s * 1000)
        await until(lambda: len(acme.asked) == 1)
        assert abs(trio.current_time() - (lifetime_s - lead_s)) < 5


@pytest.mark.parametrize(("fault", "wait"), [(429, None), (503, None), (408, None), ("unsent", None), (429, "700")])
async def test_what_was_not_looked_at_is_asked_again_with_the_same_token(
    autojump_clock: MockClock, fault: int | str, wait: str | None
) -> None:
    acme = FakeProvider(retry_after=wait)
    acme.faults.extend([fault] * 2)
    async with open_desk(acme.call) as desk:
        login = acme.login()
        await desk.add(login, seconds=4 * 3600, next_at=clock())
        await until(lambda: desk.profile.state == "backoff")
        assert desk.profile.next_at is not None and desk.profile.attempts == 1
        pause = desk.profile.next_at - clock()
        assert pause <= BACKOFF_MS if wait is None else 699_000 <= pause <= 700_000
        assert (await desk.refresher.access_token(ID)).token == login.access
        await until(lambda: desk.profile.state == "fresh")
        assert set(acme.asked) == {login.refresh} and await desk.outcomes() == ["backoff", "backoff", "refreshed"]
        assert wait is None or trio.current_time() >= 1400


async def test_waits_double_up_to_a_cap_and_never_pass_the_tokens_end_untried(autojump_clock: MockClock) -> None:
    acme = FakeProvider(retry_after="36000")
    acme.faults.append(503)
    async with open_desk(acme.call) as desk:
        made = await desk.add(acme.login())
        await until(lambda: desk.profile.state == "backoff")
        assert made.expires_at is not None and desk.profile.next_at == made.expires_at - LAST_TRY_MS
        await until(lambda: desk.profile.state == "fresh")
        assert made.expires_at - LAST_TRY_MS <= clock() < made.expires_at


async def test_what_keeps_failing_is_tried_on_and_left_to_the_rule_of_alerts(autojump_clock: MockClock) -> None:
    acme = FakeProvider()
    acme.faults.extend([503] * 7)
    async with open_desk(acme.call) as desk:
        await desk.add(acme.login())
        await until(lambda: desk.profile.attempts == 7, 10 * 86_400)
        with pytest.raises(Problem, match="refuses for now"):
            await desk.refresher.access_token(ID)
        assert desk.profile.next_at is not None and desk.profile.next_at - clock() <= BACKOFF_CAP_MS
        await until(lambda: desk.profile.state == "fresh")
        assert await desk.alerts() == []


@pytest.mark.parametrize("fault", ["lost", "garbled"])
async def test_after_a_lost_answer_the_token_serves_to_its_end_and_then_one_try_is_made(
    autojump_clock: MockClock, fault: str
) -> None:
    acme = FakeProvider()
    acme.faults.append(fault)
    async with open_desk(acme.call) as desk:
        login = acme.login()
        made = await desk.add(login)
        await until(lambda: desk.profile.state == "uncertain")
        assert made.expires_at is not None and desk.profile.next_at == made.expires_at - LAST_TRY_MS
        assert login.access is not None and acme.works(login.access), "which a second try would have ended"
        assert (await desk.refresher.access_token(ID)).token == login.access
        with pytest.raises(Conflict, match="log in again"):
            await desk.refresher.refresh_now(ID)
        await until(lambda: desk.profile.state == "needs_login")
        assert clock() >= made.expires_at - LAST_TRY_MS and len(acme.asked) == 2
        assert (await desk.refresher.access_token(ID)).token == login.access
        await trio.sleep(20_000)
        assert len(acme.asked) == 2 and await desk.outcomes() == ["uncertain", "needs_login"]
        assert await desk.alerts() == [(f"profile:{ID}:login", "open")]


async def test_a_lost_answer_of_a_provider_that_had_not_rotated_is_made_good(autojump_clock: MockClock) -> None:
    acme = FakeProvider(rotates=False)
    acme.faults.append("lost")
    async with open_desk(acme.call) as desk:
        await desk.add(acme.login())
        await until(lambda: desk.profile.state == "uncertain")
        await until(lambda: desk.profile.state == "fresh")
        assert desk.profile.uncertain_at is None and await desk.outcomes() == ["uncertain", "refreshed"]


async def test_doubt_stays_over_what_says_nothing(autojump_clock: MockClock) -> None:
    acme = FakeProvider()
    acme.faults.extend(["lost", 503, "unsent"])
    async with open_desk(acme.call) as desk:
        await desk.add(acme.login())
        await until(lambda: desk.profile.state == "needs_login")
        assert await desk.outcomes() == ["uncertain", "uncertain", "uncertain", "needs_login"]


async def test_within_the_grace_a_lost_answer_is_asked_for_once_more(autojump_clock: MockClock) -> None:
    acme = FakeProvider(grace=True)
    acme.faults.extend(["lost"])
    async with open_desk(acme.call, oauth(reuse_grace_seconds=60.0)) as desk:
        await desk.add(acme.login())
        await until(lambda: desk.profile.state == "uncertain")
        at = clock()
        await until(lambda: desk.profile.state == "fresh")
        assert clock() - at < 5000 and acme.asked[0] == acme.asked[1]
        assert acme.newest(await desk.vault.login(ID))


async def test_within_the_grace_it_is_once_and_no_more(autojump_clock: MockClock) -> None:
    acme = FakeProvider(grace=True)
    acme.faults.extend(["lost", "lost"])
    async with open_desk(acme.call, oauth(reuse_grace_seconds=600.0)) as desk:
        made = await desk.add(acme.login())
        await until(lambda: len(acme.asked) == 2)
        await until(lambda: desk.profile.state == "uncertain")
        assert made.expires_at is not None and desk.profile.next_at == made.expires_at - LAST_TRY_MS


async def test_where_a_token_serves_for_ever_a_lost_answer_is_no_doubt(autojump_clock: MockClock) -> None:
    acme = FakeProvider(rotates=False)
    acme.faults.append("lost")
    async with open_desk(acme.call, oauth(rotates="no")) as desk:
        await desk.add(acme.login())
        await until(lambda: desk.profile.generation == 2)
        assert await desk.outcomes() == ["backoff", "refreshed"]


@pytest.mark.parametrize(
    ("profile_id", "command"),
    [("acme:default", "accounts login acme."), ("acme:work", "accounts login acme --name work.")],
)
def test_what_needs_a_login_is_told_with_the_command_that_mends_this_one(profile_id: str, command: str) -> None:
    dead = Profile(profile_id, "acme", "oauth", state="needs_login", reason="It is over.")
    (alert,) = RefreshAlerts().changes(profile_id, dead, 1)
    assert alert.detail is not None and alert.detail.endswith(command)


@pytest.mark.parametrize(
    ("changes", "todo"),
    [
        ({"owner": "external", "place": "claude:/x"}, "in the program that refreshes it"),
        ({"type": "api_key"}, f"edgebotd accounts secret {ID}"),
    ],
)
async def test_a_login_that_is_over_without_a_refresh_is_told_too(
    autojump_clock: MockClock, changes: dict[str, Any], todo: str
) -> None:
    acme = FakeProvider()
    async with open_desk(acme.call) as desk:
        fields = {"type": "oauth", "state": "fresh", "expires_at": clock() + TTL_S * 1000, **changes}
        await desk.vault.add(Profile(ID, "acme", **fields), acme.login())
        await trio.sleep(1)
        assert await desk.alerts() == []
        await desk.vault.change(desk.profile, dataclasses.replace(desk.profile, state="needs_login", reason="Gone."))
        await trio.sleep(60)
        assert await desk.alerts() == [(f"profile:{ID}:login", "open")]
        (alert,) = await desk.database.read(open_alerts)
        assert alert.detail is not None and todo in alert.detail
        await desk.vault.change(desk.profile, dataclasses.replace(desk.profile, state="fresh", reason=None))
        await trio.sleep(60)
        assert await desk.alerts() == [(f"profile:{ID}:login", "open"), (f"profile:{ID}:login", "resolved")]
        assert acme.asked == []


async def test_a_revoked_login_is_over_until_a_person_logs_in(autojump_clock: MockClock) -> None:
    acme = FakeProvider()
    async with open_desk(acme.call) as desk:
        login = acme.login()
        await desk.add(login)
        acme.revoke(login)
        await until(lambda: desk.profile.state == "needs_login")
        await trio.sleep(20_000)
        assert len(acme.asked) == 1 and await desk.alerts() == [(f"profile:{ID}:login", "open")]
        with pytest.raises(Conflict):
            await desk.refresher.refresh_now(ID)
        with pytest.raises(Problem, match="does not take the login"):
            await desk.refresher.access_token(ID)
        was = desk.profile
        fresh = dataclasses.replace(was, state="fresh", reason=None, expires_at=clock() + TTL_S * 1000, next_at=None)
        new = acme.login()
        await desk.vault.change(was, fresh, new)
        assert (await desk.refresher.access_token(ID)).token == new.access
        await until(lambda: desk.profile.generation == 3)
        assert await desk.alerts() == [(f"profile:{ID}:login", "open"), (f"profile:{ID}:login", "resolved")]


async def test_an_alert_of_a_login_that_is_removed_is_resolved(autojump_clock: MockClock) -> None:
    acme = FakeProvider()
    async with open_desk(acme.call) as desk:
        login = acme.login()
        await desk.add(login, next_at=clock())
        acme.revoke(login)
        await until(lambda: desk.profile.state == "needs_login")
        await desk.vault.remove(ID)
        await trio.sleep(1)
        assert (await desk.alerts())[-1] == (f"profile:{ID}:login", "resolved")


async def test_a_login_in_the_middle_of_a_refresh_stays_whatever_comes_of_it(autojump_clock: MockClock) -> None:
    acme = FakeProvider(hold=trio.Event())
    for removed in (False, True):
        acme.hold = trio.Event()
        async with open_desk(acme.call) as desk:
            await desk.add(acme.login(), next_at=clock())
            await until(lambda: acme.at_once == 1)
            was, new = desk.profile, acme.login()
            if removed:
                await desk.vault.remove(ID)
                await desk.add(new)
            else:
                now = dataclasses.replace(was, state="fresh", claim=None, expires_at=clock() + 9_000_000, next_at=None)
                assert await desk.vault.change(was, now, new)
            acme.hold.set()
            await trio.sleep(10)
            assert await desk.vault.login(ID) == new and desk.profile.state == "fresh"
            assert desk.profile.claim is None and acme.newest(new)


async def test_a_refused_client_waits_for_other_settings(autojump_clock: MockClock) -> None:
    async def refuses(*args: object, **more: object) -> Answer:
        return Answer(401, {}, b'{"error": "invalid_client"}')

    acme = FakeProvider()
    async with open_database(None, now=START) as database:
        async with open_desk(refuses, database=database) as desk:
            login = acme.login()
            await desk.add(login, next_at=clock())
            await until(lambda: desk.profile.state == "misconfigured")
            assert (await desk.refresher.access_token(ID)).token == login.access
        async with open_desk(acme.call, database=database, life=2) as desk:
            await trio.sleep(7200)
            assert desk.profile.state == "misconfigured" and not acme.asked
        async with open_desk(
            acme.call, oauth(client_auth="post", client_secret="new"), database=database, life=3
        ) as desk:
            await until(lambda: desk.profile.state == "fresh")
            assert await desk.alerts() == []


async def test_without_settings_a_login_waits_for_them(autojump_clock: MockClock) -> None:
    acme = FakeProvider()
    async with open_database(None, now=START) as database:
        async with open_desk(acme.call, database=database, providers={}) as desk:
            await desk.add(acme.login(), next_at=clock())
            await until(lambda: desk.profile.state == "misconfigured")
        async with open_desk(acme.call, database=database, life=2) as desk:
            await until(lambda: desk.profile.state == "fresh")


async def test_a_token_that_is_refused_is_refreshed_once_for_each_generation(autojump_clock: MockClock) -> None:
    acme = FakeProvider()
    async with open_desk(acme.call) as desk:
        await desk.add(acme.login(), seconds=9000)
        acme.faults.append(503)
        assert desk.refresher.rejected(ID, 1)
        await until(lambda: desk.profile.state == "backoff")
        assert not desk.refresher.rejected(ID, 1), "once is enough, whatever came of it"
        await until(lambda: desk.profile.generation == 2)
        assert not desk.refresher.rejected(ID, 1), "an old token says nothing of the new one"
        assert desk.refresher.rejected(ID, 2)
        await until(lambda: desk.profile.generation == 3)
        assert not desk.refresher.rejected("acme:nobody", 1)


async def test_a_person_may_refresh_now_and_is_told_what_came_of_it(autojump_clock: MockClock) -> None:
    acme = FakeProvider(seconds=3)
    async with open_desk(acme.call) as desk:
        await trio.sleep(60)
        await desk.add(acme.login(), seconds=9000)
        assert (await desk.refresher.refresh_now(ID)).generation == 2
        with pytest.raises(Conflict, match="ten seconds"):
            await desk.refresher.refresh_now(ID)
        acme.faults.append(503)
        await trio.sleep(11)
        assert (await desk.refresher.refresh_now(ID)).state == "backoff"


async def test_whoever_needs_a_token_that_has_ended_waits_for_the_next(autojump_clock: MockClock) -> None:
    acme = FakeProvider(seconds=4)
    async with open_desk(acme.call) as desk:
        await desk.add(acme.login(), seconds=0)
        access = await desk.refresher.access_token(ID)
        assert (access.generation, trio.current_time() >= 4) == (2, True) and "canary" not in repr(access)


async def test_a_good_token_is_given_while_the_next_is_fetched(autojump_clock: MockClock) -> None:
    acme = FakeProvider(hold=trio.Event())
    async with open_desk(acme.call) as desk:
        login = acme.login()
        await desk.add(login, next_at=clock())
        await until(lambda: desk.profile.state == "refreshing")
        before = trio.current_time()
        assert (await desk.refresher.access_token(ID)).token == login.access and trio.current_time() == before
        assert acme.hold is not None
        acme.hold.set()


async def test_stopping_waits_for_an_answer_that_is_under_way(autojump_clock: MockClock) -> None:
    acme = FakeProvider(seconds=8)
    async with open_database(None, now=START) as database:
        async with open_desk(acme.call, database=database) as desk:
            await desk.add(acme.login(), next_at=clock())
            await until(lambda: acme.at_once == 1)
        async with open_desk(acme.call, database=database, run=False, life=2) as desk:
            assert acme.newest(await desk.vault.login(ID)) and desk.profile.state == "fresh"


async def test_from_the_beginning_of_a_stop_no_refresh_begins(autojump_clock: MockClock) -> None:
    acme = FakeProvider(seconds=8)
    async with open_desk(acme.call) as desk:
        for number in range(10):
            await desk.add(acme.login(), f"acme:{number}", next_at=clock())
        await until(lambda: acme.at_once == 8)
        assert set(desk.refresher.begin_to_stop().values()) == {60.0}
        await trio.sleep(4000)
        assert len(acme.asked) == 8, "neither those in line nor what has become due"
        (idle, *_) = [one for one in desk.vault.all() if one.generation == 1]
        with pytest.raises(Conflict, match="is stopping"):
            await desk.refresher.refresh_now(idle.id)
        with pytest.raises(Problem, match="There is no token"):
            await desk.refresher.access_token(idle.id)
        assert desk.refresher.begin_to_stop() == {}


async def test_a_claim_that_a_start_finds_is_a_doubt_and_not_tried(autojump_clock: MockClock) -> None:
    acme = FakeProvider()
    async with open_desk(acme.call, run=False) as desk:
        made = await desk.add(acme.login(), claim="1-abc", claimed_at=clock(), state="refreshing", next_at=clock())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(desk.refresher.run)
            await until(lambda: desk.profile.state == "uncertain")
            assert made.expires_at is not None and desk.profile.next_at == made.expires_at - LAST_TRY_MS
            await trio.sleep(3000)
            assert not acme.asked and desk.profile.claim is None and await desk.outcomes() == ["uncertain"]
            nursery.cancel_scope.cancel()


async def test_after_a_suspend_all_times_are_looked_at_anew(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    acme, ahead = FakeProvider(), 0

    def now() -> int:
        return clock() + ahead

    async with open_desk(acme.call, now=now) as desk:
        await desk.add(acme.login())
        await trio.sleep(10)
        ahead = 50 * 60_000 + 5 * 60_000
        await trio.sleep(31)
        assert desk.profile.generation == 2 and "suspended" in caplog.text


async def test_the_providers_clock_is_remembered(autojump_clock: MockClock) -> None:
    acme = FakeProvider(date=formatdate(START / 1000 + 7200, usegmt=True))
    async with open_desk(acme.call) as desk:
        await desk.add(acme.login(), next_at=clock())
        await until(lambda: desk.profile.generation == 2)
        assert abs(desk.profile.skew_ms - 7_200_000) < 2000
        assert desk.profile.expires_at is not None and abs(desk.profile.expires_at - clock() - TTL_S * 1000) < 2000


async def test_two_hundred_that_are_due_at_once_go_in_line(autojump_clock: MockClock) -> None:
    acme = FakeProvider(seconds=1)
    async with open_desk(acme.call) as desk:
        for number in range(200):
            await desk.add(acme.login(), f"acme:{number}", next_at=START + 60_000)
        await until(lambda: all(profile.generation == 2 for profile in desk.vault.all()))
        assert acme.most_at_once == 8 and len(acme.asked) == 200 and not acme.dead
        assert trio.current_time() < 60 + 200 / 8 + 5


async def test_a_provider_that_asks_for_quiet_is_left_alone_by_all_its_logins(autojump_clock: MockClock) -> None:
    acme = FakeProvider(retry_after="600")
    acme.faults.extend([429] * 8)
    async with open_desk(acme.call) as desk:
        for number in range(50):
            await desk.add(acme.login(), f"acme:{number}", next_at=START + 1000)
        await trio.sleep(500)
        assert len(acme.asked) == 8
        await until(lambda: all(profile.generation == 2 for profile in desk.vault.all()))
        assert len(acme.asked) == 58


async def test_no_token_is_told_or_logged(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    acme = FakeProvider()
    acme.faults.extend([503, "lost", "garbled", 429])
    async with open_desk(acme.call) as desk:
        await desk.add(acme.login())
        await until(lambda: desk.profile.state == "needs_login")
        told = [*await desk.told(), *await desk.told("alert")]
        assert "canary" not in str(told) + str(desk.vault.all()) + caplog.text


async def test_the_settings_of_other_providers_do_not_matter(autojump_clock: MockClock) -> None:
    acme = FakeProvider()
    providers = {"acme": ProviderSettings(oauth=oauth()), "other": ProviderSettings()}
    async with open_desk(acme.call, providers=providers) as desk:
        await desk.add(acme.login(), next_at=clock())
        await desk.add(acme.login(), "other:one", next_at=clock())
        await until(lambda: desk.vault.get("other:one").state == "misconfigured")
        await until(lambda: desk.profile.generation == 2)
