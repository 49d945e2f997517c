"""What the protocol module takes for true, asked of a real gateway."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trio_websocket import ConnectionRejected, HandshakeError

from edgebotd.protocol.openclaw import (
    ADMIN,
    FIRST_SCOPES,
    WHOLE_TEXT,
    Event,
    Kind,
    Runs,
    busy_sessions,
    classify_http,
    device_of,
    parse_history,
    parse_shutdown,
)
from edgebotd.protocol.run import Activity, Outcome, RunDelta, RunEnded, RunEnding, RunEvent, RunStatus
from edgebotd.protocol.usage import read_auth_status, read_usage_status
from tests.peers.gateway_client import GatewayClient, Refused, open_client
from tests.peers.gateways import Gateways
from tests.peers.install import CURRENT, OLDER
from tests.peers.openclaw import Gateway

TURN_SECONDS = 60
T = TypeVar("T", RunDelta, RunEnded, RunEnding)


class Conversation:
    """One session on one connection, told by a `Runs`."""

    def __init__(self, client: GatewayClient, key: str) -> None:
        self.client = client
        self.key = f"agent:main:edgebotd:{key}"
        self.runs = Runs()
        self.told: list[RunEvent] = []
        self._fed = 0

    async def send(self, text: str, **params: object) -> str:
        run_id = str(uuid.uuid4())
        self.runs.expect(run_id, self.key)
        sent = {"sessionKey": self.key, "message": text, "idempotencyKey": run_id, **params}
        answer = await self.client.call("chat.send", sent)
        assert answer["runId"] == run_id
        return run_id

    async def until(self, kind: type[T], run_id: str) -> T:
        """Wait for an event of a kind and run."""

        def found() -> list[T]:
            for frame in self.client.events[self._fed :]:
                self.told += self.runs.feed(frame.name, frame.payload)
            self._fed = len(self.client.events)
            return [event for event in self.told if isinstance(event, kind) and event.run_id == run_id]

        await self.client.until(lambda: bool(found()), TURN_SECONDS)
        return found()[0]

    async def end(self, run_id: str) -> RunEnded:
        return await self.until(RunEnded, run_id)


@asynccontextmanager
async def conversation(gateway: Gateway, key: str) -> AsyncIterator[Conversation]:
    async with open_client(gateway.url, token=gateway.token) as client:
        yield Conversation(client, key)


async def test_turn_streams_ends_once_and_is_in_history(gateway: Gateway) -> None:
    async with conversation(gateway, "turn") as talk:
        hello = talk.client.hello
        assert hello is not None and hello.has_rights and hello.can("chat.history")
        run_id = await talk.send("[[say It is 😀 here]]")
        end = await talk.end(run_id)
        assert (end.outcome, end.text) == (Outcome.FINISHED, "It is 😀 here")
        deltas = [event for event in talk.told if isinstance(event, RunDelta)]
        assert "".join(delta.text for delta in deltas) == end.text and len(deltas) > 1
        payload = await talk.client.call("chat.history", {"sessionKey": talk.key, "maxChars": WHOLE_TEXT})
        user, reply = parse_history(payload).messages
        assert user.run_id == reply.run_id == run_id
        assert [part["text"] for part in (*user.parts, *reply.parts)] == ["[[say It is 😀 here]]", end.text]


async def test_tool_call_is_told_while_it_runs(gateway: Gateway) -> None:
    async with conversation(gateway, "tool") as talk:
        run_id = await talk.send("[[tool echo from-the-tool]]")
        end = await talk.end(run_id)
        assert end.text is not None and end.text.endswith("The tool finished and this is the closing text.")
        assert any(isinstance(event, RunStatus) and event.activity is Activity.TOOL for event in talk.told)


async def test_abort_keeps_the_partial_text(gateway: Gateway) -> None:
    async with conversation(gateway, "abort") as talk:
        run_id = await talk.send("[[slow]]")
        await talk.until(RunDelta, run_id)
        answer = await talk.client.call("chat.abort", {"sessionKey": talk.key, "runId": run_id})
        assert answer["aborted"] is True
        end = await talk.end(run_id)
        assert end.outcome is Outcome.ABORTED and end.text is not None and end.text.startswith("tick 0")


async def test_model_error_fails_the_run(gateway: Gateway) -> None:
    async with conversation(gateway, "error") as talk:
        end = await talk.end(await talk.send("[[http 400]]"))
        assert end.outcome is Outcome.FAILED and end.error


async def test_refusals_are_what_they_are_taken_for(gateway: Gateway) -> None:
    with pytest.RaisesGroup(Refused, flatten_subgroups=True) as caught:
        async with open_client(gateway.url, token="wrong"):
            pass
    (refused,) = caught.value.exceptions
    assert isinstance(refused, Refused) and refused.trouble.kind is Kind.BAD_CREDENTIALS
    async with open_client(gateway.url, token=gateway.token) as client:
        with pytest.raises(Refused) as denied:
            await client.call("sessions.delete", {"key": "main"})
        assert denied.value.trouble.kind is Kind.NO_RIGHTS


async def come_back(gateway: Gateway) -> list[Kind]:
    """Connect until it works; return the troubles on the way."""
    troubles: list[Kind] = []
    with trio.fail_after(90):
        while True:
            try:
                async with open_client(gateway.url, token=gateway.token):
                    return troubles
            except* (Refused, HandshakeError, OSError) as group:
                for error in group.exceptions:
                    while isinstance(error, BaseExceptionGroup):
                        error = error.exceptions[0]
                    if isinstance(error, Refused):
                        troubles.append(error.trouble.kind)
                    elif isinstance(error, ConnectionRejected):
                        troubles.append(classify_http(error.status_code).kind)
            await trio.sleep(0.3)


@pytest.mark.heavy  # a minute: three starts; test_openclaw_breaks.py shows what the daemon makes of it
async def test_restart_in_process_and_kill_look_like_what_they_are(gateways: Gateways) -> None:
    gateway = await trio.to_thread.run_sync(gateways.breakable, CURRENT)
    async with open_client(gateway.url, token=gateway.token, scopes=[ADMIN]) as admin:
        before = admin.hello
        await admin.call("gateway.restart.request", {"reason": "test"})
        shutdown = await admin.event(lambda event: event.name == "shutdown")
        assert parse_shutdown(shutdown.payload).restarting
        with pytest.raises(Refused) as closed:
            await admin.until(lambda: False, 20)
        assert closed.value.trouble.kind is Kind.RESTARTING
    assert set(await come_back(gateway)) <= {Kind.RESTARTING, Kind.LOST}
    async with conversation(gateway, "killed") as talk:
        assert before is not None and talk.client.hello is not None
        assert talk.client.hello.boot_id != before.boot_id
        run_id = await talk.send("[[slow]]")
        await talk.until(RunDelta, run_id)
        await trio.to_thread.run_sync(gateway.kill)
        with pytest.raises(Refused) as broken:
            await talk.end(run_id)
        assert broken.value.trouble.kind is Kind.LOST
        runs, key = talk.runs, talk.key
    await trio.to_thread.run_sync(gateway.restart)
    async with open_client(gateway.url, token=gateway.token) as client:
        # The gateway resumes the session by a run of its own; ours never comes back and is settled from history.
        history = parse_history(await client.call("chat.history", {"sessionKey": key, "maxChars": WHOLE_TEXT}))
        assert run_id not in history.active_run_ids and run_id != history.in_flight_run_id
        (end,) = (event for event in runs.settle(run_id, history, idle=True) if isinstance(event, RunEnded))
        assert end.outcome in (Outcome.INTERRUPTED, Outcome.ABORTED)
        assert end.text is None or end.text.startswith("tick 0")


async def test_off_loopback_a_device_is_paired_once(gateways: Gateways) -> None:
    gateway = await trio.to_thread.run_sync(gateways.distant, CURRENT)
    async with open_client(gateway.url, token=gateway.token) as client:
        assert client.hello is not None and not client.hello.has_rights
    device = device_of(Ed25519PrivateKey.generate())
    with pytest.RaisesGroup(Refused, flatten_subgroups=True) as caught:
        async with open_client(gateway.url, token=gateway.token, device=device, scopes=FIRST_SCOPES):
            pass
    (refused,) = caught.value.exceptions
    assert isinstance(refused, Refused) and refused.trouble.kind is Kind.NEEDS_PAIRING
    assert refused.trouble.device_id == device.id and refused.trouble.request_id is not None
    await trio.to_thread.run_sync(gateway.cli, "devices", "approve", refused.trouble.request_id, "--json")
    async with open_client(gateway.url, token=gateway.token, device=device, scopes=FIRST_SCOPES) as client:
        assert client.hello is not None and client.hello.missing_scopes == []
        device_token = client.hello.device_token
    assert device_token
    async with open_client(
        gateway.url, token=None, device=device, device_token=device_token, scopes=FIRST_SCOPES
    ) as client:
        assert client.hello is not None and client.hello.has_rights


@pytest.mark.heavy
async def test_older_version_is_settled_from_history_after_a_model_error(gateways: Gateways) -> None:
    gateway = await trio.to_thread.run_sync(gateways.shared, OLDER)
    async with conversation(gateway, "older") as talk:
        end = await talk.end(await talk.send("[[long 5]]"))
        assert end.outcome is Outcome.FINISHED
        run_id = await talk.send("[[http 400]]")
        await talk.until(RunEnding, run_id)
        payload = await talk.client.call("chat.history", {"sessionKey": talk.key})
        (ended,) = talk.runs.settle(run_id, parse_history(payload))
        assert isinstance(ended, RunEnded) and ended.outcome is Outcome.FAILED and ended.error
        slow = await talk.send("[[slow]]")
        await talk.until(RunDelta, slow)
        assert talk.key in busy_sessions(await talk.client.call("sessions.list", {"limit": 5}))
        await talk.client.call("chat.abort", {"sessionKey": talk.key})
        assert (await talk.end(slow)).outcome is Outcome.ABORTED


async def test_frozen_gateway_is_silent_and_goes_on_when_thawed(gateways: Gateways) -> None:
    gateway = await trio.to_thread.run_sync(gateways.breakable, CURRENT)
    async with open_client(gateway.url, token=gateway.token) as client:
        gateway.freeze()
        with pytest.raises(trio.TooSlowError):
            await client.call("health", {}, timeout=1)
        gateway.thaw()
        await client.call("health", {})
        assert all(isinstance(event, Event) for event in client.events)


async def test_use_and_logins_are_told_by_provider(gateway: Gateway) -> None:
    async with open_client(gateway.url, token=gateway.token) as client:
        used = await client.call("usage.status", {})
        logins = await client.call("models.authStatus", {})
    # No login of it can tell how much is used, and nothing is made of that.
    assert all(one.usage is None for one in read_usage_status(used, 1).values())
    assert all(one.usage is None for one in read_auth_status(logins, 1).values())
