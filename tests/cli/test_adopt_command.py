"""`bots adopt` against a daemon's stand-in."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.cli.daemon import Script
from tests.cli.test_provision_commands import ROW, ends, line

CLAW: dict[str, Any] = {
    "kind": "container",
    "container": "claw-gateway-1",
    "suggestedId": "claw",
    "botId": None,
    "why": ["its image is ghcr.io/openclaw/openclaw:2026.9.6", "it has the port 18789"],
    "url": "ws://127.0.0.1:18789",
    "reachable": True,
    "obstacle": None,
    "notes": [],
    "violations": ["It may take all of this machine's memory."],
    "config": [],
}
HOST = {
    **CLAW,
    "kind": "host",
    "container": None,
    "suggestedId": "openclaw",
    "url": None,
    "reachable": False,
    "obstacle": "Nothing listens.",
    "violations": [],
}


@pytest.fixture(autouse=True)
def offered(script: Script) -> None:
    script.answers["GET", "/api/adoptable"] = (200, {"items": [CLAW, HOST], "detail": None})


def test_what_could_be_adopted_is_listed_with_what_is_in_the_way(command: Command, script: Script) -> None:
    assert command("bots", "adopt").stdout.splitlines() == [
        "claw-gateway-1",
        "  looks like a gateway: its image is ghcr.io/openclaw/openclaw:2026.9.6, it has the port 18789",
        "  ws://127.0.0.1:18789: answers",
        "  stays as it is: It may take all of this machine's memory.",
        "this machine itself (--host)",
        "  looks like a gateway: its image is ghcr.io/openclaw/openclaw:2026.9.6, it has the port 18789",
        "  first: Nothing listens.",
    ]
    script.answers["GET", "/api/adoptable"] = (200, {"items": [], "detail": "The engine is down."})
    result = command("bots", "adopt")
    assert "The engine is down." in result.stderr and "`edgebotd bots connect`" in result.stdout


def test_adopting_shows_the_log_and_how_it_ended(command: Command, script: Script) -> None:
    script.answers["POST", "/api/bots/adopt"] = (202, {**ROW, "kind": "adopt"})
    ends(script, "succeeded", [line(1, "find", "begins"), line(2, "hello", "Connected: OpenClaw 2026.9.6.")])
    result = command("bots", "adopt", "claw-gateway-1", "--token-file", "-", input="tok\n")
    assert script.seen("POST", "/api/bots/adopt")[0].body == {
        "id": "claw",
        "container": "claw-gateway-1",
        "token": "tok",
    }
    assert result.exit_code == 0 and "Connected: OpenClaw 2026.9.6." in result.stdout


def test_the_gateway_of_the_machine_itself_is_meant_by_an_option(command: Command, script: Script) -> None:
    script.answers["POST", "/api/bots/adopt"] = (202, {**ROW, "kind": "adopt"})
    ends(script, "failed", [line(1, "find", "begins"), line(2, "pair", "The token is wrong.")], "The token is wrong.")
    result = command("bots", "adopt", "--host", "--id", "me", "--as", "Me", "--read-token")
    assert script.seen("POST", "/api/bots/adopt")[0].body == {"id": "me", "name": "Me", "readToken": True}
    assert result.exit_code == 1 and "failed: The token is wrong." in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["claw"],
        ["claw", "--host", "--read-token"],
        ["claw", "--read-token", "--token-file", "-"],
        ["claw", "--ask-token", "--token-file", "-"],
    ],
)
def test_where_the_token_comes_from_is_said_once(command: Command, arguments: list[str]) -> None:
    assert command("bots", "adopt", *arguments, input="tok\n").exit_code == 2


PLACE = "/api/bots/atlas/container/take-over"
PLAN: dict[str, Any] = {"keeps": ["the port 18789"], "loses": ["Its labels x."], "obstacles": [], "taken": False}


def test_taking_over_accepts_what_was_shown(command: Command, script: Script) -> None:
    script.answers["GET", PLACE] = (200, PLAN)
    script.answers["POST", PLACE] = (200, {**PLAN, "taken": True})
    assert command("bots", "take-over", "atlas").exit_code == 2
    assert not script.seen("POST", PLACE)
    result = command("bots", "take-over", "atlas", "--yes")
    assert script.seen("POST", PLACE)[0].body == {"accepted": ["Its labels x."]}
    assert result.stdout.splitlines() == [
        "Made anew, it keeps:",
        "  the port 18789",
        "and is otherwise:",
        "  Its labels x.",
        "atlas is taken over; `edgebotd bots recreate atlas` makes its container anew.",
    ]


def test_what_has_to_be_done_before_is_told(command: Command, script: Script) -> None:
    script.answers["GET", PLACE] = (200, {**PLAN, "obstacles": ["Its state would be lost."]})
    result = command("bots", "take-over", "atlas", "--yes")
    assert result.exit_code == 1 and "First:\n  Its state would be lost." in result.stdout
    assert not script.seen("POST", PLACE)
