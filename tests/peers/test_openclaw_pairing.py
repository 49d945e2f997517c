"""A gateway that does not see us on its loopback, as behind a container's published port: rights come by pairing."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from edgebotd.bots.openclaw import OpenClawConnector
from edgebotd.bots.openclaw_hello import MISSING
from edgebotd.protocol.openclaw import FIRST_SCOPES, READ, WRITE, device_of
from tests.bots.contract import Harness, open_session
from tests.peers.gateway_client import Refused, open_client
from tests.peers.gateways import Gateways
from tests.peers.openclaw import Gateway
from tests.peers.relay import open_relay
from tests.peers.running_daemon import bot, open_daemon, text_of, wait_state
from tests.peers.test_openclaw_contract import SCRIPT


@pytest.fixture
def gateway(gateways: Gateways, version: str) -> Gateway:
    return gateways.distant(version)


async def test_connected_without_rights_is_told_as_such(gateway: Gateway, tmp_path: Path) -> None:
    async with open_daemon(tmp_path, bot(gateway.url, gateway.token, more="device = false")) as (daemon, channel):
        await wait_state(channel, "error")
        told = (await daemon.bot())["summary"]
        assert told["reason"] == "no_rights"
        assert "Connected, but the gateway granted no rights" in told["detail"]


async def test_a_pairing_is_asked_for_once_and_works_when_approved(gateway: Gateway, tmp_path: Path) -> None:
    async with (
        open_relay(gateway.host, gateway.port) as relay,
        open_daemon(tmp_path, bot(relay.url, gateway.token)) as (daemon, channel),
    ):
        await wait_state(channel, "error")
        told = await daemon.bot()
        assert told["summary"]["reason"] == "needs_pairing"
        command, request_id = told["extra"]["command"], told["extra"]["requestId"]
        assert command == f"openclaw devices approve {request_id}"
        (key,) = (tmp_path / "state" / "bots" / "claw").glob("*.key")
        assert key.stat().st_mode & 0o777 == 0o600

        attempts = relay.accepted
        program, *arguments = shlex.split(command)
        assert program == "openclaw"
        await trio.to_thread.run_sync(gateway.cli, *arguments)
        # Approving takes seconds, in which the gateway was left alone.
        assert relay.accepted == attempts

        await daemon.ask("POST", "/api/bots/claw/retry", {})
        await wait_state(channel, "connected")
        told = await daemon.bot()
        assert told["missing"] == [] and told["extra"] == {}
        sent = await daemon.send("[[say paired]]", "paired-1")
        assert await channel.ended(sent["runId"]) == "finished"
        assert text_of(await channel.stored(sent["runId"])) == "paired"
        (token,) = (tmp_path / "state" / "bots" / "claw").glob("*.token")
        assert token.stat().st_mode & 0o777 == 0o600

        # The pairing outlives the daemon.
        daemon.program.terminate()
        await trio.to_thread.run_sync(daemon.program.wait, 20)
        await daemon.start()
        await wait_state(channel, "connected")


async def test_a_device_approved_for_less_chats_with_less(gateway: Gateway, tmp_path: Path) -> None:
    key = tmp_path / "device.key"
    device = device_of(Ed25519PrivateKey.generate())
    key.write_bytes(device.pem())
    with pytest.RaisesGroup(Refused, flatten_subgroups=True) as caught:
        async with open_client(gateway.url, token=gateway.token, device=device, scopes=[READ, WRITE]):
            pass
    (refused,) = caught.value.exceptions
    assert isinstance(refused, Refused) and refused.trouble.request_id is not None
    await trio.to_thread.run_sync(gateway.cli, "devices", "approve", refused.trouble.request_id)
    connector = OpenClawConnector("claw", gateway.url, SecretStr(gateway.token), device_key_path=key)
    async with open_session(Harness(connector, SCRIPT)) as session:
        assert session.hello is not None
        wanted = [scope for scope in FIRST_SCOPES if scope in MISSING]
        assert list(session.hello.missing) == [MISSING[scope] for scope in wanted]
        turn = session.turn(SCRIPT.quick)
        await connector.send(turn)
        assert (await session.wait_end(turn.run_id)).text == SCRIPT.expected
