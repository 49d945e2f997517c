"""A poll is the stream in single answers: the same verdicts, events, order and rights (CHANNEL section 5, poll)."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.access import Grant, Kind, Principal
from edgebotd.events import ALL, RunState
from edgebotd.hub.hub import Hub
from edgebotd.hub.request import PollAnswer, StreamRequest
from edgebotd.hub.settings import HubSettings
from edgebotd.protocol.cursor import CursorSeal
from edgebotd.store.database import Transaction, open_database
from tests.event_examples import example
from tests.hub.support import (
    ADMIN,
    KEY,
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
    status,
    statuses,
    user,
)

ANN = user(a=Grant.VIEW)


def events_of(answer: PollAnswer) -> list[Any]:
    body = json.loads(answer.to_json())
    assert set(body) <= {"verdict", "reason", "cursor", "events"}
    events = body["events"]
    assert isinstance(events, list)
    return events


async def furnish(hub: Hub) -> None:
    hub.publish(ALL, statuses("a", "secretbot"))
    hub.publish("a", status(RunState.STREAMING))
    hub.publish("a", delta("so far"))
    for number in range(4):
        hub.publish("a", message(number=number))
        hub.publish("secretbot", message("secretbot", number=number))
        hub.publish("a", activity(text=f"t{number}"))
        hub.publish("secretbot", activity("secretbot"))
    await wait_all_tasks_blocked()


CURSORS: dict[str, Callable[[], str | None]] = {
    "none": lambda: None,
    "empty": lambda: "",
    "forged": lambda: "forged",
    "10 KB": lambda: "A" * 10_240,
    "binary": lambda: "\x00\xff",
    "of another installation": lambda: CursorSeal(bytes(32)).seal(1, 1),
    "beyond the newest": lambda: CursorSeal(KEY).seal(1, 999_999_999),
    "of a life to come": lambda: CursorSeal(KEY).seal(2, 1),
    "at the start": lambda: CursorSeal(KEY).seal(1, 0),
    "of an earlier life": lambda: CursorSeal(KEY).seal(0, 5),
}


@pytest.mark.parametrize("ring_events", [10_000, 2])
@pytest.mark.parametrize("which", CURSORS)
@pytest.mark.parametrize("narrow", [{}, {"bots": frozenset({"a"})}, {"types": frozenset({"chat-message"})}])
async def test_a_poll_answers_what_a_stream_with_the_same_cursor_sends(
    which: str, ring_events: int, narrow: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with memory_hub(HubSettings(ring_events=ring_events)) as hub:
        await furnish(hub)
        cursor = CURSORS[which]()
        stream = Client(hub, ANN, cursor, **narrow)
        await stream.settle()
        answer = await hub.poll(StreamRequest(ANN, cursor, **narrow), 0)
        said = hello(stream.events)
        assert (answer.verdict, answer.reason) == (said["verdict"], said.get("reason"))
        assert events_of(answer) == bus(stream.events)
        assert "secretbot" not in answer.to_json()
        # Both stand at the same place now: neither misses nor repeats what comes.
        hub.publish("a", message(number=9))
        await wait_all_tasks_blocked()
        for later in (answer.cursor, stream.parser.last_event_id):
            followed = events_of(await hub.poll(StreamRequest(ANN, later, **narrow), 0))
            assert [event["message"]["id"] for event in followed] == ["m9"]


@pytest.mark.parametrize("ring_events", [10_000, 7])
async def test_a_poller_has_what_a_stream_has_over_a_whole_evening(ring_events: int, autojump_clock: MockClock) -> None:
    """Random publishes, polls of random patience: each message once, in order; the ring's too while it holds them."""
    rng = random.Random(3)
    async with memory_hub(HubSettings(ring_events=ring_events)) as hub:
        stream = Client(hub, ANN)
        await stream.settle()
        seen: list[Any] = []
        done = trio.Event()

        start = (await hub.poll(StreamRequest(ANN), 0)).cursor

        async def poll() -> None:
            cursor = start
            last = False
            while not last:
                last = done.is_set()
                answer = await hub.poll(StreamRequest(ANN, cursor), rng.choice([0, 0.5, 25]))
                assert answer.verdict == "exact"
                seen.extend(events_of(answer))
                cursor = answer.cursor
                await trio.sleep(rng.choice([0, 0, 0.3]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            for number in range(300):
                bot_id = rng.choice(["a", "a", "secretbot"])
                said = rng.random() < 0.5
                hub.publish(bot_id, message(bot_id, number=number) if said else activity(bot_id, f"t{number}"))
                await trio.sleep(rng.choice([0, 0, 0, 0.1, 0.4]))
            await trio.sleep(30)
            done.set()
        stream.read()
        expected = bus(stream.events)
        messages = [event for event in expected if event["type"] == "chat-message"]
        assert [event for event in seen if event["type"] == "chat-message"] == messages
        if ring_events > 300:
            assert seen == expected


async def test_c6_a_grant_that_is_revoked_while_a_poll_waits_counts_at_once(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        both = user(a=Grant.VIEW, b=Grant.VIEW)
        cursor = (await hub.poll(StreamRequest(both), 0)).cursor

        async def revoke() -> None:
            await trio.sleep(1)
            hub.rescope(lambda principal: ANN)
            hub.publish("b", activity("b"))
            await trio.sleep(1)
            hub.publish("a", activity("a"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(revoke)
            answer = await hub.poll(StreamRequest(both, cursor), 25)
        assert [event["botId"] for event in events_of(answer)] == ["a"]


@pytest.mark.parametrize("left", [ANN, None])
async def test_c6_a_grant_that_is_revoked_while_the_journal_is_read_counts(
    left: Principal | None, autojump_clock: MockClock
) -> None:
    async with (
        open_database(None, now=START_MS) as database,
        hub_on(SlowReads(database, 5), HubSettings(ring_events=1)) as hub,
    ):
        both = user(a=Grant.VIEW, b=Grant.VIEW)
        cursor = (await hub.poll(StreamRequest(both), 0)).cursor
        hub.publish(ALL, statuses("a", "b"))
        for number in range(5):
            hub.publish("b", message("b", number=number))
        await wait_all_tasks_blocked()

        async def revoke() -> None:
            await trio.sleep(1)
            hub.rescope(lambda principal: left)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(revoke)
            answer = await hub.poll(StreamRequest(both, cursor), 0)
        assert '"b"' not in answer.to_json()
        assert bool(answer.events) == (left is not None)


async def test_c6_a_poll_that_waited_while_the_ring_turned_is_answered_with_the_rights_of_now(
    autojump_clock: MockClock,
) -> None:
    async with memory_hub(HubSettings(ring_events=2)) as hub:
        both = user(a=Grant.VIEW, b=Grant.VIEW)
        cursor = (await hub.poll(StreamRequest(both), 0)).cursor
        answers: list[PollAnswer] = []

        async def poll() -> None:
            answers.append(await hub.poll(StreamRequest(both, cursor), 25))

        def emit_nine(tx: Transaction) -> None:
            for number in range(9):
                tx.emit("b", message("b", number=number))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            await wait_all_tasks_blocked()
            hub.rescope(lambda principal: ANN)
            # One transaction, so the waiter wakes when the ring has turned already.
            await hub.transact(emit_nine)
            hub.publish("a", message(number=10))
        assert [event["botId"] for event in events_of(answers[0])] in (["a"], [])
        assert '"b"' not in answers[0].to_json()


async def test_c14_no_poll_waits_longer_than_its_session_lasts(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        brief = Principal(Kind.SESSION, "s", "s", "s", expires_at=START_MS + 10_000, grants={"a": Grant.VIEW})
        cursor = (await hub.poll(StreamRequest(brief), 0)).cursor
        await trio.sleep(4)
        await hub.poll(StreamRequest(brief, cursor), 25)
        assert trio.current_time() == 10


async def test_c11_over_the_cap_a_poll_answers_at_once(autojump_clock: MockClock) -> None:
    async with memory_hub(HubSettings(max_streams_per_user=2)) as hub:
        cursor = (await hub.poll(StreamRequest(ANN), 0)).cursor
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(hub.poll, StreamRequest(ANN, cursor), 25)
            await wait_all_tasks_blocked()
            started = trio.current_time()
            answer = await hub.poll(StreamRequest(ANN, cursor), 25)
            assert (answer.events, trio.current_time()) == ((), started)
            hub.publish("a", activity())


async def test_logs_are_for_streams_that_watch_and_never_in_a_poll(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        cursor = (await hub.poll(StreamRequest(ADMIN), 0)).cursor
        hub.publish("atlas", example("bot-log"))
        assert (await hub.poll(StreamRequest(ADMIN, cursor), 0)).events == ()
