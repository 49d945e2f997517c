"""The per-bot socket over a real server: CHANNEL section 4."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream

from edgebotd.access import Grant, Scope, local_admin
from edgebotd.config.settings import Settings
from edgebotd.events import BotActivity
from edgebotd.people.audit import SYSTEM
from edgebotd.web.server import serve_web
from tests.web.fakes import FakeTurns
from tests.web.house import House, open_house

SEND = {"text": "hello", "idempotencyKey": "k"}


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[House, str]]:
    """Serve a house with the user `ann`, who chats with `own`; yield it with `host:port`."""
    settings = Settings.model_validate({"server": {"graceful_seconds": 1.0}})
    async with open_house(settings) as house, trio.open_nursery() as nursery:
        await house.user("ann", own=Grant.CHAT)
        sock = socket.create_server(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        stop = trio.Event()

        async def drain() -> None:
            house.front.drain()
            await house.services.hub.drain()

        await nursery.start(partial(serve_web, house.front, [sock], settings.server, shutdown=stop.wait, drain=drain))
        try:
            yield house, address
        finally:
            stop.set()


@asynccontextmanager
async def opened(
    address: str, headers: dict[str, str], path: str = "/ws/bots/own"
) -> AsyncIterator[WebSocketConnection]:
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    host, _, port = address.partition(":")
    # trio-websocket leaves the socket of a refused upgrade open: what we opened, we close.
    async with await trio.open_tcp_stream(host, int(port)) as stream, trio.open_nursery() as nursery:
        ws = await wrap_client_stream(nursery, stream, address, path, extra_headers=sent)
        try:
            yield ws
        finally:
            with trio.move_on_after(1, shield=True):
                await ws.aclose()
            nursery.cancel_scope.cancel()


async def ask(ws: WebSocketConnection, method: str, params: Any, request_id: Any = 1) -> Any:
    await ws.send_message(json.dumps({"id": request_id, "method": method, "params": params}))
    return json.loads(await ws.get_message())


async def bearer(house: House, *scopes: Scope) -> dict[str, str]:
    return {"authorization": "Bearer " + await house.token("ann", *(scopes or (Scope.CHAT,)))}


async def test_requests_are_answered_by_the_same_functions_as_the_routes() -> None:
    async with serving() as (house, address), opened(address, await bearer(house)) as ws:
        sent = await ask(ws, "chat.send", SEND, "a")
        assert sent["id"] == "a" and sent["ok"] is True and sent["result"]["state"] == "started"
        over_http = await house.client.with_token(await house.token("ann", Scope.CHAT)).post(
            "/api/bots/own/chat/send", SEND
        )
        assert over_http.status == 202 and over_http.json == sent["result"]
        history = await ask(ws, "chat.history", {"limit": 5}, 7)
        assert history == {"id": 7, "ok": True, "result": {"items": [], "next": None}}


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("not json", "bad_json"),
        ('{"method":"chat.send"}', "bad_request"),
        ('{"id":1,"method":"bots.remove"}', "unknown_method"),
        ('{"id":1,"method":"chat.send","params":{"text":1}}', "invalid_request"),
        ('{"id":1,"method":"chat.send","params":{"text":"crash","idempotencyKey":"k"}}', "internal"),
    ],
)
async def test_a_bad_request_gets_an_error_and_the_connection_lives(frame: str, code: str) -> None:
    async with serving() as (house, address), opened(address, await bearer(house)) as ws:
        await ws.send_message(frame)
        answer = json.loads(await ws.get_message())
        assert (answer["ok"], answer["error"]["code"]) == (False, code)
        assert "canary" not in answer["error"]["message"]
        assert (await ask(ws, "chat.history", {}))["ok"] is True


async def test_a_viewer_reads_but_does_not_send() -> None:
    async with serving() as (house, address), opened(address, await bearer(house, Scope.READ)) as ws:
        assert (await ask(ws, "chat.send", SEND))["error"]["code"] == "forbidden"
        assert (await ask(ws, "chat.history", {}))["ok"] is True


async def test_answers_come_in_the_order_of_completion_and_the_33rd_request_is_busy() -> None:
    async with serving() as (house, address), opened(address, await bearer(house)) as ws:
        turns = house.services.turns
        assert isinstance(turns, FakeTurns)
        for number in range(32):
            params = {"text": "wait", "idempotencyKey": f"k{number}"}
            await ws.send_message(json.dumps({"id": number, "method": "chat.send", "params": params}))
        assert (await ask(ws, "chat.history", {}, "over"))["error"]["code"] == "busy"
        turns.gate.set()
        answers = [json.loads(await ws.get_message()) for _ in range(32)]
        assert {answer["id"] for answer in answers} == set(range(32)) and all(answer["ok"] for answer in answers)


@pytest.mark.parametrize("text", ["x" * (1024 * 1024 + 1), "ü" * (512 * 1024 + 1)])
async def test_a_frame_over_a_mebibyte_closes_with_1009(text: str) -> None:
    async with serving() as (house, address), opened(address, await bearer(house)) as ws:
        await ws.send_message(text)
        with pytest.raises(ConnectionClosed) as closed:
            await ws.get_message()
        assert closed.value.reason is not None and closed.value.reason.code == 1009


async def test_a_binary_frame_closes_with_1003() -> None:
    async with serving() as (house, address), opened(address, await bearer(house)) as ws:
        await ws.send_message(b"{}")
        with pytest.raises(ConnectionClosed) as closed:
            await ws.get_message()
        assert closed.value.reason is not None and closed.value.reason.code == 1003


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
async def test_with_a_cookie_a_foreign_null_or_missing_origin_is_403_before_the_upgrade(origin: str | None) -> None:
    async with serving() as (house, address):
        headers = {"cookie": (await house.signed_in("ann")).headers["cookie"]}
        if origin is not None:
            headers["origin"] = origin
        assert (await rejected(address, headers)).status_code == 403


async def test_with_a_cookie_and_the_own_origin_it_opens() -> None:
    async with serving() as (house, address):
        cookie = (await house.signed_in("ann")).headers["cookie"]
        async with opened(address, {"cookie": cookie, "origin": f"http://{address}"}) as ws:
            assert (await ask(ws, "chat.history", {}))["ok"] is True


async def test_refusals_before_the_upgrade_are_problem_documents() -> None:
    async with serving() as (house, address):
        none = await rejected(address, {})
        assert (none.status_code, json.loads(none.body or b"")["code"]) == (401, "unauthenticated")
        foreign = await rejected(address, await bearer(house), "/ws/bots/other")
        assert foreign.status_code == 404
        gone = await rejected(address, await bearer(house), "/ws/dash")
        assert (gone.status_code, json.loads(gone.body or b"")["use"]) == (410, "/api/events")


async def rejected(address: str, headers: dict[str, str], path: str = "/ws/bots/own") -> ConnectionRejected:
    found: list[ConnectionRejected] = []
    try:
        async with opened(address, headers, path):
            raise AssertionError("it opened")
    except* ConnectionRejected as refused:
        found = [error for error in refused.exceptions if isinstance(error, ConnectionRejected)]
    return found[0]


@pytest.mark.quiet
@pytest.mark.parametrize("how", ["token", "grant", "user", "password"])
async def test_it_closes_within_a_second_of_a_revocation(how: str) -> None:
    async with serving() as (house, address):
        accounts = house.services.accounts
        if how == "password":
            headers = {"cookie": (await house.signed_in("ann")).headers["cookie"], "origin": f"http://{address}"}
        else:
            headers = await bearer(house)
        async with opened(address, headers) as ws:
            assert (await ask(ws, "chat.history", {}))["ok"] is True
            if how == "grant":
                await accounts.grant(SYSTEM, "ann", "own", None)
            elif how == "user":
                await accounts.remove(SYSTEM, "ann")
            elif how == "password":
                await accounts.set_password(SYSTEM, "ann", "a new password")
            else:
                record = house.people.record("ann")
                assert record is not None
                await revoke(house, record.tokens[0].id)
            with trio.fail_after(1), pytest.raises(ConnectionClosed) as closed:
                await ws.get_message()
            assert closed.value.reason is not None and closed.value.reason.code == 1008


async def revoke(house: House, token_id: str) -> None:
    await house.services.tokens.revoke(local_admin(0), "test", token_id)


async def test_nothing_is_sent_that_was_not_asked_for() -> None:
    async with serving() as (house, address), opened(address, await bearer(house)) as ws:
        await ask(ws, "chat.send", SEND)
        for number in range(20):
            house.services.hub.publish("own", BotActivity(bot_id="own", activity="thinking", detail=str(number)))
        with trio.move_on_after(0.3) as quiet:
            await ws.get_message()
        assert quiet.cancelled_caught


@pytest.mark.quiet
async def test_a_stop_does_not_wait_for_sockets_that_are_closed() -> None:
    async with serving() as (house, address):
        async with opened(address, await bearer(house)) as ws:
            assert (await ask(ws, "chat.history", {}))["ok"] is True
        stopping_at = trio.current_time()
    assert trio.current_time() - stopping_at < 0.7  # of the second that requests in flight would get


async def test_a_stop_closes_open_sockets_with_1001() -> None:
    async with serving() as (house, address), opened(address, await bearer(house)) as ws:
        assert (await ask(ws, "chat.history", {}))["ok"] is True
        house.front.drain()
        with pytest.raises(ConnectionClosed) as closed:
            await ws.get_message()
        assert closed.value.reason is not None and closed.value.reason.code == 1001
