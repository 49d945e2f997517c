"""`bots start`, `stop`, `restart`, `logs`, `crashes`."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Any

import pytest

from edgebotd.cli import containers
from edgebotd.cli.tail import Tail
from tests.cli.conftest import Command
from tests.cli.daemon import Request, Script, frame, hello

CONTAINER = "/api/bots/atlas/container"


def line(at: int, text: str, stream: str = "stdout") -> dict[str, Any]:
    return {"at": at, "stream": stream, "text": text}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "LOOK_SECONDS", 0)


def work(script: Script, *steps: dict[str, Any]) -> None:
    """Let the operation be at these steps, one look after the other."""
    left = list(steps)

    def answer(_: Request) -> tuple[int, dict[str, Any]]:
        step = left.pop(0) if len(left) > 1 else left[0]
        first = {"operationId": "op_1", "state": "running", "doing": None, "reason": None}
        return 200, {"operation": {**first, **step}}

    script.answers["GET", CONTAINER + "/operation"] = answer


@pytest.fixture(autouse=True)
def operator(script: Script) -> None:
    script.answers["GET", "/api/me"] = (200, {"admin": False, "scopes": None, "bots": None})


@pytest.fixture
def administrator(script: Script) -> None:
    script.answers["GET", "/api/me"] = (200, {"admin": True, "scopes": None, "bots": None})


def status(doing: str | None, bot: str = "atlas") -> bytes:
    return frame({"type": "docker:status", "containers": [{"botId": bot, "doing": doing}, {"name": "else"}]}, id="c")


def done(operation: str) -> bytes:
    return frame({"type": "provision-done", "provisionId": operation, "botId": "atlas", "ok": True}, id="c")


def test_an_administrator_is_told_the_end_by_the_channel(command: Command, script: Script, administrator: None) -> None:
    script.answers["POST", CONTAINER + "/stop"] = (202, {"operationId": "op_1"})
    waits = "waits for 2 runs to end"
    work(script, {"doing": waits}, {"state": "succeeded"})
    told = hello() + status(waits) + status("is being made", "bert") + done("op_0") + status("is being stopped")
    script.streams = [told + status(None) + done("op_1")]
    result = command("bots", "stop", "atlas")
    assert (result.stdout, result.exit_code) == ("atlas is stopped.\n", 0)
    assert result.stderr.splitlines() == [f"atlas {waits}", "atlas is being stopped"]
    assert len(script.seen("GET", CONTAINER + "/operation")) == 2
    assert script.seen("GET", "/api/events")[0].query["type"] == ["docker:status", "provision-done"]


def test_an_end_in_a_break_of_the_channel_is_seen_when_it_is_back(
    command: Command, script: Script, administrator: None
) -> None:
    script.answers["POST", CONTAINER + "/start"] = (202, {"operationId": "op_1"})
    work(script, {"doing": "is being started"}, {"state": "failed", "reason": "port is already allocated"})
    script.streams = [hello(), hello("exact")]
    result = command("bots", "start", "atlas")
    assert result.stderr.splitlines()[0] == "atlas is being started"
    assert result.stderr.splitlines()[-1] == "Error: atlas: port is already allocated"


@pytest.mark.parametrize("narrowed", [{"scopes": ["operate"]}, {"bots": ["atlas"]}])
def test_an_administrators_narrow_token_looks(command: Command, script: Script, narrowed: dict[str, Any]) -> None:
    script.answers["GET", "/api/me"] = (200, {"admin": True, "scopes": None, "bots": None, **narrowed})
    script.answers["POST", CONTAINER + "/start"] = (202, {"operationId": "op_1"})
    work(script, {}, {}, {"state": "succeeded"})
    assert command("bots", "start", "atlas").stdout == "atlas is started.\n"
    assert len(script.seen("GET", CONTAINER + "/operation")) == 3


def test_a_stop_is_waited_for_and_told_as_it_goes(command: Command, script: Script) -> None:
    script.answers["POST", CONTAINER + "/stop"] = (202, {"operationId": "op_1"})
    waits = {"doing": "waits for 2 runs to end"}
    work(script, waits, waits, {"doing": "waits for it to end, 300 s at most"}, {"state": "succeeded"})
    result = command("bots", "stop", "atlas", "--abort", "--seconds", "300")
    assert script.seen("POST", CONTAINER + "/stop")[0].body == {"drain": "abort", "seconds": 300.0, "now": False}
    assert result.stderr.splitlines() == ["atlas waits for 2 runs to end", "atlas waits for it to end, 300 s at most"]
    assert (result.stdout, result.exit_code) == ("atlas is stopped.\n", 0)


def test_a_start_that_fails_says_why(command: Command, script: Script) -> None:
    script.answers["POST", CONTAINER + "/start"] = (202, {"operationId": "op_1"})
    work(script, {"state": "failed", "reason": "port is already allocated"})
    result = command("bots", "start", "atlas")
    assert (result.stderr, result.exit_code) == ("Error: atlas: port is already allocated\n", 1)


def test_what_is_not_waited_for_is_only_asked_for(command: Command, script: Script) -> None:
    script.answers["POST", CONTAINER + "/restart"] = (202, {"operationId": "op_1"})
    result = command("bots", "restart", "atlas", "--now", "--no-wait")
    assert script.seen("POST", CONTAINER + "/restart")[0].body == {"drain": "wait", "seconds": None, "now": True}
    assert (result.stdout, result.exit_code) == ("atlas: asked for; `edgebotd bots show atlas` shows how it is.\n", 0)


def test_the_last_lines_are_shown(command: Command, script: Script) -> None:
    items = [line(1000, "one"), line(2000, "\x1b[2Jtwo", "stderr")]
    script.answers["GET", CONTAINER + "/logs"] = (200, {"items": items})
    result = command("bots", "logs", "atlas", "-n", "2", "--since", "10m", "--contains", "o")
    asked = script.seen("GET", CONTAINER + "/logs")[0].query
    assert (asked["tail"], asked["contains"]) == (["2"], ["o"])
    assert abs(int(asked["since"][0]) / 1000 - (time.time() - 600)) < 60
    shown = [text[9:] for text in result.stdout.splitlines()]
    assert shown == ["  one", "E \N{REPLACEMENT CHARACTER}[2Jtwo"]
    printed = command("bots", "logs", "atlas", "--json").stdout.splitlines()
    assert json.loads(printed[0]) == line(1000, "one")
    assert command("bots", "logs", "atlas", "--since", "yesterday").exit_code == 2


def test_what_comes_is_shown_once_across_a_break(
    command: Command, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = [line(2000, "b"), line(3000, "c"), line(3000, "c"), line(4000, "d")]
    reads = iter([[line(1000, "a"), line(2000, "b")], later])
    script.answers["GET", CONTAINER + "/logs"] = lambda _: (200, {"items": next(reads)})
    for stream in ("s_1", "s_2"):
        script.answers["PUT", f"/api/streams/{stream}/watch"] = (204, None)

    def told(*lines: dict[str, Any], missed: int = 0) -> bytes:
        return frame({"type": "bot-log", "botId": "atlas", "lines": list(lines), "missed": missed})

    script.streams = [
        hello(streamId="s_1") + told(line(2000, "b")) + told(line(3000, "c"), line(3000, "c"), missed=7),
        # It ends itself, so that the command does.
        hello(streamId="s_2", verdict="exact") + told(line(4000, "d"), line(5000, "e")) + frame({}, event="stop"),
    ]
    script.release.set()
    ends = iter([None, KeyboardInterrupt()])

    def sleep(_: float) -> None:
        if (end := next(ends)) is not None:
            raise end

    monkeypatch.setattr("edgebotd.cli.tail.Tail", partial(Tail, sleep=sleep))
    result = command("bots", "logs", "atlas", "-f", "--json")
    assert [json.loads(text)["text"] for text in result.stdout.splitlines()] == ["a", "b", "c", "c", "d", "e"]
    assert "7 lines left out" in result.stderr
    assert [request.body for request in script.requests if request.method == "PUT"] == [
        {"logs": ["atlas"], "stats": []}
    ] * 2
    assert script.seen("GET", CONTAINER + "/logs")[1].query["since"] == ["3000"]


def test_ends_by_itself_are_shown_with_their_last_lines(command: Command, script: Script) -> None:
    crash = {"at": 1000, "exitCode": 3, "oomKilled": False, "detail": "It ended with exit code 3.", "lines": ["bye"]}
    script.answers["GET", CONTAINER + "/crashes"] = (200, {"items": [crash]})
    shown = command("bots", "crashes", "atlas").stdout.splitlines()
    assert shown[0].endswith("It ended with exit code 3.") and shown[1] == "    bye"
    assert json.loads(command("bots", "crashes", "atlas", "--json").stdout) == crash
    script.answers["GET", CONTAINER + "/crashes"] = (200, {"items": []})
    assert "has not ended by itself" in command("bots", "crashes", "atlas").stderr
