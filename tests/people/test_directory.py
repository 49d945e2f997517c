"""The directory: memory follows the store, in its order, whatever happens to the one who asked."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.access import Grant, Scope, local_admin
from edgebotd.errors import Conflict, Forbidden, Invalid, NotFound
from edgebotd.people.accounts import Accounts, warn_of_reserved_ids
from edgebotd.people.audit import SYSTEM
from edgebotd.people.directory import TOUCH_SECONDS, People, open_people
from edgebotd.people.passwords import Passwords
from edgebotd.people.record import read_record
from edgebotd.people.tokens import Tokens
from edgebotd.store import tokens, users
from edgebotd.store.database import Database, Transaction, open_database

START = 1_800_000_000_000


def now() -> int:
    return START + round(trio.current_time() * 1000)


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[People, Accounts, Tokens]]:
    async with open_database(None) as database, open_people(database, now=now) as people:
        yield people, Accounts(people, Passwords()), Tokens(people)


async def token_of(made: Tokens, user_id: str, *scopes: Scope, expires_at: int | None = None) -> str:
    new = await made.create(
        local_admin(0), "x", user_id=user_id, name="t", scopes=frozenset(scopes), bots=None, expires_at=expires_at
    )
    return new.secret


TABLES = ("users", "grants", "sessions", "tokens", "codes", "audit")


def dump_of(conn: sqlite3.Connection, table: str) -> list[object]:
    return conn.execute(f"SELECT * FROM {table}").fetchall()


async def stored(database: Database, user_id: str) -> object:
    return await database.read(lambda conn: read_record(conn, user_id))


async def test_memory_is_what_the_store_has_after_any_changes_at_once(autojump_clock: MockClock) -> None:
    rng = random.Random(7)
    async with opened() as (people, accounts, _):
        for user_id in ("ann", "bob", "root"):
            await accounts.add(SYSTEM, user_id, user_id, admin=user_id == "root", password=None)

        async def change(number: int) -> None:
            user_id, bot_id = rng.choice(["ann", "bob"]), f"b{rng.randrange(3)}"
            try:
                if number % 5 == 0:
                    await accounts.edit(SYSTEM, user_id, name=f"n{number}", disabled=rng.random() < 0.5)
                else:
                    await accounts.grant(SYSTEM, user_id, bot_id, rng.choice([None, *Grant]))
            except NotFound:
                pass

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(change, number)
        for user_id in ("ann", "bob", "root"):
            assert people.record(user_id) == await stored(people.database, user_id)


async def test_a_change_whose_asker_is_cancelled_still_reaches_memory(autojump_clock: MockClock) -> None:
    async with opened() as (people, accounts, made):
        await accounts.add(SYSTEM, "ann", "Ann", admin=False, password=None)
        secret = await token_of(made, "ann", Scope.READ)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accounts.remove, SYSTEM, "ann")
            # One pass: the task has queued its write and waits for the commit, which comes with the next one.
            await trio.lowlevel.cancel_shielded_checkpoint()
            nursery.cancel_scope.cancel()
        await wait_all_tasks_blocked()
        assert people.record("ann") is None
        assert people.principal_of_token(secret) is None


async def test_a_failed_change_changes_nothing_and_tells_nobody(autojump_clock: MockClock) -> None:
    async with opened() as (people, accounts, _):
        await accounts.add(SYSTEM, "root", "Root", admin=True, password=None)
        told: list[bool] = []
        people.subscribe(lambda: told.append(True))
        with pytest.raises(Conflict):
            await accounts.remove(SYSTEM, "root")
        assert people.has_admin() and not told


async def test_two_admins_who_demote_each_other_leave_one(autojump_clock: MockClock) -> None:
    async with opened() as (people, accounts, _):
        for user_id in ("a", "b"):
            await accounts.add(SYSTEM, user_id, user_id, admin=True, password=None)
        refused: list[str] = []

        async def demote(user_id: str) -> None:
            try:
                await accounts.edit(SYSTEM, user_id, admin=False)
            except Conflict as problem:
                refused.append(problem.code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(demote, "a")
            nursery.start_soon(demote, "b")
        assert refused == ["last_admin"] and people.has_admin()


async def test_a_removed_users_id_is_not_given_again_and_its_token_is_dead(autojump_clock: MockClock) -> None:
    async with opened() as (people, accounts, made):
        await accounts.add(SYSTEM, "ann", "Ann", admin=False, password=None)
        secret = await token_of(made, "ann", Scope.READ)
        await accounts.remove(SYSTEM, "ann")
        assert people.principal_of_token(secret) is None
        with pytest.raises(Conflict):
            await accounts.add(SYSTEM, "ann", "Ann", admin=False, password=None)


@pytest.mark.parametrize("user_id", ["local", "system", "", "Ann", "-a", "a" * 33, "a b"])
async def test_ids_that_no_user_may_have(autojump_clock: MockClock, user_id: str) -> None:
    async with opened() as (_, accounts, _made):
        with pytest.raises(Invalid):
            await accounts.add(SYSTEM, user_id, "x", admin=False, password=None)


async def test_a_reserved_id_from_an_older_store_works_on_and_is_told_at_the_start(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_database(None) as database:
        made = [users.User(user_id, user_id, False, None, 1) for user_id in ("ann", "local")]

        def write(tx: Transaction) -> None:
            for user in made:
                users.add(tx.connection, user)

        await database.write(write)
        async with open_people(database, now=now) as people:
            warn_of_reserved_ids(people)
            assert people.record("local") is not None
    (told,) = caplog.messages
    assert told.startswith("the user 'local' has an id that is reserved")


async def test_use_is_written_once_a_minute_all_in_one_go(autojump_clock: MockClock) -> None:
    async with opened() as (people, accounts, made):
        await accounts.add(SYSTEM, "ann", "Ann", admin=False, password=None)
        secrets = [await token_of(made, "ann", Scope.READ) for _ in range(3)]
        for secret in secrets[:2] * 50:
            assert people.principal_of_token(secret) is not None
        used_at = now()

        async def written() -> list[int | None]:
            rows = await people.database.read(lambda conn: tokens.of_user(conn, "ann"))
            return sorted((row.used_at for row in rows), key=lambda at: at or 0)

        assert await written() == [None] * 3
        await trio.sleep(TOUCH_SECONDS + 1)
        assert await written() == [None, used_at, used_at]


async def test_what_has_expired_leaves_memory_and_the_limit_of_now_counts(autojump_clock: MockClock) -> None:
    async with opened() as (people, accounts, made):
        await accounts.add(SYSTEM, "ann", "Ann", admin=False, password=None)
        secret = await token_of(made, "ann", Scope.READ, expires_at=now() + 5000)
        principal = people.principal_of_token(secret)
        assert principal is not None and people.refresh(principal) == principal
        await trio.sleep(5)
        assert people.principal_of_token(secret) is None and people.refresh(principal) is None


async def test_a_token_is_never_more_than_its_user_is_now(autojump_clock: MockClock) -> None:
    async with opened() as (people, accounts, made):
        for user_id in ("root", "boss"):
            await accounts.add(SYSTEM, user_id, user_id, admin=True, password=None)
        secret = await token_of(made, "root", Scope.ADMIN)
        before = people.principal_of_token(secret)
        assert before is not None and before.admin
        await accounts.edit(SYSTEM, "root", admin=False)
        after = people.principal_of_token(secret)
        assert after is not None and not after.admin and after.grant_on("any") is None


async def test_who_is_no_admin_makes_tokens_of_the_own_within_the_own(autojump_clock: MockClock) -> None:
    async with opened() as (people, accounts, made):
        for user_id in ("ann", "bob"):
            await accounts.add(SYSTEM, user_id, user_id, admin=False, password=None)
        await accounts.grant(SYSTEM, "ann", "a", Grant.CHAT)
        ann = people.principal_of_token(await token_of(made, "ann", Scope.OPERATE))
        assert ann is not None

        async def make(user_id: str, *scopes: Scope, bots: frozenset[str] | None = None) -> None:
            await made.create(ann, "x", user_id=user_id, name="t", scopes=frozenset(scopes), bots=bots, expires_at=None)

        with pytest.raises(Forbidden):
            await make("bob", Scope.READ)
        with pytest.raises(Forbidden):
            await make("ann", Scope.ADMIN)
        with pytest.raises(NotFound):
            await make("ann", Scope.READ, bots=frozenset({"a", "b"}))
        with pytest.raises(Invalid):
            await make("ann")
        await make("ann", Scope.READ, bots=frozenset({"a"}))


async def test_no_secret_is_in_the_store_nor_in_a_repr(autojump_clock: MockClock) -> None:
    async with opened() as (people, accounts, made):
        await accounts.add(SYSTEM, "ann", "Ann", admin=False, password=None)
        await accounts.set_password(SYSTEM, "ann", "correct horse")
        secret = await token_of(made, "ann", Scope.READ)
        dump = await people.database.read(lambda conn: repr([dump_of(conn, name) for name in TABLES]))
        assert secret not in dump and "correct horse" not in dump
        record = people.record("ann")
        assert secret.startswith("ebt_") and len(secret) == 47
        assert record is not None and record.user is not None
        assert record.user.password_hash is not None and record.user.password_hash not in repr(record)
        assert repr(record.tokens[0].secret_hash) not in repr(record)


async def test_a_fresh_start_knows_everybody(autojump_clock: MockClock) -> None:
    async with open_database(None) as database:
        async with open_people(database, now=now) as people:
            await Accounts(people, Passwords()).add(SYSTEM, "ann", "Ann", admin=True, password=None)
            secret = await token_of(Tokens(people), "ann", Scope.READ)
        async with open_people(database, now=now) as again:
            principal = again.principal_of_token(secret)
            assert principal is not None and principal.user_id == "ann" and again.has_admin()
        assert await database.read(users.count_admins) == 1
