"""The job: who is asked when, what is told, and what a restart, a refresh and a new login make of it."""

from __future__ import annotations

import dataclasses
import json
import random
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from edgebotd.accounts.cipher import Cipher, new_key
from edgebotd.accounts.http import MOST_BYTES, Answer, Unanswered
from edgebotd.accounts.lanes import Lanes
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.usage.cache import UsageCache
from edgebotd.accounts.vault import Vault, load_vault
from edgebotd.config import ProviderSettings
from edgebotd.errors import Conflict, EdgebotdError, NotFound, Problem
from edgebotd.events import AuthProfileUsage
from edgebotd.store import bots as bot_rows
from edgebotd.store import usage as rows
from edgebotd.store.bots import StoredBot
from edgebotd.store.database import Database, open_database
from edgebotd.store.profiles import Profile
from tests.protocol.usage_answers import NOW, USAGE_STATUS

KEY = new_key()
ID = "acme:work"
PROFILE = Profile(ID, "acme", "oauth", state="fresh")
HOUR = 3600.0
MINUTE = 60.0
RESET = NOW + 4 * 3_600_000


def now() -> int:
    return NOW + round(trio.current_time() * 1000)


def settings(kind: str = "json", interval: float = 300.0, path: str = "usage") -> dict[str, ProviderSettings]:
    usage: dict[str, Any] = {"kind": kind, "url": f"https://acme.example/{path}", "interval_seconds": interval}
    if kind == "json":
        usage["windows"] = [{"id": "w", "percent": "used", "resets_at": "at", "seconds": 18000.0}]
    return {"acme": ProviderSettings.model_validate({"usage": usage})}


@dataclass
class FakeProvider:
    """Answers with `used`, or with the next of `faults`: a status, or "silence"."""

    used: float = 10.0
    resets_at: int = RESET
    faults: deque[int | str] = field(default_factory=deque)
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.5
    asked: list[tuple[float, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        seconds: float = 30.0,
        most: int = MOST_BYTES,
    ) -> Answer:
        self.asked.append((trio.current_time(), (headers or {})["Authorization"].removeprefix("Bearer ")))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await trio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        fault = self.faults.popleft() if self.faults else 200
        if fault == "silence":
            raise Unanswered("acme.example did not answer.")
        body = json.dumps({"used": self.used, "at": self.resets_at} if fault == 200 else {"error": "scope"}).encode()
        return Answer(int(fault), self.headers, body)

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.asked]


@dataclass
class House:
    database: Database
    vault: Vault
    provider: FakeProvider
    lanes: Lanes
    told: list[AuthProfileUsage] = field(default_factory=list)
    rejected: list[tuple[str, int]] = field(default_factory=list)
    watched: bool = True
    gateways: FakeGateways | None = None

    async def add(self, profile: Profile = PROFILE, secret: str = "first") -> Profile:
        return await self.vault.add(profile, Login(access=f"access-{secret}", refresh=f"refresh-{secret}"))

    async def change(self, secret: str | None = None, *, renewed: bool = False, **changes: Any) -> Profile:
        was = self.vault.get(ID)
        login = None if secret is None else Login(access=f"access-{secret}", refresh=f"refresh-{secret}")
        changed = await self.vault.change(was, dataclasses.replace(was, **changes), login, renewed=renewed)
        assert changed is not None
        return changed

    @asynccontextmanager
    async def cache(
        self, kind: str = "json", interval: float = 300.0, path: str = "usage"
    ) -> AsyncIterator[UsageCache]:
        """Run a life of the job."""
        cache = UsageCache(
            self.vault,
            self.database,
            settings(kind, interval, path),
            self.provider.call,
            self.lanes,
            publish=self.told.append,
            rejected=lambda profile_id, generation: self.rejected.append((profile_id, generation)),
            watched=lambda: self.watched,
            gateways=self.gateways,
            now=now,
            rng=random.Random(1),
        )
        await cache.load()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cache.run)
            yield cache
            nursery.cancel_scope.cancel()


@dataclass
class FakeGateways:
    answer: dict[str, Any] | None = None
    asked: list[str] = field(default_factory=list)

    async def usage_status(self, bot_id: str) -> Mapping[str, Any]:
        self.asked.append(bot_id)
        await trio.sleep(0.1)
        if self.answer is None:
            raise EdgebotdError("It is not connected.")
        return self.answer


@asynccontextmanager
async def house(path: Path | None = None) -> AsyncIterator[House]:
    async with open_database(path) as database:
        vault = await load_vault(database, Cipher(KEY), now=now)
        yield House(database, vault, FakeProvider(), Lanes())


async def test_a_login_is_asked_about_again_and_again_and_only_a_change_is_told(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache() as cache:
        await it.add()
        await trio.sleep(1)
        assert [window.used_percent for window in it.told[-1].windows] == [10.0]
        assert it.told[-1].fetched_at == NOW + 500 and it.told[-1].source == "poll"
        it.provider.used = 10.9
        it.provider.resets_at += 700
        await trio.sleep(3 * HOUR)
        assert len(it.told) == 1, "less than a point, and the clock's wobble"
        assert 30 <= len(it.provider.asked) <= 41
        gaps = [b - a for a, b in zip(it.provider.times, it.provider.times[1:], strict=False)]
        assert all(269 <= gap <= 332 for gap in gaps) and len(set(gaps)) > 10
        fetched = cache.of(ID).fetched_at
        assert fetched is not None and fetched > now() - 331_000, "what is told to who asks is up to date"
        it.provider.used = 11.9
        await trio.sleep(6 * MINUTE)
        assert len(it.told) == 2
        for used in (79.9, 80.1, 80.4):
            it.provider.used = used
            await trio.sleep(6 * MINUTE)
        assert [event.windows[0].used_percent for event in it.told[2:]] == [79.9, 80.1], "a threshold was crossed"


async def test_nobody_is_asked_about_without_a_way_to(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache("none") as cache:
        await it.add()
        await it.add(dataclasses.replace(PROFILE, id="other:x", provider="other"))
        await trio.sleep(HOUR)
        assert it.provider.asked == [] and it.told == [] and cache.all() == []
        assert cache.of(ID).fetched_at is None
        with pytest.raises(NotFound):
            cache.of("acme:nobody")


async def test_of_one_that_nobody_is_asked_about_only_that_its_login_is_not_well_is_told(
    autojump_clock: MockClock,
) -> None:
    async with house() as it, it.cache("none") as cache:
        await it.add()
        bot = StoredBot("a", "echo", "A", {})
        await it.database.write(lambda tx: bot_rows.add(tx.connection, bot))
        await trio.sleep(1)
        assert it.told == []
        await it.vault.set_bots(ID, ["a"])
        await trio.sleep(1)
        assert [(one.bot_ids, one.windows, one.error) for one in it.told] == [(("a",), (), None)]
        await it.change(state="backoff", next_at=now() + 5000)
        await trio.sleep(1)
        assert (error := it.told[-1].error) is not None and error.retry_at == now() + 4000, "nobody is needed yet"
        await it.change(state="needs_login")
        await trio.sleep(40)
        assert it.told[-1].bot_ids == ("a",) and it.told[-1].windows == ()
        assert (error := it.told[-1].error) is not None and (error.kind, error.status) == ("auth", None)
        await it.change(state="fresh")
        await trio.sleep(1)
        assert it.told[-1].error is None and it.provider.asked == [] and cache.all() == []


async def test_what_is_not_asked_about_any_more_is_told_as_unknown(autojump_clock: MockClock) -> None:
    async with house() as it:
        await it.add()
        async with it.cache():
            await trio.sleep(1)
        assert it.told[-1].windows
        async with it.cache("none") as cache:
            heard: list[AuthProfileUsage] = []
            cache.listen(heard.append)
            assert [(one.profile_id, one.windows, one.fetched_at) for one in heard] == [(ID, (), None)]
            assert cache.of(ID).windows == ()
        async with it.cache() as cache:
            assert cache.of(ID).windows, "it is still there, for the day when it is asked about again"


async def test_what_failed_keeps_the_last_good_value_with_its_age(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache() as cache:
        await it.add()
        await trio.sleep(1)
        it.provider.faults.extend([500, "silence", 500])
        await trio.sleep(6 * MINUTE)
        event = it.told[-1]
        assert (event.windows[0].used_percent, event.fetched_at) == (10.0, NOW + 500)
        assert event.error is not None and (event.error.kind, event.error.status) == ("http", 500)
        since = event.error.since_at
        await trio.sleep(30 * MINUTE)
        kinds = [one.error and one.error.kind for one in it.told]
        assert kinds == [None, "http", "timeout", "http", None]
        assert it.told[3].error is not None and it.told[3].error.since_at == since
        assert all(one.windows[0].used_percent == 10.0 for one in it.told)
        assert cache.of(ID).error is None


async def test_429_pauses_longer_each_time_whatever_it_says_and_over_a_restart(autojump_clock: MockClock) -> None:
    async with house() as it:
        await it.add()
        it.provider.headers = {"retry-after": "0"}
        it.provider.faults.extend([429] * 8)
        async with it.cache():
            await trio.sleep(16 * MINUTE)
        assert [round(at / MINUTE) for at in it.provider.times[:2]] == [0, 5]
        assert len(it.provider.asked) in (2, 3)
        before = len(it.provider.asked)
        for _ in range(20):
            # A daemon that is restarted all the time.
            async with it.cache():
                await trio.sleep(10)
        assert len(it.provider.asked) <= before + 1
        async with it.cache() as cache:
            await trio.sleep(24 * HOUR)
            gaps = [round((b - a) / MINUTE) for a, b in zip(it.provider.times, it.provider.times[1:], strict=False)]
            doubled = (5, 10, 20, 40, 80, 160, 320)
            for gap, least in zip(gaps[:7], doubled, strict=True):
                assert least <= gap <= least * 1.1 + 1, gaps
            assert cache.of(ID).error is None
        assert [event for event in it.told if event.windows and event.fetched_at is None] == []


async def test_a_wait_that_was_asked_for_is_kept(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache():
        it.provider.headers = {"retry-after": "7200"}
        it.provider.faults.append(429)
        await it.add()
        await trio.sleep(10 * HOUR)
        assert 7200 <= it.provider.times[1] <= 7200 * 1.1 + 2


async def test_401_is_told_to_the_refresher_once_and_nobody_asks_until_it_has_refreshed(
    autojump_clock: MockClock,
) -> None:
    async with house() as it, it.cache() as cache:
        await it.add()
        await trio.sleep(1)
        it.provider.faults.append(401)
        await trio.sleep(6 * MINUTE)
        assert it.rejected == [(ID, 1)]
        assert it.told[-1].error is not None and it.told[-1].error.kind == "auth"
        await trio.sleep(50 * MINUTE)
        assert len(it.provider.asked) == 2
        await it.change("second", renewed=True)
        await trio.sleep(1)
        assert it.provider.asked[-1][1] == "access-second" and len(it.provider.asked) == 3
        assert cache.of(ID).error is None and cache.of(ID).windows
        # The account is the same, so its figures were there all the time.
        assert all(event.windows for event in it.told)


async def test_a_provider_that_refuses_each_new_token_has_the_login_refreshed_once(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache() as cache:
        it.provider.faults.extend([401] * 3)
        await it.add()
        await trio.sleep(1)
        for number in range(2, 12):
            await it.change(f"new-{number}", renewed=True)
            await trio.sleep(3 * MINUTE)
        assert it.rejected == [(ID, 1)]
        assert len(it.provider.asked) == 2, "with the first token, and with the one that came of it"
        assert cache.of(ID).error is not None
        await trio.sleep(8 * HOUR)
        assert cache.of(ID).error is None, "in the end it is asked again by itself"
        assert it.rejected == [(ID, 1)]


@pytest.mark.parametrize(("fault", "asked"), [(403, 2), (404, 2), (429, 1)])
async def test_other_settings_are_tried_at_the_next_start_but_for_a_pause_that_was_asked_for(
    autojump_clock: MockClock, fault: int, asked: int
) -> None:
    async with house() as it:
        async with it.cache(path="wrong"):
            it.provider.faults.append(fault)
            await it.add()
            await trio.sleep(61)
        async with it.cache(path="wrong", interval=200.0):
            await trio.sleep(61)
            assert len(it.provider.asked) == 1, "nothing has changed"
        async with it.cache() as cache:
            await trio.sleep(2)
            assert len(it.provider.asked) == asked
            assert (cache.of(ID).error is None) == (asked == 2)


async def test_a_login_that_is_not_well_is_not_asked_about(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache() as cache:
        await it.add(dataclasses.replace(PROFILE, expires_at=NOW + 600_000))
        await trio.sleep(1)
        for state in ("refreshing", "backoff", "uncertain", "needs_login", "misconfigured"):
            before = len(it.provider.asked)
            await it.change(state=state)
            await trio.sleep(70)
            assert len(it.provider.asked) == before, state
            error = cache.of(ID).error
            assert (None if error is None else error.kind) == (None if state == "refreshing" else "auth"), state
        await it.change(state="fresh")
        await trio.sleep(HOUR)
        # Its token has run out by our clock, and a refused one would be one too many.
        assert it.provider.times[-1] <= 600
        assert it.told[-1].error is not None and it.told[-1].error.since_at == NOW + 600_000
        assert it.told[-1].windows[0].used_percent == 10.0


async def test_a_scope_that_is_missing_is_for_good_until_another_login(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache():
        it.provider.faults.append(403)
        await it.add()
        await trio.sleep(1)
        error = it.told[-1].error
        assert error is not None and (error.kind, error.retry_at) == ("unsupported", None)
        await it.change("second", renewed=True)
        await trio.sleep(48 * HOUR)
        assert len(it.provider.asked) == 1, "a refresh does not widen a scope"
        await it.change("third")
        await trio.sleep(1)
        assert len(it.provider.asked) == 2 and it.told[-1].error is None


async def test_a_new_login_never_shows_the_old_figures(autojump_clock: MockClock) -> None:
    async with house() as it:
        await it.add()
        async with it.cache() as cache:
            await trio.sleep(HOUR)
            assert cache.of(ID).windows and (await cache.history(ID, 0)).keys() == {"w"}
            it.provider.seconds = 20.0
            await it.change("second")
            assert cache.of(ID).windows == () and cache.of(ID).fetched_at is None
            assert await cache.history(ID, 0) == {}
            await trio.sleep(1)
            assert it.told[-1].windows == () and it.told[-1].fetched_at is None
        async with it.cache() as cache:
            assert cache.of(ID).windows == () and await cache.history(ID, 0) == {}
            await trio.sleep(HOUR)
            assert cache.of(ID).windows
        assert await it.database.read(lambda conn: rows.history(conn, ID, 0, "w"))


async def test_who_was_logged_in_while_nobody_looked_is_told_apart(autojump_clock: MockClock) -> None:
    async with house() as it:
        await it.add()
        async with it.cache():
            await trio.sleep(1)
        await it.change("second", renewed=True)
        async with it.cache() as cache:
            assert cache.of(ID).windows, "only refreshed"
        await it.change("third")
        await it.change("fourth", renewed=True)
        it.provider.seconds = 60.0
        async with it.cache() as cache:
            assert cache.of(ID).windows == () and it.told[-1].fetched_at == NOW + 500
            await trio.sleep(1)
        external = dataclasses.replace(PROFILE, id="acme:cli", owner="external", account_id="a-1")
        await it.add(external, "cli")
        it.provider.seconds = 0.5
        async with it.cache() as cache:
            await trio.sleep(1)
            for account, same in (("a-1", True), ("a-2", False)):
                was = it.vault.get("acme:cli")
                login = Login(access=f"cli-{account}")
                assert await it.vault.change(was, dataclasses.replace(was, account_id=account), login)
                assert bool(cache.of("acme:cli").windows) == same


async def test_an_answer_of_the_account_before_is_dropped(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache() as cache:
        it.provider.seconds, it.provider.used = 10.0, 99.0
        await it.add()
        await trio.sleep(5)
        await it.change("second")
        it.provider.used = 1.0
        await trio.sleep(30)
        assert [one.used_percent for one in cache.of(ID).windows] == [1.0]
        assert all(one.windows == () or one.windows[0].used_percent == 1.0 for one in it.told)


async def test_a_restart_goes_on_and_tells_again(autojump_clock: MockClock) -> None:
    async with house() as it:
        await it.add()
        async with it.cache():
            await trio.sleep(1)
        asked, it.told = len(it.provider.asked), []
        async with it.cache() as cache:
            assert [event.windows[0].used_percent for event in it.told] == [10.0], "before anybody is asked"
            heard: list[AuthProfileUsage] = []
            cache.listen(heard.append)
            assert heard == it.told
            await trio.sleep(60)
        assert len(it.provider.asked) == asked


async def test_a_daemon_that_is_killed_while_it_asks_does_not_ask_at_each_start(autojump_clock: MockClock) -> None:
    async with house() as it:
        await it.add()
        it.provider.seconds = 60.0
        for _ in range(10):
            async with it.cache():
                await trio.sleep(5)
        assert len(it.provider.asked) == 1


async def test_no_question_while_the_token_is_being_changed_and_never_two_at_once(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache():
        async with it.lanes.of(ID):
            await it.add()
            await trio.sleep(90)
            assert it.provider.asked == []
            await it.change("second", renewed=True)
        await trio.sleep(1)
        assert [secret for _, secret in it.provider.asked] == ["access-second"]
        it.provider.seconds = 2000.0
        await trio.sleep(HOUR)
        assert it.provider.most_at_once == 1


async def test_many_are_due_at_once_and_few_are_asked_at_once(autojump_clock: MockClock) -> None:
    async with house() as it:
        for n in range(200):
            await it.add(dataclasses.replace(PROFILE, id=f"acme:{n}"), str(n))
        async with it.cache() as cache:
            await trio.sleep(60)
            assert len(cache.all()) == 200 and all(one.windows for one in cache.all())
        assert it.provider.most_at_once == 4 and len(it.provider.asked) == 200


async def test_idle_ones_are_asked_a_third_as_often_until_a_bot_works_or_somebody_looks(
    autojump_clock: MockClock,
) -> None:
    async with house() as it, it.cache():
        it.watched = False
        await it.add()
        bot = StoredBot("atlas", "echo", "Atlas", {})
        await it.database.write(lambda tx: bot_rows.add(tx.connection, bot))
        await it.vault.set_bots(ID, ["atlas"])
        await trio.sleep(3 * HOUR)
        idle = len(it.provider.asked)
        assert 11 <= idle <= 14
        it.watched = True
        await trio.sleep(HOUR)
        assert len(it.provider.asked) - idle >= 11
        it.watched = False
        await trio.sleep(HOUR)
        before = len(it.provider.asked)

        def speak(conn: Any) -> None:
            conn.execute(
                "INSERT INTO conversations (id, bot_id, session_key, title, source, created_at, updated_at)"
                " VALUES ('c_' || hex(randomblob(10)), 'atlas', 'k', 't', 'edgebotd', ?, ?)",
                (now(), now() + 3_600_000),
            )

        await it.database.write(lambda tx: speak(tx.connection))
        await trio.sleep(HOUR)
        assert len(it.provider.asked) - before >= 10


async def test_one_more_question_shortly_after_a_window_starts_anew(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache(interval=3600.0):
        it.provider.resets_at = NOW + 1_000_000
        await it.add()
        await trio.sleep(1020)
        assert len(it.provider.asked) == 1
        it.provider.used, it.provider.resets_at = 0.0, NOW + 19_000_000
        await trio.sleep(15)
        assert [round(at) for at in it.provider.times] == [0, 1030]
        assert it.told[-1].windows[0].used_percent == 0.0
        await trio.sleep(60)
        assert len(it.provider.asked) == 2


async def test_what_is_removed_is_told_as_gone(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache():
        await it.add()
        await trio.sleep(1)
        await it.vault.remove(ID)
        await trio.sleep(1)
        assert (it.told[-1].removed, it.told[-1].windows) == (True, ())
        await it.add(secret="other")
        it.provider.seconds = 30.0
        await trio.sleep(1)
        assert all(event.removed or event.fetched_at for event in it.told)
        await trio.sleep(HOUR)
        assert it.told[-1].windows


async def test_the_bots_that_use_it_are_told(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache():
        await it.add()
        await trio.sleep(1)
        for bot_id in ("atlas", "iris"):
            bot = StoredBot(bot_id, "echo", bot_id, {})
            await it.database.write(lambda tx, bot=bot: bot_rows.add(tx.connection, bot))  # type: ignore[misc]  # a bound default
        await it.vault.set_bots(ID, ["atlas"])
        await trio.sleep(1)
        assert [event.bot_ids for event in it.told] == [(), ("atlas",)]
        # Who sees atlas alone is not told of the rest, so the account is gone for them.
        await it.vault.set_bots(ID, ["iris"])
        await trio.sleep(1)
        assert [(event.bot_ids, event.removed) for event in it.told[2:]] == [(("atlas",), True), (("iris",), False)]
        assert it.told[-1].windows


async def test_a_pace_is_foreseen_and_again_after_a_restart(autojump_clock: MockClock) -> None:
    async with house() as it:
        await it.add()
        async with it.cache() as cache:
            for used in range(10, 60, 2):
                it.provider.used = used
                await trio.sleep(5 * MINUTE)
            [window] = cache.of(ID).windows
            assert window.runs_out_at is not None and window.resets_at is not None
            # 58 % after two hours, two more each five minutes: full in 105 minutes.
            assert abs(window.runs_out_at - (now() + 105 * 60_000)) < 12 * 60_000
            assert window.runs_out_at < window.resets_at
        async with it.cache() as cache:
            [again] = cache.of(ID).windows
            assert again.runs_out_at is not None and abs(again.runs_out_at - window.runs_out_at) < 12 * 60_000


async def test_what_is_foreseen_no_more_is_told_though_the_figure_stays(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache() as cache:
        await it.add()
        for used in range(10, 60, 2):
            it.provider.used = used
            await trio.sleep(5 * MINUTE)
        assert it.told[-1].windows[0].runs_out_at is not None
        count = len(it.told)
        await trio.sleep(1.5 * HOUR)
        assert cache.of(ID).windows[0].runs_out_at is None
        news = [(one.windows[0].used_percent, one.windows[0].runs_out_at is None) for one in it.told[count:]]
        assert news[-1] == (58.0, True) and 1 <= len(news) <= 6, "seldom: it moves a little with each answer"


async def test_a_gateways_own_login_is_read_from_it_once_for_all(autojump_clock: MockClock) -> None:
    async with house() as it:
        gateways = it.gateways = FakeGateways()
        for provider in ("anthropic", "openai-codex", "fake"):
            owned = Profile(f"{provider}:own", provider, "oauth", owner="gateway", place="atlas", state="static")
            await it.vault.add(owned, None)
        async with it.cache() as cache:
            await trio.sleep(5)
            assert {one.error and one.error.kind for one in cache.all()} == {"unreachable"}
            gateways.answer, gateways.asked = USAGE_STATUS, []
            await trio.sleep(11 * MINUTE)
            assert 1 <= len(gateways.asked) <= 9 and set(gateways.asked) == {"atlas"}
            anthropic, fake, openai = cache.all()
            assert [one.used_percent for one in anthropic.windows] == [40.0, 10.0, 3.0]
            assert anthropic.source == "gateway" and anthropic.error is None
            assert openai.error is not None and openai.windows == () and openai.fetched_at is None
            # A key of the gateway's own is no trouble, for which somebody would be called.
            assert fake.error is not None and fake.error.kind == "unsupported" and fake.error.retry_at is not None
        assert it.provider.asked == []


async def test_history_is_kept_thinner_when_it_is_old_and_ends(autojump_clock: MockClock) -> None:
    async with house() as it:
        await it.add()
        async with it.cache():
            for used in range(48):
                it.provider.used = used
                await trio.sleep(5 * MINUTE)
        full = (await it.database.read(lambda conn: rows.history(conn, ID, 0)))["w"]
        assert len(full) >= 40
        await it.database.write(lambda tx: rows.thin(tx.connection, 0, now(), 1000))
        thin = (await it.database.read(lambda conn: rows.history(conn, ID, 0)))["w"]
        assert 4 <= len(thin) <= 6 and set(thin) <= set(full) and thin[-1] == full[-1]
        assert await it.database.write(lambda tx: rows.trim(tx.connection, now() + 1, 3)) == 3
        assert await it.database.write(lambda tx: rows.trim(tx.connection, now() + 1, 1000)) == len(thin) - 3


async def test_who_wants_to_know_has_it_asked_now_but_not_sooner_than_it_bears(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache(interval=HOUR) as cache:
        await it.add()
        await trio.sleep(90)
        it.provider.used = 40.0
        event = await cache.ask_now(ID)
        assert [window.used_percent for window in event.windows] == [40.0] and it.told[-1] == event
        with pytest.raises(Conflict, match=r"^It was asked 1 s ago, and may be asked again in 60 s\.$") as refused:
            await cache.ask_now(ID)
        assert refused.value.code == "too_soon" and len(it.provider.asked) == 2
        # Two who ask at once, and what is due meanwhile, are one question; the lane is waited for.
        await trio.sleep(90)
        async with trio.open_nursery() as nursery:
            async with it.lanes.of(ID):
                nursery.start_soon(cache.ask_now, ID)
                await trio.sleep(1)
                nursery.start_soon(cache.ask_now, ID)
                await trio.sleep(5)
                assert len(it.provider.asked) == 2
        assert len(it.provider.asked) == 3
        # The pause of a 429 holds for persons too.
        await trio.sleep(90)
        it.provider.faults.append(429)
        assert (error := (await cache.ask_now(ID)).error) is not None and error.kind == "rate_limited"
        await trio.sleep(90)
        with pytest.raises(Conflict, match=r"asked too often\. It may be asked again in 6[0-9] min"):
            await cache.ask_now(ID)
        assert len(it.provider.asked) == 4
        await trio.sleep(2 * HOUR)
        await it.change(state="needs_login")
        with pytest.raises(Conflict, match="until somebody logs in again"):
            await cache.ask_now(ID)
        with pytest.raises(NotFound):
            await cache.ask_now("acme:nobody")


async def test_who_wants_to_know_is_told_where_nobody_can_be_asked_or_nothing_comes(autojump_clock: MockClock) -> None:
    async with house() as it, it.cache("none") as cache:
        await it.add()
        with pytest.raises(Conflict, match=r"\[providers\.acme\.usage\]"):
            await cache.ask_now(ID)
    async with house() as it, it.cache() as cache:
        await it.add()
        async with it.lanes.of(ID):
            with pytest.raises(Problem, match="shows by itself"):
                await cache.ask_now(ID)
            # One that is removed while somebody waits is told as gone at once.
            before = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_gone, cache)
                await trio.sleep(1)
                await it.vault.remove(ID)
        assert trio.current_time() - before < 2


async def _gone(cache: UsageCache) -> None:
    with pytest.raises(NotFound):
        await cache.ask_now(ID)
