"""A window's end at this pace is told where it can be, and nothing else is made of thin or wild data."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.accounts.usage.forecast import runs_out_at
from edgebotd.protocol.usage import Window
from edgebotd.store.usage import Point

MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_795_860_000_000
FIVE_HOURS = 5 * 3600


def points(used: Callable[[int], float], minutes: range) -> list[Point]:
    return [Point("w", START + minute * MINUTE, used(minute)) for minute in minutes]


def window(used: float, resets_at: int | None = START + 5 * HOUR, seconds: int | None = FIVE_HOURS) -> Window:
    return Window("w", "w", used, seconds, resets_at)


def minutes(at: int | None) -> int | None:
    return None if at is None else round((at - START) / MINUTE)


def test_a_steady_pace_runs_out_when_it_does() -> None:
    seen = points(lambda minute: minute / 2, range(0, 121, 5))
    assert minutes(runs_out_at(window(60.0), seen)) == 200
    # Without the reset it is asked whether it would last for a whole window; without its length too, nobody knows.
    assert minutes(runs_out_at(window(60.0, None), seen)) == 200
    assert runs_out_at(window(60.0, None, None), seen) is None


def test_one_that_lasts_until_it_starts_anew_does_not_run_out() -> None:
    assert runs_out_at(window(24.0), points(lambda minute: minute / 5, range(0, 121, 5))) is None
    assert runs_out_at(window(50.0), points(lambda _: 50.0, range(0, 121, 5))) is None
    assert runs_out_at(window(100.0), points(lambda minute: minute / 2, range(0, 201, 5))) is None


@pytest.mark.parametrize("seen", [[], [Point("w", START, 5.0)], points(lambda minute: minute, range(0, 9, 2))])
def test_too_little_says_nothing(seen: list[Point]) -> None:
    assert runs_out_at(window(8.0), seen) is None


def test_rounding_is_no_rise() -> None:
    assert runs_out_at(window(50.4), points(lambda minute: 50 + minute / 300, range(0, 121, 5))) is None


def test_a_single_wrong_answer_moves_nothing() -> None:
    seen = points(lambda minute: minute / 2, range(0, 121, 5))
    for wrong in (0.0, 100.0):
        wild = [*seen[:12], Point("w", seen[12].at, wrong), *seen[13:]]
        at = minutes(runs_out_at(window(60.0), wild))
        assert at is not None and abs(at - 200) <= 3, wrong


def test_what_was_before_it_started_anew_does_not_count() -> None:
    before = points(lambda minute: 90 + minute / 60, range(-300, -1, 5))
    now = points(lambda minute: minute / 2, range(0, 121, 5))
    assert minutes(runs_out_at(window(60.0), [*before, *now])) == 200
    # Seen from the drop alone, where no length is known.
    assert minutes(runs_out_at(window(60.0, START + 5 * HOUR, None), [*before, *now])) == 200


def test_a_pause_counts_in_a_long_window() -> None:
    week = 7 * 24 * 60

    def used(minute: int) -> float:
        days, rest = divmod(minute, 1440)
        return days * 20 + min(rest, 480) / 24

    seen = points(used, range(0, 3 * 1440, 30))
    at = minutes(runs_out_at(window(60.0, START + week * MINUTE, 7 * 86400), seen))
    assert at is not None and 4.5 * 1440 <= at <= 5.5 * 1440


values = st.lists(
    st.tuples(st.integers(0, 400), st.floats(0, 150, allow_nan=False)), max_size=80, unique_by=lambda pair: pair[0]
)


@given(
    seen=values,
    used=st.floats(0, 150),
    resets=st.none() | st.integers(1, 10_000),
    seconds=st.none() | st.integers(60, 10**6),
)
def test_it_lies_ahead_and_before_the_reset(
    seen: list[tuple[int, float]], used: float, resets: int | None, seconds: int | None
) -> None:
    history = [Point("w", START + minute * MINUTE, percent) for minute, percent in sorted(seen)]
    resets_at = None if resets is None else START + resets * MINUTE
    at = runs_out_at(window(used, resets_at, seconds), history)
    if at is not None:
        assert history[-1].used_percent <= 100 or at <= history[-1].at
        assert resets_at is None or at < resets_at
