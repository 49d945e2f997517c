"""The built-in bot keeps the connectors' contract, and its markers do what its guide says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from trio.testing import MockClock

from edgebotd.bots import script
from edgebotd.bots.connector import ConnectorError, Outgoing
from edgebotd.bots.echo import EchoConnector, EchoPeer
from edgebotd.protocol.run import Activity, Outcome, RunStatus
from tests.bots.contract import CONTRACT, Harness, Script, open_session

SCRIPT = Script(
    "[[say Hello you]]", "Hello you", "[[long 500]]", "[[long 5]] [[error Too tired]]", "[[tool weather]] [[say done]]"
)


@pytest.mark.parametrize("rule", CONTRACT, ids=lambda rule: rule.__name__)
async def test_the_contract_holds(rule: Callable[[Harness], Awaitable[None]], autojump_clock: MockClock) -> None:
    async with open_session(Harness(EchoConnector(EchoPeer()), SCRIPT)) as harness:
        await rule(harness)


async def test_a_run_goes_on_while_nobody_is_connected(autojump_clock: MockClock) -> None:
    peer = EchoPeer()
    connector = EchoConnector(peer)
    harness = Harness(connector, SCRIPT)
    async with open_session(harness):
        turn = harness.turn("[[long 20]]")
        await connector.send(turn)
        await harness.wait_delta(turn.run_id)
        connector.cut()
        with pytest.raises(ConnectorError):
            await connector.history(turn.session_key)
    later = Harness(connector, SCRIPT)
    async with open_session(later):
        assert turn.run_id in (await connector.history(turn.session_key)).active_run_ids
        assert (await later.wait_end(turn.run_id)).outcome is Outcome.FINISHED


async def test_thinking_is_told(autojump_clock: MockClock) -> None:
    async with open_session(Harness(EchoConnector(EchoPeer()), SCRIPT)) as harness:
        turn = harness.turn("[[think]] [[say done]]")
        await harness.connector.send(turn)
        await harness.wait_end(turn.run_id)
        assert RunStatus(turn.run_id, turn.session_key, Activity.THINKING) in harness.events


def test_a_plain_message_is_quoted_and_the_guide_names_every_marker() -> None:
    reply = "".join(step.text for step in script.steps(Outgoing("r", "c", "k", "line 1\nline 2"), 0.01))
    assert "> line 1\n> line 2" in reply
    assert all(f"[[{word}" in reply for word in ("long", "slow", "think", "tool", "error", "cut", "say"))


def test_pieces_joined_are_the_text_again() -> None:
    for text in ("", " ", "a", " a  b\n\nc ", "\n", "a\u2028b"):
        assert "".join(script.pieces(text)) == text
