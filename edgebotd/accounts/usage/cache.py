"""The job that knows how much of each account is used.

One task looks who is due and starts one question for each, so that there is never a second one about a login at the
same time; a question runs in the login's lane, so that no token is used while it is being changed. What was learned
lies in memory and in the store; a start goes on with both the figures and the pauses.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Final

import trio

from edgebotd.accounts.cipher import VaultLocked
from edgebotd.accounts.http import Call
from edgebotd.accounts.lanes import Lanes
from edgebotd.accounts.usage.asking import Trouble, ask
from edgebotd.accounts.usage.by_hand import check_by_hand
from edgebotd.accounts.usage.forecast import runs_out_at
from edgebotd.accounts.usage.of_gateway import Gateways, GatewayUsage
from edgebotd.accounts.usage.pace import GATEWAY, Pace, Use, after_good, after_trouble, due_at
from edgebotd.accounts.usage.record import Record, changed, not_asked
from edgebotd.accounts.vault import Vault
from edgebotd.config import ProviderSettings
from edgebotd.errors import NotFound, Problem
from edgebotd.events import AuthProfileUsage
from edgebotd.protocol.usage import Usage, Window
from edgebotd.store import usage as rows
from edgebotd.store.database import Database
from edgebotd.store.profiles import Profile
from edgebotd.store.usage import Point

log = logging.getLogger(__name__)

AT_ONCE: Final = 4
"""Questions; the others wait."""
LOOK_SECONDS: Final = 30.0
"""The longest sleep: after a suspend the clocks of Trio and of the wall differ."""
IDLE_MS: Final = 15 * 60_000
"""A bot that has spoken with nobody for so long is idle."""
BY_HAND_SECONDS: Final = 45.0
"""For a question that a person waits for, with the refresh that may be before it in its lane."""
LONGEST_SPAN_MS: Final = 31 * 86_400_000
SPAN_MS: Final = 7 * 86_400_000
"""How much of a window's history a forecast looks at, where its length is not known."""


class UsageCache:
    """Made by `house.py`; `run` is a job of the supervisor's, and there is nothing to close."""

    def __init__(
        self,
        vault: Vault,
        database: Database,
        providers: Mapping[str, ProviderSettings],
        call: Call,
        lanes: Lanes,
        *,
        publish: Callable[[AuthProfileUsage], None],
        rejected: Callable[[str, int], object],
        watched: Callable[[], bool],
        gateways: Gateways | None = None,
        now: Callable[[], int],
        rng: Random,
    ) -> None:
        """Args:
        rejected: hears that a provider refuses a profile's token, of which generation.
        watched: whether somebody looks, so that figures are worth their questions.
        """
        self._vault = vault
        self._database = database
        self._listeners = [publish]
        self._providers = providers
        self._call = call
        self._lanes = lanes
        self._rejected = rejected
        self._watched = watched
        self._gateways = None if gateways is None else GatewayUsage(gateways)
        self._now = now
        self._rng = rng
        self._room = trio.CapacityLimiter(AT_ONCE)
        self._records: dict[str, Record] = {}
        self._told: dict[str, AuthProfileUsage] = {}
        self._asking: set[str] = set()
        self._wanted: set[str] = set()
        """Of whom a person has asked for figures now."""
        self._answered = trio.Event()
        self._forgotten: set[str] = set()
        self._wake = trio.Event()
        self._changed: set[str] = set()
        self._look_at = 0
        vault.subscribe(self._hear)

    # For whoever wants to know

    def of(self, profile_id: str) -> AuthProfileUsage:
        """Return what is known of a profile's use, as it would be told now.

        Raises:
            NotFound: there is no such profile.
        """
        return self._event(self._vault.get(profile_id))

    def all(self) -> list[AuthProfileUsage]:
        """Return what is known of all that can be known, by profile."""
        return [self._event(profile) for profile in self._vault.all() if self._pace(profile) is not None]

    def listen(self, hear: Callable[[AuthProfileUsage], None]) -> None:
        """Call `hear` with what was told so far, and with each change from now on; it must not raise.

        Of a profile that nobody is asked about any more it hears that nothing is known.
        """
        self._listeners.append(hear)
        for profile in self._vault.all():
            if self._pace(profile) is None and profile.id not in self._told:
                hear(AuthProfileUsage(profile_id=profile.id, bot_ids=self._vault.bots_of(profile.id)))
        for event in self._told.values():
            hear(event)

    async def history(self, profile_id: str, since_at: int, window_id: str | None = None) -> dict[str, list[Point]]:
        """Return how a profile's windows came to what they are, by window, oldest first.

        Raises:
            NotFound: there is no such profile.
        """
        self._record(self._vault.get(profile_id))
        if profile_id in self._forgotten:
            return {}
        return await self._database.read(lambda conn: rows.history(conn, profile_id, since_at, window_id))

    async def ask_now(self, profile_id: str) -> AuthProfileUsage:
        """Ask how much of a profile is used, because a person wants to know; return what is known then.

        Whoever asks while a question is under way waits for that one. Raises what `check_by_hand` does, `NotFound`
        without such a profile, and a `Problem` (503) where no question ends in time.
        """
        if profile_id not in self._asking:
            profile = self._vault.get(profile_id)
            check_by_hand(profile, self._pace(profile), self._record(profile), self._now())
            self._wanted.add(profile_id)
            self._wake.set()
        with trio.move_on_after(BY_HAND_SECONDS):
            while profile_id in self._wanted or profile_id in self._asking:
                await self._answered.wait()
                self._vault.get(profile_id)
            return self.of(profile_id)
        self._wanted.discard(profile_id)
        raise Problem(503, "no_answer", "There is no answer yet. What comes of it shows by itself.")

    # The job

    async def load(self) -> None:
        """Go on with what an earlier life of the daemon knew, and tell it: it is part of each snapshot."""
        for row in await self._database.read(rows.all_usage):
            self._records[row.profile_id] = Record.of_row(row)
        for profile in self._vault.all():
            record, pace = self._record(profile), self._pace(profile)
            if pace is not None:
                record.mended(self._settings_of(profile), self._now(), pace.floor)
            if record.good is not None:
                await self._foresee(record, record.good.windows)
            self._tell(profile.id)

    async def run(self) -> None:
        """Ask whoever is due, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                self._wake = trio.Event()
                await self._forget()
                self._look()
                wait = await self._start_due(nursery)
                with trio.move_on_after(wait):
                    await self._wake.wait()

    async def _start_due(self, nursery: trio.Nursery) -> float:
        """Start questions about who is due; return in how many seconds to look again."""
        now = self._now()
        soonest = now + round(LOOK_SECONDS * 1000)
        waiting = [profile for profile in self._vault.all() if profile.id not in self._asking]
        idle = await self._idle([one for one in waiting if self._due(one, now, idle=False)], now)
        for profile in waiting:
            at = now if profile.id in self._wanted else self._due_at(profile, now, idle=profile.id in idle)
            if at is None:
                continue
            if at > now:
                soonest = min(soonest, at)
            elif profile.id not in self._asking:
                self._asking.add(profile.id)
                nursery.start_soon(self._question, profile.id, name=f"usage of {profile.id}")
        return max(0.0, (soonest - self._now()) / 1000)

    async def _idle(self, profiles: list[Profile], now: int) -> set[str]:
        """Return which of the profiles nobody needs to know much about."""
        if not profiles or self._watched():
            return set()
        bots = {profile.id: self._vault.bots_of(profile.id) for profile in profiles}
        return await self._database.read(
            lambda conn: {one for one, ids in bots.items() if not rows.ran_since(conn, ids, now - IDLE_MS)}
        )

    async def _question(self, profile_id: str) -> None:
        try:
            async with self._lanes.of(profile_id), self._room:
                now = self._now()
                try:
                    profile = self._vault.get(profile_id)
                except NotFound:
                    return
                # The lane may have been long: the login is another one, or no longer well.
                wanted = profile_id in self._wanted and not not_asked(profile, now)
                if wanted or self._due(profile, now, idle=False):
                    await self._ask(profile, self._record(profile), now)
        finally:
            self._asking.discard(profile_id)
            self._wanted.discard(profile_id)
            self._wake.set()
            self._tell_waiting()

    async def _ask(self, profile: Profile, record: Record, now: int) -> None:
        pace = self._pace(profile)
        assert pace is not None, profile.id
        # Before it, so that a daemon which is killed again and again does not ask at each start.
        record.asked_at, record.next_at = now, now + pace.interval
        await self._keep(record, [])
        outcome = await self._answer(profile, now)
        now = self._now()
        try:
            present = self._vault.get(profile.id)
        except NotFound:
            return
        if self._record(present) is not record:
            # Somebody logged in anew meanwhile.
            return
        points: list[Point] = []
        if isinstance(outcome, Usage):
            points = record.take(outcome, now)
            record.next_at = after_good(pace, now, self._rng)
            await self._foresee(record, outcome.windows, now)
        elif outcome.kind == "auth" and present.generation != profile.generation:
            record.next_at = now + pace.floor
        else:
            record.fail(outcome, profile.generation, now, self._settings_of(profile))
            record.next_at = after_trouble(pace, outcome, record.failures, now, self._rng)
            log.info("usage of %s: %s (status %s)", profile.id, outcome.kind, outcome.status)
            if outcome.kind == "auth" and record.failures == 1:
                # The next token is refused too where it is not the token's fault, and each refresh spends one.
                self._rejected(profile.id, profile.generation)
        await self._keep(record, points)
        self._tell(profile.id)

    async def _answer(self, profile: Profile, now: int) -> Usage | Trouble:
        if profile.owner == "gateway":
            assert self._gateways is not None, profile.id
            return await self._gateways.ask(profile, now)
        try:
            login = await self._vault.login(profile.id)
        except (NotFound, VaultLocked) as exc:
            return Trouble("unsupported", f"There is nothing to ask with. {exc}")
        return await ask(self._call, self._providers[profile.provider].usage, profile, login, now)

    # Keeping

    async def _keep(self, record: Record, points: list[Point]) -> None:
        if self._records.get(record.profile_id) is not record:
            return
        row = record.row()
        await self._database.write(lambda tx: rows.put(tx.connection, row, points))

    async def _forget(self) -> None:
        """Remove from the store what was known of accounts that others were logged in to since."""
        for profile_id in sorted(self._forgotten):
            await self._database.write(lambda tx, gone=profile_id: rows.forget(tx.connection, gone))  # type: ignore[misc]
            self._forgotten.discard(profile_id)

    async def _foresee(self, record: Record, windows: Iterable[Window], now: int | None = None) -> None:
        """Say of each window when it runs out."""
        ends = self._now() if now is None else now
        found: dict[str, int] = {}
        for window in windows:
            span = min(LONGEST_SPAN_MS, (window.window_seconds or 0) * 1000 or SPAN_MS)
            read = await self._database.read(
                lambda conn, one=window.id, since=ends - span: rows.history(conn, record.profile_id, since, one)  # type: ignore[misc]
            )
            points = read.get(window.id, [])
            if now is not None:
                points = [*(one for one in points if one.at < now), Point(window.id, now, window.used_percent)]
            if (at := runs_out_at(window, points)) is not None and at > ends:
                found[window.id] = at
        record.runs_out = found

    # Deciding: plain functions

    def _record(self, profile: Profile) -> Record:
        """Return what is known of the account that a profile is logged in to now."""
        record = self._records.get(profile.id)
        if record is not None and record.is_of(profile):
            pace = self._pace(profile)
            record.follow(profile, self._now(), 0 if pace is None else pace.floor)
            return record
        if record is not None:
            self._forgotten.add(profile.id)
            self._wake.set()
        made = self._records[profile.id] = Record.begin(profile)
        return made

    def _settings_of(self, profile: Profile) -> str:
        """Return what stands for the settings by which a profile is asked about."""
        settings = self._providers.get(profile.provider)
        if profile.owner == "gateway" or settings is None:
            return ""
        # How often is not what was wrong. A digest, as a header may hold a secret.
        told = settings.usage.model_dump_json(exclude={"interval_seconds", "floor_seconds"})
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def _pace(self, profile: Profile) -> Pace | None:
        """Return how often to ask about a profile, None where nobody can be asked."""
        if profile.owner == "gateway":
            return GATEWAY if self._gateways is not None and profile.place is not None else None
        settings = self._providers.get(profile.provider)
        if settings is None or settings.usage.kind == "none" or profile.fingerprint is None:
            return None
        return Pace.of(settings.usage)

    def _due_at(self, profile: Profile, now: int, *, idle: bool) -> int | None:
        pace, record = self._pace(profile), self._record(profile)
        if pace is None or record.next_at is None or not_asked(profile, now) or profile.state == "refreshing":
            return None
        windows = () if record.good is None else record.good.windows
        use: Use = "failed" if record.failure is not None else "idle" if idle else "busy"
        return due_at(pace, next_at=record.next_at, asked_at=record.asked_at, windows=windows, use=use)

    def _due(self, profile: Profile, now: int, *, idle: bool) -> bool:
        at = self._due_at(profile, now, idle=idle)
        return at is not None and at <= now

    def _event(self, profile: Profile) -> AuthProfileUsage:
        # Of one that nobody is asked about any more the old figures are not told.
        record = Record.begin(profile) if self._pace(profile) is None else self._record(profile)
        return record.event(profile, self._vault.bots_of(profile.id), self._now())

    def _hear(self, profile_id: str) -> None:
        self._changed.add(profile_id)
        self._wake.set()
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        self._answered.set()
        self._answered = trio.Event()

    def _look(self) -> None:
        """Tell of profiles that have changed, and now and then look at all: tokens run out without a word."""
        told, self._changed = self._changed, set()
        if self._now() >= self._look_at:
            self._look_at = self._now() + round(LOOK_SECONDS * 1000)
            told = told | self._told.keys() | {profile.id for profile in self._vault.all()}
        for profile_id in sorted(told):
            self._tell(profile_id)

    def _tell(self, profile_id: str) -> None:
        """Publish what is known of a profile, where it is another than was told last."""
        before = self._told.get(profile_id)
        try:
            profile = self._vault.get(profile_id)
        except NotFound:
            self._records.pop(profile_id, None)
            if before is not None:
                self._publish(AuthProfileUsage(profile_id=profile_id, bot_ids=before.bot_ids, removed=True))
                del self._told[profile_id]
            return
        # Of one that nobody can be asked about it is told who uses it, and that the login is not well.
        after = self._event(profile)
        nothing = before is None and after.fetched_at is None and after.error is None and not after.bot_ids
        if nothing or not (before is None or changed(before, after)):
            return
        if before is not None and (lost := tuple(sorted(set(before.bot_ids) - set(after.bot_ids)))):
            # Who sees one of these alone hears no more of it, so it is gone for them.
            self._publish(AuthProfileUsage(profile_id=profile_id, bot_ids=lost, removed=True))
        self._publish(after)

    def _publish(self, event: AuthProfileUsage) -> None:
        for hear in self._listeners:
            hear(event)
        # What was refused, by a store that is full, is tried again.
        self._told[event.profile_id] = event
