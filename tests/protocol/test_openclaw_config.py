"""What a gateway tells of its configuration, as 2026.9.6 does; and what is merged into it."""

from __future__ import annotations

from typing import Any

import pytest

from edgebotd.protocol.openclaw.linking import KeyFrom, Patched, parse_config, parse_patched, references

HIDDEN = "__OPENCLAW_REDACTED__"


def answer(key: Any, *, written: Any = None, sources: Any = None) -> dict[str, Any]:
    """Return an answer of `config.get`, with a provider `fake` that has this key."""

    def whole(value: Any) -> dict[str, Any]:
        fake = {"baseUrl": "http://127.0.0.1:1/v1", **({} if value is None else {"apiKey": value})}
        return {"models": {"mode": "merge", "providers": {"fake": fake}}, "secrets": {"providers": sources or {}}}

    parsed = whole(key if written is None else written)
    return {
        "path": "/s/openclaw.json",
        "hash": "hmac-sha256:v1:x",
        "valid": True,
        "config": whole(key),
        "parsed": parsed,
    }


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (answer(None), KeyFrom.NOTHING),
        (answer(HIDDEN), KeyFrom.CONFIG),
        (answer("fake:manual"), KeyFrom.CONFIG),
        (answer(HIDDEN, written="${FAKE_KEY}"), KeyFrom.ENVIRONMENT),
        (answer(HIDDEN, written={"$include": "./key.json"}), KeyFrom.CONFIG),
        (answer({"source": "env", "provider": "default", "id": HIDDEN}), KeyFrom.REFERENCE),
        (answer({"source": "file", "provider": "mine", "id": HIDDEN}), KeyFrom.REFERENCE),
        (answer({"source": "file", "provider": "edge", "id": HIDDEN}), KeyFrom.LINKED),
    ],
)
def test_where_a_key_comes_from(told: dict[str, Any], expected: KeyFrom) -> None:
    config = parse_config(told)
    assert config is not None
    assert (config.key_from("fake"), config.knows("fake")) == (expected, True)
    assert (config.key_from("other"), config.knows("other")) == (KeyFrom.NOTHING, False)


def test_the_name_of_the_file_may_be_taken_by_something_else() -> None:
    ours = {"source": HIDDEN, "path": HIDDEN, "mode": HIDDEN}
    for source, taken in ((None, False), (ours, False), ({"source": HIDDEN, "command": HIDDEN}, True), (HIDDEN, False)):
        config = parse_config(answer(None, sources={} if source is None else {"edge": source}))
        assert config is not None and config.source_is_taken is taken, source


@pytest.mark.parametrize("wrong", [{"valid": False}, {"hash": None}, {"path": 5}])
def test_what_is_no_configuration_is_none(wrong: dict[str, Any]) -> None:
    assert parse_config({**answer(None), **wrong}) is None
    strange = parse_config({**answer(None), "config": [], "parsed": None})
    assert strange is not None and strange.key_from("fake") is KeyFrom.NOTHING and not strange.source_is_taken


def test_what_is_merged_refers_each_provider_to_its_login() -> None:
    patch = references("/s/edge-secrets.json", {"fake": "fake:work", "openai": "openai:ci"})
    assert patch["secrets"]["providers"]["edge"] == {"source": "file", "path": "/s/edge-secrets.json", "mode": "json"}
    assert {name: entry["apiKey"]["id"] for name, entry in patch["models"]["providers"].items()} == {
        "fake": "/fake:work", "openai": "/openai:ci",
    }  # fmt: skip


def test_what_a_change_has_done() -> None:
    lost = [{"ownerKind": "provider", "ownerId": "fake", "state": "cold", "reason": "secret reference was not found"}]
    waits = {"payload": {"stats": {"requiresRestart": True}}}
    for told, expected in (
        ({"ok": True, "changedPaths": ["models.providers.fake.apiKey"]}, Patched(True, None, False)),
        ({"ok": True, "noop": True, "changedPaths": []}, Patched(False, None, False)),
        ({"ok": True}, Patched(True, None, False)),
        ({"changedPaths": ["x"], "degradedSecretOwners": lost}, Patched(True, "secret reference was not found", False)),
        ({"changedPaths": ["x"], "sentinel": waits}, Patched(True, None, True)),
    ):
        assert parse_patched(told, "fake") == expected
    assert parse_patched({"changedPaths": ["x"], "degradedSecretOwners": lost}, "other") == Patched(True, None, False)
