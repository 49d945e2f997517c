"""Messages to a bot whose container is being worked on wait from the moment on in which the bot is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from edgebotd.bots.gateways import Gateways
from edgebotd.docker.holding import held_bots
from edgebotd.events import RunState
from edgebotd.store import containers as rows
from edgebotd.store import operations as operation_rows
from edgebotd.store.containers import StoredContainer
from edgebotd.store.database import Database
from edgebotd.store.operations import Operation, OperationState
from tests.bots.house import now, open_life, open_store
from tests.docker.fake_engine import open_fake_engine
from tests.docker.house import docker_on
from tests.docker.yard import ACTOR, open_yard

WAITS: dict[str, set[str]] = {
    "create": set(),
    "adopt": set(),
    "start": set(),
    "stop": {"waiting", "drain", "stop"},
    "restart": {"waiting", "drain", "stop"},
    "recreate": {"swap", "healthy", "hello", "settle"},
    "remove": {"stop", "container", "volumes", "bot"},
    "upgrade": {"drain", "stop", "snapshot", "start", "healthy", "hello", "probe", "commit"},
}


async def _store(database: Database, kind: str, step: str, state: OperationState = "running") -> None:
    work = Operation("op_1", "echo", kind, {}, step=step, state=state, actor=ACTOR)
    await database.write(lambda tx: operation_rows.add(tx.connection, work))


@pytest.mark.parametrize("kind", WAITS)
async def test_in_which_steps_they_wait(autojump_clock: MockClock, kind: str) -> None:
    async with open_yard() as yard, yard.life() as docker:
        assert docker.operations.kinds.keys() == WAITS.keys()
        steps = ("waiting", *docker.operations.steps(kind))
        found = set()
        for step in steps:
            await _store(yard.database, kind, step)
            if await held_bots(yard.database):
                found.add(step)
            await yard.database.write(lambda tx: operation_rows.end(tx.connection, "op_1", "failed", None, 1))
            await yard.database.write(lambda tx: operation_rows.trim(tx.connection, 2, 1))
        assert found == WAITS[kind]


async def test_no_message_leaves_before_a_resumed_stop_takes_the_bot_in_hand(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_store() as (database, hub), open_fake_engine(now) as engine:
        async with open_life(database, hub, tmp_path):
            engine.begin(engine.add("edgebotd-echo"))
            container = StoredContainer("echo", "edgebotd-echo", None, "adopted")
            await database.write(lambda tx: rows.put(tx.connection, container))
            await _store(database, "stop", "drain")
        async with open_life(database, hub, tmp_path, held=await held_bots(database)) as house:
            # The engine is slow, or the disk: the bot connects meanwhile.
            await house.until(lambda: house.registry.get("echo").connected)
            run_id = (await house.send("[[say later]]")).run_id
            await trio.sleep(30)
            assert house.told.states(run_id) == [RunState.QUEUED]
            bots = Gateways(house.registry, database)
            async with docker_on(database, hub, now, engine=engine, bots=bots) as docker:
                assert (await docker.operations.wait("op_1")).state == "succeeded"
                assert engine.named("edgebotd-echo").state == "exited"
            # The work has let them go; this one's peer answers all the same.
            assert await house.told.wait_over(run_id) is RunState.FINISHED
