"""What the refresher must do with a token endpoint, be it the fake one or a real server: the same tests run on both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, Protocol

from edgebotd.accounts.http import Call
from edgebotd.accounts.schedule import LAST_TRY_MS
from edgebotd.accounts.secrets import Login
from edgebotd.config import OAuthSettings
from edgebotd.store.database import open_database
from tests.accounts.provider import ID, Desk, clock, open_desk, until

Fault = Literal["lost", "429", "503"]


class Peer(Protocol):
    """A provider at the other end."""

    @property
    def call(self) -> Call:
        """How it is reached."""
        ...

    @property
    def settings(self) -> OAuthSettings:
        """What is set of it."""
        ...

    async def logins(self, count: int) -> list[Login]:
        """Return the tokens of new logins."""
        ...

    async def fault(self, fault: Fault) -> None:
        """Say what happens to the next request: done and not answered, or not looked at (with a Retry-After of 2)."""
        ...

    async def skew(self, ms: int) -> None:
        """Set the provider's clock ahead."""
        ...

    async def newest(self, login: Login) -> bool:
        """Whether a login has the refresh token that is good now."""
        ...

    async def works(self, access: str) -> bool:
        """Whether an access token is taken."""
        ...

    async def revoke(self, login: Login) -> None:
        """End a login."""
        ...

    async def asked(self) -> int:
        """Return how often tokens were asked for."""
        ...


class Clock:
    """Unix milliseconds that go on with Trio's clock, and jump."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return clock() + self.ahead


@asynccontextmanager
async def desk_at(peer: Peer, now: Clock | None = None) -> AsyncIterator[Desk]:
    """Open a refresher that asks the peer."""
    async with open_desk(peer.call, peer.settings, now=now or Clock()) as desk:
        yield desk


class RefreshContract:
    """The tests; a subclass gives the fixture `peer`."""

    async def test_rotation(self, peer: Peer) -> None:
        async with desk_at(peer) as desk:
            (login,) = await peer.logins(1)
            await desk.add(login, next_at=desk.now())
            await until(lambda: desk.profile.generation == 2)
            assert not await peer.newest(login)
            for generation in (2, 3):
                assert await peer.newest(await desk.vault.login(ID))
                assert desk.refresher.rejected(ID, generation)
                await until(lambda generation=generation: desk.profile.generation == generation + 1)  # type: ignore[misc] # a default of a lambda
            access = await desk.refresher.access_token(ID)
            assert await peer.works(access.token)

    async def test_a_lost_answer(self, peer: Peer) -> None:
        now = Clock()
        async with desk_at(peer, now) as desk:
            (login,) = await peer.logins(1)
            asked = await peer.asked()
            await peer.fault("lost")
            made = await desk.add(login, next_at=now())
            await until(lambda: desk.profile.state == "uncertain")
            assert not await peer.newest(login), "it was rotated"
            assert login.access is not None and await peer.works(login.access)
            assert (await desk.refresher.access_token(ID)).token == login.access
            assert await peer.asked() == asked + 1
            assert made.expires_at is not None
            now.ahead += made.expires_at - LAST_TRY_MS - now()
            desk.refresher.look()
            await until(lambda: desk.profile.state == "needs_login")
            assert await peer.asked() == asked + 2 and not await peer.works(login.access)
            assert await desk.alerts() == [(f"profile:{ID}:login", "open")]

    async def test_refused_for_now(self, peer: Peer) -> None:
        now = Clock()
        async with desk_at(peer, now) as desk:
            (login,) = await peer.logins(1)
            await desk.add(login, next_at=now())
            # Asked for while the first is under way would be unfair to the real one.
            await until(lambda: desk.profile.generation == 2)
            login = await desk.vault.login(ID)
            for attempt, fault in enumerate(("429", "503"), 1):
                await peer.fault(fault)  # type: ignore[arg-type] # of two literals
                if attempt == 1:
                    assert desk.refresher.rejected(ID, 2)
                else:
                    now.ahead += 10_000
                    desk.refresher.look()
                await until(lambda attempt=attempt: desk.profile.attempts == attempt)  # type: ignore[misc] # see above
                assert desk.profile.state == "backoff" and await peer.newest(login)
                assert desk.profile.next_at is not None and 0 < desk.profile.next_at - now() <= 2000
            now.ahead += 10_000
            desk.refresher.look()
            await until(lambda: desk.profile.generation == 3)
            assert await peer.newest(await desk.vault.login(ID)) and desk.profile.attempts == 0

    async def test_a_revoked_login(self, peer: Peer) -> None:
        async with desk_at(peer) as desk:
            (login,) = await peer.logins(1)
            await peer.revoke(login)
            await desk.add(login, next_at=desk.now())
            await until(lambda: desk.profile.state == "needs_login")
            assert await desk.outcomes() == ["needs_login"] and await desk.alerts() == [(f"profile:{ID}:login", "open")]

    async def test_a_token_that_was_used_elsewhere(self, peer: Peer) -> None:
        async with desk_at(peer) as one, desk_at(peer) as other:
            (login,) = await peer.logins(1)
            await one.add(login, next_at=one.now())
            await until(lambda: one.profile.generation == 2)
            await other.add(login, next_at=other.now())
            await until(lambda: other.profile.state == "needs_login")
            assert one.refresher.rejected(ID, 2)
            await until(lambda: one.profile.state == "needs_login")

    async def test_two_daemons_over_one_store(self, peer: Peer, tmp_path: Path) -> None:
        lock, asked = tmp_path / "lock", await peer.asked()
        async with open_database(None) as database:
            async with (
                open_desk(peer.call, peer.settings, database=database, lock=lock) as one,
                open_desk(peer.call, peer.settings, database=database, lock=lock, life=2) as two,
            ):
                await until(lambda: one.refresher.leading or two.refresher.leading)
                (login,) = await peer.logins(1)
                leader, follower = (one, two) if one.refresher.leading else (two, one)
                await leader.add(login, next_at=leader.now())
                await until(lambda: leader.profile.generation == 2)
                await follower.vault.look_again()
                assert await peer.newest(await follower.vault.login(ID)) and await peer.asked() == asked + 1

    async def test_the_providers_clock(self, peer: Peer) -> None:
        async with desk_at(peer, now := Clock()) as desk:
            (login,) = await peer.logins(1)
            await desk.add(login, next_at=now())
            await until(lambda: desk.profile.generation == 2)
            before = desk.profile.skew_ms
            await peer.skew(3_600_000)
            assert desk.refresher.rejected(ID, 2)
            await until(lambda: desk.profile.generation == 3)
            await peer.skew(0)
            assert abs(desk.profile.skew_ms - before - 3_600_000) < 60_000
            assert desk.profile.expires_at is not None and abs(desk.profile.expires_at - now() - 3_600_000) < 60_000
