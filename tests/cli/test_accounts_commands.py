"""`edgebotd accounts`: what it asks of the daemon; and the whole against a daemon, whose key is lost and found."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from edgebotd.cli.account_import import KINDS
from edgebotd.protocol import logins
from tests.cli.conftest import Command
from tests.cli.daemon import Script
from tests.cli.place import Place, stop, until

SECRET = "canary-0123456789"
ROW: dict[str, Any] = {
    "id": "anthropic:work", "provider": "anthropic", "type": "api_key", "owner": "edgebotd", "state": "static",
    "expired": False, "expiresAt": None, "bots": ["atlas"], "fingerprint": "0123456789ab", "label": "Work\x1b[2J",
    "reason": None,
}  # fmt: skip


def test_kinds_are_those_that_can_be_read() -> None:
    assert KINDS == logins.KINDS


def test_a_secret_comes_from_standard_input_or_a_file(command: Command, script: Script, tmp_path: Path) -> None:
    script.answers["POST", "/api/profiles"] = (201, ROW)
    (tmp_path / "key").write_text(f"{SECRET}-file\n")
    first = command("accounts", "add", "anthropic:work", "--label", "Work", "--bot", "atlas", input=f"{SECRET}\n")
    assert first.stdout == "anthropic:work is added, fingerprint 0123456789ab.\n"
    command("accounts", "add", "anthropic:work", "--token", "--days", "3", "--file", str(tmp_path / "key"))
    bodies = [request.body for request in script.seen("POST", "/api/profiles")]
    assert bodies[0] == {
        "provider": "anthropic", "name": "work", "type": "api_key", "secret": SECRET, "label": "Work",
        "bots": ["atlas"],
    }  # fmt: skip
    assert (bodies[1]["secret"], bodies[1]["type"], bodies[1]["expiresAt"] > 0) == (f"{SECRET}-file", "token", True)
    script.answers["PUT", "/api/profiles/anthropic%3Awork/secret"] = (200, ROW)
    changed = command("accounts", "secret", "anthropic:work", input=SECRET)
    assert changed.exit_code == 0 and SECRET not in changed.output + first.output
    wrong = command("accounts", "add", "anthropic", input=SECRET)
    assert wrong.exit_code == 2 and "PROVIDER:NAME" in wrong.stderr


def test_lists_removes_and_the_bots_that_use_one(command: Command, script: Script) -> None:
    one = "/api/profiles/anthropic%3Awork"
    dead = {**ROW, "id": "openai:x", "state": "needs_login", "reason": "Log in again.", "label": None, "expiresAt": 1}
    script.answers["GET", "/api/profiles"] = (200, {"items": [ROW, dead]})
    script.answers["GET", one] = script.answers["PUT", one + "/bots"] = (200, ROW)
    script.answers["PATCH", one] = (200, ROW)
    script.answers["DELETE", one] = (204, None)
    listed = command("accounts", "list")
    assert listed.stdout.splitlines()[1].split() == [
        "anthropic:work", "api_key", "edgebotd", "static", "-", "atlas", "0123456789ab",
        "Work\N{REPLACEMENT CHARACTER}[2J",
    ]  # fmt: skip
    assert "openai:x: Log in again." in listed.stderr
    assert [json.loads(line)["id"] for line in command("accounts", "list", "--json").stdout.splitlines()] == [
        "anthropic:work", "openai:x",
    ]  # fmt: skip
    assert command("accounts", "bots", "anthropic:work").stdout == "atlas\n"
    command("accounts", "bots", "anthropic:work", "atlas", "nova")
    command("accounts", "bots", "anthropic:work", "--none")
    assert [r.body for r in script.requests if r.method == "PUT"] == [{"bots": ["atlas", "nova"]}, {"bots": []}]
    command("accounts", "label", "anthropic:work", "Home")
    assert [r.body for r in script.requests if r.method == "PATCH"] == [{"label": "Home"}]
    assert command("accounts", "remove", "anthropic:work").exit_code == 2, "nobody is there to be asked"
    assert command("accounts", "remove", "anthropic:work", "--yes").stdout == "anthropic:work is removed.\n"


def test_shows_what_each_bot_has(command: Command, script: Script) -> None:
    had = {"botId": "atlas", "generation": 2, "current": False, "at": 1, "error": "The gateway is not connected."}
    row = {**ROW, "generation": 3, "bots": ["atlas", "nova"], "delivered": [had]}
    script.answers["GET", "/api/profiles/anthropic%3Awork"] = (200, row)
    lines = command("accounts", "show", "anthropic:work").stdout.splitlines()
    assert lines[0] == "anthropic:work: static, generation 3"
    assert "an older one" in lines[2] and "not connected" in lines[2]
    assert lines[3].split()[:3] == ["nova", "-", "-"] and "what it was started with" in lines[3], "as the page says it"
    script.answers["GET", "/api/profiles/anthropic%3Awork"] = (200, {**row, "owner": "gateway", "place": "atlas"})
    assert command("accounts", "show", "anthropic:work").stdout.splitlines()[1] == (
        "Used by atlas, nova, whose gateway keeps it."
    )
    hidden = dict.fromkeys(("owner", "generation", "delivered"))
    script.answers["GET", "/api/profiles/anthropic%3Awork"] = (200, {**row, **hidden})
    assert command("accounts", "show", "anthropic:work").stdout == "anthropic:work: static\nUsed by atlas, nova.\n"


def test_a_grant_is_printed_alone_and_buys_the_access_token(
    command: Command, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {"id": "t_1", "profileId": "anthropic:work", "token": "ebt_granted"}
    script.answers["POST", "/api/profiles/anthropic%3Awork/grants"] = (201, made)
    script.answers["GET", "/api/profiles/anthropic%3Awork/token"] = (200, {"token": SECRET, "expiresAt": None})
    granted = command("accounts", "grant", "anthropic:work", "--user", "ann", "--name", "agent")
    assert granted.stdout == "ebt_granted\n"
    monkeypatch.delenv("EDGEBOTD_TOKEN", raising=False)
    without = command("token", "anthropic:work")
    assert without.exit_code == 1 and "accounts grant" in without.stderr and not script.seen("GET", "/api/profiles")
    monkeypatch.setenv("EDGEBOTD_TOKEN", "ebt_granted")
    assert command("token", "anthropic:work").stdout == f"{SECRET}\n"
    (tmp_path / "token").write_text("ebt_of_file\n")
    (tmp_path / "token").chmod(0o600)
    monkeypatch.setenv("EDGEBOTD_TOKEN_FILE", str(tmp_path / "token"))
    assert command("token", "anthropic:work").stdout == f"{SECRET}\n"
    (tmp_path / "token").chmod(0o644)
    refused = command("token", "anthropic:work")
    assert refused.exit_code == 1 and "ebt_of_file" not in refused.output
    assert command("token", "nonsense").exit_code == 2


def test_an_import_sends_what_it_has_read_and_a_watched_file_by_its_path(
    command: Command, script: Script, tmp_path: Path
) -> None:
    item = {
        "profileId": "google:gemini", "provider": "google", "type": "oauth", "label": None, "file": None,
        "expiresAt": None, "fingerprint": "0123456789ab", "refreshable": False, "outcome": "added", "problem": None,
    }  # fmt: skip
    script.answers["POST", "/api/profiles/import"] = (200, {"items": [item], "meaning": "It means this."})
    text = json.dumps({"access_token": SECRET, "refresh_token": SECRET})
    file = tmp_path / "home" / ".gemini" / "oauth_creds.json"
    assert "cannot be read: No such file" in command("accounts", "import", "gemini").stderr
    file.parent.mkdir()
    file.write_text(text)
    taken = command("accounts", "import", "gemini", "--take", "--only", "google:gemini")
    command("accounts", "import", "gemini", str(file), "--watch")
    command("accounts", "import", "gemini")
    assert [request.body for request in script.seen("POST", "/api/profiles/import")] == [
        {"kind": "gemini", "owner": "edgebotd", "only": ["google:gemini"], "content": text},
        {"kind": "gemini", "owner": "external", "path": str(file)},
        {"kind": "gemini", "content": text},
    ]
    assert "It means this." in taken.stderr and "[providers.google.oauth]" in taken.stderr
    assert taken.exit_code == 0 and SECRET not in taken.output
    item.update(outcome="refused", problem="it is here already, as google:gemini")
    some = command("accounts", "import", "gemini", "--take", "--only", "openai:nobody", "--only", "google:gemini")
    assert "There is no openai:nobody in it." in some.stderr
    again = command("accounts", "import", "gemini", "--take")
    assert again.exit_code == 1 and "it is here already" in again.stdout
    assert again.stderr == "Error: Nothing was imported.\n", "and nothing of what an import would mean"


def test_a_daemon_keeps_them_over_restarts_and_refuses_another_key(tmp_path: Path) -> None:
    place = Place(tmp_path)
    config = tmp_path / "c.toml"
    config.write_text(f'[server]\nbind = []\nsocket = "{tmp_path}/socket"\n[storage]\nstate_dir = "{tmp_path}/state"\n')
    config.chmod(0o600)
    claude = tmp_path / "credentials.json"
    claude.write_text(json.dumps({"claudeAiOauth": {"accessToken": SECRET + "a", "refreshToken": SECRET + "r"}}))
    to = ("--socket", f"{tmp_path}/socket", "accounts")
    key = tmp_path / "state" / "vault.key"
    with place.started("run", "--config", str(config)) as daemon:
        said = until(daemon, "is ready")
        assert "fingerprint" in place.run(*to, "add", "openai:work", input=SECRET)
        assert "anthropic:claude" in place.run(*to, "import", "claude", str(claude), "--watch")
        before = place.run(*to, "list")
        stop(daemon)
    shutil.move(key, tmp_path / "kept.key")
    missing = place.run("run", "--config", str(config), status=78)
    assert "vault.key cannot be read: No such file" in missing and "docs/accounts.md" in missing
    files = sorted(key.parent.iterdir())
    assert "vault.key: it is not there" in place.run("check", "--config", str(config), status=1)
    assert sorted(key.parent.iterdir()) == files, "a check makes nothing"
    key.write_text("A" * 43 + "=\n")
    key.chmod(0o600)
    assert "Put the right one back" in place.run("run", "--config", str(config), status=78)
    key.write_text("short\n")
    assert "The vault's key is malformed" in place.run("check", "--config", str(config), status=1)
    shutil.copy(tmp_path / "kept.key", key)
    with place.started("run", "--config", str(config)) as daemon:
        said += until(daemon, "is ready")
        assert place.run(*to, "list") == before
        stop(daemon)
    key.unlink()
    assert "2 logins are forgotten" in place.run("accounts", "reset", "--config", str(config), "--yes")
    with place.started("run", "--config", str(config)) as daemon:
        said += until(daemon, "is ready")
        assert "needs_login" in place.run(*to, "list")
        assert SECRET not in said + place.run(*to, "list", "--json") + before
        stop(daemon)
    written = b"".join(file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file())
    assert SECRET.encode() not in written


def test_logs_in_by_pasting_by_device_and_refreshes(command: Command, script: Script) -> None:
    one = "/api/profiles/login/abc"
    begun = {
        "id": "abc", "profileId": "acme:default", "method": "browser", "state": "waiting", "url": "https://acme.test/a\x1b",
        "userCode": None, "landsHere": True, "expiresAt": 1, "reason": None,
    }  # fmt: skip
    script.answers["POST", "/api/profiles/login"] = (201, begun)
    script.answers["POST", one + "/finish"] = (200, {**begun, "state": "done"})
    done = command("accounts", "login", "acme", "--paste", input="http://127.0.0.1/callback?code=canary-1\n")
    assert done.exit_code == 0 and done.stdout.endswith("acme:default is logged in.\n"), done.output
    assert "https://acme.test/a\N{REPLACEMENT CHARACTER}" in done.stdout and "canary" not in done.output
    assert done.stderr == "", "nobody sits there: no prompt, and no warning of Python's that it may be echoed"
    device = {**begun, "method": "device", "userCode": "AB-CD", "state": "failed", "reason": "It was not agreed to."}
    script.answers["POST", "/api/profiles/login"] = (201, device)
    failed = command("accounts", "login", "acme", "--device")
    assert failed.exit_code == 1 and "AB-CD" in failed.stdout and "not agreed" in failed.stderr
    refreshed = "/api/profiles/anthropic%3Awork/refresh"
    script.answers["POST", refreshed] = (200, {**ROW, "state": "fresh"})
    assert command("accounts", "refresh", "anthropic:work").stdout == "anthropic:work is fresh.\n"
    script.answers["POST", refreshed] = (200, {**ROW, "state": "backoff", "reason": "It refuses for now (503)."})
    assert "503" in command("accounts", "refresh", "anthropic:work").stderr


def test_use_is_shown_as_bars_with_pace_and_trouble(command: Command, script: Script) -> None:
    now = round(time.time() * 1000)
    window = {"windowSeconds": 18000, "scope": None, "runsOutAt": None, "resetsAt": None}
    item: dict[str, Any] = {
        "profileId": "anthropic:work", "plan": "max\x1b[2J", "fetchedAt": now - 130_000, "source": "poll",
        "windows": [
            {**window, "id": "5h", "label": "5 hours", "usedPercent": 50, "resetsAt": now + 7_200_000,
             "runsOutAt": now + 3_600_000},
            {**window, "id": "7d", "label": "7 days, Opus", "usedPercent": 99.9},
            {**window, "id": "x", "label": "x", "usedPercent": 130.4, "resetsAt": now - 60_000},
            {**window, "id": "y", "label": "y", "usedPercent": 0},
        ],
        "billing": [
            {"type": "budget", "used": 12.3, "limit": 50, "amount": None, "unit": "USD", "period": "month"},
            {"type": "balance", "used": None, "limit": None, "amount": 1234.5, "unit": "credits", "period": None},
            {"type": "spend", "used": 3, "limit": None, "amount": None, "unit": "requests", "period": None},
        ],
        "error": {"kind": "rate_limited", "detail": "Asked too often.", "sinceAt": now, "retryAt": now + 290_000},
    }  # fmt: skip
    none = {**item, "profileId": "b:c", "fetchedAt": None, "plan": None, "windows": [], "billing": [], "error": None}
    script.answers["GET", "/api/usage"] = (200, {"items": [item, none]})
    script.answers["GET", "/api/profiles/b%3Ac/usage"] = (200, none)
    shown = command("accounts", "usage")
    lines = shown.stdout.splitlines()
    assert lines[0] == "anthropic:work  max\N{REPLACEMENT CHARACTER}[2J, as of 2 min ago"
    assert lines[1].startswith(f"  5 hours       {'█' * 12}{'░' * 12}    50 %  runs out at ")
    assert " at this pace, resets " in lines[1] and lines[1].endswith(" (in 2 h)")
    assert lines[2] == f"  7 days, Opus  {'█' * 23}░    99 %", "not full before it is"
    assert lines[3].startswith(f"  x             {'█' * 24}   130 %  has started anew at ")
    assert lines[4] == f"  y             {'░' * 24}     0 %"
    assert lines[5:8] == [
        "  12.30 of 50.00 USD used this month", "  balance 1,234.50 credits", "  3.00 requests used",
    ]  # fmt: skip
    assert lines[8] == "  Asked too often. Asked again in 5 min."
    assert lines[10:] == ["b:c  nothing is known yet"]
    assert command("accounts", "usage", "b:c").stdout == "b:c  nothing is known yet\n"
    assert [json.loads(line)["profileId"] for line in command("accounts", "usage", "--json").stdout.splitlines()] == [
        "anthropic:work", "b:c",
    ]  # fmt: skip
    script.answers["POST", "/api/profiles/b%3Ac/usage"] = (200, {**none, "plan": "asked"})
    assert command("accounts", "usage", "--now", "b:c").stdout == "b:c  asked, nothing is known yet\n"
    assert command("accounts", "usage", "--now").exit_code == 2
    script.answers["GET", "/api/usage"] = (200, {"items": []})
    assert "[providers.<id>.usage]" in command("accounts", "usage").stderr
