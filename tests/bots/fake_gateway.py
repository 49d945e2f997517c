"""A scripted OpenClaw gateway on a real loopback WebSocket, for what a real one cannot be made to do.

What it does of its own accord is held to the real one by `contract.py`, run on both. Messages pick a script, as with
the fake model: `[[say TEXT]]`, `[[slow]]` (until aborted), `[[tool]]`, `[[http 400]]`; anything else is greeted.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

TOKEN = "test-token-of-the-gateway"
ALL = ("operator.read", "operator.write", "operator.approvals", "operator.admin")
METHODS = ["chat.send", "chat.abort", "chat.history", "sessions.list", "sessions.subscribe"]
PARAMETERS = {
    "chat.send": {"sessionKey", "message", "idempotencyKey", "attachments"},
    "chat.history": {"sessionKey", "limit", "maxChars"},
}
PACE = 0.01

JSON = dict[str, Any]


def error(kind: str, message: str, *, retry_after_ms: int | None = None, **details: Any) -> JSON:
    """Return the error of an answer."""
    shape: JSON = {"code": kind, "message": message, "details": details}
    return shape if retry_after_ms is None else shape | {"retryable": True, "retryAfterMs": retry_after_ms}


class _Refusal(Exception):
    def __init__(self, error: JSON) -> None:
        super().__init__(error["message"])
        self.error = error


@dataclass
class Run:
    """One run; `scope` is set while it works."""

    id: str
    key: str
    text: str = ""
    over: bool = False
    killed: bool = False
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class FakeGateway:
    """The gateway. Its public attributes are the script; change them at any time."""

    def __init__(self, *, older: bool = False) -> None:
        self.older = older
        """Behave as 2026.5.28."""
        self.port = 0
        self.tick_ms = 30_000
        self.max_payload = 26_214_400
        self.token: str | None = TOKEN
        self.granted: tuple[str, ...] | None = None
        """Scopes of a hello; None: those asked for."""
        self.approved: tuple[str, ...] | None = ALL
        """Scopes to which the device is paired; None: it is not."""
        self.refuse_upgrade: int | None = None
        self.refuse_connect: list[JSON] = []
        self.refuse_send: list[JSON] = []
        self.silent = False
        """Say nothing at all, not even the challenge."""
        self.frozen = False
        """Answer nothing more, send no ticks."""
        self.lose_ack = False
        """Take the next chat.send, and break the connection instead of answering."""
        self.page_limit = 1000
        self.connects: list[JSON] = []
        self.requests: list[tuple[str, JSON]] = []
        self.rows: dict[str, list[JSON]] = {}
        self.runs: dict[str, Run] = {}
        self.boots = 1
        self.uptime_ms: int | None = 60_000
        self.now_ms = 1_800_000_000_000
        self.interrupted: set[str] = set()
        """Sessions in which a kill found a run: they are said to be at work, no run is named."""
        self._connections: list[WebSocketConnection] = []
        self._nursery: trio.Nursery | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self.port}"

    def asked(self, method: str) -> list[JSON]:
        """Return the parameters of all requests of a method, oldest first."""
        return [params for name, params in self.requests if name == method]

    # Mischief

    async def send_raw(self, frame: str | bytes) -> None:
        """Send a frame to every connection."""
        for connection in list(self._connections):
            try:
                await connection.send_message(frame)
            except ConnectionClosed:
                pass  # it has just gone

    async def emit(self, name: str, payload: JSON) -> None:
        """Send an event to every connection."""
        if not self.frozen:
            await self.send_raw(json.dumps({"type": "event", "event": name, "payload": payload}))

    async def close(self, code: int, reason: str = "") -> None:
        """Close every connection."""
        for connection in list(self._connections):
            await connection.aclose(code, reason)

    async def cut(self) -> None:
        """Break every connection without a word."""
        for connection in list(self._connections):
            await trio.aclose_forcefully(connection._stream)

    async def kill(self) -> None:
        """Die in the middle of everything, and come back: no run has an end, and its session is said to be at work."""
        for run in self.runs.values():
            if not run.over:
                self.interrupted.add(run.key)
                run.over = run.killed = True
                run.scope.cancel()
        self.runs.clear()
        if self.older:
            # Its transcript is written at the end of a turn.
            self.rows = {key: rows for key, rows in self.rows.items() if key not in self.interrupted}
        self.boots += 1
        self.uptime_ms = 0
        self.now_ms += 20_000
        await self.cut()

    def add_row(self, key: str, role: str, content: object, **more: Any) -> JSON:
        """Write a row into a session."""
        rows = self.rows.setdefault(key, [])
        meta = {"id": f"row-{key}-{len(rows) + 1}", "seq": len(rows) + 1, **more.pop("meta", {})}
        row = {"role": role, "content": content, "timestamp": self.now_ms + len(rows), **more, "__openclaw": meta}
        rows.append(row)
        return row

    # Serving

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen on a free port until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            server = await nursery.start(serve_websocket, self._accept, "127.0.0.1", 0, None)
            self.port = server.port
            task_status.started()

    async def _accept(self, request: WebSocketRequest) -> None:
        if self.refuse_upgrade is not None:
            await request.reject(self.refuse_upgrade)
            return
        assert not any(name.lower() == b"origin" for name, _ in request.headers)
        connection = await request.accept()
        self._connections.append(connection)
        try:
            async with trio.open_nursery() as nursery:
                await self._converse(connection, nursery)
                nursery.cancel_scope.cancel()
        except* (ConnectionClosed, trio.ClosedResourceError, trio.BrokenResourceError):
            pass  # the client left, or mischief was done
        finally:
            self._connections.remove(connection)

    async def _converse(self, connection: WebSocketConnection, nursery: trio.Nursery) -> None:
        if self.silent:
            await trio.sleep_forever()
        challenge = {
            "type": "event",
            "event": "connect.challenge",
            "payload": {"nonce": "n-1", "ts": self.now_ms},
        }
        await connection.send_message(json.dumps(challenge))
        while True:
            frame = json.loads(await connection.get_message())
            method, params = frame["method"], frame["params"]
            self.requests.append((method, params))
            if self.frozen:
                continue
            answer: JSON = {"type": "res", "id": frame["id"], "ok": True}
            try:
                answer["payload"] = await self._answer(method, params)
            except _Refusal as refusal:
                answer |= {"ok": False, "error": refusal.error}
            if method == "chat.send" and self.lose_ack:
                self.lose_ack = False
                await trio.aclose_forcefully(connection._stream)
                return
            await connection.send_message(json.dumps(answer))
            if method == "connect":
                if not answer["ok"]:
                    await connection.aclose(1008, answer["error"]["message"])
                    return
                nursery.start_soon(self._tick, connection)

    async def _tick(self, connection: WebSocketConnection) -> None:
        while True:
            await trio.sleep(self.tick_ms / 1000)
            if not self.frozen:
                await connection.send_message('{"type":"event","event":"tick","payload":{"ts":1}}')

    async def _answer(self, method: str, params: JSON) -> Any:
        await trio.lowlevel.checkpoint()
        if self.older and (unknown := set(params) - PARAMETERS.get(method, set(params))):
            raise _Refusal(error("INVALID_REQUEST", f"invalid {method} params: unexpected property '{min(unknown)}'"))
        match method:
            case "connect":
                return self._connect(params)
            case "chat.send":
                return await self._send(params)
            case "chat.abort":
                return self._abort(params)
            case "chat.history":
                return self._history(params)
            case "chat.message.get":
                rows = self.rows[params["sessionKey"]]
                row = next(row for row in rows if row["__openclaw"]["id"] == params["messageId"])
                meta = {name: value for name, value in row["__openclaw"].items() if name != "truncated"}
                return {"ok": True, "message": row | {"content": row["whole"], "__openclaw": meta}}
            case "sessions.list":
                return self._sessions(params)
            case "sessions.subscribe":
                return {"subscribed": True}
            case "usage.status" if not self.older:
                return {"updatedAt": 1, "providers": []}
        raise _Refusal(error("INVALID_REQUEST", f"unknown method: {method}"))

    def _connect(self, params: JSON) -> JSON:
        self.connects.append(params)
        if self.refuse_connect:
            raise _Refusal(self.refuse_connect.pop(0))
        shown = params["auth"].get("token") or params["auth"].get("deviceToken")
        if self.token is not None and shown not in (self.token, "device-token"):
            raise _Refusal(
                error("INVALID_REQUEST", f"unauthorized: token mismatch ({shown})", code="AUTH_TOKEN_MISMATCH")
            )
        asked = tuple(params["scopes"])
        if "device" in params and (self.approved is None or not set(asked) <= set(self.approved)):
            reason = "not-paired" if self.approved is None else "scope-upgrade"
            id = params["device"]["id"]
            details = {"code": "PAIRING_REQUIRED", "reason": reason, "requestId": "req-1", "deviceId": id}
            raise _Refusal(error("NOT_PAIRED", "pairing required", **details))
        auth = {"role": "operator", "scopes": list(asked if self.granted is None else self.granted)}
        if "device" in params:
            auth["deviceToken"] = "device-token"
        server = {"version": "2026.5.28"} if self.older else {"version": "2026.9.6", "bootId": f"boot-{self.boots}"}
        return {
            "type": "hello-ok",
            "protocol": 4,
            "server": server,
            "features": {"methods": METHODS if self.older else [*METHODS, "chat.message.get"], "events": []},
            "snapshot": {
                "sessionDefaults": {"defaultAgentId": "main", "mainKey": "main"},
                "uptimeMs": self.uptime_ms,
            },
            "auth": auth,
            "policy": {"maxPayload": self.max_payload, "tickIntervalMs": self.tick_ms},
        }

    async def _send(self, params: JSON) -> JSON:
        if self.refuse_send:
            raise _Refusal(self.refuse_send.pop(0))
        run_id, key = params["idempotencyKey"], params["sessionKey"]
        if params["message"] == "/stop":
            return {"ok": True, "aborted": False, "runIds": []}
        if run_id in self.runs:
            return {"runId": run_id, "status": "ok" if self.runs[run_id].over else "in_flight"}
        if params.get("queueMode") == "interrupt":
            self._abort({"sessionKey": key})
        run = self.runs[run_id] = Run(run_id, key)
        row = self.add_row(key, "user", params["message"], idempotencyKey=f"{run_id}:user")
        assert self._nursery is not None
        self._nursery.start_soon(self._work, run, params["message"], row)
        return {"runId": run_id, "status": "started"}

    def _abort(self, params: JSON) -> JSON:
        going = [run for run in self.runs.values() if run.key == params["sessionKey"] and not run.over]
        going = [run for run in going if params.get("runId") in (None, run.id)]
        for run in going:
            run.over = True
            run.scope.cancel()
        return {"ok": True, "aborted": bool(going), "runIds": [run.id for run in going]}

    def _history(self, params: JSON) -> JSON:
        key = params["sessionKey"]
        rows = [{name: value for name, value in row.items() if name != "whole"} for row in self.rows.get(key, [])]
        limit, offset = min(params["limit"], self.page_limit), params.get("offset", 0)
        end = len(rows) - offset
        page: JSON = {
            "sessionKey": key,
            "sessionId": f"id of {key}",
            "messages": rows[max(end - limit, 0) : max(end, 0)],
        }
        if self.older:
            return page
        page |= {"hasMore": end > limit, "totalMessages": len(rows)}
        if end > limit:
            page["nextOffset"] = offset + limit
        going = [run for run in self.runs.values() if run.key == key and not run.over]
        page["sessionInfo"] = {"key": key, "hasActiveRun": bool(going), "activeRunIds": [run.id for run in going]}
        if key in self.interrupted:
            page["sessionInfo"] |= {"hasActiveRun": True, "activeRunIds": None}
        if going:
            page["inFlightRun"] = {"runId": going[-1].id, "text": going[-1].text}
        return page

    def _sessions(self, params: JSON) -> JSON:
        keys = sorted(self.rows, key=lambda key: -self.rows[key][-1]["timestamp"])
        keys += sorted(self.interrupted - self.rows.keys())
        offset, limit = params.get("offset", 0), params["limit"]
        page = [self._session(key) for key in keys[offset : offset + limit]]
        more = offset + limit < len(keys)
        return {"sessions": page, "hasMore": more, "nextOffset": offset + limit if more else None}

    def _session(self, key: str) -> JSON:
        busy = key in self.interrupted or any(run.key == key and not run.over for run in self.runs.values())
        updated = self.rows[key][-1]["timestamp"] if key in self.rows else None
        row = {"key": key, "updatedAt": updated, "status": "running" if busy else "done"}
        return row | {"hasActiveRun": busy and not self.older}

    # Runs

    async def _work(self, run: Run, text: str, row: JSON) -> None:
        about = {"runId": run.id, "sessionKey": run.key, "agentId": "main"}
        with run.scope:
            await self.emit("agent", {**about, "stream": "lifecycle", "data": {"phase": "start"}})
            await self.emit("session.message", {"sessionKey": run.key, "message": row, "messageSeq": 1})
            await self._play(run, about, text)
        if run.scope.cancelled_caught and not run.killed:
            aborted = {"aborted": True, "runId": run.id}
            self.add_row(run.key, "assistant", [{"type": "text", "text": run.text}], openclawAbort=aborted)
            await self.emit("chat", {**about, "state": "aborted", "message": _message(run.text)})
            end = {"phase": "error", "error": "This operation was aborted", "aborted": True}
            await self.emit("agent", {**about, "stream": "lifecycle", "data": end})

    async def _play(self, run: Run, about: JSON, text: str) -> None:
        said = re.search(r"\[\[say (.*?)\]\]", text)
        words = said.group(1) if said else "Hello from the fake gateway"
        meta = {} if self.older else {"meta": {"runId": run.id}}
        if "[[http" in text:
            await trio.sleep(PACE)
            run.over = True
            shown = {"content": [], "stopReason": "error", "errorMessage": "HTTP 400: the model says no"}
            self.add_row(run.key, "assistant", **shown, **meta)
            failed = {"phase": "error", "error": "HTTP 400: the model says no"}
            await self.emit("agent", {**about, "stream": "lifecycle", "data": failed})
            if not self.older:
                await self.emit("chat", {**about, "state": "error", "errorMessage": "HTTP 400: the model says no"})
                await trio.sleep(PACE)
                again = {"runId": run.id, "sessionKey": run.key, "seq": 1, "state": "error"}
                await self.emit("chat", {**again, "errorMessage": "⚠️ Agent failed before reply"})
            return
        if "[[tool]]" in text:
            await self._tool(run, about, meta)
        pieces = re.findall(r"\S+\s*", words)
        tick = 0
        while pieces or "[[slow]]" in text:
            new = f"tick {tick} " if "[[slow]]" in text else pieces.pop(0)
            tick += 1
            run.text += new
            await self.emit("chat", {**about, "state": "delta", "deltaText": new, "message": _message(run.text)})
            await trio.sleep(PACE)
        run.over = True
        self.add_row(run.key, "assistant", [{"type": "text", "text": run.text}], stopReason="stop", **meta)
        await self.emit("agent", {**about, "stream": "lifecycle", "data": {"phase": "end"}})
        await self.emit("chat", {**about, "state": "final", "message": _message(run.text)})

    async def _tool(self, run: Run, about: JSON, meta: JSON) -> None:
        call = {"type": "toolCall", "id": "call-1", "name": "exec", "arguments": {"command": "date"}}
        self.add_row(run.key, "assistant", [] if self.older else [call], stopReason="toolUse", **meta)
        start = {"phase": "start", "name": "exec", "toolCallId": "call-1", "args": {"command": "date"}}
        await self.emit("agent", {**about, "stream": "tool", "data": start})
        await trio.sleep(PACE)
        result = {"phase": "result", "name": "exec", "toolCallId": "call-1", "result": "today", "isError": False}
        self.add_row(run.key, "toolResult", "today", toolCallId="call-1", toolName="exec", **meta)
        await self.emit("agent", {**about, "stream": "tool", "data": result})


def _message(text: str) -> JSON:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


@asynccontextmanager
async def open_fake_gateway(*, older: bool = False) -> AsyncIterator[FakeGateway]:
    """Run a gateway for one test."""
    gateway = FakeGateway(older=older)
    async with trio.open_nursery() as nursery:
        await nursery.start(gateway.serve)
        yield gateway
        nursery.cancel_scope.cancel()
