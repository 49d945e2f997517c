"""A scripted stand-in for a language-model server, run as a program of its own.

It streams just enough of two public wire formats for an agent gateway (or the `openai` connector) to talk to it:
`POST /v1/chat/completions` (OpenAI) and `POST /v1/messages` (Anthropic), plus `GET /v1/models`, `/healthz` and
`/_log` (what was asked so far, newest last, at most 200). It prints its port as one JSON line and serves until killed.

The last user message picks the script; the first of these markers that occurs in it wins:

    [[http N]]      answer HTTP status N (400 ends a turn at once; 401 puts the gateway's provider in cooldown for a
                    minute; 429 and 500 are retried for minutes)
    [[silent N]]    wait N seconds before the first byte (combines with those below)
    [[slow]]        60 chunks, half a second apart
    [[long N]]      N chunks at the ordinary pace
    [[cut]]         close the socket after four chunks
    [[tool CMD]]    call the tool `exec` with CMD; once its result is there, answer with text
    [[say TEXT]]    stream exactly TEXT, word by word
    [[image]]       say how many images the conversation's last user message carried
    anything else   a short scripted answer
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

# The gateway appends its own context to the conversation as one more text part; it is not what the user said.
_INTERNAL_CONTEXT = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT"
_IMAGE_PARTS = {"image", "image_url", "input_image"}
_MOCK_ERRORS = {401: "Incorrect API key provided", 429: "Rate limit reached for requests"}


@dataclass
class Script:
    """What one model call will do."""

    user: str
    delay: float
    chunks: list[str] = field(default_factory=list)
    kind: str = "text"  # text, http, cut, tool
    status: int = 200
    silence: float = 0.0
    command: str = ""


def _parts(content: object) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _said(parts: list[dict[str, Any]]) -> list[str]:
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return [text for text in texts if not text.startswith(_INTERNAL_CONTEXT)]


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)


def read_script(messages: list[dict[str, Any]], delay: float) -> Script:
    """Choose the script from the conversation so far."""
    user, images, tool_answered = "", 0, False
    for message in messages:
        parts = _parts(message.get("content"))
        if message.get("role") == "tool" or any(part.get("type") == "tool_result" for part in parts):
            tool_answered = True
        elif message.get("role") == "user" and (texts := _said(parts)):
            # A user message that follows an aborted one arrives merged with it: the last part is the new one.
            user, tool_answered = texts[-1], False
            images = sum(part.get("type") in _IMAGE_PARTS for part in parts)

    def argument(name: str) -> str | None:
        found = re.findall(r"\[\[" + name + r"(?:\s+(.*?))?\]\]", user, re.DOTALL)
        return found[-1] if found else None

    script = Script(user, delay)
    if (value := argument("http")) is not None:
        script.kind, script.status = "http", int(value or 500)
        return script
    if (value := argument("silent")) is not None:
        script.silence = float(value or 5)
    if argument("slow") is not None:
        script.delay, script.chunks = 0.5, [f"tick {n} " for n in range(60)]
    elif (value := argument("long")) is not None:
        script.chunks = [f"word{n} " for n in range(int(value or 200))]
    elif argument("cut") is not None:
        script.kind, script.chunks = "cut", ["This ", "stream ", "will ", "break"]
    elif (value := argument("tool")) is not None and not tool_answered:
        script.kind, script.command, script.chunks = "tool", value or "echo hi", ["Running ", "a tool. "]
    elif (value := argument("say")) is not None:
        script.chunks = _words(value)
    elif argument("image") is not None:
        script.chunks = _words(f"I see {images} image(s).")
    elif tool_answered:
        script.chunks = _words("The tool finished and this is the closing text.")
    else:
        script.chunks = _words("Hello from the fake model, this is a scripted answer.")
    return script


class ModelServer(ThreadingHTTPServer):
    """The listening server with its log of requests."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], delay: float) -> None:
        super().__init__(address, Handler)
        self.delay = delay
        self.log: list[dict[str, Any]] = []
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """One HTTP connection."""

    protocol_version = "HTTP/1.1"
    server: ModelServer

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet: stderr is the test's."""

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(200, {"ok": True})
        elif self.path == "/_log":
            with self.server.lock:
                self._answer(200, self.server.log)
        elif self.path.endswith("/models"):
            self._answer(200, {"object": "list", "data": [{"id": "fake-1", "object": "model"}]})
        else:
            self._answer(404, {"error": {"message": "not found"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        script = read_script(body.get("messages") or [], self.server.delay)
        record = {
            "path": self.path,
            "auth": self.headers.get("Authorization") or self.headers.get("x-api-key"),
            "stream": body.get("stream"),
            "model": body.get("model"),
            "messages": len(body.get("messages") or []),
            "kind": script.kind,
            "user": script.user[-4000:],
            "done": False,
        }
        with self.server.lock:
            self.server.log.append(record)
            del self.server.log[:-200]
        if script.kind == "http":
            message = _MOCK_ERRORS.get(script.status, f"scripted failure {script.status}")
            error = {"message": message, "type": "scripted_error", "code": str(script.status)}
            self._answer(script.status, {"type": "error", "error": error})
            return
        time.sleep(script.silence)
        try:
            if self.path.endswith("/messages"):
                self._anthropic(body, script)
            else:
                self._openai(body, script)
        except (BrokenPipeError, ConnectionResetError):
            record["client_gone"] = True
        else:
            record["done"] = True

    def _answer(self, status: int, value: object) -> None:
        payload = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _start_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def _event(self, value: dict[str, Any] | str, name: str = "") -> None:
        head = f"event: {name}\n" if name else ""
        data = value if isinstance(value, str) else json.dumps(value)
        self.wfile.write(f"{head}data: {data}\n\n".encode())
        self.wfile.flush()

    def _openai(self, body: dict[str, Any], script: Script) -> None:
        head = {"id": "chatcmpl-" + uuid.uuid4().hex[:12], "created": int(time.time()), "model": body.get("model")}
        spent = len(script.chunks)
        usage = {"prompt_tokens": 100, "completion_tokens": spent, "total_tokens": 100 + spent}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(script.chunks)}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            self._answer(200, {**head, "object": "chat.completion", "usage": usage, "choices": [choice]})
            return
        self._start_stream()

        def chunk(delta: dict[str, Any], finish: str | None = None, **extra: object) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            self._event({**head, "object": "chat.completion.chunk", "choices": [choice], **extra})

        chunk({"role": "assistant", "content": ""})
        for text in script.chunks:
            chunk({"content": text})
            time.sleep(script.delay)
        if script.kind == "cut":
            self.connection.close()
            return
        if script.kind == "tool":
            function = {"name": "exec", "arguments": json.dumps({"command": script.command})}
            call = {"index": 0, "id": "call_" + uuid.uuid4().hex[:8], "type": "function", "function": function}
            chunk({"tool_calls": [call]})
        chunk({}, "tool_calls" if script.kind == "tool" else "stop", usage=usage)
        self._event("[DONE]")

    def _anthropic(self, body: dict[str, Any], script: Script) -> None:
        head = {
            "id": "msg_" + uuid.uuid4().hex[:12],
            "type": "message",
            "role": "assistant",
            "model": body.get("model"),
        }
        usage = {"input_tokens": 100, "output_tokens": len(script.chunks)}
        if not body.get("stream"):
            content = [{"type": "text", "text": "".join(script.chunks)}]
            self._answer(200, {**head, "usage": usage, "stop_reason": "end_turn", "content": content})
            return
        self._start_stream()

        def event(kind: str, **fields: object) -> None:
            self._event({"type": kind, **fields}, kind)

        event("message_start", message={**head, "content": [], "stop_reason": None, "usage": usage})
        event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for text in script.chunks:
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
            time.sleep(script.delay)
        if script.kind == "cut":
            self.connection.close()
            return
        event("content_block_stop", index=0)
        if script.kind == "tool":
            call = {"type": "tool_use", "id": "toolu_" + uuid.uuid4().hex[:8], "name": "exec", "input": {}}
            event("content_block_start", index=1, content_block=call)
            arguments = {"type": "input_json_delta", "partial_json": json.dumps({"command": script.command})}
            event("content_block_delta", index=1, delta=arguments)
            event("content_block_stop", index=1)
        reason = "tool_use" if script.kind == "tool" else "end_turn"
        event("message_delta", delta={"stop_reason": reason}, usage=usage)
        event("message_stop")


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="scripted language-model server")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.12, help="seconds between chunks")
    arguments = parser.parse_args()
    server = ModelServer((arguments.host, arguments.port), arguments.delay)
    sys.stdout.write(json.dumps({"port": server.server_address[1]}) + "\n")
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
