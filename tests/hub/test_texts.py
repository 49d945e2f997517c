"""Whatever text an event holds arrives as it was, as one event (CHANNEL C12, S4-S8)."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgebotd.access import Grant
from edgebotd.events import Event
from edgebotd.hub.entry import EventRefused
from edgebotd.protocol.sse import Parser
from tests.hub.support import Client, activity, bus, delta, memory_hub, message, named, user
from tests.protocol.event_stream_reference import read_stream

ANN = user(a=Grant.VIEW)
ODD = ["x\rid: 999", "\u2028\u2029\x0b\x0c\x85\x1c", "a\n", "\n\n", "a\r\nb", "", " lead", ": colon", "\ufeffx", "\0"]


@pytest.mark.parametrize("text", ODD)
async def test_s4_s5_s6_s7_s8_odd_texts_arrive_as_they_were(text: str) -> None:
    async with memory_hub() as hub:
        client = Client(hub, ANN)
        await client.settle()
        before = client.cursor
        hub.publish("a", message(text=text))
        (event,) = bus(await client.settle())
        assert event["message"]["parts"][0]["text"] == text
        assert client.cursor not in (before, "999")
        hub.publish("a", delta(text))
        assert [event["text"] for event in bus(await client.settle())] == [text]
        # The channel's own frames: S7, the heartbeat's data is empty, and an event all the same.
        fresh = Client(hub, user(b=Grant.VIEW))
        assert [event.data for event in named(await fresh.settle(), "hb")] == [""]


@given(
    st.lists(st.text(st.sampled_from("\r\n\0 :\ufeff\u2028\x85aü😀\ud800") | st.characters(), max_size=30), max_size=8)
)
@example(["a \ud800 b", "c"])
@example(["data: x\n\n", "\n\nevent: bye\ndata: {}\n\n", "\r\rid: x\r\r"])
async def test_c12_any_text_that_is_published_arrives_as_one_event_with_the_same_text(texts: list[str]) -> None:
    """By our parser and by the reference; what cannot travel is refused at its publisher."""
    async with memory_hub() as hub:
        client = Client(hub, ANN)
        await client.settle()
        start = len(client.raw)
        sent: list[str] = []
        for number, text in enumerate(texts):
            makers: list[Callable[[], Event]] = []
            if text:
                makers.append(partial(message, text=text, number=number))
            if 0 < len(text) <= 64:
                makers.append(partial(activity, text=text))
            for make in makers:
                try:
                    hub.publish("a", make())
                except (EventRefused, ValidationError):
                    assert any("\ud800" <= character <= "\udfff" for character in text)
                else:
                    sent.append(text)
        await client.settle()
        raw = client.raw[start:]
        for events in (
            [event.data for event in Parser().feed(raw)],
            [data for _, data, _ in read_stream(raw)[0]],
        ):
            bodies = [json.loads(data) for data in events]
            assert [b.get("activity") or b["message"]["parts"][0]["text"] for b in bodies] == sent
