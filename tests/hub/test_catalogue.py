"""Each type of the catalogue on its way, made by a fake producer: who gets it, and what is kept (CHANNEL section 1)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.access import Grant
from edgebotd.events import ALL, CATALOGUE, BotState, BotStatus, ConversationUpdate, Event
from edgebotd.hub.hub import Hub
from edgebotd.store.database import open_database
from tests.event_examples import CONVERSATION, EXAMPLES, JOURNALLED, example
from tests.hub.support import ADMIN, START_MS, Client, bus, hello, hub_on, memory_hub, user

# Who the contract's table names, of: an administrator, a viewer of the bot, its operator, its operator who watches,
# and a user without any bot. Written by hand from the table, not from the code.
USERS = {"admin", "viewer", "operator", "watching", "viewing"}
SEEN_BY = {
    "bot-activity": USERS,
    "bots-status-update": USERS | {"nobody"},  # own bots only: an empty list tells that there are none
    "bot:status": USERS,
    "chat-status": USERS,
    "chat-delta": USERS,
    "chat-message": USERS,
    "conversation-update": USERS,
    "code-session:status": USERS,
    "code-session:event": USERS,
    "docker:status": USERS | {"nobody"},
    "bot-log": {"watching"},
    "bot-stats": {"watching", "viewing"},
    "provision-log": {"admin"},
    "provision-done": {"admin"},
    "auth-profiles:refreshed": {"admin"},
    "auth-profiles:usage-updated": USERS,
    "alert": {"admin"},
    "job:status": {"admin"},
}
LATEST = {"bots-status-update", "docker:status", "auth-profiles:usage-updated", "job:status"}
ATLAS = frozenset({"atlas"})
WATCHED = {"bot-log", "bot-stats"}
OPERATOR = user("operator", atlas=Grant.OPERATE)
PEOPLE = {
    "admin": ADMIN,
    "viewer": user("viewer", atlas=Grant.VIEW),
    "operator": OPERATOR,
    "watching": user("watching", atlas=Grant.OPERATE),
    "viewing": user("viewing", atlas=Grant.VIEW),
    "nobody": user("nobody"),
}


def produce(hub: Hub, event: Event) -> None:
    """Publish as the producer that is to come will: for the event's bot, or for all."""
    hub.publish(getattr(event, "bot_id", None) or ALL, event)


async def audience(hub: Hub) -> dict[str, Client]:
    clients = {name: Client(hub, principal) for name, principal in PEOPLE.items()}
    await wait_all_tasks_blocked()
    hub.watch(clients["watching"].stream_id, PEOPLE["watching"], logs=ATLAS, stats=ATLAS)
    hub.watch(clients["viewing"].stream_id, PEOPLE["viewing"], logs=frozenset(), stats=ATLAS)
    for client in clients.values():
        client.read()
    return clients


@pytest.mark.parametrize("type_", CATALOGUE)
async def test_each_type_reaches_those_whom_the_table_names(type_: str, autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        clients = await audience(hub)
        produce(hub, example(type_))
        await wait_all_tasks_blocked()
        got = {name: bus(client.read()) for name, client in clients.items()}
        assert {name for name, events in got.items() if events} == SEEN_BY[type_]
        for events in got.values():
            assert [event["type"] for event in events] in ([], [type_])
        full = EXAMPLES[type_]
        if got["admin"]:
            (seen,) = got["admin"]
            assert {key: seen[key] for key in full if not isinstance(full[key], dict | list)} == {
                key: value for key, value in full.items() if not isinstance(value, dict | list)
            }
        # Of system-wide events each user sees the own part only.
        for name in ("viewer", "operator", "viewing", "nobody"):
            for event in got[name]:
                assert "iris" not in json.dumps(event).lower()


@pytest.mark.parametrize("type_", CATALOGUE)
async def test_each_type_is_kept_where_the_table_says(type_: str, autojump_clock: MockClock) -> None:
    """Ring events are replayed within one life, journalled ones across a restart, "latest" ones are in the snapshot."""
    reader = "watching" if type_ in WATCHED else "admin"
    async with open_database(None, now=START_MS) as database:
        async with hub_on(database) as hub:
            first = await audience(hub)
            cursor = first[reader].cursor
            produce(hub, example(type_))
            await wait_all_tasks_blocked()
            again = Client(hub, PEOPLE[reader], cursor)
            replayed = [event["type"] for event in bus(await again.settle())]
            # A watch ends with its stream, so what is watched is not replayed to the next one.
            assert replayed == ([] if type_ in WATCHED else [type_])
            fresh = [event["type"] for event in bus(await Client(hub, PEOPLE[reader]).settle())]
            running = {"chat-status", "chat-delta"}  # of a run that streams, with its text so far
            assert fresh == ([type_] if type_ in LATEST | running else [])
        async with hub_on(database, life=2) as hub:
            later = Client(hub, PEOPLE[reader], cursor)
            assert hello(await later.settle())["verdict"] == "exact"
            assert [event["type"] for event in bus(later.events)] == ([type_] if type_ in JOURNALLED else [])


@pytest.mark.parametrize(
    ("type_", "key"),
    [
        ("bots-status-update", None),
        ("docker:status", None),
        ("auth-profiles:usage-updated", "profileId"),
        ("job:status", "job"),
    ],
)
async def test_of_latest_wins_events_the_snapshot_has_the_newest_of_each_key(
    type_: str, key: str | None, autojump_clock: MockClock
) -> None:
    async with memory_hub() as hub:
        base = CATALOGUE[type_].model
        values: list[dict[str, Any]] = [{**EXAMPLES[type_]} for _ in range(3)]
        if key is not None:
            values[0][key] = "other"
        for value in values:
            hub.publish(ALL, base.model_validate(value))
        events = bus(await Client(hub, ADMIN).settle())
        assert [event.get(key) if key else None for event in events] == (["other", values[1][key]] if key else [None])


async def test_a_read_marker_reaches_its_own_users_streams_only(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        clients = await audience(hub)
        marker = ConversationUpdate(
            bot_id="atlas", conversation_id=CONVERSATION, change="read", user_id="viewer", read_seq=3
        )
        produce(hub, marker)
        await wait_all_tasks_blocked()
        assert {name for name, client in clients.items() if bus(client.read())} == {"viewer"}


async def test_an_alert_of_a_bot_reaches_who_sees_the_bot(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        clients = await audience(hub)
        produce(hub, example("alert").model_copy(update={"bot_id": "atlas"}))
        await wait_all_tasks_blocked()
        assert {name for name, client in clients.items() if bus(client.read())} == USERS


@pytest.mark.parametrize("state", BotState)
async def test_each_state_of_a_bot_travels_with_source_and_since_when(
    state: BotState, autojump_clock: MockClock
) -> None:
    async with memory_hub() as hub:
        client = Client(hub, PEOPLE["viewer"])
        await client.settle()
        produce(hub, BotStatus(bot_id="atlas", state=state, source="docker", since_at=5))
        (event,) = bus(await client.settle())
        assert (event["state"], event["source"], event["sinceAt"]) == (state.value, "docker", 5)
