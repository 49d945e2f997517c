"""What containers use: told while somebody watches and to nobody else, and kept for a day whoever watches."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.access import Grant
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.sampling import SAMPLE_SECONDS
from edgebotd.errors import Problem
from edgebotd.store import containers as rows
from edgebotd.store.containers import Sample
from edgebotd.store.database import Transaction
from tests.bots.house import START_MS, now, user
from tests.docker.fake_container import FakeContainer
from tests.docker.house import FakeBots, docker_on
from tests.docker.scout import NAME, Scout, open_scout
from tests.docker.screen import Gauge, open_gauge
from tests.hub.support import Client, bus

DOWN = EngineError(Trouble.DOWN, "Nothing answers.")


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
        gauge = Gauge(scout.hub, monkeypatch)
        await trio.sleep(10)
        assert gauge.events == [] and scout.container.measured == 0
        gauge.watch("scout")
        await trio.sleep(5.5)
        assert scout.container.measured == 1
        assert [round(at - gauge.at[0]) for at in gauge.at] == [0, 1, 2, 3, 4, 5]
        first, second = gauge.events[:2]
        assert (first.cpu_percent, first.received_per_second, first.memory_bytes) == (None, None, 100_000_000)
        assert (second.cpu_percent, second.pids, second.memory_limit_bytes) == (50, 7, 1 << 31)
        assert (second.received_per_second, second.sent_per_second) == (1000, 1000)
        gauge.watch()
        await wait_all_tasks_blocked()
        assert scout.container.measured == 0
        told = len(gauge.events)
        await trio.sleep(10)
        assert len(gauge.events) == told


async def test_a_stream_that_watches_gets_it_until_it_closes(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        viewer = user("ann", scout=Grant.VIEW)
        watching, idle = Client(scout.hub, viewer), Client(scout.hub, viewer)
        await wait_all_tasks_blocked()
        scout.hub.watch(watching.stream_id, viewer, logs=frozenset(), stats=frozenset({"scout"}))
        await trio.sleep(3.5)
        told = [event for event in bus(await watching.settle()) if event["type"] == "bot-stats"]
        assert len(told) == 4 and told[1]["cpuPercent"] == 50
        assert "bot-stats" not in {event["type"] for event in bus(idle.read())}
        assert scout.container.measured == 1
        watching.close()
        await wait_all_tasks_blocked()
        assert scout.container.measured == 0


async def test_it_is_told_at_most_once_a_second_however_often_the_engine_tells(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scout(usage_seconds=0.1) as scout:
        gauge = Gauge(scout.hub, monkeypatch)
        for _ in range(10):  # somebody who begins and ends to watch gets no more than one who stays
            gauge.watch("scout")
            await trio.sleep(0.5)
            gauge.watch()
            await trio.sleep(0.5)
        gauge.watch("scout")
        await trio.sleep(10)
        assert 18 <= len(gauge.events) <= 21
        assert all(later - earlier >= 0.8 for earlier, later in zip(gauge.at, gauge.at[1:], strict=False))


async def test_a_ticker_that_comes_a_little_early_is_heard(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_gauge(monkeypatch, usage_seconds=0.99) as (_, gauge):
        await trio.sleep(10)
        assert len(gauge.events) == 11


async def test_it_ends_with_the_container_and_goes_on_with_its_next_start(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_gauge(monkeypatch) as (scout, gauge):
        scout.container.restarts_by_itself = False
        await trio.sleep(5)
        scout.engine.end(scout.container, 1)
        await trio.sleep(3)
        told = len(gauge.events)
        await trio.sleep(60)
        assert scout.container.measured == 0, "Docker would go on with empty objects for ever"
        assert len(gauge.events) == told
        scout.engine.begin(scout.container)
        await trio.sleep(3)
        assert len(gauge.events) > told
        assert gauge.events[told].received_per_second is None, "what was counted before its start counts no more"


async def test_a_container_that_is_made_anew_is_followed(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_gauge(monkeypatch) as (scout, gauge):
        await trio.sleep(2)
        await scout.engine.remove(NAME, force=True)
        await trio.sleep(2)
        scout.engine.begin(scout.engine.add(NAME, uses=(10.0, 5, 0)))
        await trio.sleep(5)
        assert (gauge.events[-1].cpu_percent, gauge.events[-1].memory_bytes) == (10, 5)


async def test_an_engine_that_is_away_is_asked_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_gauge(monkeypatch) as (scout, gauge):
        await trio.sleep(3)
        scout.engine.go_away(DOWN)
        await trio.sleep(20)
        told = len(gauge.events)
        scout.engine.down = None
        await trio.sleep(20)
        assert len(gauge.events) > told + 5


async def test_what_one_container_refuses_touches_no_other(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scout() as scout:
        second_bot(scout)
        gauge = Gauge(scout.hub, monkeypatch)
        usage = scout.engine.usage

        async def refuse(container: str, take: Any) -> None:
            if container == scout.container.id:
                raise EngineError(Trouble.REFUSED, "cannot read its cgroup")
            await usage(container, take)

        monkeypatch.setattr(scout.engine, "usage", refuse)
        gauge.watch("scout", "other", "nobody")
        await trio.sleep(SAMPLE_SECONDS * 2)
        assert {event.bot_id for event in gauge.events} == {"other"}
        assert len(gauge.events) > SAMPLE_SECONDS
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
    async with open_gauge(monkeypatch) as (scout, gauge):
        write = scout.database.write
        full = True

        async def fail(work: Any) -> Any:
            if full:
                raise Problem(503, "storage_failed", "The disk is full.")
            return await write(work)

        monkeypatch.setattr(scout.database, "write", fail)
        await trio.sleep(SAMPLE_SECONDS * 1.5)
        told = len(gauge.events)
        assert told > SAMPLE_SECONDS and scout.container.measured == 1
        full = False
        await trio.sleep(SAMPLE_SECONDS)
        assert len(gauge.events) > told + 200
        assert len(await scout.docker.sampling.samples("scout")) == 1


async def test_a_look_that_gets_no_answer_is_given_up(autojump_clock: MockClock) -> None:
    async with open_scout(usage_seconds=1000.0) as scout:
        await trio.sleep(SAMPLE_SECONDS + 30)
        assert scout.container.measured == 0
        samples = await scout.docker.sampling.samples("scout")
        assert samples == [Sample(now() - 15_000, None, 100_000_000, None, None)]


async def test_only_the_last_day_is_told(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:

        def add(tx: Transaction) -> None:
            for hours in (25, 23, 1):
                rows.add_sample(tx.connection, "scout", Sample(now() - hours * 3_600_000, 1.0, hours, None, None))

        await scout.database.write(add)
        assert [sample.memory_bytes for sample in await scout.docker.sampling.samples("scout")] == [23, 1]


@pytest.mark.parametrize("running", [True, False])
async def test_one_that_went_while_nobody_looked_is_gone_since_it_was_seen_last(
    autojump_clock: MockClock, running: bool
) -> None:
    async with open_scout(started=running) as scout:
        await trio.sleep(SAMPLE_SECONDS * 3.5)
        # Another life finds it gone, an hour later.
        del scout.engine.all[scout.container.id]
        seen_at = now() - round(SAMPLE_SECONDS * 500)
        await trio.sleep(3600)
        async with docker_on(
            scout.database, scout.hub, now, engine=scout.engine, bots=FakeBots({"scout": "Scout"})
        ) as docker:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(docker.run)
                status = await docker.containers.wait("scout", lambda one: one is not None and one.state == "missing")
                assert status is not None
                assert abs(status.since_at - seen_at) < 2000
                assert status.seen_at > now() - 2000
                nursery.cancel_scope.cancel()
