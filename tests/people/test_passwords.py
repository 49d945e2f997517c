"""Argon2id, in a thread, with the same work for accounts that do not exist."""

from __future__ import annotations

from typing import Literal

import argon2
import pytest
import trio
from typing_extensions import override

from edgebotd.errors import Invalid, Problem
from edgebotd.people.passwords import MAX_WAITING, Passwords

GOOD = "correct horse battery"


class Counting(argon2.PasswordHasher):
    """Cheap, and counts what it is asked to verify."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified: list[str] = []

    @override
    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.verified.append(str(hash))
        return super().verify(hash, password)


async def test_the_default_is_owasps_argon2id() -> None:
    encoded = await Passwords().hash(GOOD)
    assert encoded.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_right_and_wrong_are_told_apart() -> None:
    passwords = Passwords(Counting())
    encoded = await passwords.hash(GOOD)
    assert await passwords.verify(encoded, GOOD)
    assert not await passwords.verify(encoded, GOOD + "x")
    assert not await passwords.verify("not a hash", GOOD)


async def test_the_same_password_typed_in_another_composition_fits() -> None:
    passwords = Passwords(Counting())
    assert await passwords.verify(await passwords.hash("pässwörd lang"), "pa\u0308sswo\u0308rd lang")


async def test_an_unknown_account_costs_one_verification_too() -> None:
    hasher = Counting()
    passwords = Passwords(hasher)
    assert not await passwords.verify(None, GOOD)
    assert len(hasher.verified) == 1 and hasher.verified[0].startswith("$argon2id$")


@pytest.mark.parametrize("password", ["", "123456789", "x" * 1025])
async def test_length_is_bounded_at_both_ends(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        await Passwords(Counting()).hash(password)
    assert refused.value.code == "bad_password"
    assert not password or password not in refused.value.detail


async def test_a_long_password_is_not_cut_to_a_right_one() -> None:
    passwords = Passwords(Counting())
    encoded = await passwords.hash("x" * 1024)
    assert not await passwords.verify(encoded, "x" * 1025)


async def test_a_hash_with_other_parameters_is_outdated() -> None:
    old = await Passwords(Counting()).hash(GOOD)
    assert Passwords().outdated(old) and not Passwords(Counting()).outdated(old)


async def test_a_storm_is_refused_before_it_queues_without_end() -> None:
    passwords = Passwords(Counting())
    encoded = await passwords.hash(GOOD)
    outcomes: list[str] = []

    async def try_one() -> None:
        try:
            assert await passwords.verify(encoded, GOOD)
            outcomes.append("verified")
        except Problem as problem:
            outcomes.append(problem.code)

    async with trio.open_nursery() as nursery:
        for _ in range(MAX_WAITING * 3):
            nursery.start_soon(try_one)
    assert outcomes.count("busy") >= MAX_WAITING and outcomes.count("verified") >= MAX_WAITING
