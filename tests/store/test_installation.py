"""The number of a start, on which cursors hang."""

from __future__ import annotations

from edgebotd.store import installation
from edgebotd.store.database import Database, open_database


async def _start(database: Database, now: int) -> int:
    await database.write(lambda tx: installation.load_or_create(tx.connection, now))
    return await database.write(lambda tx: installation.begin_life(tx.connection, now))


async def test_each_start_has_a_number_of_its_own_whatever_the_clock_does() -> None:
    async with open_database(None) as database:
        lives = [await _start(database, now) for now in (5_000_000, 5_000_100, 1000, 0, 9_000_000)]
    assert lives == sorted(set(lives))


async def test_a_backup_that_is_put_back_does_not_repeat_the_starts_that_it_does_not_know() -> None:
    async with open_database(None) as database:
        backup = await _start(database, 5_000_000)
        lost = [await _start(database, now) for now in (6_000_000, 7_000_000)]
        await database.write(lambda tx: tx.connection.execute("UPDATE installation SET life = ?", (backup,)).rowcount)
        assert await _start(database, 8_000_000) > max(lost)
