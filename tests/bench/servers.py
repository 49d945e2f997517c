"""The servers that are measured: edgebotd as it is run, its hub alone, and its peers."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.bench.load import HERE, build

PEERS = HERE / "peers"
NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
PLAIN_BODY = '{"type":"bot-activity","botId":"bot-1","activity":"streaming","detail":"@t=%T n=%S %P"}'
START_SECONDS = 30.0

NGINX = """load_module {module};
worker_processes 1; worker_rlimit_nofile 40000; pid {folder}/nginx.pid; error_log {folder}/nginx.err; daemon off;
events {{ worker_connections 19000; }}
http {{ access_log off; nchan_max_reserved_memory 256M; keepalive_requests 1000000;
 server {{ listen 127.0.0.1:{port} backlog=8192;
  location = /events {{ nchan_subscriber eventsource; nchan_channel_id c; nchan_subscriber_first_message newest; }}
  location = /pub {{ nchan_publisher http; nchan_channel_id c; nchan_message_buffer_length 1000;
   nchan_message_timeout 60s; }}
 }} }}
"""

CONFIGURATION = """
[server]
bind = ["127.0.0.1:{port}"]
socket = "{folder}/socket"
[storage]
state_dir = "{folder}/state"
[channel]
max_streams = 30000
max_streams_per_user = 30000
[logging]
level = "warning"
[bots.bot-1]
kind = "echo"
"""


@dataclass(frozen=True)
class Running:
    """A server that accepts, and how to use it."""

    port: int
    pid: int
    subscribe: str = "/events"
    publish: str = "/pub"
    header: str = ""
    body: str = PLAIN_BODY


class Missing(Exception):
    """A peer is not installed; the text says how to."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(argv: Sequence[str], port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server on core 0 and wait until it accepts; end it by its pid on leaving."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(["taskset", "-c", "0", *argv], stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{argv[0]} did not start:\n{log.read_text()[-2000:]}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        time.sleep(0.5)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def edgebotd(folder: Path) -> Iterator[Running]:
    """The daemon with a real credential, a real access check and the journal on."""
    port = free_port()
    configuration = folder / "edgebotd.toml"
    configuration.write_text(CONFIGURATION.format(port=port, folder=folder))
    with started([sys.executable, "-m", "edgebotd", "run", "--config", str(configuration)], port, folder) as process:
        token = _credential(folder / "socket")
        yield Running(
            port=port,
            pid=process.pid,
            subscribe="/api/events",
            publish="/api/bots/bot-1/events",
            header=f"Authorization: Bearer {token}",
        )


def _credential(path: Path) -> str:
    """Make a user who may chat with the bot, and the token that a plugin of it would have."""
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(path)), base_url="http://localhost") as client:

        def ask(method: str, url: str, body: dict[str, object]) -> dict[str, str]:
            answer = client.request(method, url, json=body)
            answer.raise_for_status()
            return answer.json() if answer.content else {}

        ask("POST", "/api/users", {"id": "bench", "name": "Bench", "password": "a-long-bench-password"})
        ask("PUT", "/api/users/bench/grants/bot-1", {"grant": "chat"})
        return ask(
            "POST",
            "/api/tokens",
            {"userId": "bench", "name": "bench", "scopes": ["read", "publish"], "bots": ["bot-1"]},
        )["token"]


@contextlib.contextmanager
def hub_alone(folder: Path) -> Iterator[Running]:
    """The hub behind the project's own serve loop, without routes, access or store."""
    port = free_port()
    with started([sys.executable, "-m", "tests.bench.hub_alone", str(port)], port, folder) as process:
        yield Running(port, process.pid, "/api/events", "/pub")


@contextlib.contextmanager
def floor(folder: Path) -> Iterator[Running]:
    """A bare C loop of send(): the kernel's own price of one send for each stream and event."""
    port = free_port()
    with started([str(build(PEERS / "floor.c", folder / "floor")), str(port)], port, folder) as process:
        yield Running(port, process.pid)


@contextlib.contextmanager
def nchan(folder: Path) -> Iterator[Running]:
    """The nginx module nchan."""
    if not NCHAN_MODULE.exists():
        raise Missing("apt-get install nginx-light libnginx-mod-nchan")
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(module=NCHAN_MODULE, folder=folder, port=port))
    with started(["nginx", "-c", str(configuration)], port, folder) as process:
        yield Running(port, process.pid)


@contextlib.contextmanager
def better_sse(folder: Path) -> Iterator[Running]:
    """The npm package better-sse on Node."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise Missing("apt-get install nodejs npm")
    shared = folder.parent / "better-sse"
    if not (shared / "node_modules" / "better-sse").exists():
        shared.mkdir(exist_ok=True)
        (shared / "package.json").write_text(json.dumps({"private": True}))
        install = ["npm", "--prefix", str(shared), "install", "--silent", "--no-audit", "--no-fund", "better-sse"]
        subprocess.run(install, check=True)
    program = shared / "server.mjs"
    shutil.copy(PEERS / "better_sse.mjs", program)
    port = free_port()
    with started(["node", str(program), str(port)], port, folder) as process:
        yield Running(port, process.pid)


@contextlib.contextmanager
def quart_plain(folder: Path) -> Iterator[Running]:
    """The idiomatic generator on the same stack."""
    port = free_port()
    with started([sys.executable, str(PEERS / "quart_plain.py"), str(port)], port, folder) as process:
        yield Running(port, process.pid)


SERVERS = {
    "edgebotd": edgebotd,
    "hub": hub_alone,
    "floor": floor,
    "nchan": nchan,
    "better-sse": better_sse,
    "quart": quart_plain,
}
