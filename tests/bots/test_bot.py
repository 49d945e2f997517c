"""What only a history says to be running is looked up until it is known: after cuts, kills and restarts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from edgebotd.events import RunState
from edgebotd.protocol.run import History
from tests.bots.house import open_house


async def test_a_run_that_only_seems_to_go_on_is_looked_up_until_it_is_known(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(tmp_path) as house:
        answer = await house.send("[[long 100]]")
        await house.told.wait_state(answer.run_id, RunState.STREAMING)
        connector = house.connectors["echo"]
        connector.peer.restart()
        tell, looks = connector.history, 0

        async def busy_at_first(session_key: str) -> History:
            # A gateway that takes up a session after a kill says that something runs, not that it is another run.
            nonlocal looks
            looks += 1
            history = await tell(session_key)
            return history if looks > 4 else replace(history, active_run_ids=frozenset({answer.run_id}))

        monkeypatch.setattr(connector, "history", busy_at_first)
        connector.cut()
        assert await house.told.wait_over(answer.run_id) is RunState.INTERRUPTED
        assert looks == 6
        await trio.sleep(300)
        assert looks == 6


async def test_a_run_that_goes_on_after_a_cut_is_not_asked_for_again(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(tmp_path) as house:
        answer = await house.send("[[long 3000]]")
        await house.told.wait_state(answer.run_id, RunState.STREAMING)
        connector = house.connectors["echo"]
        tell, looks = connector.history, 0

        async def counted(session_key: str) -> History:
            nonlocal looks
            looks += 1
            return await tell(session_key)

        monkeypatch.setattr(connector, "history", counted)
        connector.cut()
        assert await house.told.wait_over(answer.run_id) is RunState.FINISHED
        # When it connects: to settle, and to fill in what was missed.
        assert looks == 2
