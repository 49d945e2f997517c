"""The connectors' contract on real gateways: the fake one of `tests/bots` is held to the same rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from pydantic import SecretStr

from edgebotd.bots.openclaw import OpenClawConnector
from tests.bots.contract import CONTRACT, Harness, Script, open_session
from tests.peers.gateways import Gateways

SCRIPT = Script("[[say Hello you]]", "Hello you", "[[slow]]", "[[http 400]]", "[[tool echo from-the-tool]]")


@pytest.mark.parametrize("rule", CONTRACT, ids=lambda rule: rule.__name__)
async def test_the_contract_holds(rule: Callable[[Harness], Awaitable[None]], gateways: Gateways, version: str) -> None:
    gateway = gateways.shared(version)
    connector = OpenClawConnector("claw", gateway.url, SecretStr(gateway.token))
    async with open_session(Harness(connector, SCRIPT)) as session:
        await rule(session)
