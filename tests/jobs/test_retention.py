"""What ages goes, what is kept stays, and no single delete is a long one."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from edgebotd.events import Conversation, Message, TextPart
from edgebotd.jobs.retention import DAY_MS, Keep, Retention
from edgebotd.store import attachments, containers, messages, operations, profiles, usage
from edgebotd.store.bots import StoredBot, upsert_file_bots
from edgebotd.store.containers import Sample
from edgebotd.store.conversations import insert
from edgebotd.store.database import Transaction, open_database
from edgebotd.store.operations import Operation
from edgebotd.store.profiles import Profile
from edgebotd.store.usage import Point, StoredUsage

NOW = 100 * DAY_MS
CONVERSATION = "c_" + "a" * 20
FOR_EVER = Keep(turn_ms=DAY_MS)


async def trim_nothing() -> int:
    return 0


def add_message(conn: sqlite3.Connection, number: int, at: int) -> None:
    text = TextPart(text=f"message {number}")
    messages.put(
        conn,
        Message(
            id=f"m{number}",
            bot_id="atlas",
            conversation_id=CONVERSATION,
            run_id=f"r{number}",
            role="user",
            parts=(text,),
            created_at=at,
        ),
    )


def prepare(tx: Transaction) -> None:
    bot = StoredBot(id="atlas", kind="echo", name="Atlas", settings={}, origin="file", created_at=1)
    upsert_file_bots(tx.connection, [bot], 1)
    insert(tx.connection, Conversation(id=CONVERSATION, bot_id="atlas", created_at=1, updated_at=1), "agent:main:x")


async def test_the_journal_is_trimmed_by_the_hub_which_must_know_its_horizon() -> None:
    asked: list[int] = []

    async def trim() -> int:
        asked.append(NOW)
        return 3

    async with open_database(None) as database:
        await Retention(database, FOR_EVER, None, trim_journal=trim, now=lambda: NOW).run()
    assert asked == [NOW]


async def test_messages_are_kept_for_ever_unless_told_otherwise() -> None:
    async with open_database(None) as database:
        await database.write(prepare)
        await database.write(lambda tx: add_message(tx.connection, 1, 1))
        await Retention(database, FOR_EVER, None, trim_journal=trim_nothing, now=lambda: NOW).run()
        assert len(await database.read(lambda conn: messages.page(conn, "atlas", limit=10))) == 1


async def test_old_messages_go_where_the_operator_says_so() -> None:
    keep = Keep(turn_ms=DAY_MS, message_days=30)
    async with open_database(None) as database:
        await database.write(prepare)
        await database.write(lambda tx: add_message(tx.connection, 1, NOW - 31 * DAY_MS))
        await database.write(lambda tx: add_message(tx.connection, 2, NOW - 29 * DAY_MS))
        await Retention(database, keep, None, trim_journal=trim_nothing, now=lambda: NOW).run()
        left = await database.read(lambda conn: messages.page(conn, "atlas", limit=10))
        assert [message.id for message in left] == ["m2"]


async def test_a_file_that_no_message_links_goes_after_a_day(tmp_path: Path) -> None:
    async with open_database(None) as database:
        old, young = (attachments.save(tmp_path, data) for data in (b"old", b"young"))
        os.utime(attachments.path_of(tmp_path, old), (1, 1))
        for sha256, at in ((old, NOW - 2 * DAY_MS), (young, NOW - 1)):
            file = attachments.Attachment(sha256=sha256, size=3, media_type="text/plain", created_at=at)
            await database.write(lambda tx, file=file: attachments.add(tx.connection, file))  # type: ignore[misc]
        await Retention(database, FOR_EVER, tmp_path, trim_journal=trim_nothing, now=lambda: NOW).run()
        assert not attachments.path_of(tmp_path, old).exists()
        assert attachments.load(tmp_path, young) == b"young"
        assert await database.read(lambda conn: attachments.get(conn, old)) is None


async def test_what_containers_used_is_kept_for_a_day_and_work_on_them_for_a_month() -> None:
    def write(tx: Transaction) -> None:
        for days in (0.5, 1.5):
            containers.add_sample(tx.connection, "atlas", Sample(NOW - int(days * DAY_MS), 1.0, 1, None, None))
        for number, days in enumerate((29, 31)):
            operation = Operation(f"op_{number}", "atlas", "create", {}, started_at=1)
            operations.add(tx.connection, operation)
            operations.add_line(tx.connection, operation.id, 1, "pull", "begins")
            operations.end(tx.connection, operation.id, "succeeded", None, NOW - days * DAY_MS)
        operations.add(tx.connection, Operation("op_open", "atlas", "upgrade", {}, started_at=1))

    async with open_database(None) as database:
        await database.write(write)
        await Retention(database, FOR_EVER, None, trim_journal=trim_nothing, now=lambda: NOW).run()
        kept = await database.read(lambda conn: containers.samples(conn, "atlas", 0))
        assert [sample.at for sample in kept] == [NOW - DAY_MS // 2]
        assert {one.id for one in await database.read(operations.newest)} == {"op_0", "op_open"}
        assert await database.read(lambda conn: operations.lines(conn, "op_1")) == []


async def test_how_accounts_were_used_is_kept_whole_for_a_week_then_hourly_and_not_for_ever() -> None:
    keep = Keep(turn_ms=DAY_MS, usage_days=30)
    hour = 3_600_000
    ages = (31 * DAY_MS, 30 * DAY_MS - 1, 8 * DAY_MS + 2 * hour, 7 * DAY_MS)
    points = [Point("w", NOW - age + minute * 60_000, 1.0) for age in ages for minute in (0, 10, 20)]
    row = StoredUsage("a:b", None, 1, 1, None, None, None, None, 0, None, None)

    def fill(tx: Transaction) -> None:
        profiles.add(tx.connection, Profile("a:b", "a", "api_key"), None)
        usage.put(tx.connection, row, points)

    async with open_database(None) as database:
        await database.write(fill)
        for _ in range(2):
            await Retention(database, keep, None, trim_journal=trim_nothing, now=lambda: NOW).run()
            left = (await database.read(lambda conn: usage.history(conn, "a:b", 0)))["w"]
            assert [point.at for point in left] == [
                *(point.at for point in points[3:6]),
                points[8].at,
                *(point.at for point in points[9:12]),
            ]
