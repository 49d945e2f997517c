"""Clients that do not keep up: bounded, merged, told, cut; nobody else notices (CHANNEL C7, C14, C16)."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.access import Grant, Kind, Principal
from edgebotd.events import ALL, JobStatus
from edgebotd.hub.settings import HubSettings
from edgebotd.store.database import open_database
from tests.hub.support import (
    ADMIN,
    START_MS,
    Client,
    activity,
    bus,
    delta,
    hello,
    hub_on,
    memory_hub,
    message,
    named,
    statuses,
    user,
)

ANN = user(a=Grant.VIEW)
BIG = "x" * 50_000


async def test_c7_a_full_backlog_merges_before_it_ends_the_stream(autojump_clock: MockClock) -> None:
    """A megabyte of what merges fits in a backlog of a tenth of it, and the client is right afterwards."""
    async with memory_hub(HubSettings(backlog_bytes=100_000)) as hub:
        client = Client(hub, ADMIN)
        await client.settle()
        while not hub.connections()[0].queued_bytes:
            hub.publish("a", activity(text="x" * 64))
            await wait_all_tasks_blocked()
        text = ""
        for number in range(1000):
            hub.publish(ALL, statuses(*(f"bot{number}-{n}" for n in range(10))))
            hub.publish(ALL, JobStatus(job="j", state="running", detail=str(number), at=1))
            hub.publish("a", delta("yz", len(text)))
            text += "yz"
            await trio.sleep(0.06)
            assert hub.connections()[0].queued_bytes <= 100_000
        while client.read():
            await wait_all_tasks_blocked()
        events = bus(client.events)
        assert [e["detail"] for e in events if e["type"] == "job:status"][-1] == "999"
        assert [e["bots"][0]["botId"] for e in events if e["type"] == "bots-status-update"][-1] == "bot999-0"
        got = ""
        for one in events:
            if one["type"] == "chat-delta":
                got = got[: one["offset"]] + one["text"]
        assert got == text
        assert not client.closed


async def test_c7_what_cannot_merge_ends_the_stream_with_bye_slow_where_it_can_still_be_written(
    autojump_clock: MockClock,
) -> None:
    async with memory_hub(HubSettings(backlog_bytes=200_000, linger_seconds=5)) as hub:
        client = Client(hub, ANN)
        await client.settle()
        published = 0
        while hub.connections() and hub.connections()[0].state == "live":
            hub.publish("a", message(text=BIG, number=published))
            published += 1
            await wait_all_tasks_blocked()
            assert all(info.queued_bytes < 300_000 for info in hub.connections())
        while not client.closed:
            client.read()
            await wait_all_tasks_blocked()
        bye = named(client.events, "bye")[-1]
        assert json.loads(bye.data) == {"reason": "slow"}
        # The `bye` promises no more than was sent before it.
        assert bye.last_event_id == [e for e in client.events if e.type == "message"][-1].last_event_id
        again = Client(hub, ANN, client.cursor)
        while bus(again.events)[-1:] == [] or bus(again.events)[-1]["message"]["id"] != f"m{published - 1}":
            await again.settle()
        assert hello(again.events)["verdict"] == "exact"
        ids = [event["message"]["id"] for event in bus(client.events) + bus(again.events)]
        assert ids == [f"m{number}" for number in range(published)]
        assert hub.counters.closed["slow"] == 1


async def test_c7_one_that_reads_nothing_is_cut_after_the_linger_time(autojump_clock: MockClock) -> None:
    async with memory_hub(HubSettings(backlog_bytes=100_000, linger_seconds=5)) as hub:
        Client(hub, ANN)
        await wait_all_tasks_blocked()
        while hub.connections()[0].state == "live":
            hub.publish("a", message(text=BIG))
            await wait_all_tasks_blocked()
        assert hub.connections()[0].state == "slow"
        ended = trio.current_time()
        while hub.connections():  # noqa: ASYNC110 - its end has no event
            await trio.sleep(0.25)
        assert 5 <= trio.current_time() - ended <= 6.5


async def test_c14_a_stream_that_does_not_read_its_bye_is_cut_when_its_session_ends(
    autojump_clock: MockClock,
) -> None:
    async with memory_hub(HubSettings(linger_seconds=30)) as hub:
        brief = Principal(Kind.SESSION, "s", "s", "s", expires_at=START_MS + 60_000, grants={"a": Grant.VIEW})
        Client(hub, brief)
        await wait_all_tasks_blocked()
        while not hub.connections()[0].queued_bytes:
            hub.publish("a", message(text=BIG))
            await wait_all_tasks_blocked()
        await trio.sleep_until(57.9)
        assert hub.connections()[0].state == "live"
        await trio.sleep_until(60)
        assert hub.connections() == []
        assert hub.counters.closed["session"] == 1


async def test_c16_who_loses_the_right_watches_no_more(autojump_clock: MockClock) -> None:
    """A producer works only while someone who may look does."""
    async with memory_hub() as hub:
        told: list[tuple[frozenset[str], frozenset[str]]] = []
        hub.on_watch_change(lambda: told.append((hub.watched_bots().logs, hub.watched_bots().stats)))
        operator = user("op", a=Grant.OPERATE, b=Grant.VIEW)
        client = Client(hub, operator)
        await client.settle()
        hub.watch(client.stream_id, operator, logs=frozenset({"a"}), stats=frozenset({"a", "b"}))
        hub.rescope(lambda principal: user("op", a=Grant.VIEW))
        assert told == [(frozenset({"a"}), frozenset({"a", "b"})), (frozenset(), frozenset({"a"}))]


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.heavy
async def test_c7_one_stopped_of_a_hundred_costs_the_cap_and_a_tenth_while_100_mb_are_published(
    tmp_path: Path,
) -> None:
    settings = HubSettings()
    messages, size = 2000, 50_000

    async def publish(first: int, readers: list[Client], slowest: list[float]) -> int:
        """Publish 100 MB as fast as the readers take it; return the highest memory seen."""
        most = 0
        for number in range(first, first + messages):
            began = time.perf_counter()
            hub.publish("a", message(text=BIG, number=number))
            seen = 0
            while seen < len(readers):
                await trio.lowlevel.checkpoint()
                seen = sum(bool(client.parser.last_event_id != before[client] or client.read()) for client in readers)
            slowest.append(time.perf_counter() - began)
            for client in readers:
                client.events.clear()
                client.raw = b""
                before[client] = client.parser.last_event_id
            if number % 50 == 0:
                most = max(most, resident())
        return most

    async with open_database(tmp_path / "store.db", now=1) as database, hub_on(database, settings) as hub:
        clients = [Client(hub, ANN) for _ in range(100)]
        before = dict.fromkeys(clients, "")
        await trio.sleep(0.2)
        for client in clients:
            client.read()
            before[client] = client.parser.last_event_id
        baseline: list[float] = []
        stopped_times: list[float] = []
        all_read = await publish(0, clients, baseline)
        stopped, *reading = clients
        with_one_stopped = await publish(messages, reading, stopped_times)
        assert with_one_stopped - all_read <= settings.backlog_bytes * 1.1
        assert hub.counters.closed["slow"] == 1
        again = Client(hub, ANN, stopped.parser.last_event_id)
        await trio.sleep(0.5)
        assert hello(again.read())["verdict"] in ("exact", "gap")
    assert size * messages >= 100_000_000
