"""`edgebotd accounts link`: shows what it would change, asks, and says what to write by hand where it cannot."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.conftest import Command
from tests.cli.daemon import Script

ONE = "/api/profiles/fake%3Awork/link"
PATCH: dict[str, Any] = {
    "secrets": {"providers": {"edge": {"source": "file", "path": "/s/edge-secrets.json", "mode": "json"}}},
    "models": {"providers": {"fake": {"apiKey": {"source": "file", "provider": "edge", "id": "/fake:work"}}}},
}
PLAN: dict[str, Any] = {
    "profileId": "fake:work", "botId": "claw", "version": "2026.9.6", "config": "/s/openclaw.json", "provider": "fake",
    "file": "/s/edge-secrets.json", "keyFrom": "config", "patch": PATCH, "baseHash": "h", "uses": False,
    "notes": ["The key is replaced.\x1b[2J"], "done": None, "complaint": None,
}  # fmt: skip


def shown(text: str) -> Any:
    """Return the JSON that stands indented in a text."""
    return json.loads("\n".join(line for line in text.splitlines() if line.startswith("  ")))


def test_it_is_shown_and_done_when_somebody_says_so(command: Command, script: Script) -> None:
    script.answers["GET", ONE] = (200, PLAN)
    script.answers["POST", ONE] = (200, {**PLAN, "done": True})
    dry = command("accounts", "link", "fake:work", "claw", "--dry-run")
    assert dry.exit_code == 0 and shown(dry.stdout) == PATCH
    assert "claw (OpenClaw 2026.9.6) would have this in /s/openclaw.json:" in dry.stdout
    assert "among the bots that use fake:work" in dry.stdout and "\x1b" not in dry.stdout
    unasked = command("accounts", "link", "fake:work", "claw")
    assert unasked.exit_code == 2 and "--yes" in unasked.stderr and not script.seen("POST", ONE)
    done = command("accounts", "link", "fake:work", "claw", "--yes", "--provider", "other", "--path", "/p")
    assert done.stdout.splitlines()[-1] == "claw uses fake:work: its gateway reads its key from the file."
    assert script.seen("GET", ONE)[-1].query == {"bot": ["claw"], "provider": ["other"], "file": ["/p"]}
    (asked,) = script.seen("POST", ONE)
    assert asked.body == {"bot": "claw", "provider": "other", "file": "/p", "baseHash": "h"}
    told = command("accounts", "link", "fake:work", "claw", "--yes", "--json")
    assert json.loads(told.stdout)["done"] is True


def test_one_that_was_linked_and_one_that_has_no_key_even_so(command: Command, script: Script) -> None:
    script.answers["GET", ONE] = (200, {**PLAN, "uses": True})
    script.answers["POST", ONE] = (200, {**PLAN, "done": False})
    assert "linked so already" in command("accounts", "link", "fake:work", "claw", "--yes").stdout
    script.answers["POST", ONE] = (200, {**PLAN, "done": True, "complaint": "The gateway has no key for fake now."})
    lost = command("accounts", "link", "fake:work", "claw", "--yes")
    assert lost.exit_code == 1 and "no key for fake now" in lost.stderr


def test_what_the_gateway_refuses_is_written_out(command: Command, script: Script) -> None:
    refusal = {"code": "gateway_refuses", "detail": "missing scope: operator.admin", "write": PATCH}
    refusal["into"] = PLAN["config"]
    script.answers["GET", ONE] = (200, PLAN)
    script.answers["POST", ONE] = (409, refusal)
    refused = command("accounts", "link", "fake:work", "claw", "--yes")
    assert refused.exit_code == 1 and "missing scope: operator.admin" in refused.stderr
    assert "into /s/openclaw.json of the gateway of claw" in refused.stderr and shown(refused.stderr) == PATCH
    script.answers["GET", ONE] = (409, {"code": "not_ours", "detail": "Another program has it."})
    other = command("accounts", "link", "fake:work", "claw")
    assert other.exit_code == 1 and other.stderr == "Error: Another program has it.\n"


def test_a_bot_is_made_with_logins(command: Command, script: Script) -> None:
    script.answers["POST", "/api/bots"] = (202, {"id": "op_1"})
    assert command("bots", "create", "claw", "--login", "fake:work", "--no-wait").exit_code == 0
    (asked,) = script.seen("POST", "/api/bots")
    assert asked.body == {"id": "claw", "logins": ["fake:work"]}
