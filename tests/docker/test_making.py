"""A container is made once, whoever asked the engine for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from edgebotd.docker.errors import EngineError, Trouble
from tests.docker.yard import Yard, make, open_yard

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
