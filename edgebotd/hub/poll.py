"""The same channel for clients that cannot stream: one answer at a time (CHANNEL section 5, poll)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from edgebotd.access import Principal
from edgebotd.hub.counters import Counters
from edgebotd.hub.entry import Audience
from edgebotd.hub.journal import Position, read_page, row_visible
from edgebotd.hub.log import EventLog, Plan
from edgebotd.hub.request import PollAnswer, StreamRequest, narrowed
from edgebotd.hub.settings import HubSettings
from edgebotd.store.database import Database

_PAGE_EVENTS: Final = 500
"""Events in one answer at most; its cursor tells where to go on."""


class _Waiter:
    """A poll under way. `principal` is as of now; None once it was revoked."""

    __slots__ = ("principal", "request", "woken")

    def __init__(self, request: StreamRequest) -> None:
        self.request = request
        self.principal: Principal | None = request.principal
        self.woken = trio.Event()

    def audience(self) -> Audience | None:
        """Return who asks, with the rights of now; None: nobody any more."""
        if self.principal is None:
            return None
        return Audience(narrowed(self.principal.access_class(), self.request.bots), self.request.types)


class Polls:
    """Answers polls, and lets those wait for which there is nothing.

    At most `max_streams` wait at once, `max_streams_per_user` of one user; the full case: the answer comes at once,
    empty.

    Args:
        clock: wall clock in Unix milliseconds.
    """

    def __init__(
        self, log: EventLog, database: Database, settings: HubSettings, counters: Counters, clock: Callable[[], int]
    ) -> None:
        self._log = log
        self._database = database
        self._settings = settings
        self._counters = counters
        self._clock = clock
        self._waiters: dict[_Waiter, None] = {}
        self._draining = False

    def wake(self) -> None:
        """Let those who wait look again: something was released."""
        for waiter in self._waiters:
            waiter.woken.set()

    def drain(self) -> None:
        """Answer those who wait with what there is, and later ones without waiting: the daemon stops."""
        self._draining = True
        self.wake()

    def rescope(self, decide: Callable[[Principal], Principal | None]) -> None:
        """Ask for the principal of each that waits again."""
        for waiter in self._waiters:
            if waiter.principal is not None:
                waiter.principal = decide(waiter.principal)
                waiter.woken.set()

    async def poll(self, request: StreamRequest, wait: float) -> PollAnswer:
        """Answer with what came after the cursor, after waiting up to `wait` seconds for the first of it."""
        plan = self._log.plan(request.cursor)
        self._counters.opened[f"poll_{plan.verdict.value}"] += 1
        waiter = _Waiter(request)
        room = self._room(request.principal)
        self._waiters[waiter] = None
        try:
            return await self._answered(waiter, plan, self._longest(request.principal, wait) if room else 0)
        finally:
            del self._waiters[waiter]

    def _longest(self, principal: Principal, wait: float) -> float:
        # Never later than the session, as a stream (CHANNEL C14).
        return wait if principal.expires_at is None else min(wait, (principal.expires_at - self._clock()) / 1000)

    async def _answered(self, waiter: _Waiter, plan: Plan, wait: float) -> PollAnswer:
        if plan.after is None:
            await trio.lowlevel.checkpoint()
            return self._answer(plan, (self._log.life, self._log.head), self._snapshot(waiter))
        if not plan.from_ring:
            return await self._from_journal(plan, plan.after, waiter)
        seq = plan.after[1]
        found: list[str] = []
        with trio.move_on_after(max(0, wait)):
            while (audience := waiter.audience()) is not None:
                if seq < self._log.ring.floor:
                    return await self._from_journal(plan, (self._log.life, seq), waiter)
                found, seq = self._page(audience, seq)
                if plan.rescoped:
                    found += self._log.snapshot_json(audience)
                if found or self._draining:
                    break
                await waiter.woken.wait()
                waiter.woken = trio.Event()
        await trio.lowlevel.checkpoint()
        return self._answer(plan, (self._log.life, seq), found)

    def _room(self, principal: Principal) -> bool:
        own = sum(1 for waiter in self._waiters if waiter.request.principal.user_id == principal.user_id)
        return len(self._waiters) < self._settings.max_streams and own < self._settings.max_streams_per_user

    def _page(self, audience: Audience, seq: int) -> tuple[list[str], int]:
        found: list[str] = []
        for entry in self._log.ring.after(seq):
            if len(found) == _PAGE_EVENTS:
                return found, seq
            text = entry.news(audience, self._counters.encode)
            if text:
                found.append(text.decode())
            seq = entry.seq
        return found, self._log.head

    async def _from_journal(self, plan: Plan, after: Position, waiter: _Waiter) -> PollAnswer:
        bound = (self._log.life, self._log.head)
        page = await self._database.read(partial(read_page, after=after, limit=_PAGE_EVENTS))
        if not page.intact:
            return self._answer(self._log.evicted(), (self._log.life, self._log.head), self._snapshot(waiter))
        audience = waiter.audience()  # of now: it may have been revoked while the page was read
        if audience is None:
            return self._answer(plan, after, [])
        rows = [row for row in page.rows if (row.life, row.seq) <= bound]
        found = [row.data for row in rows if row_visible(row, audience)]
        if len(rows) == len(page.rows) == _PAGE_EVENTS:
            return self._answer(plan, (rows[-1].life, rows[-1].seq), found)
        # All that was journalled up to `bound` is here. The snapshot is as of now: what was released while the page
        # was read comes again with the next poll, as the cursor says; a snapshot's events bear that.
        return self._answer(plan, max(bound, after), found + self._log.snapshot_json(audience))

    def _snapshot(self, waiter: _Waiter) -> list[str]:
        audience = waiter.audience()
        return [] if audience is None else self._log.snapshot_json(audience)

    def _answer(self, plan: Plan, position: Position, events: list[str]) -> PollAnswer:
        reason = None if plan.reason is None else plan.reason.value
        cursor = self._log.cursor(position[1], position[0])
        return PollAnswer(plan.verdict.value, reason, cursor, tuple(events))
