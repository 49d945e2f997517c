"""What breaks in mid-run, with a real gateway: wire, daemon, gateway. History is whole, nothing is there twice."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import trio

from edgebotd.protocol.openclaw import ADMIN
from tests.peers.gateway_client import Refused, open_client
from tests.peers.gateways import Gateways
from tests.peers.install import CURRENT, OLDER
from tests.peers.relay import open_relay
from tests.peers.running_daemon import (
    Channel,
    Daemon,
    bot,
    open_daemon,
    said,
    state,
    streamed,
    text_of,
    wait_state,
)


def count(words: int) -> str:
    return " ".join(f"word{n}" for n in range(words))


def new_key() -> str:
    """Return an idempotency key that no other test has."""
    return uuid.uuid4().hex


async def whole_once(daemon: Daemon, channel: Channel, sent: dict[str, str], words: int) -> None:
    """Hold a run that was broken into to its whole text, streamed and stored, and to one answer."""
    assert await channel.ended(sent["runId"], 120) == "finished"
    assert " ".join(text_of(await channel.stored(sent["runId"])).split()) == count(words)
    assert " ".join(channel.text(sent["runId"]).split()) == count(words)
    history = await daemon.history(sent["conversationId"])
    assert [message["role"] for message in history] == ["user", "assistant"]
    assert len([e for e in channel.of("chat-status", runId=sent["runId"]) if e["state"] == "finished"]) == 1
    told = [e for e in channel.of("chat-message") if e["message"]["runId"] == sent["runId"]]
    assert [e["message"]["state"] for e in told if e["message"]["role"] == "assistant"] == ["final"]
    assert set(channel.verdicts[1:]) <= {"exact"}


async def test_wires_that_break_in_mid_run_lose_nothing(gateways: Gateways, version: str, tmp_path: Path) -> None:
    gateway = gateways.shared(version)
    async with (
        open_relay(gateway.host, gateway.port) as relay,
        open_daemon(tmp_path, bot(relay.url, gateway.token)) as (daemon, channel),
    ):
        await wait_state(channel, "connected")
        sent = await daemon.send("[[long 60]]", new_key())
        await channel.until(streamed(channel, sent["runId"], 3))
        relay.cut(joined=False)
        channel.cut()
        await wait_state(channel, "disconnected")
        relay.joined = True
        await wait_state(channel, "connected")
        channel.cut()
        await whole_once(daemon, channel, sent, 60)


async def test_a_run_that_ended_while_the_wire_was_cut_is_found(
    gateways: Gateways, version: str, tmp_path: Path
) -> None:
    gateway = gateways.shared(version)
    async with (
        open_relay(gateway.host, gateway.port) as relay,
        open_daemon(tmp_path, bot(relay.url, gateway.token)) as (daemon, channel),
        open_client(gateway.url, token=gateway.token) as beside,
    ):
        await wait_state(channel, "connected")
        sent = await daemon.send("[[long 25]]", new_key())
        await channel.until(streamed(channel, sent["runId"], 3))
        relay.cut(joined=False)
        await beside.event(
            lambda e: e.name == "chat" and e.payload.get("runId") == sent["runId"] and e.payload["state"] == "final"
        )
        relay.joined = True
        await whole_once(daemon, channel, sent, 25)


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
async def test_a_daemon_that_comes_back_in_mid_run_goes_on(
    how: str, gateways: Gateways, version: str, tmp_path: Path
) -> None:
    gateway = gateways.shared(version)
    async with open_daemon(tmp_path, bot(gateway.url, gateway.token)) as (daemon, channel):
        await wait_state(channel, "connected")
        sent = await daemon.send("[[long 60]]", new_key())
        await channel.until(streamed(channel, sent["runId"], 3))
        before = len(channel.verdicts)
        if how == "SIGKILL":
            await trio.to_thread.run_sync(daemon.program.kill)
        else:
            daemon.program.terminate()
            assert await trio.to_thread.run_sync(daemon.program.wait, 20) == 0
        await daemon.start()
        await channel.until(lambda _: len(channel.verdicts) > before)
        assert channel.verdicts[-1] == "exact"
        await whole_once(daemon, channel, sent, 60)


async def test_a_killed_gateway_leaves_no_run_streaming(gateways: Gateways, version: str, tmp_path: Path) -> None:
    gateway = await trio.to_thread.run_sync(gateways.breakable, version)
    async with open_daemon(tmp_path, bot(gateway.url, gateway.token)) as (daemon, channel):
        await wait_state(channel, "connected")
        sent = await daemon.send("[[long 60]]", new_key())
        await channel.until(streamed(channel, sent["runId"], 2))
        await trio.to_thread.run_sync(gateway.kill)
        await channel.until(lambda _: state(channel) != "connected")
        away = await daemon.send("[[say back again]]", new_key())
        assert away["state"] == "queued" and away["detail"]
        waits = await daemon.send("[[say after it]]", new_key(), conversationId=sent["conversationId"])
        await trio.to_thread.run_sync(gateway.restart)
        assert await channel.ended(sent["runId"], 120) == "interrupted"
        assert text_of(await channel.stored(sent["runId"])).startswith("word0")
        assert await channel.ended(away["runId"], 120) == "finished"
        assert said(await daemon.history(away["conversationId"])) == [
            ("user", "[[say back again]]"),
            ("assistant", "back again"),
        ]
        assert await channel.ended(waits["runId"], 120) == "finished"
        # 2026.9.6 takes the broken turn up by a run of its own, and may answer the next message in that one.
        await channel.until(lambda _: all_over(channel, sent["conversationId"], "after it"), 120)
        history = await daemon.history(sent["conversationId"])
        assert [m["role"] for m in history if m["runId"] == sent["runId"]] == ["user", "assistant"]
        assert [m["role"] for m in history if m["runId"] == waits["runId"]][:1] == ["user"]
        answers = [text for role, text in said(history) if role == "assistant"]
        assert sum("after it" in text for text in answers) == 1
        assert len({m["id"] for m in history}) == len(history) == 2 + len(answers)


def all_over(channel: Channel, conversation_id: str, expected: str) -> bool:
    """Tell whether an answer has come and nothing streams in the conversation any more."""
    states = {e["runId"]: e["state"] for e in channel.of("chat-status", conversationId=conversation_id)}
    messages = [e["message"] for e in channel.of("chat-message", conversationId=conversation_id)]
    answered = any(m["role"] == "assistant" and expected in text_of(m) for m in messages)
    return answered and set(states.values()) <= {"finished", "interrupted"}


async def test_a_gateway_that_restarts_in_process_is_waited_for(
    gateways: Gateways, version: str, tmp_path: Path
) -> None:
    gateway = await trio.to_thread.run_sync(gateways.breakable, version)
    async with open_daemon(tmp_path, bot(gateway.url, gateway.token)) as (daemon, channel):
        await wait_state(channel, "connected")
        before = await daemon.bot()
        async with open_client(gateway.url, token=gateway.token, scopes=[ADMIN]) as admin:
            await admin.call("gateway.restart.request", {"reason": "test"})
            with pytest.raises(Refused):
                await admin.until(lambda: False, 30)
        await wait_state(channel, "starting", "disconnected", timeout=30)
        sent = await daemon.send("[[say back again]]", new_key())
        await wait_state(channel, "connected")
        assert await channel.ended(sent["runId"]) == "finished"
        assert text_of(await channel.stored(sent["runId"])) == "back again"
        told = [e["reason"] for e in channel.of("bot:status", state="starting")]
        assert "restarting" in told
        assert before["version"] == (await daemon.bot())["version"] == version


async def test_a_gateway_that_is_stopped_in_mid_run_is_found_again(
    gateways: Gateways, version: str, tmp_path: Path
) -> None:
    gateway = await trio.to_thread.run_sync(gateways.breakable, version)
    async with open_daemon(tmp_path, bot(gateway.url, gateway.token)) as (daemon, channel):
        await wait_state(channel, "connected")
        sent = await daemon.send("[[long 25]]", new_key())
        await channel.until(streamed(channel, sent["runId"], 2))
        gateway.terminate()
        if version == CURRENT:
            # It ends its runs first; 2026.5.28 drops them.
            await whole_once(daemon, channel, sent, 25)
        assert await trio.to_thread.run_sync(gateway.wait, 60) is not None
        await channel.until(lambda _: state(channel) != "connected", 30)
        await trio.to_thread.run_sync(gateway.restart)
        await wait_state(channel, "connected")
        if version == OLDER:
            assert await channel.ended(sent["runId"]) == "interrupted"
        again = await daemon.send("[[say here]]", new_key(), conversationId=sent["conversationId"])
        assert await channel.ended(again["runId"]) == "finished"


async def test_a_frozen_gateway_does_not_hold_up_the_daemon(gateways: Gateways, tmp_path: Path) -> None:
    gateway = await trio.to_thread.run_sync(gateways.breakable, CURRENT)
    async with open_daemon(tmp_path, bot(gateway.url, gateway.token)) as (daemon, channel):
        await wait_state(channel, "connected")
        gateway.freeze()
        sent = await daemon.send("[[say thawed]]", new_key())
        assert (await daemon.ask("GET", "/api/status")).is_success
        gateway.thaw()
        assert await channel.ended(sent["runId"]) == "finished"
        assert text_of(await channel.stored(sent["runId"])) == "thawed"
