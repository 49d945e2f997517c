"""Behind a real nginx as Debian ships it: HTTP/1.0 upstream, buffering on, gzip asked for (CHANNEL S24)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.hub.support import activity
from tests.support import require_or_skip
from tests.web.stream_client import Edge, Http1Client, open_edge

CONFIGURATION = """
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{
  include /etc/nginx/mime.types; access_log off; gzip on; gzip_types *; gzip_min_length 1;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{ listen unix:{dir}/nginx.sock; location / {{ proxy_pass http://127.0.0.1:{port}; }} }}
}}
"""


@asynccontextmanager
async def nginx_before(edge: Edge, directory: Path) -> AsyncIterator[str]:
    """Run nginx in front of an edge; gives the path of its socket."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/bin")
    if program is None:
        require_or_skip("nginx (apt-get install nginx-light)")
    path = directory / "nginx.conf"
    path.write_text(CONFIGURATION.format(dir=directory, port=edge.port))
    server = await trio.lowlevel.open_process(
        [program, "-c", str(path), "-e", str(directory / "error.log")], stderr=subprocess.DEVNULL
    )
    try:
        with trio.fail_after(10):
            while not (directory / "nginx.sock").exists():  # noqa: ASYNC110 - another program makes it
                await trio.sleep(0.02)
        yield str(directory / "nginx.sock")
    finally:
        server.terminate()
        with trio.move_on_after(5, shield=True):
            await server.wait()


@pytest.mark.quiet
async def test_s24_behind_default_nginx_everything_arrives_at_once(tmp_path: Path) -> None:
    async with open_edge(tmp_path) as edge, nginx_before(edge, tmp_path) as path:
        heads = []
        for _ in range(5):
            stream = await trio.open_unix_socket(path)
            edge.opened.append(stream)
            client = Http1Client(stream, "1.1")
            started = trio.current_time()
            await client.request("GET", "/api/events", {"accept-encoding": "gzip, br"})
            assert (await client.next()).type == "hello"
            heads.append(trio.current_time() - started)
            await client.next("hb")
        # The contract says 200 ms for each; a stall of a loaded machine may hit one.
        assert sorted(heads)[-2] < 0.2
        assert client.status == 200
        assert client.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert client.headers.get("content-encoding", "identity") == "identity"
        assert edge.seen[0]["http_version"] == "1.0"
        assert {info.transport for info in edge.hub.connections()} == {"handed-over"}
        took = []
        for number in range(20):
            edge.hub.publish("a", activity(text=str(number)))
            started = trio.current_time()
            assert (await client.next_json())["activity"] == str(number)
            took.append(trio.current_time() - started)
        assert sorted(took)[-2] < 0.2
        # Not a byte of ours or of a proxy's that is no field of an event.
        for line in client.body.split(b"\n"):
            assert line.partition(b":")[0] in (b"", b"event", b"id", b"retry", b"data"), line


async def test_s24_s20_a_stop_reaches_the_client_behind_nginx_as_a_clean_end(tmp_path: Path) -> None:
    async with open_edge(tmp_path) as edge, nginx_before(edge, tmp_path) as path:
        stream = await trio.open_unix_socket(path)
        edge.opened.append(stream)
        client = Http1Client(stream, "1.1")
        await client.request("GET", "/api/events", {})
        await client.next("hb")
        edge.shutdown.set()
        assert (await client.next("bye")).retry is not None
        await client.rest()
