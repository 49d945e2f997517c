"""The main job on a real gateway: a message goes in over HTTP, and the reply comes out of the one channel, once."""

from __future__ import annotations

import base64
import struct
import uuid
import zlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from edgebotd.protocol.openclaw import Event
from tests.peers.gateway_client import open_client
from tests.peers.gateways import Gateways
from tests.peers.openclaw import Gateway
from tests.peers.running_daemon import (
    Channel,
    Daemon,
    bot,
    open_daemon,
    said,
    streamed,
    text_of,
    wait_state,
)

Connected = tuple[Daemon, Channel]


def png() -> bytes:
    """Return a whole picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")


@pytest.fixture
def gateway(gateways: Gateways, version: str) -> Gateway:
    """One gateway for all tests here, of each version."""
    return gateways.shared(version)


@pytest.fixture
async def connected(gateway: Gateway, tmp_path: Path) -> AsyncIterator[Connected]:
    async with open_daemon(tmp_path, bot(gateway.url, gateway.token)) as (daemon, channel):
        await wait_state(channel, "connected")
        yield daemon, channel


async def test_a_turn_streams_and_is_stored_once(connected: Connected) -> None:
    daemon, channel = connected
    sent = await daemon.send("[[say The quick brown fox jumps over the lazy dog]]", "turn-1")
    assert await channel.ended(sent["runId"]) == "finished"
    reply = await channel.stored(sent["runId"])
    assert text_of(reply) == "The quick brown fox jumps over the lazy dog"
    assert channel.text(sent["runId"]).strip() == text_of(reply)
    told = [e["state"] for e in channel.of("chat-status", runId=sent["runId"])]
    assert told[0] == "queued" and "streaming" in told and told.count("finished") == 1
    history = await daemon.history(sent["conversationId"])
    assert [message["role"] for message in history] == ["user", "assistant"]
    again = await daemon.send("[[say The quick brown fox jumps over the lazy dog]]", "turn-1")
    assert again["runId"] == sent["runId"]
    assert await daemon.history(sent["conversationId"]) == history


async def test_a_tool_turn_is_one_message_with_its_parts(connected: Connected) -> None:
    daemon, channel = connected
    sent = await daemon.send("please [[tool echo from-the-tool]]", "tool-1")
    assert await channel.ended(sent["runId"]) == "finished"
    reply = await channel.stored(sent["runId"])
    kinds = [part["type"] for part in reply["parts"]]
    assert "toolCall" in kinds and "toolResult" in kinds
    assert "closing text" in text_of(reply)
    assert any(e["activity"] == "tool" for e in channel.of("bot-activity"))


async def test_abort_ends_the_run_and_keeps_what_had_come(connected: Connected) -> None:
    daemon, channel = connected
    sent = await daemon.send("[[slow]] count", "abort-1")
    await channel.until(streamed(channel, sent["runId"]))
    answer = await daemon.ask("POST", "/api/bots/claw/chat/abort", {"runId": sent["runId"]})
    assert answer.json()["state"] == "aborted"
    assert await channel.ended(sent["runId"]) == "aborted"
    assert "tick 0" in text_of(await channel.stored(sent["runId"]))


async def test_a_model_error_fails_the_run_once_and_says_why(connected: Connected) -> None:
    daemon, channel = connected
    sent = await daemon.send("[[http 400]]", "error-1")
    assert await channel.ended(sent["runId"]) == "failed"
    reply = await channel.stored(sent["runId"])
    assert any(part["type"] == "error" for part in reply["parts"])
    ends = [e for e in channel.of("chat-status", runId=sent["runId"]) if e["state"] == "failed"]
    assert len(ends) == 1


async def test_an_image_reaches_the_gateway(connected: Connected) -> None:
    daemon, channel = connected
    file = {"name": "dot.png", "mediaType": "image/png", "data": base64.b64encode(png()).decode()}
    sent = await daemon.send("[[say I see]] what is this?", "image-1", attachments=[file])
    assert await channel.ended(sent["runId"]) == "finished"
    asked = await channel.stored(sent["runId"], "user")
    picture = next(part for part in asked["parts"] if part["type"] == "attachment")
    served = await daemon.ask("GET", f"/api/attachments/{picture['sha256']}")
    assert served.content == png()


async def test_a_send_while_busy_waits_for_its_turn(connected: Connected) -> None:
    daemon, channel = connected
    first = await daemon.send("[[long 12]]", "busy-1")
    second = await daemon.send("[[say second]]", "busy-2", conversationId=first["conversationId"])
    assert second["state"] == "queued"
    assert await channel.ended(second["runId"]) == "finished"
    order = [e["runId"] for e in channel.of("chat-status", state="finished")]
    assert order == [first["runId"], second["runId"]]
    assert text_of(await channel.stored(second["runId"])) == "second"


async def test_a_file_reaches_the_model(connected: Connected, gateway: Gateway) -> None:
    daemon, channel = connected
    word = f"pelican-{uuid.uuid4().hex[:8]}"
    file = {"name": "notes.txt", "mediaType": "text/plain", "data": base64.b64encode(word.encode()).decode()}
    sent = await daemon.send("[[say I have read it]]", "file-1", attachments=[file])
    assert await channel.ended(sent["runId"]) == "finished"
    asked = await trio.to_thread.run_sync(gateway.model.requests)
    assert any(word in request["user"] for request in asked)
    history = await daemon.history(sent["conversationId"])
    assert said(history) == [("user", "[[say I have read it]]"), ("assistant", "I have read it")]
    assert [part["name"] for part in history[0]["parts"] if part["type"] == "attachment"] == ["notes.txt"]


async def test_a_file_that_the_agent_sends_is_kept_and_served(connected: Connected, gateway: Gateway) -> None:
    daemon, channel = connected
    (gateway.state / "workspace" / "chart.png").write_bytes(png())
    sent = await daemon.send("[[say Here you are\nMEDIA:./chart.png]]", "out-1")
    assert await channel.ended(sent["runId"]) == "finished"
    reply = await channel.stored(sent["runId"])
    assert [part["type"] for part in reply["parts"]] == ["text", "attachment"]
    assert text_of(reply) == "Here you are" and reply["parts"][1]["mediaType"] == "image/png"
    served = await daemon.ask("GET", f"/api/attachments/{reply['parts'][1]['sha256']}")
    assert served.content == png()
    assert len(await daemon.history(sent["conversationId"])) == 2


async def test_two_clients_at_once_see_the_same_and_get_their_own_answers(
    connected: Connected, gateway: Gateway
) -> None:
    daemon, admins = connected
    token = await daemon.add_user("ann")
    anns = Channel(daemon.socket, token)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(anns.run, name="ann's channel")
        await anns.until(lambda _: bool(anns.verdicts))
        sent: dict[str, dict[str, str]] = {}

        async def send(name: str, who: str | None) -> None:
            sent[name] = await daemon.send(f"[[say answer for {name}]] [[long 8]]", "two-1", token=who)

        async with trio.open_nursery() as senders:
            senders.start_soon(send, "ann", token)
            senders.start_soon(send, "the administrator", None)
        for name, answer in sent.items():
            for channel in (admins, anns):
                assert await channel.ended(answer["runId"]) == "finished"
                assert text_of(await channel.stored(answer["runId"])) == channel.text(answer["runId"]).strip()
            history = await daemon.history(answer["conversationId"])
            assert [message["role"] for message in history] == ["user", "assistant"], name
            assert (history[0]["userId"] == "ann") == (name == "ann")
        nursery.cancel_scope.cancel()


async def test_what_another_client_says_in_a_session_is_there_once(connected: Connected, gateway: Gateway) -> None:
    daemon, channel = connected
    mine = await daemon.send("[[say first]]", "other-1")
    assert await channel.ended(mine["runId"]) == "finished"
    key, theirs = f"agent:main:edgebotd:{mine['conversationId']}", f"other-{uuid.uuid4()}"
    async with open_client(gateway.url, token=gateway.token) as client:
        params = {"sessionKey": key, "message": "[[say second]]", "idempotencyKey": theirs}
        await client.call("chat.send", params)
    assert await channel.ended(theirs) == "finished"
    await channel.stored(theirs, "user")
    again = await daemon.send("[[say third]]", "other-2", conversationId=mine["conversationId"])
    assert await channel.ended(again["runId"]) == "finished"
    expected = [(role, text) for word in ("first", "second", "third") for role, text in asked_and_said(word)]
    assert sorted(said(await daemon.history(mine["conversationId"]))) == sorted(expected)


def asked_and_said(word: str) -> list[tuple[str, str]]:
    return [("user", f"[[say {word}]]"), ("assistant", word)]


async def test_what_was_said_while_the_daemon_was_away_is_filled_in_whole(gateway: Gateway, tmp_path: Path) -> None:
    # Longer than the 8,000 characters at which a gateway cuts what it tells of the past.
    long = "x" * 9000
    key = f"agent:main:elsewhere-{uuid.uuid4().hex[:8]}"
    async with open_client(gateway.url, token=gateway.token) as client:
        for number, text in enumerate((f"[[say {long}]]", "[[say and on]]")):
            run_id = f"{key}-{number}"
            await client.call("chat.send", {"sessionKey": key, "message": text, "idempotencyKey": run_id})
            await client.event(partial(is_final, run_id), timeout=60)
    async with open_daemon(tmp_path, bot(gateway.url, gateway.token)) as (daemon, _channel):
        # It may be filled in before the channel is open: asked for, not waited for.
        history: list[dict[str, Any]] = []
        with trio.fail_after(60):
            while len(history) < 4:
                await trio.sleep(0.2)
                history = [m for m in await daemon.history() if m["runId"].startswith(f"{key}-")]
        assert said(history) == [
            ("user", f"[[say {long}]]"),
            ("assistant", long),
            ("user", "[[say and on]]"),
            ("assistant", "and on"),
        ]


def is_final(run_id: str, event: Event) -> bool:
    return event.name == "chat" and event.payload.get("runId") == run_id and event.payload.get("state") == "final"
