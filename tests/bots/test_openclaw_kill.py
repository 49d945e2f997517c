"""A gateway killed in mid-run calls its sessions busy afterwards; what it ran before is not what works there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from pydantic import SecretStr

from edgebotd.bots.openclaw import OpenClawConnector
from tests.bots.contract import Harness, open_session
from tests.bots.fake_gateway import TOKEN, FakeGateway, open_fake_gateway
from tests.bots.test_openclaw import SCRIPT, wait_lost


@pytest.fixture(params=["2026.9.6", "2026.5.28"])
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[FakeGateway]:
    async with open_fake_gateway(older=request.param == "2026.5.28") as running:
        yield running


def new_connector(gateway: FakeGateway) -> OpenClawConnector:
    return OpenClawConnector("claw", gateway.url, SecretStr(TOKEN))


async def test_a_run_of_the_process_before_is_not_taken_for_running(gateway: FakeGateway) -> None:
    claw = new_connector(gateway)
    async with open_session(Harness(claw, SCRIPT, timeout=10)) as session:
        turn = session.turn("[[slow]]")
        await claw.send(turn)
        await session.wait_delta(turn.run_id)
        await gateway.kill()
        await wait_lost(session)
    async with open_session(Harness(claw, SCRIPT, timeout=10)):
        history = await claw.history(turn.session_key)
        assert not history.active_run_ids and history.in_flight_run_id is None


async def test_a_daemon_started_anew_does_not_take_it_for_running_either(gateway: FakeGateway) -> None:
    async with open_session(Harness(new_connector(gateway), SCRIPT, timeout=10)) as session:
        turn = session.turn("[[slow]]")
        await session.connector.send(turn)
        await session.wait_delta(turn.run_id)
        await gateway.kill()
        await wait_lost(session)
    async with open_session(Harness(new_connector(gateway), SCRIPT, timeout=10)) as session:
        assert not (await session.connector.history(turn.session_key)).active_run_ids


async def test_a_broken_connection_to_the_same_process_leaves_the_run_running(gateway: FakeGateway) -> None:
    claw = new_connector(gateway)
    async with open_session(Harness(claw, SCRIPT, timeout=10)) as session:
        turn = session.turn("[[slow]]")
        await claw.send(turn)
        await session.wait_delta(turn.run_id)
        await gateway.cut()
        await wait_lost(session)
    await trio.sleep(0.05)
    async with open_session(Harness(claw, SCRIPT, timeout=10)):
        assert turn.run_id in (await claw.history(turn.session_key)).active_run_ids
        await claw.abort(turn.session_key, turn.run_id)
