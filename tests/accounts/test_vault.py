"""The vault: comparing and swapping, what is left when a caller is cancelled or the process dies, the wrong key."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from edgebotd import logs
from edgebotd.accounts.cipher import Cipher, VaultLocked, new_key
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.vault import Vault, load_vault
from edgebotd.errors import Conflict, NotFound
from edgebotd.store import bots as bot_rows
from edgebotd.store import profiles as rows
from edgebotd.store.bots import StoredBot
from edgebotd.store.database import Database, Transaction, open_database
from edgebotd.store.profiles import Profile
from tests.hub.support import hub_on

KEY = new_key()
ID = "anthropic:work"
PROFILE = Profile(ID, "anthropic", "oauth", state="fresh", label="Work")
FIRST = Login(access="canary-access-1", refresh="canary-refresh-1")
SECOND = Login(access="canary-access-2", refresh="canary-refresh-2")


def now() -> int:
    return 7_000 + round(trio.current_time() * 1000)


@asynccontextmanager
async def opened(path: Path | None = None) -> AsyncIterator[tuple[Database, Vault]]:
    async with open_database(path) as database:
        yield database, await load_vault(database, Cipher(KEY), now=now)


async def agree(database: Database, vault: Vault) -> None:
    """See that memory has what the store has."""
    fresh = await load_vault(database, Cipher(KEY), now=now)
    assert fresh.all() == vault.all()
    assert all(fresh.bots_of(one.id) == vault.bots_of(one.id) for one in vault.all())


async def make_bots(database: Database, *ids: str) -> None:
    def write(tx: Transaction) -> None:
        for bot_id in ids:
            bot_rows.add(tx.connection, StoredBot(bot_id, "echo", bot_id, {}))

    await database.write(write)


async def test_what_is_put_in_is_kept_sealed_and_apart(autojump_clock: MockClock) -> None:
    async with opened() as (database, vault):
        made = await vault.add(PROFILE, FIRST)
        assert (await vault.login(ID), made) == (FIRST, vault.get(ID))
        assert made.fingerprint == FIRST.fingerprint and len(made.fingerprint or "") == 12
        assert "canary" not in repr(made) + repr(FIRST)
        with pytest.raises(Conflict, match="There is a login"):
            await vault.add(PROFILE, SECOND)
        stored = await database.read(lambda conn: bytes(conn.serialize()))
        assert ID.encode() in stored and b"canary" not in stored
        assert logs.redact("said canary-refresh-1") == "said [redacted]"
        await agree(database, vault)


async def test_of_two_that_change_the_same_state_one_comes_too_late(autojump_clock: MockClock) -> None:
    async with opened() as (database, vault):
        was = await vault.add(PROFILE, FIRST)
        told: list[str] = []
        vault.subscribe(told.append)
        answers: dict[str, Profile | None] = {}

        async def refresh(name: str, login: Login) -> None:
            answers[name] = await vault.change(was, dataclasses.replace(was, attempts=3), login)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refresh, "one", SECOND)
            nursery.start_soon(refresh, "two", Login(access="canary-access-3"))
        [winner] = [answer for answer in answers.values() if answer is not None]
        assert (winner.generation, winner.attempts, vault.get(ID)) == (2, 3, winner)
        assert (await vault.login(ID)).fingerprint == winner.fingerprint
        assert told == [ID]
        assert await vault.change(was, was) is None, "an old state puts no old one back"
        await agree(database, vault)


async def test_a_claim_is_taken_by_one_and_survives_a_new_label(autojump_clock: MockClock) -> None:
    async with opened() as (database, vault):
        was = await vault.add(PROFILE, FIRST)
        claimed = await vault.change(was, dataclasses.replace(was, claim="c1", state="refreshing"))
        assert claimed is not None
        assert await vault.change(was, dataclasses.replace(was, claim="c2")) is None
        assert (await vault.relabel(ID, "Home")).label == "Home"
        settled = await vault.change(claimed, dataclasses.replace(claimed, claim=None, state="fresh"), SECOND)
        assert settled is not None and (settled.label, settled.generation, settled.claim) == ("Home", 2, None)
        await agree(database, vault)


async def test_the_generation_before_stays_until_the_next_but_one(autojump_clock: MockClock) -> None:
    async with opened() as (database, vault):
        profile: Profile | None = await vault.add(PROFILE, FIRST)
        for number in range(2, 5):
            assert profile is not None
            profile = await vault.change(profile, profile, Login(access=f"canary-{number}"))
        there = await database.read(
            lambda conn: [one for (one,) in conn.execute("SELECT generation FROM profile_secrets ORDER BY 1")]
        )
        assert there == [3, 4]


@pytest.mark.parametrize("what", ["add", "change", "relabel", "bots", "remove"])
async def test_memory_follows_a_write_whose_caller_was_cancelled(
    autojump_clock: MockClock, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as (database, vault):
        await make_bots(database, "a")
        was = await vault.add(PROFILE, FIRST)
        other = dataclasses.replace(PROFILE, id="openai:x", provider="openai")
        acts: dict[str, Callable[[], Awaitable[Any]]] = {
            "add": lambda: vault.add(other, SECOND),
            "change": lambda: vault.change(was, was, SECOND),
            "relabel": lambda: vault.relabel(ID, "Other"),
            "bots": lambda: vault.set_bots(ID, ["a"]),
            "remove": lambda: vault.remove(ID),
        }
        with trio.CancelScope() as scope:
            submit = database.submit

            def submit_and_cancel(write: Callable[[Transaction], Any], done: Callable[[Any], None]) -> None:
                submit(write, done)
                scope.cancel()

            monkeypatch.setattr(database, "submit", submit_and_cancel)
            await acts[what]()
        monkeypatch.undo()
        assert scope.cancelled_caught
        await agree(database, vault)
        if what == "add":
            assert await vault.login("openai:x") == SECOND
        elif what != "remove":
            assert (vault.get(ID), vault.bots_of(ID)) != (was, ())
        else:
            assert vault.all() == []


async def test_a_removal_and_a_change_at_once_leave_memory_as_the_store(autojump_clock: MockClock) -> None:
    for _ in range(20):  # trio wakes tasks in a random order
        async with opened() as (database, vault):
            was = await vault.add(PROFILE, FIRST)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(vault.change, was, was, SECOND)
                nursery.start_soon(vault.remove, ID)
            assert vault.all() == []
            await agree(database, vault)


async def test_a_failed_write_changes_nothing(autojump_clock: MockClock) -> None:
    async with opened() as (database, vault):
        was = await vault.add(PROFILE, FIRST)

        def broken(tx: Transaction) -> None:
            raise KeyError("planted")

        with pytest.raises(KeyError):
            await vault.change(was, was, SECOND, note=broken)
        assert (vault.get(ID), await vault.login(ID)) == (was, FIRST)
        await agree(database, vault)


async def test_a_process_that_dies_leaves_the_old_or_the_new_whole(tmp_path: Path) -> None:
    """Copies of the file between the commits are what a `kill -9` leaves."""
    path = tmp_path / "store.db"
    copies: list[Path] = []

    def copy() -> None:
        copies.append(tmp_path / f"copy{len(copies)}.db")
        with sqlite3.connect(path) as source, sqlite3.connect(copies[-1]) as target:
            source.backup(target)

    async with opened(path) as (_, vault):
        was = await vault.add(PROFILE, FIRST)
        copy()
        claimed = await vault.change(was, dataclasses.replace(was, claim="c1"))
        assert claimed is not None
        copy()
        await vault.change(claimed, dataclasses.replace(claimed, claim=None), SECOND)
        copy()
    found = []
    for one in copies:
        async with opened(one) as (_, vault):
            found.append((vault.get(ID).generation, vault.get(ID).claim, await vault.login(ID)))
    assert found == [(1, None, FIRST), (1, "c1", FIRST), (2, None, SECOND)]


async def test_another_key_opens_nothing_and_says_so_at_the_start(autojump_clock: MockClock) -> None:
    async with open_database(None) as database:
        vault = await load_vault(database, Cipher(KEY), now=now)
        await vault.add(PROFILE, FIRST)
        with pytest.raises(VaultLocked, match="Put the right one back"):
            await load_vault(database, Cipher(new_key()), now=now)
        assert await (await load_vault(database, Cipher(KEY), now=now)).login(ID) == FIRST
        # Lost for good: what is known stays, and needs a new login.
        assert await database.write(lambda tx: rows.forget_secrets(tx.connection, "The key was lost.", 9)) == 1
        anew = await load_vault(database, Cipher(new_key()), now=now)
        assert (anew.get(ID).state, anew.get(ID).reason) == ("needs_login", "The key was lost.")
        with pytest.raises(NotFound):
            await anew.login(ID)
        assert await anew.change(anew.get(ID), anew.get(ID), SECOND) is not None
        assert await anew.login(ID) == SECOND


async def test_a_secret_that_was_moved_to_another_row_does_not_open(autojump_clock: MockClock) -> None:
    async with opened() as (database, vault):
        await vault.add(PROFILE, FIRST)
        await vault.add(dataclasses.replace(PROFILE, id="anthropic:other"), SECOND)

        def swap(tx: Transaction) -> None:
            sealed = rows.secret(tx.connection, ID, 1)
            tx.connection.execute("UPDATE profile_secrets SET sealed = ? WHERE profile_id <> ?", (sealed, ID))

        await database.write(swap)
        with pytest.raises(VaultLocked, match="anthropic:other"):
            await vault.login("anthropic:other")


async def test_bots_that_use_it_are_those_that_are_there(autojump_clock: MockClock) -> None:
    async with opened() as (database, vault):
        await make_bots(database, "a", "b")
        await vault.add(PROFILE, FIRST)
        await vault.set_bots(ID, ["b", "a", "b"])
        assert vault.bots_of(ID) == ("a", "b")
        with pytest.raises(NotFound, match="'c'"):
            await vault.set_bots(ID, ["a", "c"])
        assert vault.bots_of(ID) == ("a", "b")
        await database.write(lambda tx: bot_rows.remove(tx.connection, "a", 1))
        await vault.forget_bot("a")
        assert vault.bots_of(ID) == ("b",)
        await agree(database, vault)
        # A bot of the settings file that is gone at the next start is told of by nobody.
        await database.write(lambda tx: bot_rows.remove(tx.connection, "b", 1))
        assert (await load_vault(database, Cipher(KEY), now=now)).bots_of(ID) == ()
        await vault.remove(ID)
        await agree(database, vault)


async def test_each_change_that_is_no_refresh_is_told_once_with_it(autojump_clock: MockClock) -> None:
    async with open_database(None) as database, hub_on(database) as hub:
        vault = await load_vault(database, Cipher(KEY), now=now, submit=hub.submit)
        await make_bots(database, "a")

        async def told() -> list[tuple[str, str]]:
            found = await database.read(
                lambda conn: conn.execute("SELECT data FROM journal ORDER BY number").fetchall()
            )
            events = [json.loads(data) for (data,) in found]
            return [(event["profileId"], event["outcome"]) for event in events]

        made = await vault.add(PROFILE, FIRST)
        await vault.relabel(ID, "Work")
        await vault.set_bots(ID, ["a"])
        assert await told() == [(ID, "added"), (ID, "changed"), (ID, "changed")]
        # What refreshes it tells by itself; its owner's renewal and another login do not.
        fresh = await vault.change(made, dataclasses.replace(made, state="fresh"), SECOND, renewed=True)
        assert fresh is not None and len(await told()) == 3
        assert await vault.change(fresh, fresh, FIRST) is not None and len(await told()) == 4
        # Of what happens without the vault's doing.
        await database.write(lambda tx: tx.connection.execute("DELETE FROM profile_bots"))
        await vault.look_at_bots()
        await vault.look_at_bots()
        assert vault.bots_of(ID) == () and len(await told()) == 5
        await vault.set_bots(ID, ["a"])
        await vault.forget_bot("a")
        await vault.remove(ID)
        assert (await told())[5:] == [(ID, "changed"), (ID, "changed"), (ID, "removed")]


async def test_what_is_not_there_is_not_found(autojump_clock: MockClock) -> None:
    async with opened() as (_, vault):
        for act in (vault.login, vault.remove):
            with pytest.raises(NotFound):
                await act("no:one")
        with pytest.raises(NotFound):
            await vault.relabel("no:one", None)
        await vault.add(dataclasses.replace(PROFILE, owner="external", place="/x"), None)
        with pytest.raises(NotFound, match="secret"):
            await vault.login(ID)
