"""Delete what is no longer kept: old journal events, idempotency keys, uploads that nobody sent, what containers used
the day before, the logs of work on them, how accounts were used, and old messages where the operator says so.

Deletes go in small writes, each of its own, so that no capture waits behind a long one. Sessions and codes are not
here: `people` forgets them in memory and in the store at once.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import trio

from edgebotd.store import attachments, audit, containers, messages, operations, turns, usage
from edgebotd.store.database import Database

log = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 600.0
DAY_MS: Final = 86_400_000
BATCH: Final = 2000
ORPHAN_AGE_MS: Final = DAY_MS
"""An uploaded file that no message links after a day is dropped: its sender never sent it."""

SAMPLE_AGE_MS: Final = DAY_MS
USAGE_WHOLE_DAYS: Final = 8
"""Of an account's use each point is kept so long, a week and what a forecast needs of it; then one an hour."""
OPERATION_AGE_MS: Final = 30 * DAY_MS
"""Work on a container that has ended is kept so long, with its log. The audit has who asked for it for longer."""

Delete = Callable[[sqlite3.Connection], int]


@dataclass(frozen=True)
class Keep:
    """How long things are kept. Days None: for ever. `turn_ms`: how long an ended turn's idempotency key counts."""

    turn_ms: int
    usage_days: int | None = None
    message_days: int | None = None
    audit_days: int | None = None


class Retention:
    """One round over everything that ages. `files` is the folder of attachments, None without one."""

    def __init__(
        self,
        database: Database,
        keep: Keep,
        files: Path | None,
        *,
        trim_journal: Callable[[], Awaitable[int]],
        now: Callable[[], int],
    ) -> None:
        self._database = database
        self._trim_journal = trim_journal
        self._keep = keep
        self._files = files
        self._now = now

    async def run(self) -> None:
        """Do one round; raises what the store raises, and the next round goes on where this one stopped."""
        now, keep = self._now(), self._keep
        # The hub's own: it must know how far back it can replay.
        if dropped := await self._trim_journal():
            log.info("retention: dropped %d journal events", dropped)
        await self._once(lambda conn: turns.purge(conn, now - keep.turn_ms))
        await self._once(lambda conn: containers.trim_samples(conn, now - SAMPLE_AGE_MS))
        await self._drain("operations", lambda conn: operations.trim(conn, now - OPERATION_AGE_MS, BATCH))
        # What is left in an old hour is its end; a day that was missed, as nothing ran, is kept whole.
        old = now - USAGE_WHOLE_DAYS * DAY_MS
        await self._drain("points of usage", lambda conn: usage.thin(conn, old - DAY_MS, old, BATCH))
        if keep.usage_days is not None:
            usage_before = now - keep.usage_days * DAY_MS
            await self._drain("old points of usage", lambda conn: usage.trim(conn, usage_before, BATCH))
        if keep.message_days is not None:
            messages_before = now - keep.message_days * DAY_MS
            await self._drain("messages", lambda conn: messages.delete_older(conn, messages_before, limit=BATCH))
        if keep.audit_days is not None:
            audit_before = now - keep.audit_days * DAY_MS
            await self._once(lambda conn: audit.purge(conn, audit_before))
        if self._files is not None:
            await self._drop_orphans(self._files, now - ORPHAN_AGE_MS)

    async def _once(self, delete: Delete) -> int:
        return await self._database.write(lambda tx: delete(tx.connection))

    async def _drain(self, what: str, delete: Delete) -> None:
        """Repeat a bounded delete until it finds less than a batch."""
        total = 0
        while (count := await self._once(delete)) == BATCH:
            total += count
            await trio.lowlevel.checkpoint()
        if total + count:
            log.info("retention: dropped %d %s", total + count, what)

    async def _drop_orphans(self, files: Path, created_before: int) -> None:
        for sha256 in await self._database.read(lambda conn: attachments.orphans(conn, created_before)):
            # Forgotten first: a file without a row is found again by the next upload, a row without a file is not.
            if await self._once(partial(attachments.forget, sha256=sha256)):
                await trio.to_thread.run_sync(attachments.remove_file, files, sha256, created_before)
