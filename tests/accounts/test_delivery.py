"""Delivery: each generation once, again after what went wrong, taken away too; and the file as gateways want it."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.accounts.delivery import Delivering
from edgebotd.accounts.host_file import HostFile
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.vault import Vault
from edgebotd.errors import Conflict, EdgebotdError
from edgebotd.store import login_deliveries as deliveries
from edgebotd.store.database import Database
from edgebotd.store.profiles import Profile
from tests.accounts.test_vault import make_bots, now, opened

CURRENT, OLDER = "2026.9.6", "2026.5.28"
WORK = Profile("fake:work", "fake", "oauth", state="fresh", expires_at=9_999_999)
HOME = Profile("fake:home", "fake", "api_key")


class Refused(EdgebotdError):
    pass


@dataclass
class FakeGateways:
    """What `bots.gateways.Gateways` is in the daemon."""

    connected: dict[str, str] = field(default_factory=dict)
    reloads: list[str] = field(default_factory=list)
    wrong: EdgebotdError | None = None
    complaints: int = 0
    removed: set[str] = field(default_factory=set)

    def ids(self) -> list[str]:
        return sorted({"claw", "echo"} - self.removed)

    def gateway_of(self, bot_id: str) -> tuple[str, str] | None:
        version = self.connected.get(bot_id)
        return None if version is None else (version, "main")

    async def reload_secrets(self, bot_id: str) -> int:
        await trio.lowlevel.checkpoint()
        if self.wrong is not None:
            raise self.wrong
        self.reloads.append(bot_id)
        return self.complaints


@dataclass
class FakeFile:
    place: str
    content: bytes | None = None
    inside: str = "/edge-secrets.json"
    writes: int = 0
    meanwhile: list[bytes] = field(default_factory=list)

    async def read(self) -> bytes | None:
        await trio.lowlevel.checkpoint()
        was = self.content
        if self.meanwhile:
            self.content = self.meanwhile.pop(0)
        return was

    async def write(self, content: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.content, self.writes = content, self.writes + 1

    @property
    def values(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.content or b"{}")
        return found


@dataclass
class House:
    database: Database
    vault: Vault
    delivering: Delivering
    gateways: FakeGateways
    files: dict[str, FakeFile]

    async def kept(self) -> dict[str, dict[str, int]]:
        """Return what the store knows that bots have."""
        rows = await self.database.read(deliveries.all_deliveries)
        return {row.bot_id: dict(row.given) for row in rows}

    async def rotate(self, profile_id: str, access: str) -> None:
        was = self.vault.get(profile_id)
        assert await self.vault.change(was, was, Login(access=access, refresh="canary-refresh")) is not None

    async def settle(self) -> None:
        await wait_all_tasks_blocked()


@asynccontextmanager
async def housed(named: dict[str, Path] | None = None) -> AsyncIterator[House]:
    async with opened() as (database, vault), trio.open_nursery() as nursery:
        delivering = Delivering(vault, database, named or {}, now)
        house = House(database, vault, delivering, FakeGateways({"claw": CURRENT}), {})

        def file_of(bot_id: str, path: str) -> FakeFile | None:
            return None if bot_id == "echo" else house.files.setdefault(f"{bot_id}/{path}", FakeFile(path))

        delivering.wire(house.gateways, file_of)
        nursery.start_soon(delivering.run)
        yield house
        nursery.cancel_scope.cancel()


async def furnished(house: House) -> FakeFile:
    await make_bots(house.database, "claw", "echo")
    await house.vault.add(WORK, Login(access="canary-1", refresh="canary-refresh"), bots=["claw", "echo"])
    await house.settle()
    return house.files["claw/edge-secrets.json"]


async def test_each_generation_is_given_once_and_known_for_good(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with housed() as house:
        file = await furnished(house)
        assert file.values == {"fake:work": "canary-1", "fake": "canary-1"}
        await house.rotate("fake:work", "canary-2")
        await house.settle()
        assert file.values["fake:work"] == "canary-2" and house.gateways.reloads == ["claw", "claw"]
        await trio.sleep(1000)
        assert file.writes == 2 and await house.kept() == {"claw": {"fake:work": 2}}
        assert house.delivering.of("echo") is None
        assert "canary" not in caplog.text


async def test_a_second_login_of_a_provider_changes_nothing_for_the_first(autojump_clock: MockClock) -> None:
    async with housed() as house:
        file = await furnished(house)
        await trio.sleep(0.1)
        await house.vault.add(HOME, Login(access="canary-home"), bots=["claw"])
        await house.settle()
        assert file.values == {"fake:work": "canary-1", "fake": "canary-1", "fake:home": "canary-home"}
        await house.vault.set_bots("fake:work", [])
        await house.settle()
        assert file.values == {"fake:home": "canary-home", "fake": "canary-home"}
        await house.vault.remove("fake:home")
        await house.settle()
        assert file.values == {} and await house.kept() == {} and house.delivering.of("claw") is None


async def test_what_fails_is_tried_again_with_growing_pauses(autojump_clock: MockClock) -> None:
    async with housed() as house:
        house.gateways.wrong = Refused("It lacks the scope operator.admin.")
        file = await furnished(house)
        known = house.delivering.of("claw")
        assert known is not None and known.given == {} and known.error == "It lacks the scope operator.admin."
        await trio.sleep(120)
        house.gateways.wrong = None
        assert file.writes == 1
        await trio.sleep(300)
        known = house.delivering.of("claw")
        assert known is not None and known.given == {"fake:work": 1} and known.error is None
        assert house.gateways.reloads == ["claw"] and file.writes == 1
        assert house.delivering.counts["ok"] == 1 and 5 <= house.delivering.counts["failed"] <= 7


async def test_a_gateway_that_is_away_has_it_in_the_file_and_hears_of_it_when_it_is_back(
    autojump_clock: MockClock,
) -> None:
    async with housed() as house:
        house.gateways.connected.clear()
        file = await furnished(house)
        known = house.delivering.of("claw")
        assert file.values["fake"] == "canary-1" and known is not None and known.given == {} and known.error
        await house.rotate("fake:work", "canary-2")
        await trio.sleep(1)
        assert file.values["fake"] == "canary-2"
        house.gateways.connected["claw"] = CURRENT
        await trio.sleep(15)
        assert house.gateways.reloads == ["claw"] and await house.kept() == {"claw": {"fake:work": 2}}
        assert house.delivering.counts == {"ok": 1, "away": 2, "failed": 0}


async def test_another_container_is_given_it_anew_and_a_restart_asks_nobody(autojump_clock: MockClock) -> None:
    async with housed() as house:
        file = await furnished(house)
        await trio.sleep(1)
        again, gateways = Delivering(house.vault, house.database, {}, now), FakeGateways({"claw": CURRENT})
        again.wire(gateways, lambda bot_id, _path: file if bot_id == "claw" else None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(again.run)
            await trio.sleep(100)
            assert gateways.reloads == [] and file.writes == 1
            file.place = "elsewhere"
            await trio.sleep(15)
            assert gateways.reloads == ["claw"]
            nursery.cancel_scope.cancel()


async def test_another_login_of_the_same_name_is_another_one(autojump_clock: MockClock) -> None:
    async with housed() as house:
        file = await furnished(house)
        house.gateways.wrong = Refused("Not now.")
        await trio.sleep(1)
        await house.vault.remove("fake:work")
        await house.vault.add(WORK, Login(access="canary-new", refresh="canary-refresh"), bots=["claw"])
        await house.settle()
        assert house.delivering.has("claw", house.vault.get("fake:work")) is None
        house.gateways.wrong = None
        await trio.sleep(30)
        assert file.values["fake:work"] == "canary-new"
        assert house.delivering.has("claw", house.vault.get("fake:work")) == 1


async def test_of_a_bot_that_is_removed_nothing_stays(autojump_clock: MockClock) -> None:
    async with housed() as house:
        file = await furnished(house)
        await trio.sleep(1)
        house.gateways.connected.clear()
        house.gateways.removed.add("claw")
        await house.vault.forget_bot("claw")
        await house.settle()
        assert file.values == {} and await house.kept() == {} and house.delivering.of("claw") is None


async def test_complaints_of_the_gateway_are_shown(autojump_clock: MockClock) -> None:
    async with housed() as house:
        house.gateways.complaints = 2
        await furnished(house)
        known = house.delivering.of("claw")
        assert known is not None and known.given == {"fake:work": 1} and "2 references" in (known.error or "")


async def test_an_older_gateway_gets_ours_into_its_own_store_and_keeps_its_own(autojump_clock: MockClock) -> None:
    own = {"type": "oauth", "provider": "other", "access": "a", "refresh": "r", "expires": 5, "extra": [1]}
    whole: dict[str, Any] = {"version": 1, "profiles": {"other:x": own}, "order": {"other": ["other:x"]}}
    path = "agents/main/agent/auth-profiles.json"
    async with housed() as house:
        house.gateways.connected["claw"] = OLDER
        await make_bots(house.database, "claw")
        file = house.files[f"claw/{path}"] = FakeFile(path, json.dumps(whole).encode())
        # The gateway refreshes its own login while ours is put in.
        newer = {**whole, "profiles": {"other:x": {**own, "access": "b"}}}
        file.meanwhile = [json.dumps(newer).encode()]
        await house.vault.add(WORK, Login(access="canary-1", refresh="canary-refresh"), bots=["claw"])
        await house.vault.add(HOME, Login(access="canary-home"), bots=["claw"])
        await house.settle()
        found = json.loads(file.content or b"")
        ours = {
            "fake:work": {"type": "token", "provider": "fake", "token": "canary-1", "expires": 9_999_999},
            "fake:home": {"type": "api_key", "provider": "fake", "key": "canary-home"},
        }
        assert found == {**newer, "profiles": {**newer["profiles"], **ours}}
        assert "canary-refresh" not in (file.content or b"").decode()
        await house.vault.remove("fake:work")
        await house.vault.remove("fake:home")
        await house.settle()
        assert json.loads(file.content or b"") == newer


async def test_a_store_that_is_not_there_or_none_is_left_alone(autojump_clock: MockClock) -> None:
    path = "agents/main/agent/auth-profiles.json"
    async with housed() as house:
        house.gateways.connected["claw"] = OLDER
        await make_bots(house.database, "claw")
        file = house.files[f"claw/{path}"] = FakeFile(path)
        await house.vault.add(WORK, Login(access="canary-1", refresh="canary-refresh"), bots=["claw"])
        await house.settle()
        for content in (None, b"[]", b"{}", b'{"profiles": 3}', b"\xff"):
            file.content = content
            await trio.sleep(400)
            known = house.delivering.of("claw")
            assert file.writes == 0 and known is not None and known.error and "canary" not in known.error


async def test_a_file_of_this_machine_is_replaced_whole_with_its_owner(tmp_path: Path) -> None:
    file = HostFile(tmp_path / "edge-secrets.json")
    assert await file.read() is None
    await file.write(b"one")
    status = os.stat(file.path)
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, os.stat(tmp_path).st_uid)
    await file.write(b"two")
    assert os.stat(file.path).st_ino != status.st_ino
    assert await file.read() == b"two" and os.listdir(tmp_path) == ["edge-secrets.json"]
    os.symlink(file.path, tmp_path / "link")
    with pytest.raises(Conflict, match="cannot be read"):
        await HostFile(tmp_path / "link").read()
    await HostFile(tmp_path / "link").write(b"three")
    assert await file.read() == b"two" and stat.S_ISREG(os.lstat(tmp_path / "link").st_mode)
    with pytest.raises(Conflict, match="No such file"):
        await HostFile(tmp_path / "none" / "file").write(b"canary")


async def test_the_newer_gateway_never_finds_a_file_that_keeps_it_from_starting(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with housed({"claw": tmp_path / "auth-profiles.json"}) as house:
        await make_bots(house.database, "claw")
        await house.vault.add(WORK, Login(access="canary-1", refresh="canary-refresh"), bots=["claw"])
        await trio.sleep(30)
        assert house.gateways.reloads == [] and os.listdir(tmp_path) == []
