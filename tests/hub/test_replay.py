"""Replay from the journal: a seek by key, page by page, as the socket takes it, with the rights of now (C5, C6)."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.access import Grant
from edgebotd.events import ALL, RunState
from edgebotd.hub import replay
from edgebotd.hub.settings import HubSettings
from edgebotd.store import journal as rows
from edgebotd.store.database import open_database
from tests.hub.support import (
    START_MS,
    Client,
    SlowReads,
    activity,
    bus,
    delta,
    hello,
    hub_on,
    memory_hub,
    message,
    named,
    status,
    statuses,
    user,
)

BOTH = user(a=Grant.VIEW, b=Grant.VIEW)


async def test_c5_a_page_of_the_journal_is_found_by_its_key() -> None:
    async with open_database(None, now=START_MS) as database:

        def plan(conn: sqlite3.Connection) -> str:
            asked: list[str] = []
            conn.set_trace_callback(asked.append)
            rows.after(conn, 1, 5, 10)
            conn.set_trace_callback(None)
            return " ".join(row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {asked[-1]}"))

        told = await database.read(plan)
        assert "SEARCH" in told and "SCAN" not in told and "TEMP B-TREE" not in told


async def test_c5_a_replay_reads_no_further_than_its_client(autojump_clock: MockClock) -> None:
    """Memory: a page per replaying client, however much it has missed."""
    async with memory_hub(HubSettings(ring_events=1)) as hub:
        first = Client(hub, BOTH)
        await first.settle()
        for number in range(400):
            hub.publish("a", message(text="x" * 20_000, number=number))
        await wait_all_tasks_blocked()
        again = Client(hub, BOTH, first.cursor)
        first.close()
        await wait_all_tasks_blocked()
        seen: list[str] = []
        while len(seen) < 400:
            await wait_all_tasks_blocked()
            assert all(info.queued_bytes < 3 * replay._AT_ONCE_BYTES for info in hub.connections())
            seen += [event["message"]["id"] for event in bus(again.read())]
        assert seen == [f"m{number}" for number in range(400)]


async def test_c5_what_is_published_while_the_journal_is_read_comes_once_after_it(autojump_clock: MockClock) -> None:
    async with open_database(None, now=START_MS) as database:
        async with hub_on(SlowReads(database, 5), HubSettings(ring_events=30)) as hub:
            first = Client(hub, BOTH)
            await first.settle()
            for number in range(50):
                hub.publish("a", message(number=number))
            await wait_all_tasks_blocked()
            again = Client(hub, BOTH, first.cursor)
            for number in range(50, 60):
                await trio.sleep(1)
                hub.publish("a", message(number=number))
                hub.publish("a", activity())
            await trio.sleep(60)
            hub.publish("a", message(number=60))
            await again.settle()
            assert hello(again.events)["verdict"] == "exact"
            # C1: the ring's events all or none, and some of those that were missed are gone.
            assert {event["type"] for event in bus(again.events)} == {"chat-message"}
            assert [event["message"]["id"] for event in bus(again.events)] == [f"m{number}" for number in range(61)]


@pytest.mark.parametrize("ring_events", [10_000, 1])
async def test_c6_a_grant_that_is_revoked_in_mid_replay_counts_for_the_rest(
    ring_events: int, autojump_clock: MockClock
) -> None:
    async with memory_hub(HubSettings(ring_events=ring_events)) as hub:
        first = Client(hub, BOTH)
        await first.settle()
        for number in range(300):
            hub.publish("ab"[number % 2], message("ab"[number % 2], text="x" * 5000, number=number))
        await wait_all_tasks_blocked()
        again = Client(hub, BOTH, first.cursor)
        first.close()
        await wait_all_tasks_blocked()
        hub.rescope(lambda principal: replace(principal, grants={"a": Grant.VIEW}))
        # What the kernel has taken already is out of reach; everything behind it is not.
        before = bus(again.read())
        assert len(before) < 150
        after: list[Any] = []
        while not after or after[-1]["message"]["id"] != "m298":
            after += bus(await again.settle())
        whole = [*before, *after]
        assert [e["message"]["id"] for e in whole if e["botId"] == "a"] == [f"m{n}" for n in range(0, 300, 2)]
        # One write was under way, no more.
        assert len([e for e in after if e["botId"] == "b"]) * 5000 < 3 * replay._AT_ONCE_BYTES


async def test_c6_a_backlog_is_sent_with_the_rights_of_the_moment_it_leaves(autojump_clock: MockClock) -> None:
    async with memory_hub(HubSettings(backlog_bytes=10_000_000)) as hub:
        client = Client(hub, BOTH)
        await client.settle()
        while not hub.connections()[0].queued_bytes:
            hub.publish("a", activity("a", "x" * 64))
            await wait_all_tasks_blocked()
        for number in range(20):
            hub.publish("b", message("b", number=number))
        await wait_all_tasks_blocked()
        hub.rescope(lambda principal: replace(principal, grants={"a": Grant.VIEW}))
        while client.read():
            await wait_all_tasks_blocked()
        assert b'"b"' not in client.raw


async def test_c5_what_is_published_at_each_step_of_a_replay_comes_once_and_in_order(autojump_clock: MockClock) -> None:
    """At the switch to live too: one event in each turn of the scheduler, so one falls into every gap there is."""
    async with memory_hub() as hub:
        first = Client(hub, BOTH)
        await first.settle()
        for number in range(20):
            hub.publish("a", message(text="x" * 20_000, number=number))
        await wait_all_tasks_blocked()
        again = Client(hub, BOTH, first.cursor)
        for number in range(100):
            hub.publish("a", activity(text=str(number)))
            await trio.lowlevel.checkpoint()
            again.read()
        await again.settle()
        assert [e["activity"] for e in bus(again.events) if e["type"] == "bot-activity"] == [str(n) for n in range(100)]
        assert hub.connections()[0].state == "live"


@pytest.mark.parametrize("ring_events", [10_000, 1])
async def test_c3_a_bye_in_mid_replay_promises_no_more_than_was_replayed(
    ring_events: int, autojump_clock: MockClock
) -> None:
    async with memory_hub(HubSettings(ring_events=ring_events)) as hub:
        first = Client(hub, BOTH)
        await first.settle()
        for number in range(100):
            hub.publish("a", message(text="x" * 20_000, number=number))
        await wait_all_tasks_blocked()
        again = Client(hub, BOTH, first.cursor)
        first.close()
        await wait_all_tasks_blocked()
        hub.rescope(lambda principal: None)
        while not again.closed:
            await again.settle()
        assert again.events[-1].type == "bye"
        seen = [event["message"]["id"] for event in bus(again.events)]
        assert 0 < len(seen) < 100
        last = Client(hub, BOTH, again.cursor)
        for _ in range(100):
            seen += [event["message"]["id"] for event in bus(await last.settle())]
        assert hello(last.events)["verdict"] == "exact"
        assert seen == [f"m{number}" for number in range(100)]


async def test_c1_a_trim_under_a_replay_is_told_at_the_next_connect(autojump_clock: MockClock) -> None:
    async with memory_hub(HubSettings(ring_events=1, journal_events=5, linger_seconds=0.5)) as hub:
        first = Client(hub, BOTH)
        await first.settle()
        for number in range(400):
            hub.publish("a", message(text="x" * 20_000, number=number))
        await wait_all_tasks_blocked()
        again = Client(hub, BOTH, first.cursor)
        await wait_all_tasks_blocked()
        assert hello(again.read())["verdict"] == "exact"
        await hub.trim()
        while not again.closed:
            await again.settle()
            await trio.sleep(0.1)
        assert named(again.events, "bye")[0].data == '{"reason":"slow"}'
        seen = [event["message"]["id"] for event in bus(again.events)]
        assert seen == [f"m{number}" for number in range(len(seen))]
        told = await Client(hub, BOTH, again.cursor).settle()
        assert (hello(told)["verdict"], hello(told)["reason"]) == ("gap", "evicted")


async def test_c1_a_gap_brings_the_snapshot_and_no_part_of_a_replay(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        hub.publish(ALL, statuses("a", "b"))
        hub.publish("a", message(number=1))
        hub.publish("a", activity())
        hub.publish("a", status(RunState.STREAMING))
        hub.publish("a", delta("so far"))
        await wait_all_tasks_blocked()
        events = await Client(hub, BOTH, "forged").settle()
        assert (hello(events)["verdict"], hello(events)["reason"]) == ("gap", "malformed")
        assert [event["type"] for event in bus(events)] == ["bots-status-update", "chat-status", "chat-delta"]
        assert events[-1].last_event_id


async def test_c1_ring_events_are_not_replayed_where_one_of_them_is_gone(autojump_clock: MockClock) -> None:
    """All or none: half of them would be neither what happened nor what is."""
    async with memory_hub(HubSettings(ring_events=4)) as hub:
        hub.publish(ALL, statuses("a"))
        first = Client(hub, BOTH)
        await first.settle()
        for number in range(3):
            hub.publish("a", activity(text=f"t{number}"))
            hub.publish("a", message(number=number))
        await wait_all_tasks_blocked()
        again = await Client(hub, BOTH, first.cursor).settle()
        assert [event["type"] for event in bus(again)] == ["chat-message"] * 3 + ["bots-status-update"]


async def test_c2_no_position_is_given_twice_over_ticks_failures_and_lives(autojump_clock: MockClock) -> None:
    async with open_database(None, now=START_MS) as database:
        ids: list[str] = []
        for life in (1, 2, 3):
            async with hub_on(database, life=life) as hub:
                client = Client(hub, BOTH)
                for number in range(10):
                    hub.publish("a", activity(text=f"t{number}"))
                    hub.publish("a", message(number=number + 100 * life))
                    with pytest.raises(ZeroDivisionError):
                        await hub.transact(lambda tx: 1 // 0)
                    await trio.sleep(20)
                await client.settle()
                ids += [event.last_event_id for event in client.events if event.type in ("message", "hb")]
        ids = [one for one in ids if one]
        # The two of one moment are the first heartbeat's, sent for the snapshot that is empty.
        assert len(ids) == len(set(ids)) > 60
