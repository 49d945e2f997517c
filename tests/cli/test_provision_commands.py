"""Bots made from the command line: what is asked for, the live log, and how it ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.conftest import Command
from tests.cli.daemon import Script, frame, hello

ROW = {
    "id": "op_1", "botId": "atlas", "kind": "create", "state": "running", "step": "pull", "startedAt": 0,
    "endedAt": None, "reason": None,
}  # fmt: skip


def line(number: int, step: str, text: str) -> dict[str, Any]:
    return {"number": number, "at": number * 1000, "step": step, "text": text}


def told(at: int, step: str, text: str, provision_id: str = "op_1") -> bytes:
    return frame(
        {"type": "provision-log", "provisionId": provision_id, "step": step, "text": text, "at": at * 1000}, id=f"c{at}"
    )


def ends(script: Script, state: str, lines: list[dict[str, Any]], reason: str | None = None) -> None:
    """Let the operation go on until the channel has told of its end."""
    looks = [0]

    def show(_request: Any) -> tuple[int, Any]:
        looks[0] += 1
        if looks[0] == 1:
            return 200, {**ROW, "lines": lines[:1]}
        return 200, {**ROW, "state": state, "endedAt": 9000, "reason": reason, "lines": lines}

    script.answers["GET", "/api/operations/op_1"] = show
    done = frame({"type": "provision-done", "provisionId": "op_1", "ok": state == "succeeded", "at": 9000}, id="c9")
    events = [told(x["number"], x["step"], x["text"]) for x in lines[:-1]]
    script.streams.append(hello() + told(1, "pull", "another's", "op_2") + b"".join(events) + done)


def test_a_bot_is_made_and_its_log_is_shown_once_each_line(command: Command, script: Script, tmp_path: Path) -> None:
    script.answers["POST", "/api/bots"] = (202, ROW)
    lines = [line(1, "validate", "begins"), line(2, "pull", "1.0 of 2.0 MiB"), line(3, "hello", "It answers.")]
    ends(script, "succeeded", lines)
    config = tmp_path / "c.json"
    config.write_text('{"agents": {}}')
    result = command(
        "bots", "create", "atlas", "--image", "x:1", "--name", "Atlas", "--env", "A=b=c", "--secret-env", "KEY=k",
        "--config", str(config), "--memory", "64",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (asked,) = script.seen("POST", "/api/bots")
    assert asked.body == {
        "id": "atlas",
        "image": "x:1",
        "name": "Atlas",
        "environment": {"A": "b=c"},
        "secretEnvironment": {"KEY": "k"},
        "config": {"agents": {}},
        "limits": {"memoryBytes": 64 * 1024 * 1024},
    }
    printed = [text.split(maxsplit=1)[1] for text in result.stdout.splitlines()[:-1]]
    assert printed == ["validate   begins", "pull       1.0 of 2.0 MiB", "hello      It answers."]
    assert result.stdout.splitlines()[-1] == "create of atlas is done."
    # The channel was opened before the work was begun.
    paths = [request.path for request in script.requests]
    assert paths.index("/api/events") < paths.index("/api/bots")


def test_one_that_fails_says_why_and_how_to_try_again(command: Command, script: Script) -> None:
    script.answers["POST", "/api/bots"] = (202, ROW)
    ends(script, "failed", [line(1, "pull", "begins"), line(2, "pull", "No such image.")], "No such image.")
    result = command("bots", "create", "atlas")
    assert result.exit_code == 1
    assert "create of atlas failed: No such image." in result.stdout
    assert "edgebotd operations op_1 --retry" in result.stderr


def test_nobody_has_to_wait(command: Command, script: Script) -> None:
    script.answers["POST", "/api/bots"] = (202, ROW)
    assert command("bots", "create", "atlas", "--no-wait").stdout == "op_1\n"
    script.answers["POST", "/api/bots/atlas/container/recreate"] = (202, ROW)
    said = command("bots", "recreate", "atlas", "--no-wait", "--json").stdout
    assert json.loads(said)["id"] == "op_1"


def test_wrong_options_are_told_before_anything_is_asked(command: Command, script: Script, tmp_path: Path) -> None:
    (tmp_path / "c").write_text("[]")
    for options, words in (
        (["--env", "A"], "--env"),
        (["--config", str(tmp_path / "c")], "must hold a JSON object"),
    ):
        result = command("bots", "create", "atlas", *options)
        assert (result.exit_code, words in result.stderr) == (2, True)
    assert command("operations", "--follow").exit_code == 2
    assert script.requests == []


def test_operations_are_listed_shown_and_cancelled(command: Command, script: Script) -> None:
    script.answers["GET", "/api/operations"] = (200, {"items": [ROW]})
    listed = command("operations", "--bot", "atlas").stdout.splitlines()
    assert listed[1].split()[:5] == ["op_1", "atlas", "create", "running", "pull"]
    assert script.seen("GET", "/api/operations")[0].query == {"botId": ["atlas"]}
    script.answers["GET", "/api/operations/op_1"] = (200, {**ROW, "lines": [line(1, "pull", "begins")]})
    assert "create of atlas goes on, in the step pull." in command("operations", "op_1").stdout
    script.answers["POST", "/api/operations/op_1/cancel"] = (200, ROW)
    ends(script, "cancelled", [line(1, "pull", "begins"), line(2, "pull", "It was cancelled.")])
    result = command("operations", "op_1", "--cancel")
    assert (result.exit_code, "create of atlas was cancelled." in result.stdout) == (1, True)


def test_a_bot_with_a_container_is_removed_with_it(command: Command, script: Script) -> None:
    script.answers["DELETE", "/api/bots/atlas"] = (409, {"code": "bot_has_container", "detail": "It has one."})
    script.answers["POST", "/api/bots/atlas/container/remove"] = (202, {**ROW, "kind": "remove"})
    ends(script, "succeeded", [line(1, "stop", "begins"), line(2, "bot", "atlas is removed.")])
    assert command("bots", "remove", "atlas", "--delete-volumes").exit_code == 2
    assert script.requests == []
    result = command("bots", "remove", "atlas", "--delete-volumes", "--yes")
    assert result.exit_code == 0, result.output
    (asked,) = script.seen("POST", "/api/bots/atlas/container/remove")
    assert asked.body == {"keepHistory": True, "keepVolumes": False}


def test_a_bot_is_upgraded_with_what_was_asked_for(command: Command, script: Script) -> None:
    place = ("POST", "/api/bots/atlas/container/upgrade")
    script.answers[place] = (202, {**ROW, "kind": "upgrade"})
    ends(script, "succeeded", [line(1, "check", "begins"), line(2, "commit", "Done.")])
    result = command("bots", "upgrade", "atlas", "--image", "x:2", "--no-probe-turn", "--drain", "abort")
    assert result.exit_code == 0, result.output
    assert [request.body for request in script.seen(*place)] == [{"image": "x:2", "probeTurn": False, "drain": "abort"}]
    command("bots", "upgrade", "atlas", "--back", "--no-wait")
    assert script.seen(*place)[-1].body == {"back": True}
    assert command("bots", "upgrade", "atlas", "--back", "--image", "x:2").exit_code == 2
