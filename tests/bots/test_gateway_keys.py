"""A bot's gateway reads its keys again, or has its configuration changed: when it is told, and what a refusal means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock
from typing_extensions import override

from edgebotd.bots.connector import Accepted, ConnectorError, Outgoing, Trouble
from edgebotd.bots.echo import EchoConnector, EchoPeer
from edgebotd.bots.gateways import Gateways
from edgebotd.bots.registry import Registry
from edgebotd.errors import Conflict, Problem
from edgebotd.events import RunState
from edgebotd.store.database import Database
from tests.bots.house import ADMIN, now, open_house


class Keeping(EchoConnector):
    """A peer that has logins, and takes a second to read them again."""

    agent_id = "main"

    def __init__(self, peer: EchoPeer, log: list[str]) -> None:
        super().__init__(peer)
        self.log = log

    async def reload_secrets(self) -> int:
        self.log.append(f"reads {trio.current_time():.0f}")
        await trio.sleep(1)
        self.log.append(f"has read {trio.current_time():.0f}")
        return 0

    async def auth_status(self) -> Mapping[str, Any]:
        await trio.lowlevel.checkpoint()
        return {}

    @override
    async def send(self, turn: Outgoing) -> Accepted:
        self.log.append(f"takes {turn.text}")
        return await super().send(turn)


async def test_secrets_are_read_again_between_two_beginnings_of_turns(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    log: list[str] = []
    async with open_house(tmp_path, make=lambda _wanted: Keeping(EchoPeer(5.0, now), log)) as house:
        await house.connected()
        reached = Gateways(house.registry, house.database)
        first = await house.send("[[say one two three]]")
        await house.until(lambda: "takes [[say one two three]]" in log)
        elsewhere = await house.registry.chat.create(ADMIN, "echo", None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reached.reload_secrets, "echo")
            await trio.sleep(1)
            assert log == ["takes [[say one two three]]"], "a turn is being prepared"
            await house.until(lambda: len(log) == 2)
            second = await house.send("[[say later]]", conversation=elsewhere.id)
            assert second.detail is not None and "reading its keys" in second.detail
        assert house.told.states(first.run_id)[-1] is RunState.STREAMING, "one that is answered is not waited for"
        await house.told.wait_over(second.run_id)
        assert [line.split()[0] for line in log] == ["takes", "reads", "has", "takes"]
        # One that says nothing for long waits for its model.
        log.clear()
        quiet = await house.send("[[slow]]")
        await house.told.wait_state(quiet.run_id, RunState.STARTED)
        house.registry.get("echo").capture.live[quiet.run_id].state = RunState.STARTED
        begun = trio.current_time()
        await reached.reload_secrets("echo")
        assert trio.current_time() - begun <= 62 and "has read" in log[-1]


class Scripted:
    """A registry with one bot, and that one's connector, whose peer answers from a list."""

    keyring = None
    beginning = False

    def still(self, still: bool) -> None:
        """As a queue."""

    @property
    def queue(self) -> Scripted:
        return self

    @property
    def capture(self) -> Scripted:
        return self

    @property
    def live(self) -> dict[str, object]:
        return {}

    def __init__(self, *answers: Any) -> None:
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self._answers = list(answers)

    def get(self, _bot_id: str) -> Scripted:
        return self

    @property
    def connector(self) -> Scripted:
        return self

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        await trio.lowlevel.checkpoint()
        self.asked.append((method, params))
        answer = self._answers.pop(0)
        if isinstance(answer, ConnectorError):
            raise answer
        return {"was": answer}


async def test_a_gateways_configuration_is_told_and_changed_by_itself() -> None:
    since = "The gateway refuses the request: config changed since last load; re-run config.get and retry"
    peer = Scripted(
        1,
        2,
        ConnectorError(Trouble.REJECTED, since),
        ConnectorError(Trouble.NO_RIGHTS, "missing scope: operator.admin"),
        ConnectorError(Trouble.LOST, "It did not answer."),
        ConnectorError(Trouble.RESTARTING, "It restarts."),
    )
    reached = Gateways(cast(Registry, peer), cast(Database, None))
    assert await reached.config("claw") == {"was": 1}
    assert await reached.patch_config("claw", {"a": 1}, "h") == {"was": 2}
    assert peer.asked == [("config.get", {}), ("config.patch", {"raw": '{"a": 1}', "baseHash": "h"})]
    for code in ("config_changed", "gateway_refuses", "gateway_silent", "gateway_silent"):
        with pytest.raises(Problem) as refused:
            await reached.patch_config("claw", {}, "h")
        assert refused.value.code == code


async def test_one_without_a_gateway_has_no_configuration(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        with pytest.raises(Conflict, match="no gateway"):
            await Gateways(house.registry, house.database).config("echo")
