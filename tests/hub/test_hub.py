"""The contract of the channel, under virtual time: CHANNEL C1-C4, C6, C8, C11, C14-C16, S18, S23, S25."""

from __future__ import annotations

import json
import sqlite3

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.access import Grant, Kind, Principal
from edgebotd.errors import Forbidden, NotFound
from edgebotd.events import (
    ALL,
    BotActivity,
    BotLog,
    BotState,
    BotStatus,
    JobStatus,
    LogLine,
    RunState,
)
from edgebotd.hub.entry import EventRefused
from edgebotd.hub.request import HubFull, StreamRequest
from edgebotd.hub.settings import HubSettings
from edgebotd.protocol.cursor import CursorSeal
from edgebotd.store.database import Transaction, open_database
from tests.hub.support import (
    ADMIN,
    KEY,
    START_MS,
    Client,
    SlowCommits,
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

VIEW_A = {"a": Grant.VIEW}


async def test_c1_hello_comes_first_and_a_new_client_is_fresh(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        hub.publish(ALL, statuses("a", "b"))
        client = Client(hub, user(**VIEW_A))
        events = await client.settle()
        assert hello(events) == {
            "epoch": "epoch1",
            "streamId": client.stream_id,
            "verdict": "fresh",
            "heartbeatSeconds": 15.0,
            "user": "ann",
        }
        assert events[0].retry == 2000  # S15
        assert [bot["botId"] for bot in bus(events)[0]["bots"]] == ["a"]


async def test_c3_only_the_last_frame_of_a_snapshot_carries_the_cursor(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        hub.publish(ALL, statuses("a"))
        hub.publish("a", status(RunState.STREAMING))
        hub.publish("a", delta("so far"))
        client = Client(hub, user(**VIEW_A))
        events = await client.settle()
        assert [event["type"] for event in bus(events)] == ["bots-status-update", "chat-status", "chat-delta"]
        assert [event.last_event_id != "" for event in events] == [False, False, False, True]
        assert CursorSeal(KEY).open(client.cursor) == (1, 3)


async def test_c3_an_empty_snapshot_still_gives_a_cursor(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        client = Client(hub, user(**VIEW_A))
        events = await client.settle()
        assert [event.type for event in events] == ["hello", "hb"]
        assert client.cursor


async def test_c1_the_snapshot_has_the_text_of_running_runs_only(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        for run in ("r1", "r2"):
            hub.publish("a", status(RunState.STARTED, run))
            hub.publish("a", delta("one ", 0, run))
        hub.publish("a", delta("two \U0001f600", 4, "r1"))
        hub.publish("a", delta("!", 10, "r1"))
        hub.publish("a", status(RunState.FINISHED, "r2"))
        await trio.sleep(1)
        events = await Client(hub, user(**VIEW_A)).settle()
        deltas = [event for event in bus(events) if event["type"] == "chat-delta"]
        assert [(event["runId"], event["offset"], event["text"]) for event in deltas] == [
            ("r1", 0, "one two \U0001f600!")
        ]


async def test_c1_a_resumed_client_gets_exactly_what_it_missed(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        first = Client(hub, user(**VIEW_A))
        await first.settle()
        hub.publish("a", activity(text="1"))
        hub.publish("a", message(text="2"))
        await first.settle()
        first.close()
        hub.publish("a", message(text="3", number=3))
        hub.publish("a", activity(text="4"))
        await wait_all_tasks_blocked()
        second = Client(hub, user(**VIEW_A), first.cursor)
        events = await second.settle()
        assert hello(events)["verdict"] == "exact"
        assert [event["type"] for event in bus(events)] == ["chat-message", "bot-activity"]
        hub.publish("a", activity(text="5"))
        assert [event["activity"] for event in bus(await second.settle())] == ["5"]


async def test_c1_after_the_ring_has_turned_the_journal_and_the_snapshot_follow(autojump_clock: MockClock) -> None:
    async with memory_hub(HubSettings(ring_events=10)) as hub:
        hub.publish(ALL, statuses("a"))
        first = Client(hub, user(**VIEW_A))
        await first.settle()
        first.close()
        for number in range(500):
            hub.publish("a", message(number=number))
            hub.publish("a", activity(text=f"t{number}"))
        await wait_all_tasks_blocked()
        second = Client(hub, user(**VIEW_A), first.cursor)
        events = await second.settle()
        assert hello(events)["verdict"] == "exact"
        assert [event["message"]["id"] for event in bus(events)[:-1]] == [f"m{n}" for n in range(500)]
        assert bus(events)[-1]["type"] == "bots-status-update"
        hub.publish("a", activity(text="live"))
        assert [event["activity"] for event in bus(await second.settle())] == ["live"]


async def test_c1_the_same_verdicts_hold_across_a_restart(autojump_clock: MockClock) -> None:
    async with open_database(None, now=START_MS) as database:
        async with hub_on(database) as hub:
            hub.publish("a", message(number=1))
            first = Client(hub, user(**VIEW_A))
            await first.settle()
            hub.publish("a", message(number=2))
            await wait_all_tasks_blocked()
        async with hub_on(database, life=2) as hub:
            hub.publish("a", message(number=3))
            await wait_all_tasks_blocked()
            second = Client(hub, user(**VIEW_A), first.cursor)
            events = await second.settle()
            assert hello(events)["verdict"] == "exact"
            assert [event["message"]["id"] for event in bus(events)] == ["m2", "m3"]


async def test_c1_trimmed_events_are_told_as_a_gap(autojump_clock: MockClock) -> None:
    async with memory_hub(HubSettings(ring_events=1, journal_days=1)) as hub:
        first = Client(hub, user(**VIEW_A))
        await first.settle()
        hub.publish("a", message(number=1))
        await trio.sleep(2 * 86_400)
        hub.publish("a", message(number=2))
        await wait_all_tasks_blocked()
        assert await hub.trim() == 1
        events = await Client(hub, user(**VIEW_A), first.cursor).settle()
        assert (hello(events)["verdict"], hello(events)["reason"]) == ("gap", "evicted")
        assert bus(events) == []


@pytest.mark.parametrize(
    "cursor",
    ["x", "A" * 10_240, "\x00\xff", CursorSeal(bytes(32)).seal(1, 1), CursorSeal(KEY).seal(1, 999_999), "é" * 22],
    ids=["short", "10 KB", "binary", "of another installation", "beyond the newest", "not ASCII"],
)
async def test_s23_an_odd_cursor_is_a_gap_and_never_an_error(cursor: str, autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        events = await Client(hub, user(**VIEW_A), cursor).settle()
        assert (hello(events)["verdict"], hello(events)["reason"]) == ("gap", "malformed")


async def test_s23_an_empty_cursor_is_none(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        assert hello(await Client(hub, user(**VIEW_A), "").settle())["verdict"] == "fresh"


async def test_c2_every_client_gets_the_same_id_for_an_event(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        clients = [Client(hub, user(**VIEW_A)), Client(hub, ADMIN)]
        await wait_all_tasks_blocked()
        for client in clients:
            client.read()
        hub.publish("b", activity("b"))
        hub.publish("a", activity("a"))
        await wait_all_tasks_blocked()
        assert len({client.read()[-1].last_event_id for client in clients}) == 1


async def test_c4_what_was_published_after_a_transaction_waits_for_its_commit(autojump_clock: MockClock) -> None:
    async with open_database(None, now=START_MS) as database, hub_on(SlowCommits(database, 5)) as hub:
        client = Client(hub, user(**VIEW_A))
        await client.settle()

        def write(tx: Transaction) -> str:
            tx.emit("a", message(number=1))
            tx.emit("a", message(number=2))
            return "stored"

        async def transact() -> None:
            assert await hub.transact(write) == "stored"

        async with trio.open_nursery() as nursery:
            hub.publish("a", activity(text="before"))
            nursery.start_soon(transact)
            await wait_all_tasks_blocked()
            hub.publish("a", activity(text="after"))
            assert [event["activity"] for event in bus(await client.settle())] == ["before"]
            await trio.sleep(4.9)
            assert client.read() == []
        events = bus(await client.settle())
        kinds = [event.get("activity") or event["message"]["id"] for event in events]
        assert kinds == ["m1", "m2", "after"]


async def test_c4_a_failed_transaction_shows_nothing_and_holds_up_nothing(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        client = Client(hub, user(**VIEW_A))
        await client.settle()

        def write(tx: Transaction) -> None:
            tx.emit("a", message())
            tx.connection.execute("SELECT * FROM no_such_table")

        with pytest.raises(sqlite3.OperationalError):
            await hub.transact(write)
        hub.publish("a", activity(text="goes on"))
        assert [event["type"] for event in bus(await client.settle())] == ["bot-activity"]


async def test_a_cancelled_transaction_is_still_written_and_seen(autojump_clock: MockClock) -> None:
    async with open_database(None, now=START_MS) as database, hub_on(SlowCommits(database, 5)) as hub:
        client = Client(hub, user(**VIEW_A))
        await client.settle()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hub.transact, lambda tx: tx.emit("a", message()))
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await trio.sleep(6)
        assert [event["type"] for event in bus(await client.settle())] == ["chat-message"]


async def test_a_full_pipeline_refuses_publishers_and_lets_transactions_wait(autojump_clock: MockClock) -> None:
    async with memory_hub(HubSettings(pending_events=5)) as hub:
        client = Client(hub, user(**VIEW_A))
        await client.settle()
        for number in range(5):
            hub.publish("a", message(number=number))
        with pytest.raises(HubFull):
            hub.publish("a", message(number=9))
        await hub.transact(lambda tx: tx.emit("a", message(number=6)))
        ids = [event["message"]["id"] for event in bus(await client.settle())]
        assert ids == ["m0", "m1", "m2", "m3", "m4", "m6"]


async def test_c6_a_user_gets_no_byte_about_a_foreign_bot(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        hub.publish(ALL, statuses("a", "secretbot"))
        hub.publish("secretbot", status(RunState.STARTED, bot_id="secretbot"))
        hub.publish("secretbot", delta("x", bot_id="secretbot"))
        client = Client(hub, user(**VIEW_A))
        await client.settle()
        hub.publish("secretbot", activity("secretbot"))
        hub.publish("secretbot", message("secretbot"))
        hub.publish(ALL, JobStatus(job="j", state="running", at=1))
        await client.settle()
        resumed = Client(hub, user(**VIEW_A), client.cursor)
        await resumed.settle()
        assert b"secretbot" not in client.raw + resumed.raw
        assert b"job:status" not in client.raw + resumed.raw


async def test_c6_a_revoked_grant_takes_effect_at_once(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        hub.publish(ALL, statuses("a", "b"))
        client = Client(hub, user(a=Grant.VIEW, b=Grant.VIEW))
        await client.settle()
        hub.rescope(lambda principal: user(**VIEW_A))
        hub.publish("b", activity("b"))
        hub.publish("a", activity("a"))
        events = bus(await client.settle())
        assert [bot["botId"] for bot in events[0]["bots"]] == ["a"]
        assert [event["botId"] for event in events[1:]] == ["a"]


async def test_c6_a_new_grant_brings_what_is_going_on(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        hub.publish("b", status(RunState.STREAMING, bot_id="b"))
        hub.publish("b", delta("so far", bot_id="b"))
        client = Client(hub, user(**VIEW_A))
        await client.settle()
        hub.rescope(lambda principal: user(a=Grant.VIEW, b=Grant.VIEW))
        assert [event["type"] for event in bus(await client.settle())] == ["chat-status", "chat-delta"]


async def test_c6_a_grant_that_came_while_one_was_away_shows_its_bot_on_return(autojump_clock: MockClock) -> None:
    """Whatever happened meanwhile, and nothing: the state of the new bot is older than the cursor."""
    async with memory_hub() as hub:
        hub.publish(ALL, statuses("a", "b"))
        client = Client(hub, user(**VIEW_A))
        await client.settle()
        client.socket.close()
        hub.rescope(lambda principal: principal)
        both = user(a=Grant.VIEW, b=Grant.VIEW)
        again = Client(hub, both, client.cursor)
        events = await again.settle()
        assert json.loads(named(events, "hello")[0].data)["verdict"] == "exact"
        assert [bot["botId"] for bot in bus(events)[0]["bots"]] == ["a", "b"]
        answer = await hub.poll(StreamRequest(both, client.cursor), 0)
        assert [json.loads(event)["type"] for event in answer.events] == ["bots-status-update"]
        assert (await hub.poll(StreamRequest(both, answer.cursor), 0)).events == (), "told once"


async def test_c6_a_revoked_session_is_told_and_closed(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        ann, bob = Client(hub, user("ann", **VIEW_A)), Client(hub, user("bob", **VIEW_A))
        await wait_all_tasks_blocked()
        hub.rescope(lambda principal: None if principal.user_id == "ann" else principal)
        events = await ann.settle()
        assert json.loads(named(events, "bye")[0].data) == {"reason": "revoked"}
        assert ann.closed
        await bob.settle()
        assert not bob.closed
        assert hub.counters.closed["revoked"] == 1


async def test_c8_heartbeats_carry_the_cursor_and_real_traffic_pushes_them_back(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        client = Client(hub, user(**VIEW_A))
        await client.settle()
        await trio.sleep(10)
        hub.publish("a", activity())
        await trio.sleep(10)
        assert [event.type for event in client.read()] == ["message"]
        before = client.cursor
        await trio.sleep(6)
        events = client.read()
        assert [(event.type, event.data) for event in events] == [("hb", "")]
        assert client.cursor != before


async def test_c8_with_nothing_visible_for_long_a_client_resumes_exactly(autojump_clock: MockClock) -> None:
    async with memory_hub(HubSettings(ring_events=100)) as hub:
        client = Client(hub, user(**VIEW_A))
        await client.settle()
        for _ in range(5):
            for _ in range(200):
                hub.publish("b", activity("b"))
            await trio.sleep(16)
        client.read()
        client.close()
        hub.publish("a", activity(text="missed"))
        events = await Client(hub, user(**VIEW_A), client.cursor).settle()
        assert hello(events)["verdict"] == "exact"
        assert [event["activity"] for event in bus(events)] == ["missed"]


async def test_c10_drain_says_bye_with_a_retry_of_its_own_to_each(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        clients = [Client(hub, user(f"u{number}", **VIEW_A)) for number in range(20)]
        await wait_all_tasks_blocked()
        await hub.drain()
        byes = [named(client.read(), "bye")[0] for client in clients]
        assert {bye.data for bye in byes} == {'{"reason":"restart"}'}
        assert len({bye.retry for bye in byes}) > 10
        assert all(client.closed and client.cursor for client in clients)
        assert b'"reason":"restart"' in (hub.refusal(ADMIN) or b"")


async def test_c10_the_last_to_be_told_are_spread_as_wide_as_the_first(autojump_clock: MockClock) -> None:
    async with memory_hub(HubSettings(max_streams=1000)) as hub:
        clients = [Client(hub, user(f"u{number}", **VIEW_A)) for number in range(400)]
        await wait_all_tasks_blocked()
        await hub.drain()
        waits = [named(client.read(), "bye")[0].retry or 0 for client in clients]
        # 3 ms for each of 400; as the streams end, fewer are left, but all 400 come back.
        for half in (waits[:200], waits[200:]):
            assert 1400 < max(half) <= 1500


async def test_c11_over_a_cap_newcomers_are_told_and_nobody_is_evicted(autojump_clock: MockClock) -> None:
    async with memory_hub(HubSettings(max_streams=3, max_streams_per_user=2)) as hub:
        clients = [Client(hub, user("ann", **VIEW_A)) for _ in range(2)]
        assert b"event: busy\nretry: " in (hub.refusal(user("ann")) or b"")
        assert hub.refusal(user("bob")) is None
        clients.append(Client(hub, user("bob", **VIEW_A)))
        assert b'{"reason":"streams"}' in (hub.refusal(user("eve")) or b"")
        await wait_all_tasks_blocked()
        for client in clients:
            client.read()
            assert not client.closed
        clients[0].close()
        await wait_all_tasks_blocked()
        assert hub.refusal(user("eve")) is None


async def test_c14_streams_end_by_age_and_never_outlive_their_session(autojump_clock: MockClock) -> None:
    async with memory_hub(HubSettings(max_age_seconds=1000)) as hub:
        old = Client(hub, user("old", **VIEW_A))
        brief = Client(
            hub, Principal(Kind.SESSION, "brief", "brief", "s", expires_at=START_MS + 60_000, grants={"a": Grant.VIEW})
        )
        await trio.sleep(60)
        assert named(brief.read(), "bye")[0].data == '{"reason":"session"}'
        assert brief.closed
        await trio.sleep(700)
        old.read()
        assert not old.closed
        await trio.sleep(241)
        assert named(old.read(), "bye")[0].data == '{"reason":"age"}'
        assert old.closed


async def test_c15_one_event_for_many_clients_of_one_class_is_encoded_once(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        anns = [Client(hub, user("ann", a=Grant.VIEW)) for _ in range(20)]
        bobs = [Client(hub, user("bob", a=Grant.VIEW, b=Grant.VIEW)) for _ in range(20)]
        await wait_all_tasks_blocked()
        before = hub.counters.encoded
        hub.publish("a", activity())
        await wait_all_tasks_blocked()
        assert hub.counters.encoded - before == 1
        hub.publish(ALL, statuses("a", "b"))
        await wait_all_tasks_blocked()
        # Once at the publisher, which is what bob sees, and once for what ann sees of it.
        assert hub.counters.encoded - before == 3
        for client in anns + bobs:
            assert len(bus(client.read())) == 2


async def test_c15_what_was_published_together_leaves_in_one_write(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        client = Client(hub, user(**VIEW_A))
        await client.settle()
        before = hub.counters.sends
        for number in range(50):
            hub.publish("a", activity(text=f"t{number}"))
        assert len(bus(await client.settle())) == 50
        assert hub.counters.sends - before == 1


async def test_c15_deltas_merge_to_twenty_frames_a_second_and_the_text_is_the_same(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        client = Client(hub, user(**VIEW_A))
        await client.settle()
        text = ""
        for number in range(2000):
            piece = f"{number}\U0001f600 "
            hub.publish("a", delta(piece, len(text.encode("utf-16-le")) // 2))
            text += piece
            await trio.sleep(0.001)
        await trio.sleep(0.051)
        deltas = bus(client.read())
        assert 38 <= len(deltas) <= 42
        assert "".join(event["text"] for event in deltas) == text


async def test_c15_a_held_delta_leaves_before_any_other_event_of_its_run(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        client = Client(hub, user(**VIEW_A))
        await client.settle()
        hub.publish("a", delta("one"))
        hub.publish("a", delta(" two", 3))
        hub.publish("a", activity(text="unrelated"))
        hub.publish("a", message(text="final"))
        hub.publish("a", status(RunState.FINISHED))
        types = [event["type"] for event in bus(await client.settle())]
        assert types == ["chat-delta", "bot-activity", "chat-delta", "chat-message", "chat-status"]


async def test_c16_a_stream_can_be_narrowed_to_bots_and_types(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        hub.publish(ALL, statuses("a", "b"))
        by_bot = Client(hub, ADMIN, bots=frozenset({"a"}))
        by_type = Client(hub, ADMIN, types=frozenset({"chat-message"}))
        await wait_all_tasks_blocked()
        for bot_id in ("a", "b"):
            hub.publish(bot_id, activity(bot_id))
            hub.publish(bot_id, message(bot_id))
        events = bus(await by_bot.settle())
        assert [bot["botId"] for bot in events[0]["bots"]] == ["a"]
        assert {event["botId"] for event in events[1:]} == {"a"}
        assert [(event["type"], event["botId"]) for event in bus(await by_type.settle())] == [
            ("chat-message", "a"),
            ("chat-message", "b"),
        ]


async def test_c16_logs_reach_only_the_operator_who_watches(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        changes: list[frozenset[str]] = []
        also: list[frozenset[str]] = []
        hub.on_watch_change(lambda: changes.append(hub.watched_bots().logs))
        hub.on_watch_change(lambda: also.append(hub.watched_bots().logs))
        operator, viewer = user("op", a=Grant.OPERATE), user("eve", a=Grant.VIEW)
        watching, idle, other = Client(hub, operator), Client(hub, operator), Client(hub, viewer)
        await wait_all_tasks_blocked()
        hub.watch(watching.stream_id, operator, logs=frozenset({"a"}), stats=frozenset())
        with pytest.raises(Forbidden):
            hub.watch(other.stream_id, viewer, logs=frozenset({"a"}), stats=frozenset())
        with pytest.raises(NotFound):
            hub.watch(watching.stream_id, viewer, logs=frozenset(), stats=frozenset())
        hub.publish("a", BotLog(bot_id="a", lines=(LogLine(at=1, text="line"),)))
        assert [event["type"] for event in bus(await watching.settle())] == ["bot-log"]
        assert bus(idle.read()) == bus(other.read()) == []
        watching.close()
        await wait_all_tasks_blocked()
        assert changes == also == [frozenset({"a"}), frozenset()]


async def test_c17_every_connection_is_explained(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        client = Client(hub, user(**VIEW_A), address="192.0.2.1:5", bots=frozenset({"a"}))
        await client.settle()
        (info,) = hub.connections()
        assert info.stream_id == client.stream_id
        assert (info.user_id, info.address, info.since_at) == ("ann", "192.0.2.1:5", START_MS)
        assert (info.verdict, info.state, info.transport, info.bots) == ("fresh", "live", "handed-over", ("a",))
        client.close()
        await wait_all_tasks_blocked()
        assert hub.connections() == []
        assert dict(hub.counters.closed) == {"client": 1}
        assert dict(hub.counters.opened) == {"fresh": 1}


async def test_s18_s25_what_may_not_travel_is_refused_at_the_publisher(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        client = Client(hub, ADMIN)
        await client.settle()
        broken = BotActivity.model_construct(bot_id="a", activity="\ud800")
        wrong_type = activity().model_copy(update={"type": "error"})
        wrong_model = activity().model_copy(update={"type": "chat-status"})
        broken_message = message().model_copy(update={"conversation_id": "\ud800"})
        for event in (
            broken,
            wrong_type,
            wrong_model,
            broken_message,
            delta("x").model_copy(update={"text": "\ud800"}),
        ):
            with pytest.raises(EventRefused):
                hub.publish("a", event)
        with pytest.raises(EventRefused):
            hub.publish("b", activity("a"))
        with pytest.raises(EventRefused):
            hub.publish("a", statuses("a"))
        with pytest.raises(EventRefused):
            await hub.transact(lambda tx: tx.emit("b", message("a")))
        hub.publish("a", activity(text="alive"))
        assert [event["activity"] for event in bus(await client.settle())] == ["alive"]


async def test_s5_data_arrives_unchanged(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        client = Client(hub, user(**VIEW_A))
        await client.settle()
        for text in ("\ufefflead", " lead", ": colon", "a\nb\r\nc\rd", "\u2028\u2029\x0b\x0c\x85\x1c\x00", "id: 9\n\n"):
            hub.publish("a", message(text=text))
            assert bus(await client.settle())[0]["message"]["parts"][0]["text"] == text


async def test_poll_follows_the_rules_of_the_stream(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        hub.publish(ALL, statuses("a", "b"))
        ann = user(**VIEW_A)
        fresh = await hub.poll(StreamRequest(ann), 25)
        assert (fresh.verdict, len(fresh.events)) == ("fresh", 1)
        started = trio.current_time()

        async def publish_later() -> None:
            await trio.sleep(3)
            hub.publish("b", activity("b"))
            await trio.sleep(3)
            hub.publish("a", activity("a"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish_later)
            answer = await hub.poll(StreamRequest(ann, cursor=fresh.cursor), 25)
        assert trio.current_time() - started == 6
        assert json.loads(answer.to_json())["events"] == [
            {"type": "bot-activity", "botId": "a", "activity": "thinking"}
        ]
        empty = await hub.poll(StreamRequest(ann, cursor=answer.cursor), 25)
        assert (empty.verdict, empty.events, trio.current_time() - started) == ("exact", (), 31)
        forged = await hub.poll(StreamRequest(ann, cursor="forged"), 25)
        assert (forged.verdict, forged.reason) == ("gap", "malformed")


async def test_poll_reads_the_journal_page_by_page(autojump_clock: MockClock) -> None:
    async with memory_hub(HubSettings(ring_events=5)) as hub:
        cursor = (await hub.poll(StreamRequest(user(**VIEW_A)), 0)).cursor
        for number in range(1200):
            hub.publish("a", message(number=number))
        await wait_all_tasks_blocked()
        seen: list[str] = []
        while True:
            answer = await hub.poll(StreamRequest(user(**VIEW_A), cursor=cursor), 0)
            assert answer.verdict == "exact"
            if not answer.events:
                break
            seen += [json.loads(event)["message"]["id"] for event in answer.events]
            cursor = answer.cursor
        assert seen == [f"m{number}" for number in range(1200)]


async def test_a_waiting_poll_ends_when_its_session_is_revoked(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        cursor = (await hub.poll(StreamRequest(user(**VIEW_A)), 0)).cursor

        async def revoke() -> None:
            await trio.sleep(1)
            hub.rescope(lambda principal: None)
            hub.publish("a", activity("a"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(revoke)
            answer = await hub.poll(StreamRequest(user(**VIEW_A), cursor=cursor), 25)
        assert answer.events == ()
        assert trio.current_time() == 1


async def test_journalled_status_reaches_a_view_of_its_bot(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        client = Client(hub, user(**VIEW_A))
        await client.settle()
        hub.publish("a", BotStatus(bot_id="a", state=BotState.CONNECTED, since_at=1))
        assert [event["state"] for event in bus(await client.settle())] == ["connected"]
