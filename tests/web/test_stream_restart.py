"""A restart that nobody notices: the socket is kept, all come back by themselves, all resume exactly (CHANNEL C10)."""

from __future__ import annotations

import random
import resource
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from edgebotd.hub.hub import Hub, open_hub
from edgebotd.hub.settings import HubSettings
from edgebotd.store.database import open_database
from edgebotd.web.server import serve_web
from edgebotd.web.session import PRINCIPAL_KEY
from edgebotd.web.stream import EventStream
from tests.hub.support import INSTALLATION, activity, message
from tests.web.event_source import EventSource
from tests.web.stream_client import ANN, HTTP_2, Files, make_certificate, plain_app


def connector(transport: str, port: int, trust: Path | None) -> Callable[[], Awaitable[trio.abc.Stream]]:
    """Return how a client of this transport connects."""

    async def connect() -> trio.abc.Stream:
        if transport not in ("tls", "h2"):
            return await trio.open_tcp_stream("127.0.0.1", port)
        context = ssl.create_default_context(cafile=trust)
        context.set_alpn_protocols(["h2"] if transport == "h2" else ["http/1.1"])
        secure: trio.abc.Stream = await trio.open_ssl_over_tcp_stream(
            "localhost", port, ssl_context=context, https_compatible=True
        )
        return secure

    return connect


class Life:
    """One life of the daemon on sockets and a store that outlive it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.stop = trio.Event()
        self.hub: Hub | None = None

    async def run(
        self, directory: Path, served: list[tuple[socket.socket, Files]], *, task_status: trio.TaskStatus[Hub]
    ) -> None:
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(open_database(directory / "store.db", now=1))
            hub = await stack.enter_async_context(
                open_hub(
                    database,
                    HubSettings(max_streams_per_user=2000),
                    installation=INSTALLATION,
                    life=self.number,
                    clock=lambda: int(time.time() * 1000),
                    rng=random.Random(self.number),
                )
            )
            events = EventStream(hub, lambda principal: principal, lambda admin, user_id: admin)

            async def app(scope: Any, receive: Any, send: Any) -> None:
                if scope["type"] == "lifespan":
                    await plain_app(scope, receive, send)
                    return
                scope["state"][PRINCIPAL_KEY] = ANN
                await events(scope, receive, send)

            async with trio.open_nursery() as servers:
                for kept, files in served:
                    # As systemd does: the daemon closes its copy, the socket goes on listening.
                    serve = partial(serve_web, app, [kept.dup()], files, shutdown=self.stop.wait, drain=hub.drain)
                    await servers.start(serve)
                task_status.started(hub)
                self.hub = hub
            self.hub = None


async def check(directory: Path, transports: tuple[str, ...], each: int, publishes_per_second: float) -> None:
    certificate = make_certificate(directory)
    plain, tls = socket.create_server(("127.0.0.1", 0), backlog=4096), socket.create_server(("127.0.0.1", 0))
    served = [(plain, Files()), (tls, certificate)]
    ports = {name: (tls if name in ("tls", "h2") else plain).getsockname()[1] for name in transports}
    clients = [
        EventSource(connector(name, ports[name], certificate.tls_certificate), http2=name in HTTP_2)
        for name in transports * each
    ]
    lives = [Life(1), Life(2)]
    number = 0

    async def publish() -> None:
        nonlocal number
        while True:
            for life in lives:
                if life.hub is not None:
                    life.hub.publish("a", message(number=number))
                    life.hub.publish("a", activity(text=str(number)))
                    number += 1
            await trio.sleep(1 / publishes_per_second)

    async def until(done: Any, seconds: float) -> None:
        with trio.fail_after(seconds):
            while not done():  # noqa: ASYNC110 - many clients, one question
                await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as first:
            await first.start(lives[0].run, directory, served)
            nursery.start_soon(publish)
            for client in clients:
                nursery.start_soon(client.run)
            await until(lambda: all(client.numbers for client in clients), 60)
            lives[0].stop.set()
        # Gone. Who connects now waits in the kept sockets' queues.
        assert all(client.byes for client in clients)
        async with trio.open_nursery() as second:
            await second.start(lives[1].run, directory, served)
            await until(lambda: all(len(client.hellos) == 2 for client in clients), 60)
            last = number
            await until(lambda: all(client.numbers[-1] > last for client in clients), 60)
            lives[1].stop.set()
        nursery.cancel_scope.cancel()
    plain.close()
    tls.close()
    for client in clients:
        assert client.closed_by is None
        assert client.hellos == ["fresh", "exact"]
        assert client.numbers == list(range(client.numbers[0], client.numbers[-1] + 1))
        reason, retry = client.byes[0]
        assert reason == "restart"
        assert retry is not None
    assert len({client.byes[0][1] for client in clients}) > len(clients) // 4  # each its own, so they do not stampede


async def test_c10_clients_of_every_kind_come_back_by_themselves_and_exactly(tmp_path: Path) -> None:
    await check(tmp_path, ("http/1.1", "tls", "h2", "h2c"), 5, 50)


@pytest.mark.heavy
async def test_c10_a_thousand_spec_true_clients_under_load_resume_exactly(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))  # both ends of each connection are here
    try:
        await check(tmp_path, ("http/1.1",), 1000, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
