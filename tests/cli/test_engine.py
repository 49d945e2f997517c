"""Containers and images, as they are shown in a terminal."""

from __future__ import annotations

import json
import time

from tests.cli.conftest import Command
from tests.cli.daemon import Script

ID = "d3bedc7913af112959579b67c93987551a17bcd87c79d273d9c1227a1550905e"
UP = {"state": "up", "kind": "Docker", "version": "20.10.24", "sinceAt": round((time.time() - 3.5 * 86_400) * 1000)}
DOWN = {**UP, "state": "down", "detail": "Nothing answers at /run/docker.sock."}
SCOUT = {"name": "edgebotd-scout", "botId": "scout", "image": "bot:1", "state": "running", "health": "healthy"}
ENDED = {"name": "\x1b[2Jx", "botId": None, "state": "exited", "exitCode": 137, "detail": "It was killed."}
CONTAINERS = [{**one, "sinceAt": UP["sinceAt"]} for one in (SCOUT, ENDED)]
PULL = {"image": "bot:2", "bytesDone": 1024, "bytesTotal": 2048}


def test_containers_are_a_table_with_state_and_age(command: Command, script: Script) -> None:
    script.answers["GET", "/api/containers"] = (200, {"engine": UP, "containers": CONTAINERS, "pulls": [PULL]})
    result = command("containers")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["BOT", "CONTAINER", "STATE", "SINCE", "IMAGE", "NOTE"]
    assert lines[1].split() == ["scout", "edgebotd-scout", "running", "(healthy)", "3", "d", "bot:1", "-"]
    assert "exited (137)" in lines[2] and lines[2].endswith("It was killed.") and "\x1b" not in result.stdout
    assert lines[3] == "bot:2 is on its way: 1 KiB of 2 KiB"
    assert result.stderr == ""
    shown = [json.loads(line) for line in command("containers", "--json").stdout.splitlines()]
    assert shown == CONTAINERS


def test_an_engine_that_is_away_is_told_apart_from_the_table(command: Command, script: Script) -> None:
    script.answers["GET", "/api/containers"] = (200, {"engine": DOWN, "containers": [], "pulls": []})
    result = command("containers")
    assert result.exit_code == 0 and result.stdout == ""
    assert "engine: Docker 20.10.24, down for 3 d. Nothing answers at /run/docker.sock." in result.stderr


def test_status_shows_the_engine(command: Command, script: Script) -> None:
    answer = {"version": "1", "startedAt": 0, "bots": [], "engine": UP, "containers": {"running": 2, "exited": 1}}
    script.answers["GET", "/api/status"] = (200, answer)
    shown = command("status").stdout
    assert "engine      Docker 20.10.24, up for 3 d" in shown
    assert "containers  2 running, 1 exited" in shown
    script.answers["GET", "/api/status"] = (200, {**answer, "engine": None, "containers": None})
    assert "engine" not in command("status").stdout


def test_images_are_listed_with_who_uses_them_and_removed_by_name_or_id(command: Command, script: Script) -> None:
    bot = {"id": f"sha256:{ID}", "tags": ["bot:1"], "digests": [], "sizeBytes": 2048, "createdAt": None}
    nameless = {"id": "sha256:" + "a" * 64, "tags": [], "digests": [f"reg/old@sha256:{ID}"], "sizeBytes": 1}
    items = [{**bot, "bots": ["scout"], "containers": ["other"]}, {**nameless, "bots": [], "containers": []}]
    script.answers["GET", "/api/images"] = (200, {"items": items})
    script.answers["DELETE", "/api/images"] = (204, None)
    lines = command("images").stdout.splitlines()
    assert lines[1].split() == ["bot:1", ID[:12], "2", "KiB", "-", "scout,", "other"]
    assert lines[2].split()[:2] == ["reg/old", "a" * 12]
    assert [json.loads(line) for line in command("images", "--json").stdout.splitlines()] == items
    for reference, asked in (("bot:1", "bot:1"), ("a" * 12, "sha256:" + "a" * 64), ("b" * 12, "b" * 12)):
        assert command("images", "remove", reference).stdout == f"{reference} is removed.\n"
        assert script.seen("DELETE", "/api/images")[-1].body == {"reference": asked}


def test_a_refused_removal_is_said_in_words(command: Command, script: Script) -> None:
    refusal = {"detail": "The image bot:1 is used by the bot scout. Remove that first.", "code": "image_used"}
    script.answers["DELETE", "/api/images"] = (409, refusal)
    result = command("images", "remove", "bot:1")
    assert result.exit_code == 1 and "is used by the bot scout" in result.stderr
