"""A container is made once, whoever asked the engine for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from edgebotd.docker.errors import EngineError, Trouble
from tests.docker.yard import Yard, make, open_yard, texts

TAKEN = 'Conflict. The container name "/edgebotd-atlas" is already in use.'


def late(yard: Yard, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have the engine be at work already on what it is asked to create, and show it only after a while."""
    create = yard.engine.create
    asked: list[float] = []

    async def busy(name: str, body: Mapping[str, Any]) -> str:
        if not asked:
            asked.append(trio.current_time())
        if trio.current_time() >= asked[0] + seconds:
            return await create(name, body)
        await trio.sleep(0.1)
        if trio.current_time() + 0.4 >= asked[0] + seconds:
            await create(name, body)
        raise EngineError(Trouble.CONFLICT, TAKEN)

    monkeypatch.setattr(yard.engine, "create", busy)


@pytest.mark.parametrize("seconds", [0.2, 3.0])
async def test_what_a_killed_daemon_asked_for_is_waited_for(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    async with open_yard() as yard, yard.life() as docker:
        late(yard, monkeypatch, seconds)
        operation = await make(docker)
        assert operation.state == "succeeded", operation.reason
        assert len(yard.engine.all) == 1


async def test_a_name_that_stays_taken_by_what_nobody_sees_is_said(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_yard() as yard, yard.life() as docker:
        late(yard, monkeypatch, 10_000)
        operation = await make(docker)
        assert (operation.state, operation.step, operation.reason) == ("failed", "create", TAKEN)
        await yard.is_clean()


async def test_what_the_settings_give_a_bot_is_at_most_what_the_machine_has(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        yard.engine.cpus = 1
        operation = await make(docker)
        assert (operation.state, operation.reason) == ("succeeded", None)
        (container,) = yard.engine.all.values()
        assert container.body["HostConfig"]["NanoCpus"] == 1_000_000_000
        # So it is made anew, too, and is no drift.
        stored = await yard.stored()
        assert stored is not None and stored.spec["limits"]["cpus"] == 1


async def test_more_processors_than_there_are_are_refused_before_anything_is_pulled(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        operation = await make(docker, limits={"cpus": 4.5})
        assert (operation.state, operation.step) == ("failed", "validate")
        assert operation.reason == "limits: 4.5 processors are asked for, and the engine's machine has 4."
        assert operation.reason in await texts(docker, operation)
        assert not [call for call in yard.engine.calls if call.startswith("pull")]


async def test_an_engine_that_does_not_tell_its_processors_is_asked_for_what_the_settings_say(
    autojump_clock: MockClock,
) -> None:
    async with open_yard() as yard, yard.life() as docker:
        yard.engine.cpus = None
        await make(docker)
        (container,) = yard.engine.all.values()
        assert container.body["HostConfig"]["NanoCpus"] == 2_000_000_000
