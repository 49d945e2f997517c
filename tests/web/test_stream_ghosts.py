"""Clients whose packets vanish without a FIN are gone in time, on every kind of path (CHANNEL C9)."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from edgebotd.hub.settings import HubSettings
from tests.peers.install import PeerUnavailable
from tests.peers.netns import Namespace, namespace
from tests.support import require_or_skip
from tests.web.stream_client import Edge, make_certificate, open_edge

CLIENT = """
import socket, ssl, sys, threading
import h2.config, h2.connection

host, port, tls_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ask = b"GET /api/events HTTP/1.1\\r\\nhost: localhost\\r\\n\\r\\n"
plain = socket.create_connection((host, port))
plain.sendall(ask)
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
secure = context.wrap_socket(socket.create_connection((host, tls_port)))
secure.sendall(ask)
http2 = h2.connection.H2Connection(h2.config.H2Configuration())
http2.initiate_connection()
pseudo = [(":method", "GET"), (":path", "/api/events"), (":scheme", "http"), (":authority", "localhost")]
http2.send_headers(1, pseudo, end_stream=True)
second = socket.create_connection((host, port))
second.sendall(http2.data_to_send())

def read(sock):
    while sock.recv(65536):
        pass

for sock in (plain, secure, second):
    threading.Thread(target=read, args=(sock,)).start()
"""


async def count_of(edge: Edge, count: int) -> None:
    while len(edge.hub.connections()) != count:  # noqa: ASYNC110 - the daemon has no event for it
        await trio.sleep(0.02)


async def test_c9_a_client_whose_packets_vanish_is_gone_within_two_heartbeats_and_five_seconds(tmp_path: Path) -> None:
    try:
        with namespace() as elsewhere:
            await _vanish(tmp_path, elsewhere)
    except PeerUnavailable as reason:
        require_or_skip(str(reason))


async def _vanish(directory: Path, elsewhere: Namespace) -> None:
    heartbeat = 1.0
    settings = HubSettings(heartbeat_seconds=heartbeat)
    async with open_edge(directory, make_certificate(directory), settings, address=elsewhere.gateway) as edge:
        command = [
            *elsewhere.enter,
            sys.executable,
            "-c",
            CLIENT,
            elsewhere.gateway,
            str(edge.port),
            str(edge.tls_port),
        ]
        client = await trio.lowlevel.open_process(command)
        try:
            with trio.fail_after(20):
                await count_of(edge, 3)
            await trio.sleep(1.5 * heartbeat)
            assert len(edge.hub.connections()) == 3  # they live as long as their packets arrive
            assert {info.transport for info in edge.hub.connections()} == {"handed-over", "ordinary"}
            elsewhere.swallow()
            with trio.fail_after(2 * heartbeat + 5):
                await count_of(edge, 0)
            assert sum(edge.hub.counters.closed.values()) == 3
        finally:
            client.kill()
            with trio.move_on_after(5, shield=True):
                await client.wait()
