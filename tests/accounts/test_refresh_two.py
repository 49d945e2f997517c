"""Two refreshers over one store: one works, the other follows, and takes over."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from edgebotd.errors import Conflict
from edgebotd.store.database import Database, open_database
from tests.accounts.provider import ID, START, Desk, FakeProvider, open_desk, until


async def test_of_two_refreshers_over_one_store_one_works_and_the_other_follows(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    acme, lock = FakeProvider(), tmp_path / "refresh.lock"
    async with open_database(None, now=START) as database:
        async with open_desk(acme.call, database=database, lock=lock, life=2) as second:
            async with open_desk(acme.call, database=database, lock=lock) as first:
                await until(lambda: second.refresher.leading)
                # The second one took the lock first.
                assert (first.refresher.leading, second.refresher.leading) == (False, True)
                await second.add(acme.login())
                await until(lambda: second.profile.generation == 2)
                await trio.sleep(11)
                assert first.profile == second.profile
                got = await first.refresher.access_token(ID)
                assert got.token == (await second.vault.login(ID)).access
                with pytest.raises(Conflict, match="Another edgebotd"):
                    await first.refresher.refresh_now(ID)
                assert not first.refresher.rejected(ID, 2)
                assert len(acme.asked) == 1 and not acme.dead
        assert lock.stat().st_mode & 0o777 == 0o600


async def test_who_follows_takes_over_when_the_first_is_gone(autojump_clock: MockClock, tmp_path: Path) -> None:
    acme, lock = FakeProvider(), tmp_path / "refresh.lock"
    async with open_database(None, now=START) as database:
        async with trio.open_nursery() as nursery:
            async with open_desk(acme.call, database=database, lock=lock) as first:
                await until(lambda: first.refresher.leading)
                await first.add(acme.login())
                heir = await nursery.start(_follow, acme, database, lock)
                await trio.sleep(30)
                assert not heir.refresher.leading
            await until(lambda: heir.refresher.leading, 15)
            await until(lambda: heir.profile.generation == 2)
            assert not acme.dead
            nursery.cancel_scope.cancel()


async def _follow(acme: FakeProvider, database: Database, lock: Path, *, task_status: trio.TaskStatus[Desk]) -> None:
    async with open_desk(acme.call, database=database, lock=lock, life=2) as desk:
        task_status.started(desk)
        await trio.sleep_forever()
