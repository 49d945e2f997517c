"""Stops and restarts of the installed service, as the clients of the channel see them (CHANNEL C10)."""

from __future__ import annotations

import math
import resource
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx2
import pytest
import trio

from tests.peers.systemd import Container
from tests.peers.units import CONFIGURATION, EDGEBOTD, configure, start
from tests.web.event_source import EventSource
from tests.web.stream_client import Http1Client


def client_of(machine: Container) -> EventSource:
    return EventSource(partial(trio.open_unix_socket, str(machine.socket)))


async def until(done: Callable[[], bool], what: str, timeout: float = 60) -> None:
    with trio.move_on_after(timeout) as scope:
        while not done():  # noqa: ASYNC110 - many clients, one question
            await trio.sleep(0.02)
    assert not scope.cancelled_caught, what


async def post(machine: Container, path: str, body: Any, **headers: str) -> httpx2.Response:
    transport = httpx2.AsyncHTTPTransport(uds=str(machine.socket))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
        return await client.post(path, json=body, headers=headers)


async def begin_request(machine: Container) -> tuple[Http1Client, bytes]:
    """Begin a request and leave it in flight; returns it with the rest of its body."""
    stream = await trio.open_unix_socket(str(machine.socket))
    body = b'{"title": "slowly said"}'
    head = f"POST /api/bots/echo/conversations HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    await stream.send_all(head.encode() + b"Content-Type: application/json\r\n\r\n" + body[:5])
    return Http1Client(stream, "1.1"), body[5:]


async def test_a_stop_tells_the_streams_and_lets_a_request_end(fresh: Container) -> None:
    await trio.to_thread.run_sync(start, fresh)
    client = client_of(fresh)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        await until(lambda: client.hellos == ["fresh"], "the stream")
        request, rest = await begin_request(fresh)
        await trio.to_thread.run_sync(fresh.run, "systemctl", "stop", "--no-block", "edgebotd")
        await until(lambda: bool(client.byes), "the bye")
        assert fresh.show("edgebotd", "StatusText").startswith("Stopping")
        await request.stream.send_all(rest)
        assert b" 201 " in await request.stream.receive_some()
        await request.stream.aclose()
        nursery.cancel_scope.cancel()
    ((reason, retry),) = client.byes
    assert reason == "restart"
    assert retry is not None
    await trio.to_thread.run_sync(
        fresh.until, lambda: fresh.show("edgebotd", "ActiveState") == "inactive", "the end of the stop"
    )
    assert fresh.show("edgebotd", "Result") == "success"


async def test_a_second_sigterm_stops_at_once(fresh: Container) -> None:
    configure(fresh, CONFIGURATION.replace("graceful_seconds = 10", "graceful_seconds = 50"))
    await trio.to_thread.run_sync(start, fresh)
    request, _ = await begin_request(fresh)
    await trio.to_thread.run_sync(fresh.run, "systemctl", "stop", "--no-block", "edgebotd")
    await trio.to_thread.run_sync(
        fresh.until, lambda: fresh.show("edgebotd", "StatusText").startswith("Stopping"), "the first one's effect"
    )
    assert fresh.show("edgebotd", "SubState") == "stop-sigterm"
    started = trio.current_time()
    await trio.to_thread.run_sync(fresh.run, "systemctl", "kill", "--kill-whom=main", "-s", "TERM", "edgebotd")
    await trio.to_thread.run_sync(
        fresh.until, lambda: fresh.show("edgebotd", "MainPID") == "0", "the second one's effect"
    )
    assert trio.current_time() - started < 20  # nobody waited for the request
    assert "SIGTERM again: stopping at once" in fresh.journal()
    await request.stream.aclose()


async def check_restart(machine: Container, count: int) -> None:
    """Restart with this many clients, while a plugin publishes, and look at what each of them saw."""
    configure(machine, CONFIGURATION + "[channel]\nmax_streams_per_user = 2000\n")
    await trio.to_thread.run_sync(start, machine)
    await trio.to_thread.run_sync(
        partial(machine.run, input="a-long-password-1\n"), EDGEBOTD, "user", "add", "ann", "--admin"
    )
    body = {"name": "plugin", "scopes": ["publish"], "bots": ["echo"], "userId": "ann"}
    token = (await post(machine, "/api/tokens", body)).json()["token"]
    conversation = (await post(machine, "/api/bots/echo/conversations", {"title": "t"})).json()["id"]
    accepted = -1

    async def publish() -> None:
        """Publish numbered messages; what was not acknowledged is said again, under the same number."""
        nonlocal accepted
        while True:
            number = accepted + 1
            message = {
                "id": f"m{number}",
                "botId": "echo",
                "conversationId": conversation,
                "runId": f"r{number}",
                "role": "assistant",
                "parts": [{"type": "text", "text": f"number {number}"}],
                "createdAt": number + 1,
            }
            event = {"type": "chat-message", "botId": "echo", "conversationId": conversation, "message": message}
            try:
                answer = await post(machine, "/api/bots/echo/events", event, authorization=f"Bearer {token}")
                answer.raise_for_status()
            except (httpx2.TransportError, httpx2.HTTPStatusError):
                await trio.sleep(0.05)
                continue
            accepted = number
            await trio.sleep(0.05)

    clients = [client_of(machine) for _ in range(count)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish)
        for client in clients:
            nursery.start_soon(client.run)
        await until(lambda: all(client.numbers for client in clients), "the first message", 120)
        await trio.to_thread.run_sync(machine.run, "systemctl", "restart", "edgebotd")
        await until(lambda: all(len(client.hellos) == 2 for client in clients), "all to come back", 120)
        last = accepted + 1
        await until(lambda: all(client.numbers[-1] >= last for client in clients), "what was published since", 120)
        nursery.cancel_scope.cancel()
    for client in clients:
        assert client.closed_by is None
        assert client.hellos == ["fresh", "exact"]
        assert client.numbers == list(range(client.numbers[0], client.numbers[-1] + 1))
        assert [reason for reason, _ in client.byes] == ["restart"]
    check_spread([client.byes[0][1] or 0 for client in clients])


def check_spread(waits: list[int]) -> None:
    """See that the clients come back spread: in no tenth of the time many more than a tenth of them."""
    waits.sort()
    window = max(1000, 3 * len(waits)) / 10
    most = max(sum(1 for wait in waits if first <= wait < first + window) for first in waits)
    # Six standard deviations above what chance gives: a fixed time would put all of them into one.
    assert most < len(waits) / 10 + 6 * math.sqrt(len(waits) / 10), waits


async def test_c10_clients_come_back_spread_and_exactly_over_a_restart_of_the_unit(fresh: Container) -> None:
    await check_restart(fresh, 50)


@pytest.mark.heavy
async def test_c10_a_thousand_clients_come_back_spread_and_exactly(fresh: Container) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        await check_restart(fresh, 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
