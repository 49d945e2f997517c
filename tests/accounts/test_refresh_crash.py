"""A daemon that dies at any step of a refresh loses no refresh token.

The next life has the newest one, or knows that it may not, and then never asks blindly.

Killed means: of a life counts what the store and the provider had at one step of one of its tasks; what it did after
that is forgotten. A request that was on its way then may arrive all the same.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass, field
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock
from typing_extensions import override

from edgebotd.accounts.schedule import LAST_TRY_MS
from edgebotd.store.database import Database, open_database
from edgebotd.store.profiles import Profile
from tests.accounts.provider import ID, START, TTL_S, FakeProvider, clock, open_desk

FAULTS = st.sampled_from([None, None, "lost", "garbled", "unsent", 503])


@dataclass
class World:
    """What outlives a daemon."""

    provider: FakeProvider
    store: bytes | None = None
    at: int = START
    expires_at: int = 0


@dataclass(eq=False)
class Killer(trio.abc.Instrument):
    """Remembers the world as it was at one step, counted from when it was armed."""

    step: int
    world: World
    late: bool
    database: Database | None = None
    now: Any = None
    found: World | None = None
    steps: int = field(default=0)

    @override
    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.database is None or self.found is not None:
            return
        self.steps += 1
        if self.steps > self.step:
            self.take()

    def take(self) -> None:
        provider = copy.deepcopy(self.world.provider)
        if not self.late:
            provider.pending = None
        provider.arrive()
        store: bytes = self.database._conn.serialize()  # type: ignore[union-attr] # it is the one in memory
        self.found = World(provider, store, self.now())


def live(world: World, *, step: int, late: bool, seconds: float, life: int) -> tuple[World, Profile, bool]:
    """Run a daemon for so long, or till it is killed; return what is left, and the login as the next life finds it."""
    killer = Killer(step, world, late)
    began = world.at
    world.provider.reused.clear()
    seen: list[tuple[Profile, bool]] = []

    def now() -> int:
        return began + clock() - START

    async def main() -> None:
        async with open_database(None, now=START) as database:
            if world.store is not None:
                database._conn.deserialize(world.store)  # type: ignore[attr-defined] # see above
            async with open_desk(world.provider.call, database=database, now=now, life=life) as desk:
                if world.store is None:
                    await desk.add(world.provider.login())
                await trio.sleep(1)
                found = desk.profile
                seen.append((found, world.provider.newest(await desk.vault.login(ID))))
                if found.state in ("fresh", "backoff"):
                    # Due now, as if the time had come.
                    desk.refresher.rejected(ID, found.generation) or await desk.vault.change(found, _due(found, now()))
                killer.now, killer.database = now, database
                await trio.sleep(seconds)
                if killer.found is None:
                    killer.take()
                killer.database = None

    trio.run(main, clock=MockClock(autojump_threshold=0), instruments=[killer])
    assert killer.found is not None
    profile, newest = seen[0]
    for at in world.provider.reused:
        ends = profile.expires_at
        assert ends is not None and began + at >= ends - LAST_TRY_MS, "a spent token was sent while another was good"
    return killer.found, profile, newest


def _due(profile: Profile, now: int) -> Profile:
    return dataclasses.replace(profile, next_at=now)


@settings(max_examples=30, deadline=None)
@given(
    lives=st.lists(st.tuples(FAULTS, st.integers(0, 45), st.booleans()), min_size=1, max_size=4),
)
def test_no_refresh_token_is_lost_wherever_it_dies(lives: list[tuple[str | int | None, int, bool]]) -> None:
    world = World(FakeProvider())
    for number, (fault, step, late) in enumerate(lives, 1):
        world.provider.faults.clear()
        if fault is not None:
            world.provider.faults.append(fault)
        world, profile, newest = live(world, step=step, late=late, seconds=20, life=number)
        assert newest or profile.state in ("uncertain", "needs_login"), profile
    world.provider.faults.clear()
    alive = not world.provider.dead
    last, profile, newest = live(world, step=10**9, late=False, seconds=TTL_S + 600, life=len(lives) + 1)
    assert newest or profile.state in ("uncertain", "needs_login"), profile
    if newest and alive:
        assert not last.provider.dead, "what was not lost was made good"
