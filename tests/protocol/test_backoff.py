from random import Random

import pytest
from typing_extensions import override

from edgebotd.protocol.backoff import Backoff


class Highest(Random):
    """Draws the upper bound of every range."""

    @override
    def uniform(self, a: float, b: float) -> float:
        return b


def test_the_bound_doubles_up_to_the_cap_and_stays_there() -> None:
    backoff = Backoff(0.5, 5, Highest())
    assert [backoff.next() for _ in range(6)] == [0.5, 1, 2, 4, 5, 5]


def test_reset_begins_anew() -> None:
    backoff = Backoff(1, 60, Highest())
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert [backoff.next(), backoff.next()] == [1, 2]


def test_waits_are_spread_over_the_whole_range() -> None:
    rng = Random(1)
    waits = []
    for _ in range(4000):
        backoff = Backoff(1, 8, rng)
        for _ in range(3):
            backoff.next()
        waits.append(backoff.next())
    assert all(0 <= wait <= 8 for wait in waits)
    for quarter in range(4):
        assert 900 < sum(2 * quarter <= wait < 2 * quarter + 2 for wait in waits) < 1100


def test_the_same_seed_gives_the_same_waits() -> None:
    one, other = Backoff(1, 60, Random(7)), Backoff(1, 60, Random(7))
    assert [one.next() for _ in range(20)] == [other.next() for _ in range(20)]


def test_days_of_attempts_overflow_nothing() -> None:
    backoff = Backoff(1, 30, Highest())
    assert [backoff.next() for _ in range(5000)][-1] == 30


@pytest.mark.parametrize(("base", "cap"), [(0, 1), (-1, 1), (2, 1), (1, float("inf")), (float("nan"), 1)])
def test_bounds_that_make_no_sense_are_refused(base: float, cap: float) -> None:
    with pytest.raises(ValueError, match="backoff needs"):
        Backoff(base, cap, Random())
