"""The channel over real sockets: each transport keeps the same contract (CHANNEL section 2)."""

from __future__ import annotations

import json
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import h11
import pytest
import trio

from edgebotd.access import Grant, Kind, Principal
from edgebotd.events import ALL
from edgebotd.hub.settings import HubSettings
from edgebotd.protocol.sse import Parser
from edgebotd.web.connection import CONNECTION_KEY
from tests.hub.support import activity, message, statuses
from tests.web.stream_client import HANDED_OVER, HTTP_2, TRANSPORTS, Files, make_certificate, open_edge

every_transport = pytest.mark.parametrize("transport", TRANSPORTS)
handed_over = pytest.mark.parametrize("transport", HANDED_OVER)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_certificate(tmp_path_factory.mktemp("tls"))


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something in the daemon has come about."""
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - the daemon has no event for each fact that a test asks for
            await trio.sleep(0.005)


@every_transport
async def test_the_head_is_as_promised_and_events_follow(transport: str, tmp_path: Path, certificate: Files) -> None:
    async with open_edge(tmp_path, certificate) as edge:
        client = await edge.open(transport)
        assert client.status == 200
        assert client.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert client.headers["cache-control"] == "no-store, no-transform"
        assert client.headers["x-accel-buffering"] == "no"
        assert client.headers["content-encoding"] == "identity"
        assert "content-length" not in client.headers
        hello = await client.next()
        assert (hello.type, json.loads(hello.data)["verdict"]) == ("hello", "fresh")
        assert client.body[:1] != b"\xef"  # S1
        assert (await client.next()).type == "hb"
        edge.hub.publish("a", activity(text="one"))
        edge.hub.publish("a", message(text="two"))
        assert (await client.next_json())["activity"] == "one"
        assert (await client.next_json())["type"] == "chat-message"
        (info,) = edge.hub.connections()
        assert info.transport == ("handed-over" if transport in HANDED_OVER else "ordinary")
        await client.close()
        await until(lambda: not edge.hub.connections())


@every_transport
async def test_c1_a_cursor_resumes_exactly(transport: str, tmp_path: Path, certificate: Files) -> None:
    async with open_edge(tmp_path, certificate) as edge:
        first = await edge.open(transport)
        await first.next("hb")
        edge.hub.publish("a", activity(text="one"))
        seen = await first.next("message")
        await first.close()
        edge.hub.publish("a", activity(text="two"))
        for path, headers in (
            ("/api/events", {"last-event-id": seen.last_event_id}),
            (f"/api/events?lastEventId={seen.last_event_id}", {}),
            (f"/api/events?last_event_id={seen.last_event_id}", {}),
            ("/api/events?lastEventId=forged", {"last-event-id": seen.last_event_id}),
        ):
            client = await edge.open(transport, path, headers=headers)
            assert json.loads((await client.next("hello")).data)["verdict"] == "exact"
            assert (await client.next_json())["activity"] == "two"
            await client.close()


@every_transport
async def test_a_long_replay_comes_whole_and_goes_over_to_live(
    transport: str, tmp_path: Path, certificate: Files
) -> None:
    async with open_edge(tmp_path, certificate, HubSettings(ring_events=500)) as edge:
        first = await edge.open(transport)
        cursor = (await first.next("hb")).last_event_id
        await first.close()
        for number in range(3000):
            edge.hub.publish("a", message(text="x" * 500, number=number))
        await until(lambda: edge.hub.counters.released == 3000)
        client = await edge.open(transport, headers={"last-event-id": cursor})
        assert json.loads((await client.next()).data)["verdict"] == "exact"
        for number in range(3000):
            assert (await client.next_json())["message"]["id"] == f"m{number}"
            if number == 1500:
                edge.hub.publish("a", message(number=3000))
        assert (await client.next_json())["message"]["id"] == "m3000"


@every_transport
async def test_head_answers_the_head_only(transport: str, tmp_path: Path, certificate: Files) -> None:
    async with open_edge(tmp_path, certificate) as edge:
        client = await edge.open(transport, method="HEAD")
        assert client.status == 200
        assert client.headers["content-type"] == "text/event-stream; charset=utf-8"
        if transport not in HTTP_2:
            await client.stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            # The server has closed by now, so a reset may come first.
            with trio.move_on_after(1), suppress(trio.BrokenResourceError):
                assert not (await client.stream.receive_some()).startswith(b"event:")
        assert edge.hub.connections() == []


@every_transport
async def test_c10_a_stop_says_bye_on_every_transport(transport: str, tmp_path: Path, certificate: Files) -> None:
    async with open_edge(tmp_path, certificate) as edge:
        client = await edge.open(transport)
        await client.next("hb")
        edge.shutdown.set()
        bye = await client.next("bye")
        assert json.loads(bye.data) == {"reason": "restart"}
        assert bye.retry is not None
        assert bye.last_event_id
        await client.rest()  # a clean end of the body: raises if it is cut
        with trio.fail_after(5):
            await edge.stopped.wait()


@every_transport
async def test_c11_over_the_cap_200_busy_and_a_clean_end(transport: str, tmp_path: Path, certificate: Files) -> None:
    async with open_edge(tmp_path, certificate, HubSettings(max_streams_per_user=1)) as edge:
        kept = await edge.open(transport)
        await kept.next("hb")
        refused = await edge.open(transport)
        assert refused.status == 200
        busy = await refused.next()
        assert busy.type == "busy"
        assert busy.retry is not None
        assert await refused.rest()
        edge.hub.publish("a", activity(text="still here"))
        assert (await kept.next_json())["activity"] == "still here"


@pytest.mark.quiet
@every_transport
async def test_c6_a_revoked_stream_is_told_and_ended(transport: str, tmp_path: Path, certificate: Files) -> None:
    async with open_edge(tmp_path, certificate) as edge:
        client = await edge.open(transport)
        await client.next("hb")
        with trio.fail_after(1):
            edge.hub.rescope(lambda principal: None)
            assert json.loads((await client.next("bye")).data) == {"reason": "revoked"}
            await client.rest()


@every_transport
async def test_c6_who_was_revoked_while_the_head_was_sent_gets_nothing(
    transport: str, tmp_path: Path, certificate: Files
) -> None:
    async with open_edge(tmp_path, certificate, refresh=lambda principal: None) as edge:
        client = await edge.open(transport)
        assert json.loads((await client.next()).data) == {"reason": "revoked"}
        await client.rest()
        assert edge.hub.connections() == []


@handed_over
async def test_a_client_that_left_while_the_head_was_sent_is_no_error(
    transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def leaving(principal: Principal) -> Principal:
        edge.seen[-1]["state"][CONNECTION_KEY].abort()  # as the server does when it reads the end
        return principal

    async with open_edge(tmp_path, refresh=leaving) as edge:
        with suppress(trio.BrokenResourceError, h11.RemoteProtocolError, EOFError):
            await (await edge.open(transport)).next()
        assert edge.hub.connections() == []
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@every_transport
async def test_c16_query_narrows_and_a_foreign_bot_is_absent(
    transport: str, tmp_path: Path, certificate: Files
) -> None:
    async with open_edge(tmp_path, certificate) as edge:
        edge.principal = Principal(
            Kind.SESSION, "ann", "ann", "s", grants={"a": Grant.VIEW, "b": Grant.VIEW, "c": Grant.VIEW}
        )
        client = await edge.open(transport, "/api/events?bot=a&bot=b&type=chat-message")
        await client.next("hb")
        for bot_id in ("c", "b", "a"):
            edge.hub.publish(bot_id, activity(bot_id))
            edge.hub.publish(bot_id, message(bot_id))
        assert [(await client.next_json())["botId"] for _ in range(2)] == ["b", "a"]
        assert (await edge.open(transport, "/api/events?bot=foreign")).status == 404


@every_transport
async def test_c7_a_client_that_does_not_read_is_cut_and_resumes(
    transport: str, tmp_path: Path, certificate: Files
) -> None:
    # TLS has the kernel's own sizes of buffers to fill.
    count = 200 if transport == "tls" else 80
    settings = HubSettings(backlog_bytes=200_000, linger_seconds=0.2, ring_bytes=1_000_000)
    async with open_edge(tmp_path, certificate, settings) as edge:
        stopped, reading = await edge.open(transport), await edge.open(transport)
        await stopped.next("hb")
        await reading.next("hb")
        if isinstance(stopped.stream, trio.SocketStream) and transport != "unix":
            stopped.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        for number in range(count):
            edge.hub.publish("a", message(text="x" * 50_000, number=number))
            assert (await reading.next_json())["message"]["id"] == f"m{number}"
        await until(lambda: edge.hub.counters.closed["slow"] == 1)
        (info,) = edge.hub.connections()
        assert info.queued_bytes < 300_000
        # It wakes up, reads what the kernel had for it, and comes back with its cursor.
        seen = []
        with pytest.raises((EOFError, h11.RemoteProtocolError, trio.BrokenResourceError)):
            while True:
                seen.append((await stopped.next_json())["message"]["id"])
        again = await edge.open(transport, headers={"last-event-id": stopped.parser.last_event_id})
        assert json.loads((await again.next()).data)["verdict"] == "exact"
        while len(seen) < count:
            seen.append((await again.next_json())["message"]["id"])
        assert seen == [f"m{number}" for number in range(count)]


@handed_over
async def test_what_a_client_says_later_is_ignored(transport: str, tmp_path: Path) -> None:
    async with open_edge(tmp_path) as edge:
        client = await edge.open(transport)
        await client.next("hb")
        for _ in range(10):
            await client.stream.send_all(b"GET /pipelined HTTP/1.1\r\nhost: x\r\n\r\n" * 1000)
        edge.hub.publish("a", activity(text="alive"))
        assert (await client.next_json())["activity"] == "alive"
        assert len(edge.seen) == 1


async def test_c9_vanished_peers_are_noticed_by_the_kernel(tmp_path: Path) -> None:
    async with open_edge(tmp_path, settings=HubSettings(heartbeat_seconds=7)) as edge:
        client = await edge.open("http/1.1")
        await client.next("hb")
        (stream,) = edge.hub._subscriptions
        with socket.socket(fileno=stream.fd) as sock:
            try:
                timeout = struct.unpack("i", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 4))[0]
                assert timeout == 7000
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
            finally:
                sock.detach()


@every_transport
async def test_c8_heartbeats_come_over_a_real_socket(transport: str, tmp_path: Path, certificate: Files) -> None:
    async with open_edge(tmp_path, certificate, HubSettings(heartbeat_seconds=0.1)) as edge:
        client = await edge.open(transport)
        beats = [await client.next("hb") for _ in range(3)]
        assert len({beat.last_event_id for beat in beats}) == 3
        assert {beat.data for beat in beats} == {""}
        await client.close()
        again = await edge.open(transport, headers={"last-event-id": beats[-1].last_event_id})
        assert json.loads((await again.next()).data)["verdict"] == "exact"


@every_transport
async def test_c14_age_is_told_and_ends_the_body_cleanly(transport: str, tmp_path: Path, certificate: Files) -> None:
    async with open_edge(tmp_path, certificate, HubSettings(max_age_seconds=1.4)) as edge:
        client = await edge.open(transport)
        assert json.loads((await client.next("bye")).data) == {"reason": "age"}
        await client.rest()
        assert edge.hub.counters.closed == {"age": 1}


@every_transport
async def test_c3_s9_a_cut_in_the_body_loses_nothing(transport: str, tmp_path: Path, certificate: Files) -> None:
    async with open_edge(tmp_path, certificate) as edge:
        client = await edge.open(transport)
        await client.next("hb")
        for number in range(30):
            edge.hub.publish("a", message(text="x" * 300, number=number))
        ids = [(await client.next_json())["message"]["id"] for _ in range(30)]
        await client.close()
        for length in range(len(client.body) // 4, len(client.body) + 1, len(client.body) // 9):
            parser = Parser()
            seen = [event for event in parser.feed(client.body[:length]) if event.type == "message"]
            assert parser.last_event_id
            again = await edge.open(transport, headers={"last-event-id": parser.last_event_id})
            together = [json.loads(event.data)["message"]["id"] for event in seen]
            together += [(await again.next_json())["message"]["id"] for _ in range(30 - len(together))]
            assert together == ids
            await again.close()


@pytest.mark.parametrize("cursor", ["", "A" * 10_240, "\x80\xff", "x" * 22])
@every_transport
async def test_s23_odd_ids_get_200_and_a_verdict(
    transport: str, cursor: str, tmp_path: Path, certificate: Files
) -> None:
    async with open_edge(tmp_path, certificate) as edge:
        in_query = f"/api/events?lastEventId={quote(cursor.encode('latin-1'))}"
        # Clients of HTTP libraries cannot send what is not ASCII in a header; over a raw socket, see below.
        asked: list[tuple[str, dict[str, str]]] = [(in_query, {})]
        if cursor.isascii():
            asked.append(("/api/events", {"last-event-id": cursor}))
        for path, headers in asked:
            client = await edge.open(transport, path, headers=headers)
            assert client.status == 200
            hello = json.loads((await client.next("hello")).data)
            assert (hello["verdict"], hello.get("reason")) == (("gap", "malformed") if cursor else ("fresh", None))
            await client.next("hb")


async def test_s23_an_id_that_is_no_text_gets_a_verdict_or_is_refused_as_a_header(tmp_path: Path) -> None:
    async with open_edge(tmp_path) as edge:
        for cursor, answers in ((b"\x80\xff", [b"HTTP/1.1 200"]), (b"\x80\x01", [b"HTTP/1.1 200", b"HTTP/1.1 400"])):
            stream = await edge.connect("http/1.1")
            await stream.send_all(b"GET /api/events HTTP/1.1\r\nhost: x\r\nlast-event-id: %b\r\n\r\n" % cursor)
            data = b""
            while b"\r\n\r\n" not in data or (b" 200 " in data and b'"verdict"' not in data):
                data += await stream.receive_some()
            assert data[:12] in answers
            assert b" 200 " not in data or b'"gap","reason":"malformed"' in data


async def test_http_1_0_gets_a_body_without_frames_and_1_1_one_in_chunks(tmp_path: Path) -> None:
    """Default nginx speaks HTTP/1.0 upstream, and would pass chunk sizes on as text."""
    async with open_edge(tmp_path) as edge:
        for version, chunked in ((b"1.0", False), (b"1.1", True)):
            stream = await edge.connect("http/1.1")
            await stream.send_all(b"GET /api/events HTTP/%b\r\nhost: localhost\r\n\r\n" % version)
            data = b""
            while b"event: hb" not in data or not data.endswith(b"\n"):
                data += await stream.receive_some()
            edge.hub.publish("a", activity(text="one"))
            while b'"one"' not in data or not data.endswith(b"\n"):
                data += await stream.receive_some()
            edge.hub.rescope(lambda principal: None)
            while received := await stream.receive_some():
                data += received
            head, _, body = data.partition(b"\r\n\r\n")
            assert (b"transfer-encoding: chunked" in head.lower()) == chunked
            assert b"connection: close" in head.lower()
            assert body.startswith(b"event: hello\n") != chunked
            assert (b"\r" in body) == chunked
            assert body.endswith(b"\r\n0\r\n\r\n" if chunked else b'{"reason":"revoked"}\n\n')


async def test_s2_no_transport_writes_a_cr_into_the_body(tmp_path: Path, certificate: Files) -> None:
    async with open_edge(tmp_path, certificate) as edge:
        clients = [await edge.open(transport) for transport in TRANSPORTS]
        for client in clients:
            await client.next("hb")
        edge.hub.publish("a", message(text="\ufeffa\r\nb\rc\u2028\x85"))
        for client in clients:
            event = await client.next_json()
            assert event["message"]["parts"][0]["text"] == "\ufeffa\r\nb\rc\u2028\x85"
            assert b"\r" not in client.body


async def test_c15_however_many_transports_an_event_is_encoded_once(tmp_path: Path, certificate: Files) -> None:
    async with open_edge(tmp_path, certificate) as edge:
        clients = [await edge.open(transport) for transport in TRANSPORTS * 2]
        for client in clients:
            await client.next("hb")
        before = edge.hub.counters.encoded
        edge.hub.publish("a", activity())
        edge.hub.publish(ALL, statuses("a", "b"))
        for client in clients:
            assert [(await client.next_json())["type"] for _ in range(2)] == ["bot-activity", "bots-status-update"]
        # Once each at the publisher, and once what a user with the bot `a` sees of the second.
        assert edge.hub.counters.encoded - before == 3
