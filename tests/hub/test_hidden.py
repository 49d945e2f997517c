"""What changes about a bot that one may not see: no byte tells that something changed (CHANNEL C6)."""

from __future__ import annotations

import json

from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.access import Grant
from edgebotd.events import ALL, BotsStatusUpdate, BotState
from edgebotd.hub.request import StreamRequest
from tests.hub.support import ADMIN, Client, activity, bus, memory_hub, statuses, user

ANN = user(a=Grant.VIEW)
BOTH = user(a=Grant.VIEW, b=Grant.VIEW)


def told(a: BotState, b: BotState) -> BotsStatusUpdate:
    """Return the states of the bots `a` and `b`."""
    one, two = statuses("a", "b").bots
    return BotsStatusUpdate(bots=(one.model_copy(update={"state": a}), two.model_copy(update={"state": b})))


UP, DOWN = BotState.CONNECTED, BotState.DISCONNECTED


async def test_c6_a_change_of_a_hidden_bot_is_no_byte_on_a_stream_a_replay_or_a_poll(
    autojump_clock: MockClock,
) -> None:
    async with memory_hub() as hub:
        hub.publish(ALL, told(UP, UP))
        client, admin = Client(hub, ANN), Client(hub, ADMIN)
        await client.settle()
        admin.read()
        cursor, before = client.cursor, client.raw
        for state in (DOWN, UP, DOWN):
            hub.publish(ALL, told(UP, state))
        await client.settle()
        assert client.raw == before
        assert [event["bots"][1]["state"] for event in bus(admin.read())] == [DOWN.value, UP.value, DOWN.value]
        resumed = Client(hub, ANN, cursor)
        await resumed.settle()
        assert not bus(resumed.events)
        assert not (await hub.poll(StreamRequest(ANN, cursor), 0)).events
        # What changes about one's own still comes, and a newcomer is told how things are.
        hub.publish(ALL, told(DOWN, DOWN))
        (change,) = bus(await client.settle())
        assert [bot["state"] for bot in change["bots"]] == [DOWN.value]
        (polled,) = (await hub.poll(StreamRequest(ANN, cursor), 0)).events
        assert json.loads(polled) == change
        hub.publish(ALL, told(DOWN, UP))
        newcomer = Client(hub, ANN)
        assert bus(await newcomer.settle()) == [change]


async def test_c6_rights_that_change_before_an_event_is_sent_leave_nothing_old(autojump_clock: MockClock) -> None:
    """The bot goes and the grant with it: what is sent looks to the new rights as what was sent with the old ones."""
    for queued in (False, True):
        async with memory_hub() as hub:
            hub.publish(ALL, statuses("a", "b"))
            client = Client(hub, BOTH)
            await client.settle()
            while queued and not hub.connections()[0].queued_bytes:
                hub.publish("a", activity(text="x" * 64))
                await wait_all_tasks_blocked()
            hub.publish(ALL, statuses("a"))
            if queued:
                await wait_all_tasks_blocked()
            hub.rescope(lambda _: ANN)
            while await client.settle():
                pass
            last = [event for event in bus(client.events) if event["type"] == "bots-status-update"][-1]
            assert [bot["botId"] for bot in last["bots"]] == ["a"], queued
