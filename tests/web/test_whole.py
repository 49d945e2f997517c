"""A message in, its reply out: the stream has all, the per-bot socket what it asked for; plugins (CHANNEL 4, 5)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from edgebotd.access import Grant, Scope
from tests.web.stream_client import EventClient
from tests.web.whole_edge import WholeEdge, open_whole_edge


@asynccontextmanager
async def opened_socket(edge: WholeEdge, headers: dict[str, str]) -> AsyncIterator[WebSocketConnection]:
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    async with await trio.open_tcp_stream("127.0.0.1", edge.port) as stream, trio.open_nursery() as nursery:
        ws = await wrap_client_stream(nursery, stream, "localhost", "/ws/bots/atlas", extra_headers=sent)
        try:
            yield ws
        finally:
            with trio.move_on_after(1, shield=True):
                await ws.aclose()
            nursery.cancel_scope.cancel()


async def until_the_run_is_over(stream: EventClient, run_id: str) -> list[Any]:
    events = []
    while True:
        event = await stream.next_json()
        events.append(event)
        if event["type"] == "chat-status" and (event["runId"], event["state"]) == (run_id, "finished"):
            return events


async def test_a_socket_held_open_through_a_whole_streamed_reply_receives_nothing(tmp_path: Path) -> None:
    """Section 4: no frame that does not answer a request, whoever asked and whatever happens."""
    async with open_whole_edge(tmp_path) as edge:
        await edge.house.user("ann", atlas=Grant.CHAT)
        secret = await edge.house.token("ann", Scope.CHAT)
        headers = {"authorization": f"Bearer {secret}"}
        api = edge.house.client.with_token(secret)
        stream = await edge.stream("http/1.1", headers)
        async with opened_socket(edge, headers) as ws:
            send = {"text": "[[long 40]] [[tool weather]]", "idempotencyKey": "k1"}
            sent = await api.post("/api/bots/atlas/chat/send", send)
            assert sent.status == 202
            events = await until_the_run_is_over(stream, sent.json["runId"])
            kinds = {event["type"] for event in events}
            assert {"chat-status", "chat-delta", "chat-message", "bot-activity"} <= kinds
            # All of that has passed. What the socket gets first now is the answer to what it asks first now.
            await ws.send_message('{"id": 7, "method": "chat.history", "params": {"limit": 5}}')
            with trio.fail_after(10):
                answer = json.loads(await ws.get_message())
            assert (answer["id"], answer["ok"]) == (7, True)
            assert answer["result"] == (await api.get("/api/bots/atlas/chat/history?limit=5")).json
            # The same for a reply to a message that it sent itself: one answer, then silence.
            frame = {"id": "s", "method": "chat.send", "params": {"text": "hello", "idempotencyKey": "k2"}}
            await ws.send_message(json.dumps(frame))
            with trio.fail_after(10):
                answer = json.loads(await ws.get_message())
            assert answer["id"] == "s"
            assert (await api.post("/api/bots/atlas/chat/send", frame["params"])).json == answer["result"]
            await until_the_run_is_over(stream, answer["result"]["runId"])
            await ws.send_message('{"id": 8, "method": "nothing"}')
            with trio.fail_after(10):
                assert json.loads(await ws.get_message())["id"] == 8


@pytest.mark.parametrize("transport", ["http/1.1", "h2c"])
async def test_a_reply_on_the_stream_is_the_message_that_is_kept(transport: str, tmp_path: Path) -> None:
    async with open_whole_edge(tmp_path) as edge:
        await edge.house.user("ann", atlas=Grant.CHAT)
        secret = await edge.house.token("ann", Scope.CHAT)
        api = edge.house.client.with_token(secret)
        stream = await edge.stream(transport, {"authorization": f"Bearer {secret}"})
        sent = await api.post(
            "/api/bots/atlas/chat/send", {"text": "[[say Hi \U0001f600 there]]", "idempotencyKey": "k"}
        )
        events = await until_the_run_is_over(stream, sent.json["runId"])
        text = b""
        for event in events:
            if event["type"] == "chat-delta":
                text = text[: 2 * event["offset"]] + event["text"].encode("utf-16-le")
        final = [event for event in events if event["type"] == "chat-message"][-1]["message"]
        assert text.decode("utf-16-le") == final["parts"][0]["text"] == "Hi \U0001f600 there"
        (kept, *_) = (await api.get("/api/bots/atlas/chat/history?limit=1")).json["items"]
        assert kept == {**final, **{key: kept[key] for key in kept.keys() - final.keys()}}
        # Nothing of the run is left for who comes later.
        later = await edge.stream(transport, {"authorization": f"Bearer {secret}"})
        (status,) = [json.loads(e.data) for e in [await later.next("message")]]
        assert status["type"] == "bots-status-update"


async def test_what_a_plugin_publishes_reaches_the_streams(tmp_path: Path) -> None:
    async with open_whole_edge(tmp_path) as edge:
        await edge.house.user("ann", atlas=Grant.CHAT, iris=Grant.VIEW)
        api = edge.house.client.with_token(await edge.house.token("ann", Scope.CHAT))
        secret = await edge.house.token("ann", Scope.PUBLISH, bots=frozenset({"atlas"}))
        plugin = edge.house.client.with_token(secret)
        stream = await edge.stream("http/1.1", await edge.token_of("ann", Scope.READ))
        await stream.next_json()
        path = "/api/bots/atlas/events"
        activity = {"type": "bot-activity", "botId": "atlas", "activity": "dreaming", "detail": "of sheep"}
        session = {"type": "code-session:event", "botId": "atlas", "sessionId": "s1", "kind": "diff", "data": {"a": 1}}
        for event in (activity, session):
            assert (await plugin.post(path, event)).status == 202
            while (told := await stream.next_json())["type"] != event["type"]:
                pass
            assert {key: told[key] for key in event} == event
        made = (await api.post("/api/bots/atlas/conversations", {"title": "t"})).json
        for role in ("user", "assistant"):
            message = {
                "id": f"plugin-{role}",
                "botId": "atlas",
                "conversationId": made["id"],
                "runId": "r-7",
                "role": role,
                "parts": [{"type": "text", "text": "from elsewhere"}],
                "createdAt": 5,
            }
            event = {"type": "chat-message", "botId": "atlas", "conversationId": made["id"], "message": message}
            answer = await plugin.post(path, event)
            assert (answer.status, answer.json["messageId"]) == (202, f"plugin-{role}")
            while (told := await stream.next_json())["type"] != "chat-message":
                pass
            assert (told["message"]["id"], told["message"]["role"]) == (f"plugin-{role}", role)
            assert told["message"]["source"] == "plugin:t"  # the token's name
        items = (await api.get("/api/bots/atlas/chat/history")).json["items"]
        assert [item["id"] for item in items] == ["plugin-assistant", "plugin-user"]
        # Refused: what only the daemon says, another bot's, without the scope, and what is no Unicode.
        assert (await plugin.post(path, {**activity, "type": "bot:status"})).status == 400
        assert (await plugin.post("/api/bots/iris/events", {**activity, "botId": "iris"})).status == 404
        assert (await plugin.post(path, {**activity, "botId": "iris"})).status == 400
        assert (await api.post(path, activity)).status == 403
        broken = b'{"type":"bot-activity","botId":"atlas","activity":"\\ud800"}'
        assert (await plugin.request("POST", path, data=broken)).status == 400  # S25
        assert (await plugin.get("/api/bots/atlas")).status == 404


async def test_a_plugin_names_a_session_of_its_own_and_its_conversation_is_made_once(tmp_path: Path) -> None:
    """Section 5, conversation: what the gateway has from its own channels is a conversation too."""
    async with open_whole_edge(tmp_path) as edge:
        await edge.house.user("ann", atlas=Grant.CHAT)
        api = edge.house.client.with_token(await edge.house.token("ann", Scope.CHAT))
        plugin = edge.house.client.with_token(await edge.house.token("ann", Scope.PUBLISH))
        stream = await edge.stream("http/1.1", await edge.token_of("ann", Scope.READ), "/api/events?type=chat-message")
        await stream.next("hb")

        def said(key: str, text: str, **more: Any) -> dict[str, Any]:
            message = {"id": f"p-{text}", "role": "user", "parts": [{"type": "text", "text": text}], **more}
            return {"type": "chat-message", "botId": "atlas", "sessionKey": key, "message": message}

        places = set()
        # The gateway's own form, and what it would take for the same.
        for key in ("agent:main:telegram:direct:7", "AGENT:Main:Telegram:direct:7", "telegram:direct:7"):
            answer = await plugin.post("/api/bots/atlas/events", said(key, key[:5]))
            assert answer.status == 202, answer.body
            told = await stream.next_json()
            assert told["message"]["id"] == answer.json["messageId"] == f"p-{key[:5]}"
            places.add(told["conversationId"])
        assert len(places) == 1
        (row,) = (await api.get("/api/bots/atlas/conversations")).json["items"]
        assert {row["conversation"]["id"]} == places
        assert row["conversation"]["source"] == "plugin:t"
        refused = [
            said("agent:other:telegram:1", "x"),  # another agent of the same gateway is another bot
            said("", "x"),
            said("a\nb", "x"),
            {**said("k", "x"), "conversationId": row["conversation"]["id"]},
            {key: value for key, value in said("k", "x").items() if key != "sessionKey"},
            said("k", "x", botId="iris"),
            said("k", "x", source="edgebotd"),
            said("k", "x", userId="root"),
        ]
        for event in refused:
            assert (await plugin.post("/api/bots/atlas/events", event)).status == 400, event
