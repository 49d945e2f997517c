"""From a client's cursor to the present: hello, replay, snapshot, and the switch to live (CHANNEL C1, C5)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import trio

from edgebotd.errors import Problem
from edgebotd.hub import frames
from edgebotd.hub.counters import Counters
from edgebotd.hub.frames import Bye
from edgebotd.hub.journal import Position, read_page, row_visible
from edgebotd.hub.log import EventLog, Plan
from edgebotd.hub.settings import HubSettings
from edgebotd.hub.stream import Stream, is_over
from edgebotd.hub.subscriptions import Subscriptions
from edgebotd.store.database import Database

_logger = logging.getLogger(__name__)

_Replay = Callable[[Stream, Position], Awaitable[None]]

_AT_ONCE_BYTES: Final = 128 * 1024
"""What a newcomer may get in the pass that admits it; more goes in batches, as its socket takes them."""

_PAGE_ROWS: Final = 200
_FIRST_ROWS: Final = 16
"""Rows of the first page; the next ones are as many as fill `_AT_ONCE_BYTES`, so that long messages cost no memory."""


class Replayer:
    """Brings newcomers to the present, each in a task of its own where it takes more than one write.

    Memory: one page per newcomer that replays; the next one is read when the client's socket has taken the last.

    Args:
        nursery: the hub's own; the tasks end with their streams.
    """

    def __init__(
        self,
        log: EventLog,
        subscriptions: Subscriptions,
        database: Database,
        settings: HubSettings,
        counters: Counters,
        epoch: str,
        nursery: trio.Nursery,
    ) -> None:
        self._log = log
        self._subscriptions = subscriptions
        self._fanout = subscriptions.fanout
        self._database = database
        self._settings = settings
        self._counters = counters
        self._epoch = epoch
        self._nursery = nursery

    def admit(self, stream: Stream, cursor: str | None) -> None:
        """Tell a newcomer its verdict, and all that follows from it. Runs inside a pass."""
        if is_over(stream):
            return
        plan = self._log.plan(cursor)
        stream.verdict = plan.verdict
        self._counters.opened[plan.verdict.value] += 1
        hello = self._hello(stream, plan)
        if plan.after is None:
            self._finish(stream, hello + self._log.snapshot_frames(stream.group))
        elif plan.from_ring:
            missed = self._log.ring.after(plan.after[1])
            if sum(entry.size for entry in missed) <= _AT_ONCE_BYTES:
                self._finish(stream, hello + self._ring_frames(stream, plan.after[1], plan.rescoped))
            else:
                self._fanout.write(stream, hello, 0)
                self._spawn(partial(self._from_ring, rescoped=plan.rescoped), stream, plan.after)
        else:
            self._fanout.write(stream, hello, 0)
            self._spawn(self._from_journal, stream, plan.after)

    def _hello(self, stream: Stream, plan: Plan) -> bytes:
        data: dict[str, Any] = {"epoch": self._epoch, "streamId": stream.id, "verdict": plan.verdict.value}
        if plan.reason is not None:
            data["reason"] = plan.reason.value
        data["heartbeatSeconds"] = self._settings.heartbeat_seconds
        data["user"] = stream.principal.user_id
        return frames.control("hello", data, retry_ms=self._settings.retry_ms)

    def _finish(self, stream: Stream, last: bytes) -> None:
        if is_over(stream):
            return
        if last:
            self._fanout.write(stream, last, self._log.head)
        self._subscriptions.go_live(stream)

    def _spawn(self, replay: _Replay, stream: Stream, after: Position) -> None:
        self._nursery.start_soon(self._run, replay, stream, after, name=f"replay {stream.id}")

    async def _run(self, replay: _Replay, stream: Stream, after: Position) -> None:
        try:
            await replay(stream, after)
        except Problem as problem:
            # The disk failed or the store closes: this stream's affair. Its client comes back with its cursor.
            _logger.warning("replay for %s ended: %s", stream.principal.user_id, problem.detail)
            self._fanout.close(stream, "error")

    def _ring_frames(self, stream: Stream, after: int, rescoped: bool) -> bytes:
        snapshot = self._log.snapshot_frames(stream.group) if rescoped else b""
        return self._log.ring_frames(stream.group, after) + snapshot

    async def _from_ring(self, stream: Stream, after: Position, *, rescoped: bool) -> None:
        seq = after[1]
        while True:
            await self._fanout.wait_drained(stream)
            if is_over(stream):
                return
            if seq < self._log.ring.floor:
                # It reads more slowly than the ring turns: exact still, the journalled events and a snapshot.
                await self._from_journal(stream, (self._log.life, seq))
                return
            batch = bytearray()
            missed = self._log.ring.after(seq)
            for entry in missed:
                batch += entry.frame(stream.group, self._counters.encode)
                seq = entry.seq
                if len(batch) >= _AT_ONCE_BYTES:
                    break
            if not missed or seq == missed[-1].seq:
                if batch:
                    self._fanout.write(stream, bytes(batch), seq)
                self._subscriptions.at_next_pass(partial(self._finish_ring, stream, seq, rescoped))
                return
            self._fanout.write(stream, bytes(batch), seq)

    def _finish_ring(self, stream: Stream, seq: int, rescoped: bool) -> None:
        if seq < self._log.ring.floor:
            self._spawn(self._from_journal, stream, (self._log.life, seq))
            return
        self._finish(stream, self._ring_frames(stream, seq, rescoped))

    async def _from_journal(self, stream: Stream, after: Position) -> None:
        life = self._log.life
        limit = _FIRST_ROWS
        while True:
            await self._fanout.wait_drained(stream)
            if is_over(stream):
                return
            # What is committed but not released yet must not be seen before its turn.
            bound = (life, self._log.head)
            page = await self._database.read(partial(read_page, after=after, limit=limit))
            if is_over(stream):
                return
            if not page.intact:
                # Trimmed under a very slow reader. It comes back with its cursor and is told the gap.
                self._subscriptions.when_still(partial(self._subscriptions.end, stream, Bye.SLOW))
                return
            rows = [row for row in page.rows if (row.life, row.seq) <= bound]
            batch = b"".join(
                f"id: {self._log.cursor(row.seq, row.life)}\ndata: {row.data}\n\n".encode()
                for row in rows
                if row_visible(row, stream.group)
            )
            if batch:
                upto = rows[-1].seq if rows[-1].life == life else 0
                self._fanout.write(stream, batch, upto)
            if len(page.rows) < limit or len(rows) < len(page.rows):
                self._subscriptions.at_next_pass(partial(self._finish_journal, stream, max(bound, after)))
                return
            after = (rows[-1].life, rows[-1].seq)
            row_bytes = sum(len(row.data) for row in rows) // len(rows) + 1
            limit = max(1, min(_PAGE_ROWS, _AT_ONCE_BYTES // row_bytes))

    def _finish_journal(self, stream: Stream, after: Position) -> None:
        if after[1] < self._log.ring.floor:
            self._spawn(self._from_journal, stream, after)
            return
        # Between the last page and now: from the ring, without the events of which the snapshot has the sum.
        recent = self._log.ring_frames(stream.group, after[1], journalled_only=True)
        self._finish(stream, recent + self._log.snapshot_frames(stream.group))
