"""The main job on a real gateway: a message goes in over HTTP, and the reply comes out of the one channel, once."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio

from tests.peers.openclaw import Gateway, installed_or_skip, open_gateway
from tests.peers.running_daemon import Channel, Daemon, bot, open_daemon, text_of

Connected = tuple[Daemon, Channel]


def png() -> bytes:
    """Return a whole picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")


@pytest.fixture
async def connected(gateway: Gateway, tmp_path: Path) -> AsyncIterator[Connected]:
    async with open_daemon(tmp_path, bot(gateway.url, gateway.token)) as (daemon, channel):
        await wait_connected(channel)
        yield daemon, channel


def state(channel: Channel) -> str:
    for event in reversed(channel.of("bots-status-update")):
        return str(next(b["state"] for b in event["bots"] if b["botId"] == "claw"))
    return "unknown"


async def wait_connected(channel: Channel, timeout: float = 60) -> None:
    await channel.until(lambda _: state(channel) == "connected", timeout)


def streamed(channel: Channel, run_id: str, least: int = 1) -> Callable[[object], bool]:
    return lambda _: len(channel.of("chat-delta", runId=run_id)) >= least


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


async def test_a_killed_daemon_comes_back_in_mid_run_and_nothing_is_there_twice(connected: Connected) -> None:
    daemon, channel = connected
    sent = await daemon.send("[[long 60]]", "kill-1")
    await channel.until(streamed(channel, sent["runId"], 3))
    before = len(channel.verdicts)
    await trio.to_thread.run_sync(daemon.program.kill)
    await daemon.start()
    await channel.until(lambda _: len(channel.verdicts) > before)
    assert channel.verdicts[-1] == "exact"
    assert await channel.ended(sent["runId"]) == "finished"
    reply = await channel.stored(sent["runId"])
    assert text_of(reply).split() == [f"word{n}" for n in range(60)]
    history = await daemon.history(sent["conversationId"])
    assert [message["role"] for message in history] == ["user", "assistant"]


async def test_a_killed_gateway_leaves_no_run_streaming(tmp_path: Path) -> None:
    installed_or_skip()
    async with open_gateway() as gateway, open_daemon(tmp_path, bot(gateway.url, gateway.token)) as (daemon, channel):
        await wait_connected(channel)
        sent = await daemon.send("[[slow]] count", "gateway-1")
        await channel.until(streamed(channel, sent["runId"], 2))
        await trio.to_thread.run_sync(gateway.kill)
        await channel.until(lambda _: state(channel) != "connected")
        away = await daemon.send("[[say back again]]", "gateway-2")
        assert away["state"] == "queued"
        await trio.to_thread.run_sync(gateway.start)
        await trio.to_thread.run_sync(gateway.wait_ready)
        assert await channel.ended(sent["runId"], 120) in ("interrupted", "failed", "finished")
        assert await channel.ended(away["runId"], 120) == "finished"
        assert text_of(await channel.stored(away["runId"])) == "back again"
