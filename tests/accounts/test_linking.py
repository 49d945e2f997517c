"""Linking: what is shown before, in which order it is done, and what is said where it cannot be."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from typing_extensions import override

from edgebotd.accounts.delivery import Delivering
from edgebotd.accounts.linking import Linking, LinkPlan
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.vault import Vault
from edgebotd.errors import Conflict, NotFound, Problem
from edgebotd.protocol.openclaw.linking import KeyFrom
from edgebotd.store.profiles import Profile
from tests.accounts.test_delivery import CURRENT, HOME, OLDER, WORK, FakeFile, FakeGateways
from tests.accounts.test_vault import make_bots, now, opened

FILE = "/home/node/.openclaw/edge-secrets.json"
CONFIG = "/home/node/.openclaw/openclaw.json"
REFERENCE = {"source": "file", "provider": "edge", "id": "__OPENCLAW_REDACTED__"}


@dataclass
class LinkedGateways(FakeGateways):
    """Gateways with a configuration."""

    key: Any = "__OPENCLAW_REDACTED__"
    base_hash: str = "hash-1"
    patches: list[Mapping[str, Any]] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=lambda: {"ok": True, "changedPaths": ["models"]})
    refuses: Problem | None = None
    hides: Problem | None = None
    valid: bool = True
    secrets: dict[str, Any] = field(default_factory=dict)
    files: dict[str, FakeFile] = field(default_factory=dict)
    lay_there: list[bytes | None] = field(default_factory=list)
    """What was in the file when the configuration was changed."""

    async def config(self, bot_id: str) -> Mapping[str, Any]:
        await trio.lowlevel.checkpoint()
        if self.hides is not None:
            raise self.hides
        whole = {"models": {"providers": {"fake": {"apiKey": self.key}}}, "secrets": {"providers": self.secrets}}
        return {"path": CONFIG, "hash": self.base_hash, "valid": self.valid, "config": whole, "parsed": whole}

    async def patch_config(self, bot_id: str, patch: Mapping[str, Any], base_hash: str) -> Mapping[str, Any]:
        await trio.lowlevel.checkpoint()
        self.lay_there.append(self.files[bot_id].content)
        if self.refuses is not None:
            raise self.refuses
        assert base_hash == self.base_hash
        self.patches.append(patch)
        return self.answer


class WrittenFile(FakeFile):
    """A file that may not be written."""

    wrong: Conflict | None = None

    @override
    async def write(self, content: bytes) -> None:
        if self.wrong is not None:
            raise self.wrong
        await super().write(content)


@dataclass
class House:
    vault: Vault
    linking: Linking
    gateways: LinkedGateways
    file: WrittenFile
    noted: list[tuple[str, str]] = field(default_factory=list)

    async def plan(self, profile_id: str = "fake:work", bot_id: str = "claw", **more: str) -> LinkPlan:
        return await self.linking.plan(profile_id, bot_id, more.get("provider"), more.get("file"))

    async def link(self, **more: str) -> LinkPlan:
        def note(_conn: sqlite3.Connection, action: str, profile: Profile) -> None:
            self.noted.append((action, profile.id))

        async def told(outcome: str, plan: LinkPlan) -> None:
            await trio.lowlevel.checkpoint()
            self.noted.append(("told", outcome))

        return await self.linking.link(await self.plan(**more), note, told)

    async def refused(self, **more: str) -> Problem:
        with pytest.raises(Problem) as caught:
            await self.link(**more)
        return caught.value


@asynccontextmanager
async def housed() -> AsyncIterator[House]:
    async with opened() as (database, vault), trio.open_nursery() as nursery:
        await make_bots(database, "claw", "echo")
        await vault.add(WORK, Login(access="canary-1", refresh="canary-refresh"))
        delivering = Delivering(vault, database, {}, now)
        linking = Linking(vault, delivering)
        file = WrittenFile(f"edgebotd-claw: {FILE}", inside=FILE)
        gateways = LinkedGateways({"claw": CURRENT}, files={"claw": file})
        delivering.wire(gateways, lambda bot_id, _path: None if bot_id == "echo" else file)
        linking.wire(gateways)
        nursery.start_soon(delivering.run)
        yield House(vault, linking, gateways, file)
        nursery.cancel_scope.cancel()


async def test_what_would_be_changed_is_shown_and_nothing_is_done(autojump_clock: MockClock) -> None:
    async with housed() as house:
        plan = await house.plan()
        assert (plan.version, plan.config, plan.file, plan.provider) == (CURRENT, CONFIG, FILE, "fake")
        assert (plan.key_from, plan.uses, plan.done, plan.base_hash) == (KeyFrom.CONFIG, False, None, "hash-1")
        assert "Keep a copy" in " ".join(plan.notes)
        assert plan.patch == {
            "secrets": {"providers": {"edge": {"source": "file", "path": FILE, "mode": "json"}}},
            "models": {"providers": {"fake": {"apiKey": {**REFERENCE, "id": "/fake:work"}}}},
        }
        other = await house.plan(provider="other", file="/elsewhere.json")
        assert (other.provider, other.file, other.key_from) == ("other", "/elsewhere.json", KeyFrom.NOTHING)
        assert "models.providers.other" in " ".join(other.notes)
        await trio.sleep(60)
        assert house.file.writes == 0 and not house.gateways.patches and house.vault.bots_of("fake:work") == ()


async def test_the_file_is_there_before_the_configuration_refers_to_it(autojump_clock: MockClock) -> None:
    async with housed() as house:
        done = await house.link()
        assert (done.done, done.complaint, done.uses) == (True, None, True)
        assert house.gateways.patches == [done.patch] and house.gateways.reloads == ["claw"]
        assert house.gateways.lay_there == [house.file.content] and b"canary-1" in (house.file.content or b"")
        assert house.vault.bots_of("fake:work") == ("claw",)
        assert house.noted == [("profile.bots", "fake:work"), ("told", "linked")]


async def test_one_that_is_linked_already_stays_as_it_is(autojump_clock: MockClock) -> None:
    async with housed() as house:
        await house.link()
        house.gateways.key = REFERENCE
        house.gateways.secrets = {"edge": {"source": "x", "path": "x", "mode": "x"}}
        house.gateways.answer = {"ok": True, "noop": True, "changedPaths": []}
        plan = await house.plan()
        assert (plan.key_from, plan.uses) == (KeyFrom.LINKED, True)
        again = await house.link()
        assert (again.done, again.complaint) == (False, None)
        assert house.noted[2:] == [("told", "unchanged")], "the bot used it already"
        assert house.file.writes == 1


async def test_a_key_that_the_gateway_cannot_find_is_complained_of(autojump_clock: MockClock) -> None:
    async with housed() as house:
        lost = {"ownerKind": "provider", "ownerId": "fake", "state": "cold", "reason": "secret provider failed"}
        other = {**lost, "ownerId": "other"}
        house.gateways.answer |= {"degradedSecretOwners": [other, lost]}
        done = await house.link()
        assert done.done and "secret provider failed" in (done.complaint or "") and "--path" in (done.complaint or "")
        house.gateways.answer["degradedSecretOwners"] = [other]
        assert (await house.link()).complaint is None
        house.gateways.answer["sentinel"] = {"payload": {"stats": {"requiresRestart": True}}}
        assert "starts again" in ((await house.link()).complaint or "")


async def test_what_the_gateway_refuses_is_said_for_doing_it_by_hand(autojump_clock: MockClock) -> None:
    async with housed() as house:
        house.gateways.refuses = Conflict("gateway_refuses", "missing scope: operator.admin")
        refused = await house.refused()
        plan = await house.plan()
        assert (refused.status, refused.code, refused.extra["into"]) == (409, "gateway_refuses", CONFIG)
        assert refused.extra["write"] == plan.patch and "operator.admin" in refused.detail
        # What it takes to do it by hand is there.
        assert plan.uses and house.file.writes == 1
        house.gateways.refuses = Problem(503, "gateway_silent", "It did not answer.")
        assert (await house.refused()).code == "gateway_silent"
        house.gateways.refuses = Conflict("config_changed", "config changed since last load")
        changed = await house.refused()
        assert (changed.code, changed.extra) == ("config_changed", {})
        assert [what for name, what in house.noted if name == "told"] == ["refused", "unknown", "refused"]
        house.gateways.valid = False
        assert (await house.refused()).code == "config_invalid"
        house.gateways.hides = Conflict("gateway_refuses", "missing scope: operator.read")
        assert "write" in (await house.refused()).extra


async def test_a_gateway_that_is_away_or_of_another_kind_is_not_changed(autojump_clock: MockClock) -> None:
    async with housed() as house:
        house.gateways.connected = {}
        away = await house.refused()
        assert away.code == "gateway_away" and away.extra["write"]["models"]["providers"]["fake"]
        house.gateways.connected = {"claw": OLDER}
        older = await house.refused()
        assert older.code == "keeps_files" and "accounts bots fake:work claw" in older.detail
        house.gateways.connected = {"claw": CURRENT, "echo": CURRENT}
        assert (await house.refused(bot_id="echo")).code == "no_place"
        house.gateways.secrets = {"edge": {"source": "x", "command": "x"}}
        assert (await house.refused()).code == "source_taken"
        for wrong in ({"bot_id": "nobody"}, {"profile_id": "nobody:x"}):
            with pytest.raises(NotFound):
                await house.plan(**wrong)
        assert house.vault.bots_of("fake:work") == () and not house.noted


async def test_only_what_edgebotd_owns_is_given(autojump_clock: MockClock) -> None:
    async with housed() as house:
        own = Profile("fake:own@claw", "fake", "api_key", owner="gateway", place="claw")
        await house.vault.add(own, None, bots=["claw"])
        await house.vault.add(
            Profile("fake:cli", "fake", "oauth", owner="external", place="/f"), Login(access="canary")
        )
        await house.vault.add(HOME, None)
        codes = [(await house.refused(profile_id=one)).code for one in ("fake:own@claw", "fake:cli", "fake:home")]
        assert codes == ["not_ours", "not_ours", "no_secret"]
        assert "fake:own@claw" in " ".join((await house.plan()).notes), "a login of its own is told of"


async def test_nothing_is_changed_where_the_file_cannot_be_brought_there(autojump_clock: MockClock) -> None:
    async with housed() as house:
        house.file.wrong = Conflict("no_place", "The disk is full.")
        refused = await house.refused()
        assert refused.code == "not_given" and "The disk is full." in refused.detail
        assert not house.gateways.patches and not house.gateways.lay_there
        house.file.wrong = None
        # Not when it would have been tried next, but now.
        begun = trio.current_time()
        assert (await house.link()).done
        assert trio.current_time() - begun < 1


async def test_who_asked_goes_while_the_gateway_is_asked_and_it_is_told_even_so(autojump_clock: MockClock) -> None:
    async with housed() as house:
        asked = trio.Event()

        async def patch_config(bot_id: str, patch: Mapping[str, Any], base_hash: str) -> Mapping[str, Any]:
            asked.set()
            await trio.sleep_forever()
            raise AssertionError

        house.gateways.patch_config = patch_config  # type: ignore[method-assign]  # hangs
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.link)
            await asked.wait()
            nursery.cancel_scope.cancel()
        assert house.noted[-1] == ("told", "unknown")
