"""The connector to OpenClaw gateways, on a scripted gateway: what a real one cannot be made to do on demand.

That the scripted one is like the real one is shown by running the same contract on both (`tests/peers`).
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from pydantic import SecretStr
from typing_extensions import override

from edgebotd.bots import openclaw, openclaw_hello, openclaw_session
from edgebotd.bots.connector import Accepted, ConnectorError, Feature, Outgoing, OutgoingFile, Trouble
from edgebotd.bots.gateways import Configurable, SaysUsage
from edgebotd.bots.openclaw import OpenClawConnector
from edgebotd.protocol.run import (
    Outcome,
    PastMessage,
    RunDelta,
    RunEnded,
    RunEnding,
    RunEvent,
    SessionSeen,
    ToolActivity,
)
from tests.bots.contract import CONTRACT, Harness, Script, open_session
from tests.bots.fake_gateway import ALL, TOKEN, FakeGateway, error, open_fake_gateway

SCRIPT = Script("[[say Hello you]]", "Hello you", "[[slow]]", "[[http 400]]", "[[tool]] [[say done]]")
KEY = "agent:main:edgebotd:c_1"


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    async with open_fake_gateway() as running:
        yield running


@pytest.fixture
async def older() -> AsyncIterator[FakeGateway]:
    async with open_fake_gateway(older=True) as running:
        yield running


def connector(gateway: FakeGateway, *, token: str | None = TOKEN, **options: Any) -> OpenClawConnector:
    secret = None if token is None else SecretStr(token)
    return OpenClawConnector("claw", gateway.url, secret, **options)


def harness(gateway: FakeGateway, **options: Any) -> Harness:
    return Harness(connector(gateway, **options), SCRIPT, timeout=10)


@asynccontextmanager
async def connected(gateway: FakeGateway, **options: Any) -> AsyncIterator[Harness]:
    async with open_session(harness(gateway, **options)) as opened:
        yield opened


async def refused(connector: OpenClawConnector) -> ConnectorError:
    """Run a session that cannot begin; return why."""

    async def deliver(event: object) -> None:
        raise AssertionError(event)

    class Never:
        def started(self, value: object, /) -> None:
            raise AssertionError(value)

    with trio.fail_after(10), pytest.raises(ConnectorError) as caught:
        await connector.run_session(deliver, task_status=Never())
    return caught.value


async def until(harness: Harness, condition: Callable[[], bool]) -> None:
    with trio.fail_after(harness.timeout):
        while not condition():
            await harness._change.wait()


async def wait_lost(harness: Harness) -> ConnectorError:
    await until(harness, lambda: harness.ended is not None)
    assert harness.ended is not None
    return harness.ended


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


# The contract


@pytest.mark.parametrize("rule", CONTRACT, ids=lambda rule: rule.__name__)
async def test_the_contract_holds(rule: Callable[[Harness], Awaitable[None]], gateway: FakeGateway) -> None:
    async with connected(gateway) as session:
        await rule(session)


@pytest.mark.parametrize("rule", CONTRACT, ids=lambda rule: rule.__name__)
async def test_the_contract_holds_on_older_gateways(
    rule: Callable[[Harness], Awaitable[None]], older: FakeGateway
) -> None:
    async with connected(older) as session:
        await rule(session)


async def test_a_failure_without_a_terminal_event_is_settled_by_the_history(older: FakeGateway) -> None:
    async with connected(older) as session:
        turn = session.turn("[[http 400]]")
        await session.connector.send(turn)
        await until(session, lambda: any(isinstance(event, RunEnding) for event in session.events))
        await session.connector.history(turn.session_key)
        ended = await session.wait_end(turn.run_id)
        assert ended.outcome is Outcome.FAILED and ended.error == "HTTP 400: the model says no"


async def test_of_two_errors_the_first_ends_the_run(gateway: FakeGateway) -> None:
    async with connected(gateway) as session:
        turn = session.turn("[[http 400]]")
        await session.connector.send(turn)
        ended = await session.wait_end(turn.run_id)
        # Another turn, so that the second error has come for certain.
        other = session.turn("[[say done]]")
        await session.connector.send(other)
        await session.wait_end(other.run_id)
        assert [e for e in session.events if isinstance(e, RunEnded) and e.run_id == turn.run_id] == [ended]


async def test_tools_are_told_while_they_run(gateway: FakeGateway) -> None:
    async with connected(gateway) as session:
        turn = session.turn("[[tool]] [[say done]]")
        await session.connector.send(turn)
        await session.wait_end(turn.run_id)
        tools = [e for e in session.events if isinstance(e, ToolActivity)]
        assert [(e.name, e.phase) for e in tools] == [("exec", "start"), ("exec", "result")]


async def test_a_gateway_is_asked_how_much_is_used(gateway: FakeGateway, older: FakeGateway) -> None:
    async with connected(gateway) as session:
        assert isinstance(session.connector, SaysUsage)
        assert (await session.connector.usage_status())["providers"] == []
        assert isinstance(session.connector, Configurable)
        assert (await session.connector.ask("usage.status", {}))["providers"] == []
    async with connected(older) as session:
        assert isinstance(session.connector, SaysUsage)
        with pytest.raises(ConnectorError, match="unknown method"):
            await session.connector.usage_status()
        connector = session.connector
    with pytest.raises(ConnectorError, match="no connection"):
        await connector.usage_status()


# Connecting


async def test_the_hello_says_what_works(gateway: FakeGateway) -> None:
    async with connected(gateway) as session:
        assert session.hello is not None and session.hello.attachments is not None
        assert session.hello.version == "2026.9.6" and session.hello.boot_id == "boot-1"
        assert {Feature.CHAT, Feature.ABORT, Feature.HISTORY, Feature.SESSIONS} <= session.hello.features
        assert session.hello.missing == ()
        (shown,) = gateway.connects
        assert shown["client"]["id"] == "gateway-client" and shown["caps"] == ["tool-events"]
        assert (shown["minProtocol"], shown["maxProtocol"]) == (3, 4)


async def test_fewer_scopes_are_told_one_by_one(gateway: FakeGateway) -> None:
    gateway.granted = ("operator.read", "operator.write", "operator.approvals")
    async with connected(gateway) as session:
        assert session.hello is not None
        assert [words.split(":")[0] for words in session.hello.missing] == ["The gateway did not grant operator.admin"]


async def test_connected_without_rights_is_trouble_for_a_person(gateway: FakeGateway) -> None:
    gateway.granted = ()
    exc = await refused(connector(gateway))
    assert exc.trouble is Trouble.NO_RIGHTS and exc.needs_person and "Connected, but" in exc.detail


async def test_pairing_tells_the_request_and_the_command(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.approved = None
    exc = await refused(connector(gateway, device_key_path=tmp_path / "device.key"))
    assert exc.trouble is Trouble.NEEDS_PAIRING and exc.needs_person
    assert exc.extra["requestId"] == "req-1" and exc.extra["command"] == "openclaw devices approve req-1"
    (shown,) = gateway.connects
    assert shown["scopes"] == list(ALL)
    assert exc.extra["deviceId"] == shown["device"]["id"]


async def test_the_device_stays_the_same_and_its_files_are_the_owners_own(gateway: FakeGateway, tmp_path: Path) -> None:
    key = tmp_path / "device.key"
    for _ in range(2):
        async with connected(gateway, device_key_path=key):
            pass
    first, second = gateway.connects
    assert first["device"]["id"] == second["device"]["id"]
    assert modes(tmp_path) == {"device.key": 0o600, "device.token": 0o600}
    async with connected(gateway, token=None, device_key_path=key):
        assert gateway.connects[-1]["auth"] == {"deviceToken": "device-token"}


async def test_a_spoilt_device_key_is_named_and_kept(gateway: FakeGateway, tmp_path: Path) -> None:
    key = tmp_path / "device.key"
    key.write_text("spoilt")
    exc = await refused(connector(gateway, device_key_path=key))
    assert exc.trouble is Trouble.CONFIGURATION and str(key) in exc.detail
    assert key.read_text() == "spoilt"


async def test_a_device_approved_for_less_chats_with_less(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.approved = ("operator.read", "operator.write")
    claw = connector(gateway, device_key_path=tmp_path / "device.key")
    for attempts in (2, 3):  # the second connection does not ask for more again
        async with open_session(Harness(claw, SCRIPT, timeout=10)) as session:
            assert session.hello is not None and len(session.hello.missing) == 2
        assert len(gateway.connects) == attempts


async def test_a_refused_token_gives_way_to_the_devices_own(gateway: FakeGateway, tmp_path: Path) -> None:
    key = tmp_path / "device.key"
    async with connected(gateway, device_key_path=key):
        pass
    gateway.token = "a new token"
    async with connected(gateway, device_key_path=key) as session:
        assert session.hello is not None and session.hello.missing == (openclaw_hello.TOKEN_REFUSED,)


async def test_a_refused_token_is_not_told(gateway: FakeGateway) -> None:
    claw = connector(gateway, token="very-secret-word")
    exc = await refused(claw)
    assert exc.trouble is Trouble.BAD_CREDENTIALS and exc.needs_person
    gateway.refuse_connect.append(error("INVALID_REQUEST", "no, not with very-secret-word"))
    other = await refused(claw)
    assert other.trouble is Trouble.CONFIGURATION
    assert not any("very-secret-word" in text for text in (exc.detail, other.detail, repr(exc), repr(claw)))


@pytest.mark.parametrize(
    ("refusal", "trouble"),
    [
        (error("UNAVAILABLE", "gateway starting", reason="startup-sidecars"), Trouble.RESTARTING),
        (error("INVALID_REQUEST", "no", code="PROTOCOL_MISMATCH", expectedProtocol=9), Trouble.PROTOCOL_MISMATCH),
        (error("INVALID_REQUEST", "no", code="CONTROL_UI_ORIGIN_NOT_ALLOWED"), Trouble.CONFIGURATION),
        (error("INVALID_REQUEST", "invalid connect params: x"), Trouble.CONFIGURATION),
    ],
)
async def test_refusals_are_told_apart(refusal: dict[str, Any], trouble: Trouble, gateway: FakeGateway) -> None:
    gateway.refuse_connect.append(refusal)
    assert (await refused(connector(gateway))).trouble is trouble


@pytest.mark.parametrize(
    ("status", "trouble"),
    [(503, Trouble.RESTARTING), (404, Trouble.CONFIGURATION), (403, Trouble.CONFIGURATION), (502, Trouble.LOST)],
)
async def test_refused_upgrades_are_told_apart(status: int, trouble: Trouble, gateway: FakeGateway) -> None:
    gateway.refuse_upgrade = status
    assert (await refused(connector(gateway))).trouble is trouble


async def test_where_nothing_listens_the_connection_is_refused() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    exc = await refused(OpenClawConnector("claw", f"ws://127.0.0.1:{port}", None))
    assert exc.trouble is Trouble.REFUSED
    assert exc.detail == f"Nothing answers at 127.0.0.1:{port} (Connection refused)."


@pytest.mark.parametrize("url", ["http://h:1", "ws://", "ws://h:99999", "ws://u:hunter2@h:1", "ws://h:1/?t=hunter2"])
async def test_an_impossible_url_is_told_without_being_quoted(url: str) -> None:
    exc = await refused(OpenClawConnector("claw", url, None))
    assert exc.trouble is Trouble.CONFIGURATION and "hunter2" not in exc.detail


async def test_a_peer_that_does_not_speak_tls_is_told(gateway: FakeGateway) -> None:
    claw = OpenClawConnector("claw", gateway.url.replace("ws:", "wss:"), None, tls=ssl.create_default_context())
    exc = await refused(claw)
    assert exc.trouble in (Trouble.CONFIGURATION, Trouble.LOST) and "TLS" in exc.detail


async def test_a_gateway_that_says_nothing_is_given_up(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openclaw_session, "CONNECT_SECONDS", 0.2)
    gateway.silent = True
    exc = await refused(connector(gateway))
    assert exc.trouble is Trouble.LOST and "said nothing" in exc.detail


# The connection's end


@pytest.mark.parametrize(
    ("code", "trouble"),
    [(1012, Trouble.RESTARTING), (1013, Trouble.RESTARTING), (1000, Trouble.LOST), (1009, Trouble.LOST)],
)
async def test_closes_are_told_apart(code: int, trouble: Trouble, gateway: FakeGateway) -> None:
    async with connected(gateway) as session:
        await gateway.close(code)
        assert (await wait_lost(session)).trouble is trouble


async def test_a_shutdown_makes_a_broken_connection_a_restart(gateway: FakeGateway) -> None:
    async with connected(gateway) as session:
        await gateway.emit("shutdown", {"reason": "gateway restarting", "restartExpectedMs": 1500})
        turn = session.turn("[[say last words]]")
        await session.connector.send(turn)
        await session.wait_end(turn.run_id)  # it drains: what runs goes on
        await gateway.cut()
        exc = await wait_lost(session)
        assert exc.trouble is Trouble.RESTARTING and exc.retry_after == 1.5


async def test_silence_of_two_ticks_is_a_lost_connection(gateway: FakeGateway) -> None:
    gateway.tick_ms = 100
    async with connected(gateway) as session:
        await trio.sleep(0.5)  # ticks alone keep it
        assert session.ended is None
        gateway.frozen = True
        exc = await wait_lost(session)
        assert exc.trouble is Trouble.LOST and exc.reason == "silent"
        with pytest.raises(ConnectorError) as late:
            await session.connector.history(KEY)
        assert late.value.trouble is Trouble.LOST


async def test_a_request_without_an_answer_has_its_own_end(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openclaw_session, "REQUEST_SECONDS", 0.1)
    async with connected(gateway) as session:
        gateway.frozen = True
        with pytest.raises(ConnectorError) as caught:
            await session.connector.history(KEY)
        assert caught.value.trouble is Trouble.LOST and "chat.history" in caught.value.detail
        gateway.frozen = False
        assert (await session.connector.history(KEY)).messages == ()


async def test_garbage_does_not_end_the_connection(gateway: FakeGateway, caplog: pytest.LogCaptureFixture) -> None:
    garbage: tuple[str | bytes, ...] = (
        "",
        "{",
        "[]",
        '"x"',
        '{"type":"res","id":7}',
        '{"type":"res","id":"no such","ok":true}',
        '{"type":"event","event":"chat","payload":{"runId":7,"state":[]}}',
        '{"type":"event","event":"session.message","payload":{"sessionKey":"agent:main:x","message":[]}}',
        '{"type":"event","event":"sessions.changed","payload":{}}',
        '{"type":"event","event":"news","payload":null}',
        b"\xff\x00",
        "[" * 20_000,
    )
    async with connected(gateway) as session:
        for frame in garbage:
            await gateway.send_raw(frame)
        turn = session.turn("[[say still here]]")
        await session.connector.send(turn)
        assert (await session.wait_end(turn.run_id)).text == "still here"
    assert sum("neither answer nor event" in record.message for record in caplog.records) == 1


async def test_a_slow_listener_does_not_stop_the_reading(gateway: FakeGateway) -> None:
    claw = connector(gateway)
    go_on = trio.Event()

    class Slow(Harness):
        @override
        async def deliver(self, event: RunEvent) -> None:
            await go_on.wait()
            await super().deliver(event)

    async with open_session(Slow(claw, SCRIPT, timeout=10)) as session:
        turn = session.turn("[[say one two three]]")
        await claw.send(turn)
        # Answers come while deliveries wait.
        for _ in range(3):
            await claw.history(turn.session_key)
        assert session.events == []
        go_on.set()
        await session.wait_end(turn.run_id)
        assert session.streamed(turn.run_id) == "one two three"


async def test_more_events_than_can_wait_end_the_connection(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openclaw, "EVENTS_WAITING", 3)
    claw = connector(gateway)
    go_on = trio.Event()

    class Stuck(Harness):
        @override
        async def deliver(self, event: RunEvent) -> None:
            await go_on.wait()

    async with open_session(Stuck(claw, SCRIPT, timeout=10)) as session:
        await claw.send(session.turn("[[say one two three four five six seven]]"))
        await trio.sleep(0.2)
        go_on.set()
        exc = await wait_lost(session)
        assert exc.trouble is Trouble.LOST and exc.reason == "overrun"


# Sending


async def test_a_lost_ack_is_lost_and_the_same_run_is_not_run_twice(gateway: FakeGateway) -> None:
    claw = connector(gateway)
    gateway.lose_ack = True
    async with open_session(Harness(claw, SCRIPT, timeout=10)) as session:
        turn = session.turn("[[slow]]")
        with pytest.raises(ConnectorError) as caught:
            await claw.send(turn)
        assert caught.value.trouble is Trouble.LOST and caught.value.trouble.passing
        await wait_lost(session)
    async with open_session(Harness(claw, SCRIPT, timeout=10)) as session:
        assert await claw.send(turn) is Accepted.RUNNING
        assert await claw.abort(turn.session_key, turn.run_id)
        assert (await session.wait_end(turn.run_id)).outcome is Outcome.ABORTED
    assert len(gateway.runs) == 1


@pytest.mark.parametrize(
    ("refusal", "trouble", "retry_after"),
    [
        (error("UNAVAILABLE", "busy", retry_after_ms=700), Trouble.UNAVAILABLE, 0.7),
        (error("UNAVAILABLE", "no", reason="gateway-restarting"), Trouble.RESTARTING, None),
        (error("INVALID_REQUEST", "used", reason="chat-request-conflict"), Trouble.REJECTED, None),
        (error("FORBIDDEN", "missing scope", code="MISSING_SCOPE"), Trouble.NO_RIGHTS, None),
    ],
)
async def test_a_refused_send_can_be_repeated(
    refusal: dict[str, Any], trouble: Trouble, retry_after: float | None, gateway: FakeGateway
) -> None:
    gateway.refuse_send.append(refusal)
    async with connected(gateway) as session:
        turn = session.turn("[[say at last]]")
        with pytest.raises(ConnectorError) as caught:
            await session.connector.send(turn)
        assert caught.value.trouble is trouble and caught.value.retry_after == retry_after
        assert await session.connector.send(turn) is Accepted.STARTED
        assert (await session.wait_end(turn.run_id)).text == "at last"


async def test_a_cancelled_send_leaves_the_connection_whole(gateway: FakeGateway) -> None:
    async with connected(gateway) as session:
        files = (OutgoingFile("big.bin", "application/octet-stream", b"x" * 4_000_000),)
        turn = session.turn("[[say big]]")
        with trio.move_on_after(0.02):
            await session.connector.send(Outgoing(turn.run_id, turn.conversation_id, turn.session_key, "x", files))
        assert await session.connector.send(turn) in (Accepted.STARTED, Accepted.RUNNING, Accepted.ENDED)
        assert session.ended is None


async def test_files_go_along_and_images_are_called_images(gateway: FakeGateway) -> None:
    async with connected(gateway) as session:
        turn = session.turn("look")
        files = (OutgoingFile("a.png", "image/png", b"\x89PNG"), OutgoingFile("b.txt", "text/plain", b"hi"))
        await session.connector.send(Outgoing(turn.run_id, turn.conversation_id, turn.session_key, "look", files))
        await session.wait_end(turn.run_id)
        assert gateway.asked("chat.send")[0]["attachments"] == [
            {"type": "image", "mimeType": "image/png", "fileName": "a.png", "content": "iVBORw=="},
            {"type": "file", "mimeType": "text/plain", "fileName": "b.txt", "content": "aGk="},
        ]


async def test_what_is_too_large_is_refused_before_it_ends_the_connection(gateway: FakeGateway) -> None:
    gateway.max_payload = 600_000
    async with connected(gateway) as session:
        assert session.hello is not None and session.hello.attachments is not None
        most = session.hello.attachments.max_bytes
        assert most < 600_000 * 3 // 4 and session.hello.attachments.max_total_bytes == most
        turn = session.turn("x")
        files = tuple(OutgoingFile(f"{n}.bin", "application/octet-stream", b"x" * most) for n in range(3))
        with pytest.raises(ConnectorError) as caught:
            await session.connector.send(Outgoing(turn.run_id, turn.conversation_id, turn.session_key, "x", files))
        assert caught.value.trouble is Trouble.REJECTED and caught.value.reason == "too_large"
        assert await session.connector.send(turn) is Accepted.STARTED


@pytest.mark.parametrize("old", [False, True])
async def test_an_interrupting_turn_stops_the_one_that_runs(old: bool) -> None:
    async with open_fake_gateway(older=old) as gateway, connected(gateway) as session:
        first = session.turn("[[slow]]")
        await session.connector.send(first)
        await session.wait_delta(first.run_id)
        second = Outgoing("r_second", first.conversation_id, first.session_key, "[[say now]]", interrupt=True)
        assert await session.connector.send(second) is Accepted.STARTED
        assert (await session.wait_end(first.run_id)).outcome is Outcome.ABORTED
        assert (await session.wait_end(second.run_id)).text == "now"


async def test_a_command_without_a_run_ends_at_once(gateway: FakeGateway) -> None:
    async with connected(gateway) as session:
        turn = session.turn("/stop")
        await session.connector.send(turn)
        assert (await session.wait_end(turn.run_id)).outcome is Outcome.FINISHED


# What others do, and what was missed


async def test_a_message_from_another_client_is_told_with_its_reply(gateway: FakeGateway) -> None:
    async with connected(gateway) as ours, connected(gateway) as theirs:
        turn = theirs.turn("[[say hello there]]")
        await theirs.connector.send(turn)
        ended = await ours.wait_end(turn.run_id)
        assert ended.text == "hello there" and ours.streamed(turn.run_id) == "hello there"
        (asked,) = (event for event in ours.events if isinstance(event, PastMessage))
        assert (asked.role, asked.run_id, asked.session_key) == ("user", turn.run_id, turn.session_key)
        assert asked.parts == ({"type": "text", "text": "[[say hello there]]"},)


async def test_changes_that_are_followed_anyway_cost_no_history(gateway: FakeGateway) -> None:
    async with connected(gateway) as session:

        async def change(key: str, **what: str) -> None:
            await gateway.emit("sessions.changed", {"sessionKey": key, "session": {"key": key}, **what})

        await change(KEY, reason="send")  # not known yet: told
        await change(KEY, reason="agent.run.started")
        await change(KEY, phase="end")
        await change(KEY, reason="reset")  # told
        await change(KEY, reason="delete")
        await change("agent:other:x", reason="send")
        turn = session.turn("[[say done]]")
        await session.connector.send(turn)
        await session.wait_end(turn.run_id)
        assert [e.session_key for e in session.events if isinstance(e, SessionSeen)] == [KEY, KEY]


async def test_another_agents_runs_are_not_ours(gateway: FakeGateway) -> None:
    async with connected(gateway) as main, connected(gateway, agent_id="Helper") as helper:
        turn = main.turn("[[say mine]]")
        await main.connector.send(turn)
        await main.wait_end(turn.run_id)
        with trio.move_on_after(0.05):
            await helper.wait_end(turn.run_id)
        assert helper.events == [] and await helper.connector.sessions(None) == []


async def test_a_run_goes_on_over_a_broken_connection(gateway: FakeGateway) -> None:
    claw = connector(gateway)
    async with open_session(Harness(claw, SCRIPT, timeout=10)) as session:
        turn = session.turn("[[slow]]")
        await claw.send(turn)
        await session.wait_delta(turn.run_id)
        await gateway.cut()
        assert (await wait_lost(session)).trouble is Trouble.LOST
        before = session.events
    await trio.sleep(0.1)
    later = Harness(claw, SCRIPT, timeout=10, events=list(before))
    async with open_session(later):
        history = await claw.history(turn.session_key)
        assert history.in_flight_run_id == turn.run_id
        await claw.abort(turn.session_key, turn.run_id)
        ended = await later.wait_end(turn.run_id)
        # Nothing is missing in what was streamed over both connections, and nothing is there twice.
        assert later.streamed(turn.run_id) == ended.text == gateway.runs[turn.run_id].text


async def test_an_end_that_was_missed_is_told_by_the_history(gateway: FakeGateway) -> None:
    claw = connector(gateway)
    async with open_session(Harness(claw, SCRIPT, timeout=10)) as session:
        turn = session.turn("[[slow]]")
        await claw.send(turn)
        await session.wait_delta(turn.run_id)
        await gateway.cut()
        await wait_lost(session)
    gateway._abort({"sessionKey": turn.session_key})
    await trio.sleep(0.05)
    async with open_session(Harness(claw, SCRIPT, timeout=10)) as session:
        assert (await claw.history(turn.session_key)).active_run_ids == frozenset()
        assert (await session.wait_end(turn.run_id)).outcome is Outcome.ABORTED


async def test_a_run_of_which_the_gateway_knows_nothing_can_be_sent_again(gateway: FakeGateway) -> None:
    claw = connector(gateway)
    turn = Outgoing("r_1", "c_1", KEY, "[[slow]]")
    async with open_session(Harness(claw, SCRIPT, timeout=10)) as session:
        await claw.send(turn)
        await session.wait_delta(turn.run_id)
        await gateway.cut()
        await wait_lost(session)
    # It was killed, and its disk is of before.
    gateway.runs.pop(turn.run_id).scope.cancel()
    await trio.sleep(0.05)
    gateway.rows.clear()
    async with open_session(Harness(claw, SCRIPT, timeout=10)) as session:
        assert (await claw.history(KEY)).messages == ()
        again = Outgoing("r_1", "c_1", KEY, "[[say once more]]")
        assert await claw.send(again) is Accepted.STARTED
        assert (await session.wait_end("r_1")).text == "once more"


async def test_a_restarted_daemon_learns_what_runs_on_an_older_gateway(older: FakeGateway) -> None:
    async with connected(older) as session:
        turn = session.turn("[[slow]]")
        await session.connector.send(turn)
        await session.wait_delta(turn.run_id)
    async with connected(older) as session:
        assert turn.run_id in (await session.connector.history(turn.session_key)).active_run_ids
        await session.connector.abort(turn.session_key, turn.run_id)
        await session.wait_end(turn.run_id)
        assert (await session.connector.history(turn.session_key)).active_run_ids == frozenset()


# History


def fill(gateway: FakeGateway, turns: int, first: int = 0) -> None:
    for n in range(first, first + turns):
        gateway.add_row(KEY, "user", f"question {n}", idempotencyKey=f"r{n}:user")
        gateway.add_row(KEY, "assistant", [{"type": "text", "text": f"answer {n}"}], meta={"runId": f"r{n}"})


async def test_a_long_history_is_read_whole_once_and_then_only_what_is_new(gateway: FakeGateway) -> None:
    gateway.page_limit = 70
    fill(gateway, 100)
    async with connected(gateway) as session:
        history = await session.connector.history(KEY)
        assert history.complete
        assert [m.run_id for m in history.messages if m.role == "user"] == [f"r{n}" for n in range(100)]
        assert len(history.messages) == 200 and len({m.key for m in history.messages}) == 200
        pages = len(gateway.asked("chat.history"))
        assert pages == 3
        fill(gateway, 2, first=100)
        later = await session.connector.history(KEY)
        assert len(gateway.asked("chat.history")) == pages + 1
        # From the last message that was known, so that no run is cut apart.
        assert later.complete and [m.run_id for m in later.messages] == ["r99", "r99", "r100", "r100", "r101", "r101"]


async def test_a_history_beyond_the_bound_says_that_it_is_not_whole(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgebotd.bots.openclaw_history.MOST_PAGES", 2)
    gateway.page_limit = 10
    fill(gateway, 50)
    async with connected(gateway) as session:
        history = await session.connector.history(KEY)
        assert not history.complete and len(history.messages) == 20


async def test_texts_that_were_cut_are_fetched_whole(gateway: FakeGateway) -> None:
    whole = "long " * 3000
    cut = whole[:8000] + "\n...(truncated)..."
    gateway.add_row(KEY, "user", cut, whole=whole, idempotencyKey="r1:user", meta={"truncated": True})
    async with connected(gateway) as session:
        (message,) = (await session.connector.history(KEY)).messages
        assert message.parts[0]["text"] == whole and not message.truncated


async def test_sessions_are_listed_newest_first_and_since_a_time(gateway: FakeGateway) -> None:
    for n in range(250):
        gateway.add_row(f"agent:main:s{n}", "user", "x")["timestamp"] = 1000 + n
    gateway.add_row("agent:other:x", "user", "x")
    async with connected(gateway) as session:
        everything = await session.connector.sessions(None)
        assert [seen.session_key for seen in everything] == [f"agent:main:s{n}" for n in range(249, -1, -1)]
        recent = await session.connector.sessions(1240)
        assert [seen.updated_at for seen in recent] == list(range(1249, 1239, -1))


async def test_deltas_over_a_connection_make_the_text(gateway: FakeGateway) -> None:
    async with connected(gateway) as session:
        turn = session.turn("[[say 😀 a b c]]")
        await session.connector.send(turn)
        await session.wait_end(turn.run_id)
        deltas = [event for event in session.events if isinstance(event, RunDelta)]
        assert [delta.offset for delta in deltas] == [0, 3, 5, 7]
