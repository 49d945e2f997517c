"""The daemon's process killed in the middle of each step of a new bot's making: the next one goes on, and all is there
once.

The image is a small one, with a gateway of the test's own behind it: whatever comes to the container's port goes on to
it, and its `openclaw devices approve` waits until it may. What the real one does in its place, over one such death,
is test_provision_openclaw.py's. Where nothing outside can make a step stand still, the daemon that is killed has been
told to.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import WebSocketServer
from typing_extensions import override

from edgebotd.docker.spec import OPERATION_LABEL, STATE_PATH
from tests.bots.fake_gateway import ALL, FakeGateway
from tests.peers.engine import REMOTE, DockerEngine
from tests.peers.image import Image, Tar, bot_image
from tests.peers.netns import listen_within
from tests.peers.process import free_port
from tests.peers.relay import open_relay
from tests.peers.running_daemon import Channel, Daemon, open_daemon

IMAGE = f"{REMOTE}:gateway"
NAME = "edgebotd-claw"
STEPS = ("validate", "pull", "create", "start", "healthy", "pair", "hello")
AGAIN = "edgebotd started again; going on here."
SECONDS = 40.0
SERVE = """#!/bin/sh
nc -ll -p 18789 -e nc $GATEWAY &
exec /bot.sh
"""
APPROVE = """#!/bin/sh
echo "$*" >> /tmp/asked
until [ -e /tmp/may ]; do sleep 0.1; done
"""
DOCKER = """
[docker]
socket = "{socket}"
image = "{image}"
ports = "{port}-{port}"
"""
# What the daemon that is killed runs first.
FREEZE = """
import os, signal
from edgebotd.docker.engine import Engine
asked = Engine.{call}
async def freeze(self, *arguments):
    os.kill({pid}, signal.SIGSTOP)
    return await asked(self, *arguments)
Engine.{call} = freeze
"""
HOLD = """
import pathlib, trio
from {module} import {where}
async def hold(*_, **__):
    pathlib.Path({there!r}).touch()
    await trio.sleep_forever()
{where}.{call} = hold
"""


class Gateway(FakeGateway):
    """The fake gateway, in the network of an engine's containers."""

    def __init__(self, engine: DockerEngine) -> None:
        super().__init__()
        self.token = None
        self.engine = engine
        self.place = ""
        """Where it is reached from a container: address and port."""

    @override
    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        made = await trio.to_thread.run_sync(listen_within, self.engine.namespace, self.engine.bridge)
        made.setblocking(False)
        host, self.port = made.getsockname()
        self.place = f"{host} {self.port}"
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(made))
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(WebSocketServer(self._accept, [listener]).run)
            task_status.started()


@dataclass
class Site:
    """What a test has in its hands."""

    engine: DockerEngine
    gateway: Gateway
    folder: Path
    port: int
    healthy: bool = True

    @property
    def there(self) -> Path:
        """A file that the daemon makes where it was told to stand still."""
        return self.folder / "there"

    def shell(self, script: str) -> str:
        return self.engine.shell(NAME, script)

    def inspect(self, what: str) -> Any:
        return json.loads(self.engine.api("GET", what))


def _nothing(site: Site) -> None:
    pass


@dataclass(frozen=True)
class Hold:
    """How a step stands still in its middle.

    Attributes:
        there: whether it stands still.
        before: has that prepared, just before the bot is asked for.
        release: lets it go on, once the next daemon has begun to.
        plant: what the daemon that is killed is told to do.
    """

    step: str
    there: Callable[[Site], bool]
    before: Callable[[Site], None] = _nothing
    release: Callable[[Site], None] = _nothing
    plant: Callable[[Site], str] = lambda site: ""


def frozen_at(step: str, call: str) -> Hold:
    """The engine freezes when it is asked for something."""

    def plant(site: Site) -> str:
        return FREEZE.format(call=call, pid=site.engine.pid)

    return Hold(step, lambda site: site.engine.frozen, release=lambda site: site.engine.thaw(), plant=plant)


def held_at(step: str, module: str, where: str, call: str) -> Hold:
    """The daemon that is killed goes no further than where it calls something."""

    def plant(site: Site) -> str:
        return HOLD.format(module=module, where=where, call=call, there=str(site.there))

    return Hold(step, lambda site: site.there.exists(), plant=plant)


def _freeze(site: Site) -> None:
    site.engine.freeze()


def _unhealthy(site: Site) -> None:
    site.healthy = False


def _is_unhealthy(site: Site) -> bool:
    return bool(site.inspect(f"/containers/{NAME}/json")["State"]["Health"]["Status"] == "unhealthy")


def _get_well(site: Site) -> None:
    site.shell(": > /tmp/healthy")


def _unpaired(site: Site) -> None:
    site.gateway.approved = None


def _approve(site: Site) -> None:
    site.gateway.approved = ALL
    site.shell(": > /tmp/may")


HELD = {
    "validate": Hold("validate", lambda site: True, _freeze, lambda site: site.engine.thaw()),
    "pull": Hold(
        "pull",
        lambda site: site.engine.registry_is_asked(),
        lambda site: site.engine.freeze_registry(),
        lambda site: site.engine.thaw_registry(),
    ),
    "create": frozen_at("create", "create"),
    "create, made": held_at("create", "edgebotd.docker.engine", "Engine", "put_archive"),
    "start": frozen_at("start", "start"),
    "healthy": Hold("healthy", _is_unhealthy, _unhealthy, _get_well),
    "pair": Hold("pair", lambda site: "approve req-1" in site.shell("cat /tmp/asked"), _unpaired, _approve),
    "hello": held_at("hello", "edgebotd.docker", "provision", "hello"),
}


def image() -> Image:
    made = bot_image(IMAGE)
    layer = Tar()
    layer.file("serve.sh", SERVE.encode(), 0o755)
    layer.file("bin/openclaw", APPROVE.encode(), 0o755)
    return dataclasses.replace(made, layers=[*made.layers, layer.done()], config={**made.config, "Cmd": ["/serve.sh"]})


@asynccontextmanager
async def open_site(engine: DockerEngine, folder: Path) -> AsyncIterator[Site]:
    """Open it without a daemon: what is on this machine's loopback reaches what the engine publishes on its own."""
    engine.publish(image())
    port = free_port()
    async with trio.open_nursery() as nursery:
        gateway = Gateway(engine)
        await nursery.start(gateway.serve)
        async with open_relay("127.0.0.1", port, namespace=engine.namespace, listen=port):
            yield Site(engine, gateway, folder, port)
        nursery.cancel_scope.cancel()


async def until(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    with trio.fail_after(SECONDS):
        while not await trio.to_thread.run_sync(holds):  # noqa: ASYNC110  nobody tells
            await trio.sleep(0.05)


async def lines(daemon: Daemon, operation_id: str) -> list[tuple[str, str]]:
    found = (await daemon.ask("GET", f"/api/operations/{operation_id}")).json()["lines"]
    return [(line["step"], line["text"]) for line in found]


def _engine(channel: Channel) -> str:
    """Return how the engine is, as the channel told it last."""
    told = channel.of("docker:status")
    return str(told[-1]["engine"]["state"]) if told else "unknown"


async def goes_on(channel: Channel, operation_id: str, step: str, times: int = 1) -> None:
    """Wait until a daemon has gone on with a step, so many times so far."""
    await channel.until(lambda _: len(channel.of("provision-log", provisionId=operation_id, text=AGAIN)) == times)
    assert {event["step"] for event in channel.of("provision-log", text=AGAIN)} == {step}


@pytest.mark.parametrize("held", HELD)
async def test_a_daemon_that_is_killed_in_a_step_goes_on_in_its_next_life(
    breakable_engine: DockerEngine, tmp_path: Path, held: str
) -> None:
    hold = HELD[held]
    async with open_site(breakable_engine, tmp_path) as site:
        toml = DOCKER.format(socket=site.engine.socket, image=IMAGE, port=site.port)
        async with open_daemon(tmp_path, toml, before=hold.plant(site)) as (daemon, channel):
            await channel.until(lambda _: _engine(channel) == "up")
            hold.before(site)
            environment = {"GATEWAY": site.gateway.place, "HEALTHY": str(int(site.healthy))}
            begun = (await daemon.ask("POST", "/api/bots", {"id": "claw", "environment": environment})).json()["id"]
            await channel.until(lambda _: bool(channel.of("provision-log", provisionId=begun, step=hold.step)), SECONDS)
            await until(lambda: hold.there(site))
            await trio.to_thread.run_sync(daemon.program.kill)
            if held == "hello":
                # The next one, too: in it the step itself stands still.
                site.gateway.silent = True
            daemon.heal()
            await daemon.start()
            await goes_on(channel, begun, hold.step)
            if held == "hello":
                await trio.to_thread.run_sync(daemon.program.kill)
                site.gateway.silent = False
                await daemon.start()
                await goes_on(channel, begun, hold.step, 2)
            await trio.to_thread.run_sync(hold.release, site)
            await channel.until(lambda _: bool(channel.of("provision-done", provisionId=begun)), SECONDS)
            await is_whole(site, daemon, channel, begun, hold.step, 2 if held == "hello" else 1)


async def is_whole(site: Site, daemon: Daemon, channel: Channel, operation_id: str, step: str, times: int) -> None:
    """The bot is there, once, and its making has one log."""
    (done,) = channel.of("provision-done")
    told = await lines(daemon, operation_id)
    assert done["ok"], told[-3:]
    assert [of for of, text in told if text == "begins"] == list(STEPS)
    assert [of for of, text in told if text == AGAIN] == [step] * times
    assert [of for of, _ in told] == sorted((of for of, _ in told), key=STEPS.index)
    assert [(one["step"], one["text"]) for one in channel.of("provision-log", provisionId=operation_id)] == told
    (operation,) = (await daemon.ask("GET", "/api/operations")).json()["items"]
    assert (operation["id"], operation["state"]) == (operation_id, "succeeded")

    (container,) = site.inspect("/containers/json?all=1")
    assert (container["Names"], container["State"]) == ([f"/{NAME}"], "running")
    assert container["Labels"][OPERATION_LABEL] == operation_id
    (volume,) = site.inspect("/volumes")["Volumes"]
    assert [mount["Name"] for mount in container["Mounts"]] == [volume["Name"]]
    (bot,) = (await daemon.ask("GET", "/api/bots")).json()["items"]
    assert (bot["botId"], bot["state"]) == ("claw", "connected")
    # One token, which the gateway has, and was shown each time.
    token = (site.folder / "state/bots/claw/token").read_text()
    assert json.loads(site.shell(f"cat {STATE_PATH}/openclaw.json"))["gateway"]["auth"]["token"] == token
    assert {one["auth"].get("token", token) for one in site.gateway.connects} == {token}
