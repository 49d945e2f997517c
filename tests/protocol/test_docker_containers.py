"""Containers and events, in Docker's words and in Podman's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.protocol.docker.containers import (
    LIFECYCLE,
    Health,
    State,
    parse_event,
    parse_inspection,
    parse_listed,
    published_ports,
)

ID = "e7c76c0a2325d8165ffbf4f1e9038e65e10d88606cf485121e17b10522bc0f50"


def inspected(**state: Any) -> dict[str, Any]:
    return {
        "Id": ID,
        "Name": "/b1",
        "Image": "sha256:5d0d",
        "Created": "2026-11-23T21:48:18.1Z",
        "RestartCount": 2,
        "Config": {"Image": "edgebotd-test/bot:1", "Labels": {"a": "b"}, "Tty": False},
        "State": {
            "Status": "running",
            "StartedAt": "2026-11-23T21:48:19Z",
            "FinishedAt": "0001-01-01T00:00:00Z",
            **state,
        },
    }


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, ("running", None, None)),
        ({"Health": {"Status": "starting"}}, ("running", "starting", None)),
        ({"Health": {"Status": "healthy"}}, ("running", "healthy", None)),
        # Podman has the object for a container without a check too.
        ({"Health": {"Status": "", "FailingStreak": 0, "Log": None}}, ("running", None, None)),
        ({"Health": {"Status": "none"}}, ("running", None, None)),
        # A stop or a pause turns it to unhealthy silently.
        ({"Status": "paused", "Health": {"Status": "unhealthy"}}, ("paused", None, None)),
        ({"Status": "exited", "ExitCode": 137, "Health": {"Status": "unhealthy"}}, ("exited", None, 137)),
        ({"Status": "stopped", "ExitCode": 0}, ("exited", None, 0)),
        ({"Status": "dead", "ExitCode": 1}, ("exited", None, 1)),
        ({"Status": "restarting", "ExitCode": 3}, ("restarting", None, 3)),
        ({"Status": "created", "ExitCode": 0}, ("created", None, None)),
        ({"Status": "created", "ExitCode": 127, "Error": "no such file"}, ("created", None, 127)),
        ({"Status": "stopping"}, ("running", None, None)),
        ({"Status": "configured"}, ("created", None, None)),
        ({"Status": "something new"}, ("unknown", None, None)),
        ({"Status": None}, ("unknown", None, None)),
    ],
)
def test_an_inspection_is_read(state: dict[str, Any], expected: tuple[State, Health | None, int | None]) -> None:
    container = parse_inspection(inspected(**state))
    assert (container.state, container.health, container.exit_code) == expected
    assert (container.id, container.name, container.image) == (ID, "b1", "edgebotd-test/bot:1")
    assert container.labels == {"a": "b"} and container.restarts == 2
    assert (container.started_at, container.finished_at) == (1795470499000, None)


def test_its_environment_is_not_shown() -> None:
    answer = inspected()
    answer["Config"]["Env"] = ["OPENAI_API_KEY=sk-secret"]
    assert "sk-secret" not in repr(parse_inspection(answer))


@pytest.mark.parametrize(
    ("state", "words", "expected"),
    [
        ("running", "Up 1 second (healthy)", ("running", "healthy", None)),
        ("running", "Up 1 second (health: starting)", ("running", "starting", None)),
        ("running", "Up 4 seconds (unhealthy)", ("running", "unhealthy", None)),
        ("paused", "Up 4 seconds (Paused)", ("paused", None, None)),
        ("exited", "Exited (137) 3 minutes ago", ("exited", None, 137)),
        ("exited", "Exited (0) Less than a second ago", ("exited", None, 0)),
        ("created", "Created", ("created", None, None)),
        ("running", "", ("running", None, None)),
    ],
)
def test_an_entry_of_a_list_is_read(state: str, words: str, expected: tuple[State, Health | None, int | None]) -> None:
    entry = {"Id": ID, "Names": ["/other/b1", "/b1"], "State": state, "Status": words, "Created": 5, "Image": "i:1"}
    container = parse_listed(entry)
    assert (container.state, container.health, container.exit_code) == expected
    assert container.name == "b1" and container.created_at == 5000


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("start", ("start", "")),
        ("health_status: unhealthy", ("health_status", "unhealthy")),
        ("exec_create: /bin/sh -c true", ("exec_create", "/bin/sh -c true")),
        # Podman's.
        ("remove", ("destroy", "")),
        ("died", ("die", "")),
    ],
)
def test_an_event_is_read(action: str, expected: tuple[str, str]) -> None:
    line = {
        "Type": "container",
        "Action": action,
        "Actor": {"ID": ID, "Attributes": {"name": "b1", "exitCode": "3", "odd": 7}},
        "timeNano": 1795470516805282121,
    }
    event = parse_event(line)
    assert event is not None
    assert (event.action, event.detail) == expected
    assert (event.container_id, event.name, event.at_ms) == (ID, "b1", 1795470516805)
    assert event.attributes == {"name": "b1", "exitCode": "3"}


def test_events_of_other_things_are_none() -> None:
    assert parse_event({"Type": "network", "Action": "connect", "Actor": {"ID": "x"}}) is None
    assert parse_event({"Type": "container", "Action": "start", "Actor": {}}) is None
    assert "exec_create" not in LIFECYCLE


def test_published_ports() -> None:
    ports = {
        "18789/tcp": [{"HostIp": "127.0.0.1", "HostPort": "49153"}, {"HostIp": "", "HostPort": ""}],
        "80/tcp": None,
        "443/tcp": [{"HostPort": "443"}],
    }
    container = parse_inspection({**inspected(), "NetworkSettings": {"Ports": ports}})
    assert published_ports(container) == {"18789/tcp": [("127.0.0.1", 49153)], "443/tcp": [("0.0.0.0", 443)]}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Id",
                    "State",
                    "Status",
                    "Health",
                    "Names",
                    "Created",
                    "Config",
                    "Labels",
                    "Actor",
                    "Attributes",
                    "Type",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(
        st.sampled_from(["Id", "Name", "Names", "State", "Status", "Config", "Actor", "Action", "Type"]), anything
    )
)
def test_nothing_that_an_engine_says_breaks_the_reading(answer: dict[str, Any]) -> None:
    parse_inspection(answer)
    parse_listed(answer)
    parse_event({"Type": "container", **answer})
    published_ports(parse_inspection({"NetworkSettings": answer}))
