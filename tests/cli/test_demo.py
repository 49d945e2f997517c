"""End to end: `edgebotd demo` as its user starts it, and commands in other terminals."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.cli.place import DEADLINE, PROGRAM, Place, stdout, stop, until


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, str]]:
    place = Place(tmp_path_factory.mktemp("user"))
    with place.demo() as (process, printed):
        yield place, printed
        assert stop(process) == 0
    assert list((place.folder / "tmp").iterdir()) == [], "a temporary state directory is removed"
    assert list((place.folder / "runtime").iterdir()) == [], "the word about the socket is removed"


def test_the_printed_link_logs_in_once(running: tuple[Place, str]) -> None:
    link = re.search(r"(http://127\.0\.0\.1:\d+)/#code=(\S+)", running[1])
    assert link is not None
    origin, code = link[1], link[2]
    headers = {"Origin": origin}
    with httpx2.Client(base_url=origin, headers=headers) as browser:
        assert browser.get("/api/me").status_code == 401
        assert browser.post("/api/setup", json={"code": code}).status_code == 200
        assert browser.get("/api/me").json()["admin"] is True
    assert httpx2.post(f"{origin}/api/setup", json={"code": code}, headers=headers).status_code in (400, 401, 403)


def test_the_printed_commands_work_as_they_are(running: tuple[Place, str]) -> None:
    place, printed = running
    command = next(line.strip() for line in printed.splitlines() if line.strip().endswith(" chat echo"))
    done = subprocess.run(
        f"{command} Hello", shell=True, env=place.env, capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr
    assert "> Hello" in done.stdout


def test_another_link_can_be_had(running: tuple[Place, str]) -> None:
    place, printed = running
    command = next(line.strip() for line in printed.splitlines() if line.strip().endswith(" --link"))
    done = subprocess.run(command, shell=True, env=place.env, capture_output=True, text=True, timeout=DEADLINE)
    assert "/#code=" in done.stdout, done.stderr


def test_what_was_said_is_in_the_history_and_found(running: tuple[Place, str]) -> None:
    place, _ = running
    said = json.loads(place.run("chat", "echo", "--new", "--json", "[[say A pelican flies]]"))
    assert said["state"] == "finished"
    assert said["text"] == "A pelican flies"
    lines = place.run("history", "echo", "--conversation", said["conversationId"], "--json").splitlines()
    assert [json.loads(line)["role"] for line in lines] == ["user", "assistant"]
    assert "pelican" in place.run("search", "pelican")


def test_another_terminal_sees_the_reply_stream(running: tuple[Place, str]) -> None:
    place, _ = running
    with place.started("events", "--bot", "echo", "--json") as events:
        until(events, "Connected as")
        said = json.loads(place.run("chat", "echo", "--json", "[[say one two three]]"))
        kinds, text = [], ""
        for line in stdout(events):
            event = json.loads(line)
            if event.get("runId") != said["runId"]:
                continue
            kinds.append(event["type"])
            text += event.get("text", "")
            if event.get("state") == "finished":
                break
        assert text == "one two three"
        assert "chat-delta" in kinds
        assert stop(events, signal.SIGINT) == 0


def test_ctrl_c_stops_the_bot_and_says_so(running: tuple[Place, str]) -> None:
    place, _ = running
    with place.started("chat", "echo", "--new", "[[say " + "\n".join(f"line{n}" for n in range(5000)) + "]]") as chat:
        until(chat, "line1\n")
        chat.send_signal(signal.SIGINT)
        rest, _ = chat.communicate(timeout=DEADLINE)
    assert chat.returncode == 1
    assert rest.rstrip().endswith("Stopped.")
    assert "line4999" not in rest


def test_a_failing_run_exits_with_one(running: tuple[Place, str]) -> None:
    assert "The model is tired" in running[0].run("chat", "echo", "--new", "[[error The model is tired]]", status=1)


def test_a_file_reaches_the_bot(running: tuple[Place, str], tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("12345")
    assert "note.txt" in running[0].run("chat", "echo", "--new", "--file", str(tmp_path / "note.txt"))


def test_people_tokens_and_what_they_see(running: tuple[Place, str]) -> None:
    place, printed = running
    place.run("user", "add", "ada", input="correct horse battery staple\n")
    place.run("user", "grant", "ada", "echo", "view")
    assert "echo view" in place.run("user", "list")
    token = place.run("token", "create", "ada", "--name", "test", "--scope", "read").strip()
    url = re.search(r"http://127\.0\.0\.1:\d+", printed)
    assert url is not None
    remote = {**place.env, "EDGEBOTD_TOKEN": token}
    done = subprocess.run(
        [*PROGRAM, "--url", url[0], "bots", "list"], env=remote, capture_output=True, text=True, timeout=DEADLINE
    )
    assert "echo" in done.stdout, done.stderr
    [listed] = [json.loads(line) for line in place.run("token", "list", "--json").splitlines()]
    place.run("token", "revoke", listed["id"])
    done = subprocess.run(
        [*PROGRAM, "--url", url[0], "bots", "list"], env=remote, capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 1
    place.run("user", "revoke", "ada", "echo")
    place.run("user", "remove", "ada")


def test_links_of_a_daemon_lead_to_where_it_listens(running: tuple[Place, str]) -> None:
    place, printed = running
    address = re.search(r"http://127\.0\.0\.1:\d+", printed)
    assert address is not None
    made = json.loads(place.run("user", "add", "bea", "--link", "--json"))
    origin, _, code = made["link"].partition("/#code=")
    assert origin == address[0]
    body = {"code": code, "userId": "bea", "password": "correct horse battery staple"}
    answer = httpx2.post(f"{origin}/api/setup", json=body, headers={"Origin": origin})
    assert (answer.status_code, answer.json()["userId"]) == (200, "bea")
    assert json.loads(place.run("user", "passwd", "bea", "--link", "--json"))["link"].startswith(f"{origin}/#code=")
    place.run("user", "remove", "bea")


def test_a_bot_that_never_was_is_told_from_one_without_messages(running: tuple[Place, str]) -> None:
    place, _ = running
    assert "No such bot: 'nobody'." in place.run("history", "nobody", status=1)
    place.run("bots", "connect", "quiet", "--kind", "echo")
    assert place.run("history", "quiet", "--json") == ""
    place.run("bots", "remove", "quiet")
    assert place.run("history", "quiet") == "", "the history of a removed bot is kept"


def test_an_id_that_cannot_be_is_explained(running: tuple[Place, str]) -> None:
    place, _ = running
    for command in (["bots", "connect", "Bad_ID", "--kind", "echo"], ["user", "add", "Ada Lovelace", "--link"]):
        assert "id: must be 1 to 32 characters of a-z, 0-9 and -" in place.run(*command, status=1)


def test_an_id_of_a_conversation_that_cannot_be_is_explained(running: tuple[Place, str]) -> None:
    assert "must be the id of a conversation" in running[0].run("history", "echo", "--conversation", "x", status=1)


def test_filters_that_match_nothing_are_told(running: tuple[Place, str]) -> None:
    place, _ = running
    with place.started("events", "--type", "chat-mesage", "--bot", "nobody") as events:
        said = until(events, "Connected as local administrator")
        events.kill()
    assert "No events of type chat-mesage are known here; did you mean chat-message?" in said
    assert "There is no bot nobody now" in said


def test_status_connections_and_bots_are_shown(running: tuple[Place, str]) -> None:
    place, _ = running
    assert "connected" in place.run("status")
    assert json.loads(place.run("status", "--json"))["bots"][0]["botId"] == "echo"
    assert json.loads(place.run("connections", "--json"))["items"] == []
    place.run("bots", "connect", "second", "--kind", "echo")
    assert "second" in place.run("bots", "list")
    assert "connected" in place.run("bots", "show", "second")
    place.run("bots", "remove", "second")
    assert "second" not in place.run("bots", "list")


def test_events_resume_across_a_restart_without_a_gap(tmp_path: Path) -> None:
    place = Place(tmp_path)
    state = str(tmp_path / "state")
    with place.demo("--state-dir", state) as (first, _):
        with place.started("events", "--type", "chat-message", "--json") as events:
            until(events, "Connected as")
            place.run("chat", "echo", "[[say before]]")
            until(events, '"text":"before"')
            assert stop(first) == 0
            with place.demo("--state-dir", state) as (second, _):
                place.run("chat", "echo", "[[say after]]")
                between = until(events, '"text":"after"')
                assert "gap" not in between
                assert stop(second) == 0
            events.kill()
