"""The daemon as its users have it: a process of its own, asked over its unix socket, its channel read by a client."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import trio

from edgebotd.protocol.sse import Parser, ServerEvent
from tests.peers.process import Program
from tests.warm import PLANT, WarmProgram

CONFIGURATION = """
[server]
bind = []
socket = "{folder}/socket"
[storage]
state_dir = "{folder}/state"
[logging]
format = "text"
level = "debug"
"""


class Channel:
    """One stream, read in the background; reconnects with its cursor as EventSource does."""

    def __init__(self, socket: Path, token: str | None = None) -> None:
        self._socket = socket
        self._token = token
        self._wire = trio.CancelScope()
        self._parser = Parser()
        self._changed = trio.Event()
        self.events: list[dict[str, Any]] = []
        self.verdicts: list[str] = []
        self.ids: list[str] = []

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                with trio.CancelScope() as self._wire:
                    await self._read()
            except httpx2.TransportError:
                pass  # the daemon is away
            await trio.sleep(0.1)

    def cut(self) -> None:
        """Break the connection; it comes back with the cursor that it has."""
        self._wire.cancel()

    async def _read(self) -> None:
        transport = httpx2.AsyncHTTPTransport(uds=str(self._socket))
        last = self._parser.last_event_id
        headers = {"Last-Event-ID": last} if last else {}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        self._parser = Parser(last_event_id=last)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            async with client.stream("GET", "/api/events", headers=headers) as response:
                response.raise_for_status()
                async for chunk in response.aiter_raw():
                    for event in self._parser.feed(chunk):
                        self._take(event)

    def _take(self, event: ServerEvent) -> None:
        import json

        if event.type == "hello":
            self.verdicts.append(json.loads(event.data)["verdict"])
        elif event.type == "message":
            self.events.append(json.loads(event.data))
            self.ids.append(event.last_event_id)
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, condition: Callable[[list[dict[str, Any]]], bool], timeout: float = 60) -> None:
        """Wait until what came fulfils a condition."""
        with trio.move_on_after(timeout) as scope:
            while not condition(self.events):
                await self._changed.wait()
        if scope.cancelled_caught:
            last = [f"{e['type']} {e.get('state', '')} {e.get('reason', '')}" for e in self.events[-12:]]
            raise AssertionError(f"did not come within {timeout} s; the last were {last}")

    def of(self, type_: str, **members: Any) -> list[dict[str, Any]]:
        """Return the events of a type with these members."""
        return [e for e in self.events if e["type"] == type_ and all(e.get(k) == v for k, v in members.items())]

    def text(self, run_id: str) -> str:
        """Return the reply as its deltas tell it (test texts are ASCII, so UTF-16 units are characters)."""
        text = ""
        for delta in self.of("chat-delta", runId=run_id):
            text = text[: delta["offset"]] + delta["text"]
        return text

    async def ended(self, run_id: str, timeout: float = 60) -> str:
        """Wait for the run's end and return its state."""

        def states() -> list[str]:
            terminal = ("finished", "aborted", "failed", "interrupted")
            return [e["state"] for e in self.of("chat-status", runId=run_id) if e["state"] in terminal]

        await self.until(lambda _: bool(states()), timeout)
        return states()[0]

    async def stored(self, run_id: str, role: str = "assistant", timeout: float = 30) -> dict[str, Any]:
        """Wait for a run's stored message and return it as told last."""

        def found() -> list[dict[str, Any]]:
            messages = [e["message"] for e in self.of("chat-message")]
            return [m for m in messages if m["runId"] == run_id and m["role"] == role]

        await self.until(lambda _: bool(found()), timeout)
        return found()[-1]


class Daemon:
    """A running daemon. From `open_daemon`."""

    def __init__(self, folder: Path, before: str = "", enter: Sequence[str] = ()) -> None:
        self.folder = folder
        self.socket = folder / "socket"
        arguments = ["run", "--config", str(folder / "edgebotd.toml")]
        if enter:
            assert not before
            cold = [*enter, sys.executable, "-m", "edgebotd", *arguments]
            self.program = Program(cold, env=dict(os.environ), log=folder / "log")
        else:
            planted = {PLANT: before} if before else {}
            self.program = WarmProgram(arguments, env={**os.environ, **planted}, log=folder / "log")
        self._arguments = arguments

    def heal(self) -> None:
        """Have the next start be without what was planted or entered; the process has ended before."""
        self.program = WarmProgram(self._arguments, env=dict(os.environ), log=self.folder / "log")

    async def start(self) -> None:
        """Start the process and wait until it is ready."""
        self.program.start()
        await self.wait_ready()

    async def wait_ready(self) -> None:
        """Wait until `/readyz` answers 200."""
        with trio.fail_after(30):
            while True:
                try:
                    if (await self.ask("GET", "/readyz", check=False)).status_code == 200:
                        return
                except httpx2.TransportError:
                    assert self.program.running, self.program.last_lines()
                await trio.sleep(0.05)

    async def ask(
        self, method: str, path: str, body: Any = None, *, check: bool = True, token: str | None = None
    ) -> httpx2.Response:
        """Make one request, as the local administrator where no token is given."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = httpx2.AsyncHTTPTransport(uds=str(self.socket))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=40) as client:
            answer = await client.request(method, path, json=body, headers=headers)
            assert not check or answer.is_success, (answer.status_code, answer.text, self.program.last_lines())
            return answer

    async def send(self, text: str, key: str, *, token: str | None = None, **more: Any) -> dict[str, Any]:
        """Send a message to the bot `claw`; return the answer."""
        body = {"text": text, "idempotencyKey": key, **more}
        answer: dict[str, Any] = (await self.ask("POST", "/api/bots/claw/chat/send", body, token=token)).json()
        return answer

    async def add_user(self, user_id: str) -> str:
        """Make a user who may chat with `claw`; return a token that acts for them."""
        await self.ask("POST", "/api/users", {"id": user_id})
        await self.ask("PUT", f"/api/users/{user_id}/grants/claw", {"grant": "chat"})
        wanted = {"name": "test", "scopes": ["chat"], "userId": user_id}
        token: str = (await self.ask("POST", "/api/tokens", wanted)).json()["token"]
        return token

    async def bot(self) -> dict[str, Any]:
        """Return what an administrator is told of `claw`."""
        told: dict[str, Any] = (await self.ask("GET", "/api/bots/claw")).json()
        return told

    async def history(self, conversation_id: str | None = None) -> list[dict[str, Any]]:
        """Return the last messages of `claw`, or of one conversation, oldest first."""
        narrowed = "" if conversation_id is None else f"&conversationId={conversation_id}"
        answer = await self.ask("GET", f"/api/bots/claw/chat/history?limit=100{narrowed}")
        items: list[dict[str, Any]] = answer.json()["items"]
        return items[::-1]


@asynccontextmanager
async def open_daemon(
    folder: Path, bots: str = "", before: str = "", enter: Sequence[str] = ()
) -> AsyncIterator[tuple[Daemon, Channel]]:
    """Run a daemon with bots as in the TOML, and a channel on it; end both on leaving.

    Args:
        before: Python that the process runs first, to plant a bug.
        enter: the command in front of it, to run it in another network.
    """
    configuration = folder / "edgebotd.toml"
    configuration.touch(0o600)  # it holds the gateway's token
    configuration.write_text(CONFIGURATION.format(folder=folder) + bots)
    daemon = Daemon(folder, before, enter)
    channel = Channel(daemon.socket)
    try:
        await daemon.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.run, name="channel")
            await channel.until(lambda _: bool(channel.verdicts))
            yield daemon, channel
            nursery.cancel_scope.cancel()
    finally:
        daemon.program.close(grace=15)


def bot(url: str, token: str, *, more: str = "") -> str:
    """Return the TOML of a bot named `claw`."""
    return f'\n[bots.claw]\nkind = "openclaw"\nurl = "{url}"\ntoken = "{token}"\n{more}\n'


def state(channel: Channel) -> str:
    """Return the state of `claw` as the channel told it last."""
    for event in reversed(channel.of("bots-status-update")):
        return str(next(b["state"] for b in event["bots"] if b["botId"] == "claw"))
    return "unknown"


async def wait_state(channel: Channel, *states: str, timeout: float = 90) -> None:
    """Wait until `claw` is in one of the states."""
    await channel.until(lambda _: state(channel) in states, timeout)


def streamed(channel: Channel, run_id: str, least: int = 1) -> Callable[[object], bool]:
    """Return the condition that a run has streamed at least so many pieces."""
    return lambda _: len(channel.of("chat-delta", runId=run_id)) >= least


def said(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return role and text of messages."""
    return [(message["role"], text_of(message)) for message in messages]


def text_of(message: dict[str, Any]) -> str:
    """Return a message's text parts, joined."""
    return "\n\n".join(part["text"] for part in message["parts"] if part["type"] == "text")
