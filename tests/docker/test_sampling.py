"""What containers use: told while somebody watches and to nobody else, and kept for a day whoever watches."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.sampling import SAMPLE_SECONDS
from edgebotd.errors import Problem
from edgebotd.events import BotStats
from edgebotd.hub.entry import Watched
from edgebotd.store.containers import Sample
from tests.bots.house import START_MS, now
from tests.docker.fake_container import FakeContainer
from tests.docker.scout import NAME, Scout, open_scout

DOWN = EngineError(Trouble.DOWN, "Nothing answers.")


class Screen:
    """What a page that watches resource use would show."""

    def __init__(self, scout: Scout, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[BotStats] = []
        self.at: list[float] = []
        self._watched = Watched()
        self._hub = scout.hub
        publish = scout.hub.publish

        def listen(bot_id: str, event: Any) -> None:
            if isinstance(event, BotStats):
                assert bot_id == event.bot_id
                self.events.append(event)
                self.at.append(trio.current_time())
            publish(bot_id, event)

        monkeypatch.setattr(scout.hub, "publish", listen)
        monkeypatch.setattr(scout.hub, "watched_bots", lambda: self._watched)

    def watch(self, *bots: str) -> None:
        self._watched = Watched(frozenset(), frozenset(bots))
        for changed in self._hub._watch_listeners:
            changed()


def second_bot(scout: Scout, **behaviour: object) -> FakeContainer:
    """Have another bot's container that runs."""
    scout.docker.containers.bind("other", "other")
    container = scout.engine.add("other")
    for name, value in behaviour.items():
        setattr(container, name, value)
    scout.engine.begin(container)
    return container


async def test_it_is_told_once_a_second_while_somebody_watches(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scout() as scout:
        screen = Screen(scout, monkeypatch)
        await trio.sleep(10)
        assert screen.events == [] and scout.container.measured == 0
        screen.watch("scout")
        await trio.sleep(5.5)
        assert scout.container.measured == 1
        assert [round(at - screen.at[0]) for at in screen.at] == [0, 1, 2, 3, 4, 5]
        first, second = screen.events[:2]
        assert (first.cpu_percent, first.received_per_second, first.memory_bytes) == (None, None, 100_000_000)
        assert (second.cpu_percent, second.pids, second.memory_limit_bytes) == (50, 7, 1 << 31)
        assert (second.received_per_second, second.sent_per_second) == (1000, 1000)
        screen.watch()
        await wait_all_tasks_blocked()
        assert scout.container.measured == 0
        told = len(screen.events)
        await trio.sleep(10)
        assert len(screen.events) == told


async def test_it_is_told_at_most_once_a_second_however_often_the_engine_tells(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scout(usage_seconds=0.1) as scout:
        screen = Screen(scout, monkeypatch)
        for _ in range(10):  # somebody who begins and ends to watch gets no more than one who stays
            screen.watch("scout")
            await trio.sleep(0.5)
            screen.watch()
            await trio.sleep(0.5)
        screen.watch("scout")
        await trio.sleep(10)
        assert 18 <= len(screen.events) <= 21
        assert all(later - earlier >= 0.8 for earlier, later in zip(screen.at, screen.at[1:], strict=False))


async def test_a_ticker_that_comes_a_little_early_is_heard(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scout(usage_seconds=0.99) as scout:
        screen = Screen(scout, monkeypatch)
        screen.watch("scout")
        await trio.sleep(10)
        assert len(screen.events) == 11


async def test_it_ends_with_the_container_and_goes_on_with_its_next_start(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scout() as scout:
        scout.container.restarts_by_itself = False
        screen = Screen(scout, monkeypatch)
        screen.watch("scout")
        await trio.sleep(5)
        scout.engine.end(scout.container, 1)
        await trio.sleep(3)
        told = len(screen.events)
        await trio.sleep(60)
        assert scout.container.measured == 0, "Docker would go on with empty objects for ever"
        assert len(screen.events) == told
        scout.engine.begin(scout.container)
        await trio.sleep(3)
        assert len(screen.events) > told
        assert screen.events[told].received_per_second is None, "what was counted before its start counts no more"


async def test_a_container_that_is_made_anew_is_followed(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scout() as scout:
        screen = Screen(scout, monkeypatch)
        screen.watch("scout")
        await trio.sleep(2)
        await scout.engine.remove(NAME, force=True)
        await trio.sleep(2)
        scout.engine.begin(scout.engine.add(NAME, uses=(10.0, 5, 0)))
        await trio.sleep(5)
        assert (screen.events[-1].cpu_percent, screen.events[-1].memory_bytes) == (10, 5)


async def test_an_engine_that_is_away_is_asked_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scout() as scout:
        screen = Screen(scout, monkeypatch)
        screen.watch("scout")
        await trio.sleep(3)
        scout.engine.go_away(DOWN)
        await trio.sleep(20)
        told = len(screen.events)
        scout.engine.down = None
        await trio.sleep(20)
        assert len(screen.events) > told + 5


async def test_what_one_container_refuses_touches_no_other(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scout() as scout:
        second_bot(scout)
        screen = Screen(scout, monkeypatch)
        usage = scout.engine.usage

        async def refuse(container: str, take: Any) -> None:
            if container == scout.container.id:
                raise EngineError(Trouble.REFUSED, "cannot read its cgroup")
            await usage(container, take)

        monkeypatch.setattr(scout.engine, "usage", refuse)
        screen.watch("scout", "other", "nobody")
        await trio.sleep(SAMPLE_SECONDS * 2)
        assert {event.bot_id for event in screen.events} == {"other"}
        assert len(screen.events) > SAMPLE_SECONDS
        assert await scout.docker.sampling.samples("scout") == []
        assert len(await scout.docker.sampling.samples("other")) >= 1


async def test_the_day_is_kept_whoever_watches(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        idle = second_bot(scout, uses=(1.0, 1000, 0), usage_seconds=5.0)  # as Podman tells
        await trio.sleep(SAMPLE_SECONDS * 3.5)
        scout.engine.end(idle)
        await trio.sleep(SAMPLE_SECONDS * 2)
        samples = await scout.docker.sampling.samples("scout")
        assert [round((sample.at - START_MS) / 1000 / SAMPLE_SECONDS, 1) for sample in samples] == [1, 2, 3, 4, 5]
        assert samples[0].cpu_percent == 50 and samples[0].received_per_second is None
        assert (samples[1].cpu_percent, samples[1].memory_bytes, samples[1].sent_per_second) == (50, 100_000_000, 1000)
        assert [sample.cpu_percent for sample in await scout.docker.sampling.samples("other")] == [1, 1, 1]
        assert scout.container.measured == idle.measured == 0


async def test_a_sample_is_the_average_since_the_one_before(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        usage = scout.container.usage

        def busy_for_a_minute(at: int, *, first: bool) -> Any:
            # Of each five minutes one busy minute, in which no look falls.
            told = usage(at, first=first)
            seconds = (at - START_MS) / 1000
            busy = seconds // SAMPLE_SECONDS * 60 * 1_000_000_000
            return type(told)(at, 0.0, 5, None, round(seconds * 10), None, 1, int(busy))

        scout.container.usage = busy_for_a_minute  # type: ignore[method-assign]  # one container's own
        await trio.sleep(SAMPLE_SECONDS * 2.5)
        assert [round(one.cpu_percent or 0) for one in await scout.docker.sampling.samples("scout")] == [0, 20]


async def test_after_a_restart_of_the_container_nothing_is_averaged_over_it(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        await trio.sleep(SAMPLE_SECONDS * 1.5)
        scout.engine.end(scout.container, 1)
        await trio.sleep(10)
        scout.engine.begin(scout.container)
        await trio.sleep(SAMPLE_SECONDS)
        samples = await scout.docker.sampling.samples("scout")
        assert [sample.received_per_second for sample in samples] == [None, None]
        assert [sample.cpu_percent for sample in samples] == [50, 50]


async def test_a_store_that_fails_costs_a_sample_and_not_those_who_watch(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scout() as scout:
        screen = Screen(scout, monkeypatch)
        screen.watch("scout")
        write = scout.database.write
        full = True

        async def fail(work: Any) -> Any:
            if full:
                raise Problem(503, "storage_failed", "The disk is full.")
            return await write(work)

        monkeypatch.setattr(scout.database, "write", fail)
        await trio.sleep(SAMPLE_SECONDS * 1.5)
        told = len(screen.events)
        assert told > SAMPLE_SECONDS and scout.container.measured == 1
        full = False
        await trio.sleep(SAMPLE_SECONDS)
        assert len(screen.events) > told + 200
        assert len(await scout.docker.sampling.samples("scout")) == 1


async def test_a_look_that_gets_no_answer_is_given_up(autojump_clock: MockClock) -> None:
    async with open_scout(usage_seconds=1000.0) as scout:
        await trio.sleep(SAMPLE_SECONDS + 30)
        assert scout.container.measured == 0
        samples = await scout.docker.sampling.samples("scout")
        assert samples == [Sample(now() - 15_000, None, 100_000_000, None, None)]


async def test_only_the_last_day_is_told(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        await trio.sleep(86_400 + SAMPLE_SECONDS * 3)
        assert 287 <= len(await scout.docker.sampling.samples("scout")) <= 288
