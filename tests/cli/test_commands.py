"""What commands ask of the daemon and how they show its answers."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgebotd.cli import root
from edgebotd.cli.target import Target
from tests.cli.conftest import Command
from tests.cli.daemon import Script

BOT = {"botId": "atlas", "state": "connected", "sinceAt": 0, "name": "Atlas", "kind": "openclaw", "activity": "idle"}


def test_where_no_daemon_answers_it_is_said_what_was_tried_and_how_to_start(tmp_path: Path) -> None:
    result = CliRunner().invoke(root, ["status"])
    assert result.exit_code == 1
    assert f"{tmp_path}/home/runtime/edgebotd.sock (not there)" in result.stderr
    assert "/run/edgebotd.sock" in result.stderr
    assert "edgebotd run" in result.stderr


def test_a_named_socket_is_the_only_one_tried(tmp_path: Path) -> None:
    (tmp_path / "s").touch()
    result = CliRunner().invoke(root, ["--socket", str(tmp_path / "s"), "bots", "list"])
    assert result.exit_code == 1
    assert "nobody listens" in result.stderr
    assert "/run/edgebotd.sock" not in result.stderr


def test_the_socket_of_the_configuration_is_used(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[server]\nsocket = "here.sock"\n')
    result = CliRunner().invoke(root, ["--config", str(file), "status"])
    assert f"Tried:\n  {tmp_path}/here.sock (not there)\nStart it with" in result.stderr


def test_a_configuration_that_is_named_is_never_answered_by_a_demo(command: Command, tmp_path: Path) -> None:
    (tmp_path / "home/runtime/edgebotd-demo").write_text(f"{tmp_path}/daemon.sock\n")
    missing = CliRunner().invoke(root, ["--config", str(tmp_path / "no.toml"), "status"])
    assert (missing.exit_code, missing.stdout) == (78, "")
    assert "no.toml: there is no such file" in missing.stderr
    (tmp_path / "c.toml").write_text('[server]\nsocket = "down.sock"\n')
    down = CliRunner().invoke(root, ["--config", str(tmp_path / "c.toml"), "status"])
    assert down.exit_code == 1
    assert "down.sock (not there)" in down.stderr


def test_a_running_demo_is_found_when_nothing_else_answers(command: Command, script: Script, tmp_path: Path) -> None:
    script.answers["GET", "/api/bots"] = (200, {"items": [BOT]})
    (tmp_path / "home/runtime/edgebotd-demo").write_text(f"{tmp_path}/daemon.sock\n")
    result = CliRunner().invoke(root, ["bots", "list"])
    assert result.exit_code == 0
    assert "atlas" in result.stdout
    assert result.stderr == ""
    own = tmp_path / "home/config/edgebotd/edgebotd.toml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert "Your edgebotd does not run; this is the demo" in CliRunner().invoke(root, ["bots", "list"]).stderr


def test_lists_are_aligned_tables_and_json_is_one_object_a_line(command: Command, script: Script) -> None:
    since = int((time.time() - 3 * 86_400 - 60) * 1000)
    other = {**BOT, "botId": "日本", "state": "error", "detail": "needs\n\x1b[2Jpairing", "sinceAt": since}
    script.answers["GET", "/api/bots"] = (200, {"items": [{**BOT, "sinceAt": since}, other]})
    lines = command("bots", "list").stdout.splitlines()
    assert lines[0].split() == ["BOT", "KIND", "STATE", "SINCE", "DOING", "NOTE"]
    assert lines[1].startswith("atlas  openclaw  connected  3 d")
    assert lines[2].startswith("日本   openclaw  error      3 d")
    assert "\x1b" not in lines[2]
    printed = [json.loads(line) for line in command("bots", "list", "--json").stdout.splitlines()]
    assert [bot["botId"] for bot in printed] == ["atlas", "日本"]


def test_where_there_is_no_bot_each_way_to_one_is_named(command: Command, script: Script) -> None:
    script.answers["GET", "/api/bots"] = (200, {"items": []})
    said = command("bots", "list").stderr
    assert all(f"`{way}`" in said for way in ("edgebotd bots create", "bots adopt", "bots connect"))


def test_a_refusal_is_its_sentence_and_exit_code_one(command: Command, script: Script) -> None:
    script.answers["GET", "/api/bots/nova"] = (404, {"detail": "No such bot.", "code": "not_found"})
    result = command("bots", "show", "nova")
    assert result.exit_code == 1
    assert result.stderr == "Error: No such bot.\n"


def test_somebody_who_is_no_administrator_is_told_who_is(command: Command, script: Script) -> None:
    script.answers["GET", "/api/status"] = (401, {"detail": "This needs a session.", "code": "unauthenticated"})
    result = command("status")
    assert result.exit_code == 1
    assert f"does not take you (uid {os.getuid()}) for an administrator" in result.stderr
    assert "server.admin_uids" in result.stderr


@pytest.mark.parametrize("body", [b"<html>", b'["x"]', b""])
def test_an_answer_that_is_no_edgebotds_is_an_error_in_words(command: Command, script: Script, body: bytes) -> None:
    script.answers["GET", "/api/status"] = (502, body)
    result = command("status")
    assert result.exit_code == 1
    assert "The daemon answered 502." in result.stderr
    script.answers["GET", "/api/status"] = (200, b"<html>")
    assert "is no edgebotd" in command("status").stderr


def test_status_shows_version_age_and_bots(command: Command, script: Script) -> None:
    script.answers["GET", "/api/status"] = (
        200,
        {"version": "1.2", "startedAt": 0, "nowAt": 7_200_000, "bots": [BOT], "streams": 3, "health": {"disk": "ok"}},
    )
    result = command("status")
    assert "running  2 h" in result.stdout
    assert "disk: ok" in result.stdout
    assert json.loads(command("status", "--json").stdout)["version"] == "1.2"


def test_connections_are_explained(command: Command, script: Script) -> None:
    row = {"userId": "ada", "address": "::1", "ageSeconds": 61.5, "queuedBytes": 7, "verdict": "exact", "state": "live"}
    script.answers["GET", "/api/connections"] = (200, {"items": [{**row, "bots": None}], "closed": {"slow": 2}})
    result = command("connections")
    assert "ada   ::1      1 min  7 B     exact    live   all" in result.stdout
    assert "ended since the start: 2 slow" in result.stdout


# People


def test_a_password_comes_from_standard_input_and_never_from_the_command_line(command: Command, script: Script) -> None:
    script.answers["POST", "/api/users"] = (201, {"id": "ada"})
    result = command("user", "add", "ada", "--name", "Ada", input="correct horse\n")
    assert result.exit_code == 0, result.stderr
    [request] = script.seen("POST", "/api/users")
    assert request.body == {"id": "ada", "name": "Ada", "admin": False, "password": "correct horse"}
    assert "correct horse" not in result.output
    assert command("user", "passwd", "ada", input="").exit_code == 1


def test_a_user_may_be_sent_a_link_instead(command: Command, script: Script) -> None:
    script.answers["POST", "/api/users"] = (201, {"id": "ada"})
    link = "http://127.0.0.1:4711/#code=c0de"
    script.answers["POST", "/api/codes"] = (201, {"code": "c0de", "link": link, "expiresAt": 1})
    result = command("user", "add", "ada", "--admin", "--link")
    assert result.stdout.splitlines()[-1] == f"  {link}", "the daemon knows where it listens"
    assert script.seen("POST", "/api/codes")[0].body == {"purpose": "setup", "userId": "ada"}
    assert "password" not in script.seen("POST", "/api/users")[0].body


def test_a_link_is_part_of_the_one_json_document(command: Command, script: Script) -> None:
    script.answers["POST", "/api/users"] = (201, {"id": "ada"})
    script.answers["POST", "/api/codes"] = (201, {"code": "c0de", "link": "http://h/#code=c0de", "expiresAt": 1})
    link = {"link": "http://h/#code=c0de", "expiresAt": 1}
    assert json.loads(command("user", "add", "ada", "--link", "--json").stdout) == {"id": "ada", **link}
    assert json.loads(command("user", "passwd", "ada", "--link", "--json").stdout) == link


def test_a_link_of_a_daemon_elsewhere_is_under_the_address_that_is_used() -> None:
    made = {"code": "c0de", "link": "http://127.0.0.1:8787/#code=c0de"}
    assert Target(url="http://localhost:9000/").link(made) == "http://localhost:9000/#code=c0de"
    assert Target().link({"code": "c0de", "link": None}).endswith("/#code=c0de")


def test_grants_are_put_and_taken(command: Command, script: Script) -> None:
    path = "/api/users/ada/grants/atlas"
    script.answers["PUT", path] = script.answers["DELETE", path] = (204, None)
    assert command("user", "grant", "ada", "atlas", "operate").stdout == "ada may operate atlas.\n"
    assert script.seen("PUT", path)[0].body == {"grant": "operate"}
    assert command("user", "revoke", "ada", "atlas").exit_code == 0
    assert command("user", "grant", "ada", "atlas", "own").exit_code == 2


def test_ids_cannot_leave_their_place_in_the_path(command: Command, script: Script) -> None:
    command("user", "remove", "../tokens/x")
    assert script.requests[0].path == "/api/users/..%2Ftokens%2Fx"


def test_a_token_stands_alone_on_standard_output(command: Command, script: Script) -> None:
    script.answers["POST", "/api/tokens"] = (201, {"id": "t1", "token": "s3cret"})
    result = command("token", "create", "ada", "--name", "ci", "--scope", "read", "--bot", "atlas", "--days", "2")
    assert result.stdout == "s3cret\n"
    [request] = script.seen("POST", "/api/tokens")
    assert request.body["scopes"] == ["read"]
    assert request.body["bots"] == ["atlas"]
    assert 1.9 < (request.body["expiresAt"] / 1000 - time.time()) / 86_400 < 2.1


def test_connecting_a_bot_tells_what_came_of_it(command: Command, script: Script) -> None:
    script.answers["POST", "/api/bots/connect"] = (
        200,
        {"ok": False, "message": "It needs pairing.", "bot": {"extra": {"requestId": "r1"}}},
    )
    result = command("bots", "connect", "nova", "--url", "ws://h", "--token-file", "-", input="tok\n")
    assert script.seen("POST", "/api/bots/connect")[0].body == {
        "id": "nova",
        "kind": "openclaw",
        "url": "ws://h",
        "token": "tok",
    }
    assert result.stdout == "nova: It needs pairing.\n  request id: r1\n"
    assert result.stderr == (
        "nova is kept and tried again by itself; `edgebotd bots edit nova` corrects it, `bots remove` forgets it.\n"
    )
    assert result.exit_code == 1


def test_a_bot_is_corrected_where_it_is(command: Command, script: Script) -> None:
    script.answers["PATCH", "/api/bots/nova"] = (200, {"ok": True, "message": "Connected.", "bot": {}})
    result = command("bots", "edit", "nova", "--token-file", "-", "--agent", "main", input="tok\n")
    assert script.seen("PATCH", "/api/bots/nova")[0].body == {"token": "tok", "agentId": "main"}
    assert (result.stdout, result.exit_code) == ("nova: Connected.\n", 0)
    assert command("bots", "edit", "nova").exit_code == 2


# Messages


def _message(number: int, text: str, role: str = "user") -> dict[str, object]:
    return {
        "id": f"m{number}",
        "botId": "atlas",
        "conversationId": "c_1",
        "runId": f"r{number}",
        "role": role,
        "parts": [{"type": "text", "text": text}],
        "createdAt": number,
        "userId": "ada",
    }


def test_history_is_read_over_pages_and_shown_oldest_first(command: Command, script: Script) -> None:
    def page(request: object) -> tuple[int, object]:
        before = script.requests[-1].query.get("before")
        if before is None:
            return 200, {"items": [_message(3, "three"), _message(2, "two", "assistant")], "next": "x"}
        assert before == ["x"]
        return 200, {"items": [_message(1, "one")], "next": None}

    script.answers["GET", "/api/bots/atlas/chat/history"] = page
    output = command("history", "atlas").stdout
    assert [line for line in output.splitlines() if line in ("one", "two", "three")] == ["one", "two", "three"]
    assert [
        json.loads(line)["id"] for line in command("history", "atlas", "-n", "1", "--json").stdout.splitlines()
    ] == ["m3"]


def test_blank_words_are_not_searched_for(command: Command, script: Script) -> None:
    assert command("search", " ").exit_code == 2
    assert not script.requests


def test_everything_about_a_bot_is_shown_with_what_mends_it_first(command: Command, script: Script) -> None:
    detail = {
        "summary": {**BOT, "detail": "It needs pairing."},
        "origin": "file",
        "features": ["chat", "abort"],
        "attachments": {"maxBytes": 10_485_760, "maxImageBytes": 1536, "mediaTypes": None},
        "extra": {"requestId": "r1", "command": "openclaw devices approve r1"},
    }
    script.answers["GET", "/api/bots/atlas"] = (200, detail)
    shown = dict(line.split("  ", 1) for line in command("bots", "show", "atlas").stdout.splitlines())
    assert list(shown)[:5] == ["bot id", "name", "kind", "state", "since"]
    assert shown["command"].strip() == "openclaw devices approve r1"
    assert list(shown).index("command") < list(shown).index("activity")
    assert shown["from"].strip() == "the configuration file"
    assert shown["attachments"].strip() == "max 10 MiB, max image 1.5 KiB"


def test_search_sends_the_words_and_shows_the_snippet(command: Command, script: Script) -> None:
    hit = {"message": _message(1, "long text"), "snippet": "… the snippet …", "ranges": []}
    script.answers["GET", "/api/search"] = (200, {"items": [hit], "next": None})
    assert "… the snippet …" in command("search", "two", "words", "--bot", "atlas").stdout
    assert script.requests[0].query["q"] == ["two words"]
    assert script.requests[0].query["bot"] == ["atlas"]


# A daemon elsewhere


@pytest.mark.parametrize(
    ("url", "token", "words"),
    [
        ("https://bots.example.org", "", "needs a token"),
        ("http://bots.example.org", "t", "in the clear"),
        ("bots.example.org", "t", "must be http"),
    ],
)
def test_a_daemon_elsewhere_needs_https_and_a_token(
    monkeypatch: pytest.MonkeyPatch, url: str, token: str, words: str
) -> None:
    monkeypatch.setenv("EDGEBOTD_TOKEN", token)
    result = CliRunner().invoke(root, ["--url", url, "status"])
    assert result.exit_code == 2
    assert words in result.stderr
