"""A stream may break at any byte: what its client has counted as seen is what it was sent (CHANNEL C3, S9-S15)."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.access import Grant, Kind, Principal
from edgebotd.events import ALL, RunState
from edgebotd.hub.hub import Hub
from edgebotd.hub.settings import HubSettings
from edgebotd.protocol.cursor import CursorSeal
from edgebotd.protocol.sse import Parser, ServerEvent
from tests.hub.support import (
    KEY,
    START_MS,
    Client,
    activity,
    bus,
    delta,
    hello,
    memory_hub,
    message,
    named,
    status,
    statuses,
    user,
)

ANN = user(a=Grant.VIEW, b=Grant.VIEW)


def mark(event: Any) -> str:
    """Return what tells an unmergeable event from the others."""
    return str(event.get("activity") or event["message"]["id"])


def marks(events: list[ServerEvent]) -> list[str]:
    return [mark(event) for event in bus(events) if event["type"] in ("bot-activity", "chat-message")]


def cuts(raw: bytes) -> list[int]:
    """Return where to cut: each byte about a frame's end, and every seventh elsewhere."""
    ends = [found.end() for found in re.finditer(rb"\n\n", raw)]
    near = {end + offset for end in ends for offset in range(-4, 5)}
    return sorted(length for length in near | set(range(0, len(raw), 7)) if 0 <= length <= len(raw))


async def eventful(hub: Hub, client: Client) -> None:
    """Let a client see a heartbeat, single events, batches, merged deltas, and a change of rights."""
    await trio.sleep(16)
    for number in range(4):
        hub.publish("a", activity(text=f"t{number}"))
        hub.publish("a", message(number=number))
        if number % 2:
            await wait_all_tasks_blocked()
    hub.publish("a", status(RunState.STREAMING))
    for number in range(6):
        hub.publish("a", delta("xy", 2 * number))
        await trio.sleep(0.02)
    hub.rescope(lambda principal: replace(principal, grants={"a": Grant.VIEW}))
    hub.publish("a", activity(text="after the rescope"))
    await trio.sleep(16)
    await client.settle()


@pytest.mark.parametrize("ring_events", [10_000, 3])
async def test_c3_s9_s10_a_cut_anywhere_loses_nothing_and_repeats_nothing(
    ring_events: int, autojump_clock: MockClock
) -> None:
    settings = HubSettings(ring_events=ring_events, max_streams=100_000)
    async with memory_hub(settings) as hub:
        hub.publish(ALL, statuses("a", "b"))
        whole = Client(hub, ANN)
        await eventful(hub, whole)
        everything = marks(whole.events)
        journalled = [one for one in everything if one.startswith("m")]
        assert len(everything) == 9
        for length in cuts(whole.raw):
            parser = Parser()
            seen = [
                mark(e) for e in bus(parser.feed(whole.raw[:length])) if e["type"] in ("bot-activity", "chat-message")
            ]
            again = Client(hub, user(a=Grant.VIEW), parser.last_event_id)
            await again.settle()
            together = seen + marks(again.events)
            if not parser.last_event_id:
                assert hello(again.events)["verdict"] == "fresh"
            elif ring_events > 100:
                assert hello(again.events)["verdict"] == "exact"
                assert together == everything, length
            else:
                # Ring events are gone by then, and the snapshot stands for them; the journalled ones are all there.
                assert hello(again.events)["verdict"] == "exact"
                assert [one for one in together if one.startswith("m")] == journalled, length
                assert len(set(together)) == len(together)
            again.close()
            await wait_all_tasks_blocked()


def blocks(raw: bytes) -> list[bytes]:
    assert raw.endswith(b"\n\n")
    return raw[:-2].split(b"\n\n")


async def every_frame(settings: HubSettings) -> dict[str, list[bytes]]:
    """Return the blocks of a stream of each kind of end."""
    found: dict[str, list[bytes]] = {}
    async with memory_hub(settings) as hub:
        hub.publish(ALL, statuses("a", "b"))
        restarted, revoked = (Client(hub, user(name, a=Grant.VIEW, b=Grant.VIEW)) for name in ("r", "v"))
        brief = Client(
            hub, Principal(Kind.SESSION, "s", "s", "s", expires_at=START_MS + 50_000, grants={"a": Grant.VIEW})
        )
        await eventful(hub, revoked)
        hub.rescope(lambda principal: None if principal.user_id == "v" else principal)
        await trio.sleep(60)
        found["busy"] = blocks(hub.refusal(user("r")) or b"")
        last = Client(hub, ANN)
        await wait_all_tasks_blocked()
        await hub.drain()
        found["draining"] = blocks(hub.refusal(user("r")) or b"")
        ends = {"restart": restarted, "revoked": revoked, "session": brief, "late": last}
        for name, client in ends.items():
            client.read()
            found[name] = blocks(client.raw)
    return found


async def test_s2_s12_s13_s14_each_frame_is_of_lf_lines_with_data_and_an_id_that_is_allowed(
    autojump_clock: MockClock,
) -> None:
    found = await every_frame(HubSettings(max_streams_per_user=1))
    reasons = set()
    for stream in found.values():
        for place, block in enumerate(stream):
            lines = block.split(b"\n")
            assert b"\r" not in block
            fields = [line.partition(b": ")[0] for line in lines]
            assert set(fields) <= {b"event", b"id", b"retry", b"data"}
            assert len(set(fields)) == len(fields)  # JSON has no raw line ends, so one `data` each
            assert b"data" in fields  # S13: a block with only an id is never relied on
            values = dict(line.split(b": ", 1) for line in lines)
            kind = values.get(b"event", b"message").decode()
            assert kind in ("hello", "message", "hb", "bye", "busy")
            if b"id" in values:  # S12: never an empty one
                assert re.fullmatch(rb"[A-Za-z0-9._~-]{1,64}", values[b"id"])
            if b"retry" in values:  # S14
                assert re.fullmatch(rb"[0-9]+", values[b"retry"])
            assert (kind == "hello") == (place == 0 and len(stream) > 1)
            if kind in ("hello", "busy"):  # C3
                assert b"id" not in values
            if kind == "hb":
                assert b"id" in values and values[b"data"] == b""
            if kind == "bye":
                assert place == len(stream) - 1
                reasons.add(json.loads(values[b"data"])["reason"])
            if kind == "busy":
                assert b"retry" in values
    assert reasons == {"restart", "revoked", "session"}


async def test_c3_bye_and_heartbeat_carry_what_this_stream_was_sent(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        client = Client(hub, user(a=Grant.VIEW))
        await client.settle()
        hub.publish("a", activity(text="seen"))
        hub.publish("b", activity("b", "hidden"))
        await client.settle()
        await hub.drain()
        # Published, numbered, and never sent: the `bye` before it must not promise it.
        hub.publish("a", message(number=7))
        await wait_all_tasks_blocked()
        bye = named(client.read(), "bye")[0]
        assert CursorSeal(KEY).open(bye.last_event_id) == (1, 2)


async def test_c3_a_bye_in_the_middle_of_things_promises_nothing_that_was_not_sent(autojump_clock: MockClock) -> None:
    async with memory_hub() as hub:
        client = Client(hub, user(a=Grant.VIEW))
        await client.settle()
        hub.publish("a", activity(text="sent"))
        await client.settle()
        hub.publish("a", activity(text="released, and on its way to nobody"))
        hub.rescope(lambda principal: None)
        await client.settle()
        assert marks(client.events) == ["sent"]
        again = Client(hub, user(a=Grant.VIEW), client.cursor)
        assert marks(await again.settle()) == ["released, and on its way to nobody"]


async def test_s15_each_hello_sets_the_normal_retry_again_after_a_bye_changed_it(autojump_clock: MockClock) -> None:
    async with memory_hub(HubSettings(retry_ms=2000)) as hub:
        parser = Parser()
        busy = Client(hub, ANN)
        await busy.settle()
        hub.rescope(lambda principal: None)
        parser.feed(busy.raw)
        parser.feed(b"event: bye\nretry: 29000\ndata: {}\n\n")
        again = Client(hub, ANN)
        await again.settle()
        parser.feed(again.raw)
        assert parser.retry_ms == 2000
