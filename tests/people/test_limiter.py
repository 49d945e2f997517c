"""How many logins may be tried."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.people.limiter import MAX_BUCKETS, WINDOW_SECONDS, LoginLimiter, TooManyAttempts


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def tries(limiter: LoginLimiter, account: str, address: str, count: int) -> int:
    """Try so often; return how many were let through."""
    passed = 0
    for _ in range(count):
        try:
            limiter.take(account, address)
        except TooManyAttempts:
            continue
        passed += 1
    return passed


def test_a_pair_gets_its_attempts_and_then_waits() -> None:
    clock = Clock()
    limiter = LoginLimiter(10, clock)
    assert tries(limiter, "ann", "127.0.0.1", 15) == 10
    with pytest.raises(TooManyAttempts) as refused:
        limiter.take("ann", "127.0.0.1")
    seconds = int(refused.value.headers["Retry-After"])
    assert seconds == 6
    clock.now += seconds
    limiter.take("ann", "127.0.0.1")
    with pytest.raises(TooManyAttempts):
        limiter.take("ann", "127.0.0.1")


def test_one_account_is_bounded_over_all_addresses_and_one_address_over_all_accounts() -> None:
    assert sum(tries(LoginLimiter(10, Clock()), "ann", "a", 1) for _ in range(3)) == 3
    by_account = LoginLimiter(10, Clock())
    assert sum(tries(by_account, "ann", f"192.0.2.{n}", 5) for n in range(20)) == 40
    by_address = LoginLimiter(10, Clock())
    assert sum(tries(by_address, f"user{n}", "192.0.2.1", 5) for n in range(20)) == 40


def test_another_address_and_another_account_are_not_locked_out() -> None:
    limiter = LoginLimiter(10, Clock())
    tries(limiter, "ann", "192.0.2.1", 50)
    limiter.take("ann", "192.0.2.2")
    limiter.take("bob", "192.0.2.1")


def test_a_right_password_does_not_count() -> None:
    limiter = LoginLimiter(3, Clock())
    for _ in range(50):
        limiter.take("ann", "a")
        limiter.give_back("ann", "a")


def test_a_refused_attempt_does_not_lengthen_the_wait() -> None:
    clock = Clock()
    limiter = LoginLimiter(10, clock)
    tries(limiter, "ann", "a", 1000)
    clock.now += WINDOW_SECONDS
    assert tries(limiter, "ann", "a", 20) == 10


def test_memory_is_bounded_whatever_is_tried() -> None:
    clock = Clock()
    limiter = LoginLimiter(10, clock)
    for number in range(MAX_BUCKETS):
        limiter.take(f"{number}" * 500, f"address {number}")
    assert len(limiter) == MAX_BUCKETS
    assert all(len(account or "") <= 64 for account, _ in limiter._buckets)


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from(["a", "b"])), max_size=200))
def test_no_minute_has_more_than_twice_the_attempts(steps: list[tuple[float, str]]) -> None:
    # A leaky bucket lets its capacity through at once and as much again while it drains.
    clock = Clock()
    limiter = LoginLimiter(5, clock)
    passed: list[float] = []
    for pause, address in steps:
        clock.now += pause
        if tries(limiter, "ann", address, 1) and address == "a":
            passed.append(clock.now)
    for begin in passed:
        assert sum(1 for at in passed if begin <= at < begin + WINDOW_SECONDS) <= 10
