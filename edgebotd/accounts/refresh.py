"""Keeps access tokens fresh: one refresher on the machine, one refresh of a login at a time, few at once.

Says when a login is due, and gives a token to whoever needs one; `refreshing.py` is the inside of one refresh.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

import trio

from edgebotd.accounts.clients import oauth_of
from edgebotd.accounts.http import Call
from edgebotd.accounts.lanes import Lanes
from edgebotd.accounts.refresh_lock import RefreshLock
from edgebotd.accounts.refreshing import SAVE_PAUSE_SECONDS, Refreshing, longest_of
from edgebotd.accounts.schedule import ACTIVE, LAST_TRY_MS, due_at
from edgebotd.accounts.vault import Vault
from edgebotd.config import ProviderSettings
from edgebotd.errors import Conflict, EdgebotdError, NotFound, Problem
from edgebotd.hub.hub import Hub
from edgebotd.protocol.oauth import Delayed
from edgebotd.store import alerts as alert_rows
from edgebotd.store.database import Database
from edgebotd.store.profiles import Profile

log = logging.getLogger(__name__)

AT_ONCE: Final = 8
"""Refreshes; the others wait in line, their tokens are still good."""
LOOK_SECONDS: Final = 30.0
"""The longest sleep: a machine that was suspended has missed what Trio's clock did not count."""
WATCH_SECONDS: Final = 10.0
"""How often a daemon that is not the refresher looks at the store, and for the lock."""
WAIT_SECONDS: Final = 20.0
"""How long somebody who needs a token waits for one that has ended to be refreshed."""
BY_HAND_MS: Final = 10_000
"""Between two refreshes of a login that a person asks for."""
BY_HAND_SECONDS: Final = 30.0
"""How long such a person waits for what comes of it; it goes on all the same."""
RATE_LIMIT_MS: Final = 60_000
"""How long a provider is left alone that says 429 and not how long."""
TROUBLE_MS: Final = 60_000
"""How long a login is left alone of which something here went wrong: the vault, the store."""
JUMP_MS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Access:
    """What a provider takes as proof now."""

    token: str = field(repr=False)
    generation: int
    expires_at: int | None
    account_id: str | None = None


class Refresher:
    """Made by `house.py`; `run` is a job of the supervisor's, and there is nothing to close.

    Attributes:
        leading: whether this process is the one that refreshes.
    """

    def __init__(
        self,
        vault: Vault,
        database: Database,
        hub: Hub,
        providers: Mapping[str, ProviderSettings],
        call: Call,
        lanes: Lanes,
        lock: RefreshLock,
        *,
        now: Callable[[], int],
        rng: Random,
    ) -> None:
        self._vault = vault
        self._database = database
        self._providers = providers
        self._lanes = lanes
        self._lock = lock
        self._now = now
        self.leading = False
        self._refreshing = Refreshing(vault, hub, providers, call, now=now, rng=rng)
        self._room = trio.CapacityLimiter(AT_ONCE)
        self._busy: set[str] = set()
        self._inside: set[str] = set()
        self._ending = False
        self._forced: dict[str, int] = {}
        self._asked_at: dict[str, int] = {}
        self._rounds: dict[str, int] = {}
        self._paused: dict[str, int] = {}
        self._held: dict[str, int] = {}
        self._wake = trio.Event()
        self._changed = trio.Event()
        vault.subscribe(self._hear)

    # For whoever needs a token

    async def access_token(self, profile_id: str) -> Access:
        """Return what a provider takes now; one that is still good is never waited for.

        Raises:
            NotFound: there is no such login, or it has no secret here.
            Problem: 503, it has ended and could not be refreshed; the words say why.
        """
        if self._ended(self._vault.get(profile_id)):
            await self._until_usable(profile_id)
        while True:
            before = self._vault.get(profile_id)
            login = await self._vault.login(profile_id)
            profile = self._vault.get(profile_id)
            if profile.generation == before.generation:
                break
        if login.access is None or self._ended(profile):
            why = profile.reason or "Its access token has ended."
            raise Problem(503, "no_token", f"There is no token for {profile_id} now. {why}")
        return Access(login.access, profile.generation, profile.expires_at, profile.account_id)

    def rejected(self, profile_id: str, generation: int) -> bool:
        """Hear that a provider says 401 to a token that is good by our clock; say whether it is refreshed for that.

        Once for each generation: a provider that says so for another reason must not be asked for ever.
        """
        try:
            profile = self._vault.get(profile_id)
        except NotFound:
            return False
        if not self.leading or not self._ours(profile) or profile.forced_generation == generation:
            return False
        if profile.generation != generation:
            return False
        self._force(profile)
        return True

    async def refresh_now(self, profile_id: str) -> Profile:
        """Refresh a login because a person asks for it; returns what became of it.

        Raises:
            NotFound: there is no such login.
            Conflict: it is none that is refreshed here, or not now; the words say why.
        """
        profile = self._vault.get(profile_id)
        self._check_by_hand(profile)
        round_ = self._rounds.get(profile_id, 0)
        self._asked_at[profile_id] = self._now()
        self._force(profile)
        with trio.move_on_after(BY_HAND_SECONDS):
            while self._rounds.get(profile_id, 0) == round_:
                await self._changed.wait()
        return self._vault.get(profile_id)

    def _check_by_hand(self, profile: Profile) -> None:
        if profile.type != "oauth" or profile.owner != "edgebotd":
            raise Conflict(
                "not_refreshed_here", f"{profile.id} is not refreshed by edgebotd, so there is nothing to do."
            )
        if self._ending:
            raise Conflict("stopping", "edgebotd is stopping, and begins no refresh any more.")
        if not self.leading:
            raise Conflict(
                "refreshed_elsewhere", "Another edgebotd of this machine refreshes the logins; ask that one."
            )
        match profile.state:
            case "uncertain":
                raise Conflict(
                    "uncertain",
                    "An answer of the provider was lost, and to ask again may end the login. It is tried by itself "
                    "shortly before the access token ends; to be sure now, log in again.",
                )
            case "needs_login" | "misconfigured":
                raise Conflict(profile.state, profile.reason or "A refresh would not help.")
        if self._now() - self._asked_at.get(profile.id, 0) < BY_HAND_MS:
            raise Conflict("too_soon", "It was refreshed a moment ago; wait ten seconds.")

    def look(self) -> None:
        """Look at all times anew, for somebody who knows that the clock has moved."""
        self._wake.set()

    def begin_to_stop(self) -> dict[str, float]:
        """Begin no refresh any more; return those under way, each with how long the end of `run` may wait for it."""
        self._ending = True
        return {one: longest_of(oauth_of(self._providers, one.partition(":")[0])) for one in self._inside}

    def _force(self, profile: Profile) -> None:
        self._forced[profile.id] = profile.generation
        self._wake.set()

    def _ended(self, profile: Profile) -> bool:
        return profile.expires_at is not None and profile.expires_at <= self._now()

    async def _until_usable(self, profile_id: str) -> None:
        with trio.move_on_after(WAIT_SECONDS):
            if not self.leading:
                await self._vault.look_again()
            while self._ended(profile := self._vault.get(profile_id)) and self._hopeful(profile):
                self._wake.set()
                await self._changed.wait()

    def _hopeful(self, profile: Profile) -> bool:
        """Whether a login may have a token within the time that one waits for it."""
        if profile.state == "refreshing" or profile.id in self._busy:
            return True
        at = None if self._ending else self._due(profile)
        return self._ours(profile) and at is not None and at <= self._now() + WAIT_SECONDS * 1000

    # The job

    async def run(self) -> None:
        """Refresh what is due, until cancelled. Ends no refresh that has begun."""
        try:
            while not self._lock.acquire():
                await trio.sleep(WATCH_SECONDS)
                await self._vault.look_again()
            await self._begin()
            self.leading = True
            async with trio.open_nursery() as nursery:
                while True:
                    self._start_due(nursery)
                    await self._refreshing.tell_changed(self._busy)
                    await self._sleep()
        finally:
            self.leading = False
            self._lock.release()

    async def _begin(self) -> None:
        """Take over: the store may be ahead of us, and what could not be refreshed may be mended."""
        await self._vault.look_again()
        self._refreshing.alerts.load(await self._database.read(alert_rows.open_alerts))
        for profile in self._vault.all():
            await self._refreshing.retry_changed(profile)

    def _start_due(self, nursery: trio.Nursery) -> None:
        now = self._now()
        for profile in self._vault.all():
            if profile.id not in self._busy and self._is_due(profile, now):
                self._busy.add(profile.id)
                nursery.start_soon(self._round, profile.id, name=f"refresh {profile.id}")

    async def _sleep(self) -> None:
        """Wait for what is due next, or for something to change; but never long."""
        now, began = self._now(), trio.current_time()
        times = [at for profile in self._vault.all() if (at := self._next(profile, now)) is not None]
        seconds = max(0.05, min([LOOK_SECONDS, *((at - now) / 1000 for at in times)]))
        with trio.move_on_after(seconds):
            await self._wake.wait()
        self._wake = trio.Event()
        jump = self._now() - now - (trio.current_time() - began) * 1000
        if abs(jump) > JUMP_MS:
            log.info(
                "the clock has jumped by %d s, or the machine was suspended; all times are looked at anew", jump / 1000
            )

    def _next(self, profile: Profile, now: int) -> int | None:
        if profile.id in self._busy:
            return None
        if profile.id in self._refreshing.unsaved:
            return now + int(SAVE_PAUSE_SECONDS * 1000)
        at = self._due(profile)
        if at is None or self._ending or not self._ours(profile):
            return None
        return max(at, self._held.get(profile.id, 0), self._pause_of(profile, now))

    def _is_due(self, profile: Profile, now: int) -> bool:
        if self._held.get(profile.id, 0) > now and profile.id not in self._forced:
            return False
        if profile.id in self._refreshing.unsaved or self._refreshing.orphaned(profile):
            return True
        if self._ending or not self._ours(profile):
            return False
        if self._forced.get(profile.id) == profile.generation:
            return True
        return (at := self._due(profile)) is not None and max(at, self._pause_of(profile, now)) <= now

    def _ours(self, profile: Profile) -> bool:
        return profile.type == "oauth" and profile.owner == "edgebotd" and profile.state in ACTIVE

    def _due(self, profile: Profile) -> int | None:
        if profile.next_at is None and profile.state == "fresh":
            # New from elsewhere: whoever added it knows nothing of our clock.
            return due_at(profile, oauth_of(self._providers, profile.provider))
        return profile.next_at

    def _pause_of(self, profile: Profile, now: int) -> int:
        """Return until when the provider of a login is left alone, unless that is the last moment for this one."""
        if profile.expires_at is not None and profile.expires_at - LAST_TRY_MS <= now < profile.expires_at:
            return 0
        return self._paused.get(profile.provider, 0)

    async def _round(self, profile_id: str) -> None:
        try:
            async with self._room:
                async with self._lanes.of(profile_id):
                    self._inside.add(profile_id)
                    await self._refresh(profile_id)
        except NotFound:
            pass  # removed meanwhile
        except (EdgebotdError, OSError) as exc:
            log.warning("%s could not be refreshed, it is tried again in a minute: %s", profile_id, exc)
            self._held[profile_id] = self._now() + TROUBLE_MS
        finally:
            self._busy.discard(profile_id)
            self._inside.discard(profile_id)
            self._forced.pop(profile_id, None)
            self._rounds[profile_id] = self._rounds.get(profile_id, 0) + 1
            self._wake.set()
            self._tell_waiting()

    async def _refresh(self, profile_id: str) -> None:
        profile = self._vault.get(profile_id)
        if not self._is_due(profile, self._now()):
            return  # it was in line for long, and somebody else has done it, or the provider wants to be left alone
        forced = self._forced.get(profile_id) == profile.generation
        outcome = await self._refreshing.run(profile, forced=forced)
        if isinstance(outcome, Delayed) and (outcome.status == 429 or outcome.retry_after_ms is not None):
            self._paused[profile.provider] = self._now() + (outcome.retry_after_ms or RATE_LIMIT_MS)

    def _hear(self, profile_id: str) -> None:
        del profile_id
        self._wake.set()
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
