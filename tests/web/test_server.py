"""The serve loop: what it tells of a connection, and that neither a crash nor a stop reaches further than it should."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
import trio

from edgebotd.web import server
from edgebotd.web.app import build_framework
from edgebotd.web.connection import CONNECTION_KEY
from tests.hub.support import activity
from tests.web.stream_client import Edge, open_edge, plain_app


async def ask(edge: Edge, transport: str, path: str = "/") -> bytes:
    client = await edge.open(transport, path)
    return await client.rest()


async def test_a_unix_peer_is_known_by_its_uid(tmp_path: Path) -> None:
    async with open_edge(tmp_path) as edge:
        for transport in ("unix", "http/1.1"):
            client = await edge.open(transport)
            await client.next("hb")
        unix, tcp = (scope["state"][CONNECTION_KEY] for scope in edge.seen)
        assert (unix.unix_uid, unix.secure) == (os.getuid(), False)
        assert unix.peer == f"unix (uid {os.getuid()})"
        assert tcp.unix_uid is None
        assert tcp.peer.startswith("127.0.0.1:")


async def test_a_crash_in_one_request_reaches_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_edge(tmp_path) as edge:
        stream = await edge.open("http/1.1")
        await stream.next("hb")
        with caplog.at_level(logging.CRITICAL):
            assert (await edge.open("http/1.1", "/crash")).status == 500
        assert await ask(edge, "http/1.1") == b"GET"
        edge.hub.publish("a", activity(text="alive"))
        assert (await stream.next_json())["activity"] == "alive"


async def test_garbage_on_a_connection_reaches_no_other(tmp_path: Path) -> None:
    async with open_edge(tmp_path) as edge:
        for garbage in (b"\x16\x03\x01\x00", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 70_000):
            stream = await edge.connect("http/1.1")
            await stream.send_all(garbage)
            await trio.aclose_forcefully(stream)
        assert await ask(edge, "http/1.1") == b"GET"


async def test_running_out_of_descriptors_does_not_end_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = [OSError(errno.EMFILE, "too many open files"), OSError(errno.ECONNABORTED, "aborted")]
    accept = trio.SocketListener.accept

    async def failing(self: trio.SocketListener) -> trio.SocketStream:
        if refusals and refusals[0].errno == errno.EMFILE:
            raise refusals.pop(0)
        return await accept(self)

    monkeypatch.setattr(trio.SocketListener, "accept", failing)
    with caplog.at_level(logging.CRITICAL):
        async with open_edge(tmp_path) as edge:
            assert await ask(edge, "http/1.1") == b"GET"
    assert len(refusals) == 1


async def test_a_stop_lets_a_request_in_flight_end(tmp_path: Path) -> None:
    async with open_edge(tmp_path) as edge:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, edge, "http/1.1", "/slow")
            await trio.sleep(0.1)
            edge.shutdown.set()
        with trio.fail_after(2):
            await edge.stopped.wait()
        with pytest.raises(OSError, match=r"all attempts|refused"):
            await edge.connect("http/1.1")


async def test_a_stop_cuts_what_does_not_end_in_time(tmp_path: Path) -> None:
    async with open_edge(tmp_path, graceful_seconds=0.2) as edge:
        stream = await edge.connect("http/1.1")
        await stream.send_all(b"GET /hang HTTP/1.1\r\nhost: x\r\n\r\n")
        await trio.sleep(0.05)
        edge.shutdown.set()
        with trio.fail_after(2):
            await edge.stopped.wait()


async def test_a_stop_cuts_a_response_that_nobody_reads(tmp_path: Path) -> None:
    async def endless(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await trio.sleep_forever()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                kind = (await receive())["type"]
                await send({"type": f"{kind}.complete"})
                if kind == "lifespan.shutdown":
                    return
        await endless(scope, receive, send)

    async with open_edge(tmp_path, graceful_seconds=0.2, app=app) as edge:
        stream = await edge.connect("http/1.1")
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await trio.sleep(0.3)
        edge.shutdown.set()
        with trio.fail_after(2):
            await edge.stopped.wait()


async def test_an_idle_keep_alive_connection_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    framework: Any = build_framework([])

    @framework.get("/framework")  # type: ignore[untyped-decorator]
    async def view() -> str:
        return "ok"

    async with open_edge(tmp_path, app=framework, graceful_seconds=10) as edge:
        stream = await edge.connect("http/1.1")
        await stream.send_all(b"GET /framework HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        await trio.sleep(0.05)
        edge.shutdown.set()
        with trio.fail_after(3):
            await edge.stopped.wait()


async def test_a_connection_is_closed_when_it_has_been_idle_and_not_while_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_KEEP_ALIVE_SECONDS", 0.1)
    async with open_edge(tmp_path) as edge:
        silent, used = await edge.connect("http/1.1"), await edge.connect("http/1.1")
        with trio.fail_after(2):
            for _ in range(2):  # each takes longer than a connection may be idle
                await used.send_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
                answer = b""
                while not answer.endswith(b"GET"):
                    piece = await used.receive_some()
                    assert piece, "closed while it worked"
                    answer += piece
            assert await silent.receive_some() == b""
            while await used.receive_some():
                pass


async def test_a_held_head_leaves_with_its_body(tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["state"][CONNECTION_KEY].hold_head()
        await plain_app(scope, receive, send)

    async with open_edge(tmp_path, app=app) as edge:
        stream = await edge.connect("http/1.1")
        for method, body in ((b"GET", b"GET"), (b"HEAD", b"")):
            await stream.send_all(method + b" / HTTP/1.1\r\nhost: x\r\n\r\n")
            head, _, rest = bytes(await stream.receive_some()).partition(b"\r\n\r\n")
            assert (head[:12], rest) == (b"HTTP/1.1 200", body)
        assert await ask(edge, "h2c") == b"GET"


async def test_sockets_that_listen_already_are_taken_over(tmp_path: Path) -> None:
    async with open_edge(tmp_path) as edge:
        with socket.socket() as probe:
            probe.connect(("127.0.0.1", edge.port))
        assert await ask(edge, "unix") == b"GET"


@pytest.mark.parametrize("path", ["/endless", "/"])
async def test_an_http2_client_that_leaves_in_the_middle_leaves_no_task_behind(path: str, tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or scope["path"] == "/":
            await plain_app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        # More than the client's window, so that the last of it waits.
        await send({"type": "http.response.body", "body": bytes(400_000), "more_body": False})

    async with open_edge(tmp_path, app=app, graceful_seconds=10) as edge:
        for _ in range(20):
            client = await edge.open("h2c", path)
            await client.close()
        edge.shutdown.set()
        with trio.fail_after(3):
            await edge.stopped.wait()


async def test_the_rest_of_a_body_that_was_answered_early_ends_nothing_else(tmp_path: Path) -> None:
    async with open_edge(tmp_path) as edge:  # its app answers without reading the body
        wire = await edge.connect("h2c")
        client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        got: dict[int, bytes] = {}
        ended: set[int] = set()

        def ask(stream_id: int, method: str, path: str) -> None:
            head = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "localhost")]
            client.send_headers(stream_id, head, end_stream=method == "GET")

        async def until(done: Callable[[], bool]) -> None:
            with trio.fail_after(5):
                while not done():
                    await wire.send_all(client.data_to_send())
                    received = await wire.receive_some()
                    assert received, "the connection has ended"
                    for event in client.receive_data(bytes(received)):
                        if isinstance(event, h2.events.DataReceived):
                            got[event.stream_id] = got.get(event.stream_id, b"") + (event.data or b"")
                        elif isinstance(event, h2.events.StreamEnded):
                            ended.add(event.stream_id)

        client.initiate_connection()
        ask(1, "GET", "/api/events")
        await until(lambda: b"event: hb" in got.get(1, b""))
        ask(3, "POST", "/")
        client.send_data(3, b"one half")
        await until(lambda: 3 in ended)
        client.send_data(3, b"the other half", end_stream=True)
        ask(5, "GET", "/")
        await until(lambda: 5 in ended)
        edge.hub.publish("a", activity(text="alive"))
        await until(lambda: b"alive" in got[1])
        assert (got[3], got[5]) == (b"POST", b"GET")
