"""`events --as USER`: an administrator sees the channel with a user's eyes, no longer than both may (CHANNEL C17)."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from edgebotd.access import Grant, local_admin
from edgebotd.errors import Forbidden, NotFound
from edgebotd.people.audit import SYSTEM
from tests.web.house import open_house


async def test_an_administrator_sees_what_the_user_sees_and_no_more(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann", own=Grant.VIEW)
        seen = house.people.seen_by(local_admin(0), "ann")
        assert seen.access_class().sees("own")
        assert not seen.access_class().sees("other")
        assert not seen.access_class().admin
        assert seen.user_id == "ann"


async def test_nobody_else_may_and_no_unknown_user_can_be_seen(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann", own=Grant.VIEW)
        await house.user("bob", own=Grant.OPERATE)
        bob = house.people.seen_by(local_admin(0), "bob")
        with pytest.raises(Forbidden):
            house.people.seen_by(bob, "ann")
        with pytest.raises(NotFound):
            house.people.seen_by(local_admin(0), "nobody")


async def test_it_follows_the_users_rights_and_ends_with_the_user(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann", own=Grant.VIEW)
        seen = house.people.seen_by(local_admin(0), "ann")
        await house.services.accounts.grant(SYSTEM, "ann", "other", Grant.VIEW)
        fresh = house.people.refresh(seen)
        assert fresh is not None and fresh.access_class().sees("other")
        await house.services.accounts.remove(SYSTEM, "ann")
        assert house.people.refresh(seen) is None
