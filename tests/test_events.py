"""The catalogue: each type has a model, a row, an example that travels, and its audience."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from edgebotd import events
from edgebotd.access import AccessClass, Grant
from edgebotd.events import CATALOGUE, EVENT_ADAPTER, Kept, catalogue_schema, encode, row_of
from tests.event_examples import CONVERSATION, EXAMPLES, JOURNALLED, example

ADMIN = AccessClass("root", admin=True, every_bot=Grant.OPERATE)
ATLAS_ONLY = AccessClass("ann", views=frozenset({"atlas"}))
NOTHING = AccessClass("bob")

ADMINS_ONLY = {"provision-log", "provision-done", "auth-profiles:refreshed", "job:status"}


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
    # What names places of the machine is for those who operate it.
    assert "/run/docker.sock" not in events.encode(seen) and "/etc" not in events.encode(seen)
    operator = AccessClass("ann", views=frozenset({"atlas"}), operated=frozenset({"atlas"}))
    operated = row.view(example("docker:status"), operator)
    assert isinstance(operated, events.DockerStatus)
    assert operated.containers[0].drift == ("/etc",)


def test_usage_names_own_bots_only_and_is_absent_without_one() -> None:
    row = CATALOGUE["auth-profiles:usage-updated"]
    assert row.view is not None
    seen = row.view(example("auth-profiles:usage-updated"), ATLAS_ONLY)
    assert isinstance(seen, events.AuthProfileUsage)
    assert seen.bot_ids == ("atlas",)
    assert seen.windows and (seen.plan, seen.billing) == (None, ())
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


WITHOUT_A_ROW = """
import importlib
from typing import Literal
from edgebotd.events import catalogue
from edgebotd.events.model import BotEvent

class Surprise(BotEvent):
    type: Literal["surprise"] = "surprise"

try:
    importlib.reload(catalogue)
except RuntimeError as refused:
    print(refused)
"""


def test_a_type_without_a_row_fails_the_build() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_A_ROW], capture_output=True, text=True, check=True)
    assert "Surprise" in done.stdout


@pytest.mark.parametrize("type_", CATALOGUE)
def test_each_type_has_one_model_whose_bot_events_name_their_bot(type_: str) -> None:
    model = CATALOGUE[type_].model
    assert type(example(type_)) is model  # it is a member of the union, discriminated by its type
    of_bots = {type_ for type_ in CATALOGUE if issubclass(CATALOGUE[type_].model, events.BotEvent)}
    assert (type_ in of_bots) == ("botId" in EXAMPLES[type_])


def integer_keys(schema: dict[str, Any]) -> set[str]:
    """Return the names of all members that hold a number."""
    found: set[str] = set()
    for model in schema["$defs"].values():
        for name, member in model.get("properties", {}).items():
            kinds = {one.get("type") for one in [member, *member.get("anyOf", ())]}
            if kinds & {"integer", "number"}:
                found.add(name)
    return found


def test_times_end_in_at_and_durations_say_their_unit() -> None:
    """Section 5, time: what is an instant is named so, alone (`at`) or as an ending."""
    counts = {"offset", "size", "seq", "readSeq", "restarts", "exitCode"}
    counts |= {"layers", "layersDone", "missed"}
    # Of money, credits and requests; the status is HTTP's.
    counts |= {"amount", "used", "limit", "status"}
    counts |= {"bytesDone", "bytesTotal", "memoryBytes", "memoryLimitBytes", "pids"}
    for name in integer_keys(catalogue_schema()) - counts:
        assert name == "at" or name.endswith(("At", "Seconds", "Ms", "Percent", "PerSecond")), name
