"""What an operator is shown of a container: what it is made of, and nothing secret."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from edgebotd.docker.details import ContainerDetails, details_of, shown_spec
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.store import containers as rows
from edgebotd.store.containers import StoredContainer
from tests.docker.fake_store import DIGEST
from tests.docker.scout import NAME, Scout, open_scout

SPEC: dict[str, Any] = {
    "image": "fake/bot:1",
    "pinned": f"fake/bot@{DIGEST}",
    "port": 18801,
    "volumes": [{"name": "edgebotd-scout-1", "path": "/home/node/.openclaw"}],
    "environment": {
        "TZ": "Europe/Vienna",
        "API_TOKEN": "put-in-the-wrong-place",
        "ARGS": "--key sk-0123456789abcdef01",
    },
    "secretEnvironment": {"OPENAI_API_KEY": "openai"},
}
BODY = {
    "Env": ["OPENAI_API_KEY=canary-from-the-vault"],
    "HostConfig": {
        "Memory": 1 << 31,
        "NanoCpus": 1_500_000_000,
        "PidsLimit": 512,
        "PortBindings": {"18789/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18801"}]},
    },
}
MOUNTS = [
    {"Type": "volume", "Name": "edgebotd-scout-1", "Source": "/var/lib/x", "Destination": "/home/node", "RW": True},
    {"Type": "bind", "Source": "/srv/notes", "Destination": "/data", "RW": False},
]


async def details(scout: Scout) -> ContainerDetails:
    docker = scout.docker
    found = await details_of("scout", docker.containers, docker.operations, scout.database)
    assert found is not None
    return found


async def test_everything_that_it_is_made_of_is_shown_and_no_secret(autojump_clock: MockClock) -> None:
    async with open_scout(body={"Image": "fake/bot:1", **BODY}, started=False) as scout:
        inspection = scout.container.inspection
        scout.container.inspection = lambda: {**inspection(), "Mounts": MOUNTS}  # type: ignore[method-assign]  # one container's own
        scout.engine.have_image("fake/bot:1")
        stored = StoredContainer("scout", NAME, None, "provisioned", "running", SPEC)
        await scout.database.write(lambda tx: rows.put(tx.connection, stored))
        scout.engine.begin(scout.container)
        await scout.until("running")
        shown = await details(scout)
        assert shown.image is not None and shown.limits is not None
        assert (shown.image.reference, shown.image.digests) == ("fake/bot:1", (f"fake/bot@{DIGEST}",))
        assert (shown.limits.memory_bytes, shown.limits.cpus, shown.limits.pids) == (1 << 31, 1.5, 512)
        assert [(one.inside, one.address, one.port) for one in shown.ports] == [("18789/tcp", "127.0.0.1", 18801)]
        assert [(one.kind, one.source, one.path, one.read_only) for one in shown.mounts] == [
            ("bind", "/srv/notes", "/data", True),
            ("volume", "edgebotd-scout-1", "/home/node", False),
        ]
        assert (shown.origin, shown.wanted, shown.operation) == ("provisioned", "running", None)
        assert shown.spec is not None and shown.spec["environment"]["TZ"] == "Europe/Vienna"
        assert shown.spec["secretEnvironment"] == {"OPENAI_API_KEY": "openai"}
        told = shown.model_dump_json()
        for secret in ("canary", "put-in-the-wrong-place", "sk-0123456789"):
            assert secret not in told


async def test_the_store_knows_what_the_engine_cannot_say(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scout(origin="adopted", wanted="any") as scout:

        async def away(reference: str) -> Any:
            raise EngineError(Trouble.DOWN, "Nothing answers.")

        monkeypatch.setattr(scout.engine, "image", away)
        shown = await details(scout)
        assert shown.image is not None and (shown.image.digests, shown.limits and shown.limits.pids) == ((), None)
        await scout.engine.remove(NAME, force=True)
        await scout.until("missing")
        shown = await details(scout)
        assert (shown.container_id, shown.image, shown.spec) == (None, None, None)
        assert (shown.origin, shown.wanted) == ("adopted", "any")
        docker = scout.docker
        assert await details_of("nobody", docker.containers, docker.operations, scout.database) is None


def test_a_spec_without_an_environment_is_shown_as_it_is() -> None:
    assert shown_spec({"image": "a:1", "port": 1}) == {"image": "a:1", "port": 1}


def test_what_an_upgrade_replaced_is_shown_as_carefully_as_what_there_is() -> None:
    before = {"image": "a:1", "environment": {"API_KEY": "of the shape of no secret", "TZ": "UTC"}}
    shown = shown_spec({"image": "a:2", "previous": {"spec": before, "at": 5, "size_bytes": 7}})
    assert shown["previous"] == {
        "spec": {"image": "a:1", "environment": {"API_KEY": None, "TZ": "UTC"}},
        "at": 5,
        "size_bytes": 7,
    }


def test_a_spec_that_was_never_upgraded_has_nothing_before_it() -> None:
    assert shown_spec({"image": "a:1", "previous": None})["previous"] is None
