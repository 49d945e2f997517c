"""The catalogue: each type has a model, a row, an example that travels, and its audience."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from edgebotd import events
from edgebotd.access import AccessClass, Grant
from edgebotd.events import CATALOGUE, EVENT_ADAPTER, Kept, catalogue_schema, encode, row_of

CONVERSATION = "c_" + "a" * 20

EXAMPLES: dict[str, dict[str, Any]] = {
    "bot-activity": {"botId": "atlas", "activity": "tool", "detail": "bash"},
    "bots-status-update": {
        "bots": [
            {
                "botId": "atlas",
                "state": "connected",
                "source": "connection",
                "sinceAt": 1,
                "name": "Atlas",
                "kind": "echo",
            },
            {"botId": "iris", "state": "stopped", "source": "connection", "sinceAt": 1, "name": "Iris", "kind": "echo"},
        ]
    },
    "bot:status": {"botId": "atlas", "state": "error", "reason": "needs_pairing", "source": "connection", "sinceAt": 5},
    "chat-status": {"botId": "atlas", "conversationId": CONVERSATION, "runId": "r1", "state": "stopping", "at": 3},
    "chat-delta": {"botId": "atlas", "conversationId": CONVERSATION, "runId": "r1", "offset": 4, "text": "hello"},
    "chat-message": {
        "botId": "atlas",
        "conversationId": CONVERSATION,
        "message": {
            "id": "m1",
            "botId": "atlas",
            "conversationId": CONVERSATION,
            "runId": "r1",
            "role": "assistant",
            "parts": [
                {"type": "text", "text": "hi"},
                {"type": "toolCall", "toolCallId": "t1", "name": "bash", "arguments": {"command": "ls"}},
                {"type": "toolResult", "toolCallId": "t1", "result": "a b"},
                {"type": "attachment", "sha256": "0" * 64, "name": "a.png", "mediaType": "image/png", "size": 3},
                {"type": "error", "message": "the model was away"},
            ],
            "createdAt": 1,
        },
    },
    "conversation-update": {"botId": "atlas", "conversationId": CONVERSATION, "change": "deleted"},
    "code-session:status": {"botId": "atlas", "sessionId": "s1", "state": "running", "at": 1},
    "code-session:event": {"botId": "atlas", "sessionId": "s1", "kind": "diff", "data": {"a": [1, None]}},
    "docker:status": {
        "engine": {"state": "up", "version": "28", "sinceAt": 1},
        "containers": [
            {"name": "atlas-1", "botId": "atlas", "state": "running", "sinceAt": 1},
            {"name": "db", "state": "running", "sinceAt": 1},
        ],
        "pulls": [{"image": "x", "bytesDone": 1}],
    },
    "bot-log": {"botId": "atlas", "lines": [{"at": 1, "text": "listening"}]},
    "provision-log": {"provisionId": "p1", "step": "pull", "text": "50 %", "at": 1},
    "provision-done": {"provisionId": "p1", "ok": False, "reason": "name taken", "at": 1},
    "auth-profiles:refreshed": {"profileId": "anthropic:work", "outcome": "refreshed", "expiresAt": 9, "at": 1},
    "auth-profiles:usage-updated": {
        "profileId": "anthropic:work",
        "botIds": ["atlas", "iris"],
        "windows": [{"name": "5 h", "usedPercent": 40.5, "resetsAt": 9}],
        "fetchedAt": 1,
    },
    "alert": {"alertId": "a1", "severity": "critical", "state": "open", "title": "login dead", "at": 1},
    "job:status": {"job": "retention", "state": "waiting", "at": 1},
}

ADMIN = AccessClass("root", admin=True, every_bot=Grant.OPERATE)
ATLAS_ONLY = AccessClass("ann", views=frozenset({"atlas"}))
NOTHING = AccessClass("bob")

ADMINS_ONLY = {"provision-log", "provision-done", "auth-profiles:refreshed", "job:status"}
JOURNALLED = {
    "bot:status",
    "chat-message",
    "conversation-update",
    "code-session:status",
    "code-session:event",
    "provision-log",
    "provision-done",
    "auth-profiles:refreshed",
    "alert",
}


def example(type_: str) -> events.Event:
    return EVENT_ADAPTER.validate_python({"type": type_, **EXAMPLES[type_]})


def keys_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(keys_of(inner) for inner in value.values()))
    return set().union(*(keys_of(inner) for inner in value)) if isinstance(value, list) else set()


def test_the_examples_cover_the_catalogue() -> None:
    assert EXAMPLES.keys() == CATALOGUE.keys()


@pytest.mark.parametrize("type_", CATALOGUE)
def test_each_type_travels_as_camel_case_json_and_back(type_: str) -> None:
    text = encode(example(type_))
    assert "\n" not in text
    assert not [key for key in keys_of(json.loads(text)) if "_" in key]
    assert EVENT_ADAPTER.validate_json(text) == example(type_)


@pytest.mark.parametrize("type_", CATALOGUE)
def test_the_published_schema_accepts_each_type_and_refuses_unknown_members(type_: str) -> None:
    validator = jsonschema.Draft202012Validator(catalogue_schema())
    value = json.loads(encode(example(type_)))
    validator.validate(value)
    assert not validator.is_valid({**value, "surprise": 1})
    assert not validator.is_valid({**value, "type": "nothing-known"})


@pytest.mark.parametrize("type_", CATALOGUE)
def test_each_type_is_kept_as_the_contract_says(type_: str) -> None:
    assert (CATALOGUE[type_].kept is Kept.JOURNAL) == (type_ in JOURNALLED)


@pytest.mark.parametrize("type_", CATALOGUE)
def test_only_admins_see_the_types_that_are_theirs(type_: str) -> None:
    row, event = CATALOGUE[type_], example(type_)
    if row.allowed is not None:
        assert row.allowed(event, ADMIN)
        assert row.allowed(event, NOTHING) == (type_ not in ADMINS_ONLY | {"alert"})


def test_a_user_sees_the_statuses_of_own_bots_only() -> None:
    row = CATALOGUE["bots-status-update"]
    assert row.view is not None
    seen = row.view(example("bots-status-update"), ATLAS_ONLY)
    assert isinstance(seen, events.BotsStatusUpdate)
    assert [bot.bot_id for bot in seen.bots] == ["atlas"]
    assert row.view(example("bots-status-update"), NOTHING) == events.BotsStatusUpdate(bots=())


def test_a_user_sees_the_containers_of_own_bots_and_no_pull() -> None:
    row = CATALOGUE["docker:status"]
    assert row.view is not None
    seen = row.view(example("docker:status"), ATLAS_ONLY)
    assert isinstance(seen, events.DockerStatus)
    assert [container.name for container in seen.containers] == ["atlas-1"]
    assert seen.pulls == ()


def test_usage_names_own_bots_only_and_is_absent_without_one() -> None:
    row = CATALOGUE["auth-profiles:usage-updated"]
    assert row.view is not None
    seen = row.view(example("auth-profiles:usage-updated"), ATLAS_ONLY)
    assert isinstance(seen, events.AuthProfileUsage)
    assert seen.bot_ids == ("atlas",)
    assert row.view(example("auth-profiles:usage-updated"), NOTHING) is None


def test_a_read_marker_reaches_its_own_user_only() -> None:
    event = events.ConversationUpdate(
        bot_id="atlas", conversation_id=CONVERSATION, change="read", user_id="ann", read_seq=4
    )
    row = row_of(event)
    assert row.allowed is not None
    assert row.allowed(event, ATLAS_ONLY)
    assert not row.allowed(event, ADMIN)


def test_an_alert_about_a_bot_reaches_who_sees_the_bot() -> None:
    alert = example("alert").model_copy(update={"bot_id": "atlas"})
    allowed = row_of(alert).allowed
    assert allowed is not None
    assert allowed(alert, ATLAS_ONLY)
    assert not allowed(alert, NOTHING)


def test_text_that_is_no_unicode_is_refused() -> None:
    event = events.ChatDelta.model_construct(
        type="chat-delta", bot_id="atlas", conversation_id=CONVERSATION, run_id="r", offset=0, text="\ud800"
    )
    with pytest.raises(PydanticSerializationError):
        encode(event)


@pytest.mark.parametrize("bot_id", ["", "A", "-a", "a" * 33, "a_b", "a\n", "ä"])
def test_bot_ids_outside_the_pattern_are_refused(bot_id: str) -> None:
    with pytest.raises(ValidationError):
        events.BotActivity(bot_id=bot_id, activity="idle")
