"""The daemon's process: a bug in a job, a bot or a request leaves the rest running, one in its core ends it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.peers.running_daemon import Channel, Daemon, open_daemon

BOTS = """
[bots.good]
kind = "echo"
pace_ms = 1
[bots.bad]
kind = "echo"
pace_ms = 1
"""

BROKEN_JOB = """
from edgebotd.jobs.retention import Retention
async def run(self): raise KeyError("planted in a job")
Retention.run = run
"""

BROKEN_BOT = """
from edgebotd.bots.kinds import make_connector
from edgebotd.bots import registry
def make(wanted):
    made = make_connector(wanted)
    if wanted.bot_id == "bad":
        async def run_session(deliver, *, task_status): raise KeyError("planted in a connector")
        made.run_session = run_session
    return made
registry.make_connector = make
registry.open_bots.__wrapped__.__kwdefaults__["make"] = make
"""

BROKEN_REQUEST = """
from edgebotd.bots.chat import Chat
async def search(self, *args, **more): raise KeyError("planted in a request")
Chat.search = search
"""

BROKEN_TASKS = {
    "the status line": """
import pathlib, trio
from edgebotd import daemon
async def keep(house, listeners):
    while not pathlib.Path(GO).exists():
        await trio.sleep(0.05)
    raise KeyError("planted in the core")
daemon._keep_status = keep
""",
    "the hub": """
import pathlib, trio
from edgebotd.hub.hub import Hub
before = Hub.tasks
async def broken():
    while not pathlib.Path(GO).exists():
        await trio.sleep(0.05)
    raise KeyError("planted in the core")
Hub.tasks = property(lambda self: (*before.fget(self), broken))
""",
}


async def say(daemon: Daemon, channel: Channel, bot_id: str, text: str) -> None:
    """Have a turn with a bot, to its end on the stream."""
    body = {"text": text, "idempotencyKey": text}
    sent = (await daemon.ask("POST", f"/api/bots/{bot_id}/chat/send", body)).json()
    assert await channel.ended(sent["runId"]) == "finished"


async def state_of(daemon: Daemon, bot_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await daemon.ask("GET", f"/api/bots/{bot_id}")).json()["summary"]
    return found


async def test_a_bug_in_a_job_leaves_the_rest_running(tmp_path: Path) -> None:
    async with open_daemon(tmp_path, BOTS, BROKEN_JOB) as (daemon, channel):
        await say(daemon, channel, "good", "hello")
        jobs = (await daemon.ask("GET", "/api/status")).json()["health"]["jobs"]
        (job,) = [job for job in jobs if job["job"] == "retention"]
        assert job["state"] in ("restarting", "failed")
        assert job["detail"] == "bug: KeyError"
        assert channel.verdicts == ["fresh"]
        assert "planted in a job" in daemon.program.log.read_text()


async def test_a_bug_in_a_bot_leaves_the_others_running(tmp_path: Path) -> None:
    async with open_daemon(tmp_path, BOTS, BROKEN_BOT) as (daemon, channel):
        await say(daemon, channel, "good", "hello")
        with trio.fail_after(10):
            while (bad := await state_of(daemon, "bad"))["reason"] != "bug":  # noqa: ASYNC110 - another process
                await trio.sleep(0.05)
        assert bad["state"] != "connected"
        assert (bad["reason"], bad["detail"][:17]) == ("bug", "A bug of edgebotd")
        assert "planted in a connector" not in str(bad)
        assert (await state_of(daemon, "good"))["state"] == "connected"
        assert channel.verdicts == ["fresh"]
        assert "planted in a connector" in daemon.program.log.read_text()


async def test_a_bug_in_a_request_is_that_requests_alone(tmp_path: Path) -> None:
    async with open_daemon(tmp_path, BOTS, BROKEN_REQUEST) as (daemon, channel):
        answer = await daemon.ask("GET", "/api/search?q=x", check=False)
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert "planted" not in answer.text
        log = daemon.program.log.read_text()
        assert answer.json()["errorId"] in log
        assert "planted in a request" in log
        await say(daemon, channel, "good", "hello")
        assert channel.verdicts == ["fresh"]


@pytest.mark.parametrize("task", BROKEN_TASKS)
async def test_a_bug_in_the_core_ends_the_daemon_with_a_failure_and_keeps_what_was_acknowledged(
    tmp_path: Path, task: str
) -> None:
    go = tmp_path / "go"
    async with open_daemon(tmp_path, BOTS, f"GO = {str(go)!r}\n{BROKEN_TASKS[task]}") as (daemon, _channel):
        made = (await daemon.ask("POST", "/api/bots/good/conversations", {"title": "acknowledged"})).json()
        go.touch()
        status = await trio.to_thread.run_sync(daemon.program.wait, 30)
        assert status == 1
        assert "planted in the core" in daemon.program.log.read_text()
        assert not daemon.socket.exists()
    async with open_daemon(tmp_path, BOTS) as (daemon, _channel):
        items = (await daemon.ask("GET", "/api/bots/good/conversations")).json()["items"]
        assert [item["conversation"]["id"] for item in items] == [made["id"]]


async def begin_request(daemon: Daemon) -> trio.SocketStream:
    """Begin a request whose body does not come."""
    stream = await trio.open_unix_socket(str(daemon.socket))
    await stream.send_all(
        b"POST /api/bots/good/conversations HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    )
    return stream


async def test_one_sigterm_gives_requests_their_time_and_a_second_one_none(tmp_path: Path) -> None:
    async with open_daemon(tmp_path, BOTS) as (daemon, channel):
        async with await begin_request(daemon):
            daemon.program.terminate()
            with trio.fail_after(10):
                while "SIGTERM: stopping" not in daemon.program.log.read_text():  # noqa: ASYNC110 - a file has no event
                    await trio.sleep(0.02)
            assert daemon.program.running
            daemon.program.signal_all(signal.SIGTERM)
            # server.graceful_seconds is 10.
            with trio.fail_after(8):
                assert await trio.to_thread.run_sync(daemon.program.wait, 30) == 1
    assert channel.verdicts == ["fresh"]
    assert "SIGTERM again: stopping at once" in daemon.program.log.read_text()


async def test_a_terminal_that_is_closed_stops_it_in_order(tmp_path: Path) -> None:
    # Whoever runs the tests may have this signal ignored, and programs inherit that.
    terminal = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    async with open_daemon(tmp_path, BOTS, terminal) as (daemon, _channel):
        for _ in range(2):
            daemon.program.signal_all(signal.SIGHUP)
        with trio.fail_after(8):
            assert await trio.to_thread.run_sync(daemon.program.wait, 30) == 0
    assert "SIGHUP again" not in daemon.program.log.read_text()


async def test_a_daemon_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    nohup = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    async with open_daemon(tmp_path, BOTS, nohup) as (daemon, channel):
        daemon.program.signal_all(signal.SIGHUP)
        await say(daemon, channel, "good", "[[say still here]]")
        assert daemon.program.running


async def test_a_stop_with_nothing_going_on_takes_no_time_and_is_a_success(tmp_path: Path) -> None:
    async with open_daemon(tmp_path, BOTS) as (daemon, _channel):
        daemon.program.terminate()
        with trio.fail_after(8):
            assert await trio.to_thread.run_sync(daemon.program.wait, 30) == 0
