"""The bots as whoever runs their containers needs them: reserved, added, and taken back without a trace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from trio.testing import MockClock

from edgebotd.bots.echo import EchoConnector, EchoPeer
from edgebotd.bots.gateways import Gateways
from edgebotd.bots.requests import ConnectRequest
from edgebotd.errors import Conflict
from edgebotd.store import bots as bot_rows
from tests.bots.house import House, now, open_house

URL, OTHER = "ws://127.0.0.1:18900", "ws://127.0.0.1:18901"


@asynccontextmanager
async def open_gateways(tmp_path: Path) -> AsyncIterator[tuple[Gateways, House, list[str]]]:
    """Bots whose gateways all answer; the list has whose grants were forgotten."""
    forgotten: list[str] = []

    async def forget(bot_id: str) -> None:
        forgotten.append(bot_id)

    async with open_house(tmp_path, bots={}, make=lambda _: EchoConnector(EchoPeer(0.01, now))) as house:
        yield Gateways(house.registry, house.database, forget), house, forgotten


async def number(house: House, bot_id: str = "atlas") -> int | None:
    return await house.database.read(lambda conn: bot_rows.number_of(conn, bot_id))


async def test_a_token_is_made_once_and_kept_until_the_bot_is_there(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_gateways(tmp_path) as (gateways, _house, _):
        token = await gateways.reserve("atlas", URL)
        assert len(token.get_secret_value()) >= 40
        assert (tmp_path / "bots/atlas/token").stat().st_mode & 0o777 == 0o600
        assert await gateways.reserve("atlas", URL) == token
        await gateways.add("atlas", "Atlas", URL, token)
        await gateways.add("atlas", "Atlas", URL, token)
        assert await gateways.reserve("atlas", URL) == token
        assert (await gateways.verdict("atlas", 60)).connected
        with pytest.raises(Conflict):
            await gateways.reserve("atlas", OTHER)


async def test_one_that_did_not_come_to_be_leaves_its_id_free(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_gateways(tmp_path) as (gateways, house, forgotten):
        await gateways.add("atlas", "Atlas", URL, await gateways.reserve("atlas", URL))
        assert (await gateways.verdict("atlas", 60)).connected
        await house.connected("atlas")
        await house.say("hello", bot="atlas")
        await gateways.discard("atlas", URL)
        await gateways.discard("atlas", URL)
        assert (gateways.ids(), await number(house), forgotten) == ([], None, ["atlas"])
        assert not (tmp_path / "bots/atlas").exists()
        await house.registry.connect(ConnectRequest(id="atlas", url=URL), wait=False)
        assert await house.messages("atlas") == []


async def test_a_reservation_alone_is_taken_back(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_gateways(tmp_path) as (gateways, house, _):
        await gateways.reserve("atlas", URL)
        await gateways.discard("atlas", URL)
        assert not (tmp_path / "bots/atlas").exists()
        assert await number(house) is None


async def test_what_a_crash_left_between_two_of_its_steps_is_taken_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_gateways(tmp_path) as (gateways, house, _):
        await gateways.add("atlas", "Atlas", URL, await gateways.reserve("atlas", URL))
        await house.registry.remove("atlas")
        assert await number(house) is not None
        await gateways.discard("atlas", URL)
        assert await number(house) is None


async def test_another_bot_of_the_same_id_is_left_as_it_is(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_gateways(tmp_path) as (gateways, house, forgotten):
        await house.registry.connect(ConnectRequest(id="atlas", url=OTHER, token=SecretStr("theirs")), wait=False)
        await gateways.discard("atlas", URL)
        assert (gateways.ids(), forgotten) == (["atlas"], [])
        assert (tmp_path / "bots/atlas/token").read_text() == "theirs"
        # One that was removed by people keeps its id: what was said of it must not become another one's.
        await gateways.remove("atlas", history=False)
        await gateways.discard("atlas", URL)
        assert await number(house) is not None
        assert forgotten == ["atlas"]
