"""No provider is asked more often than it bears, and a pause that it asked for is kept."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.accounts.usage.asking import Trouble
from edgebotd.accounts.usage.pace import (
    FAILED_CAP_MS,
    GATEWAY,
    MINUTE_MS,
    RATE_LIMITED_CAP_MS,
    RETRY_AFTER_CAP_MS,
    Pace,
    after_good,
    after_trouble,
    due_at,
)
from edgebotd.config import UsageSettings
from edgebotd.events import UsageErrorKind
from edgebotd.protocol.usage import Window

NOW = 1_795_860_000_000
PACE = Pace(300_000, 60_000)


def settings(kind: str, interval: float, floor: float) -> UsageSettings:
    given = {"kind": kind, "url": "https://x.example/", "interval_seconds": interval, "floor_seconds": floor}
    return UsageSettings.model_validate(given)


def test_some_floors_hold_whatever_the_settings_say() -> None:
    assert Pace.of(settings("anthropic", 60.0, 10.0)) == Pace(180_000, 180_000)
    assert Pace.of(settings("codex", 120.0, 10.0)) == Pace(120_000, 10_000)


@given(seed=st.integers(0, 1000))
def test_the_interval_is_jittered_by_a_tenth(seed: int) -> None:
    assert 270_000 <= after_good(PACE, NOW, Random(seed)) - NOW <= 330_000
    assert after_good(Pace(60_000, 60_000), NOW, Random(seed)) >= NOW + 60_000


@given(
    kind=st.sampled_from(["rate_limited", "timeout", "unreachable", "malformed", "http", "auth"]),
    failures=st.integers(1, 500),
    wanted=st.none() | st.integers(1, 10**12),
    seed=st.integers(0, 100),
)
def test_a_pause_doubles_up_to_a_cap_and_is_never_shorter_than_was_asked_for(
    kind: UsageErrorKind, failures: int, wanted: int | None, seed: int
) -> None:
    trouble = Trouble(kind, "x", 429, wanted)
    at = after_trouble(PACE, trouble, failures, NOW, Random(seed))
    assert at is not None
    wait = at - NOW
    assert wait >= min(wanted or 0, RETRY_AFTER_CAP_MS)
    assert wait >= 300_000
    cap = FAILED_CAP_MS if kind not in ("rate_limited", "auth") else RATE_LIMITED_CAP_MS
    assert wait <= max(cap, min(wanted or 0, RETRY_AFTER_CAP_MS)) * 1.1 + 1
    longer = after_trouble(PACE, trouble, failures + 1, NOW, Random(seed))
    assert longer is not None and longer >= at


@pytest.mark.parametrize(("failures", "minutes"), [(1, 5), (2, 10), (3, 20), (7, 320), (8, 360), (60, 360)])
def test_after_429_it_is_five_minutes_and_more_each_time(failures: int, minutes: int) -> None:
    # The provider's `Retry-After: 0` is read as none.
    at = after_trouble(PACE, Trouble("rate_limited", "x", 429), failures, NOW, Random(1))
    assert at is not None
    assert minutes * MINUTE_MS <= at - NOW <= minutes * MINUTE_MS * 1.1


def test_what_cannot_go_well_is_not_asked_again() -> None:
    assert after_trouble(PACE, Trouble("unsupported", "x", 403), 1, NOW, Random(1)) is None
    assert after_trouble(GATEWAY, Trouble("unsupported", "x"), 9, NOW, Random(1)) == NOW + FAILED_CAP_MS


def test_idle_ones_are_asked_a_third_as_often_and_all_after_a_window_starts_anew() -> None:
    soon, late = Window("a", "a", 1.0, None, NOW + 100_000), Window("b", "b", 1.0)
    at = NOW + 300_000
    assert due_at(PACE, next_at=at, asked_at=NOW, windows=[late], use="busy") == at
    assert due_at(PACE, next_at=at, asked_at=NOW, windows=[late], use="idle") == NOW + 900_000
    assert due_at(PACE, next_at=at, asked_at=NOW, windows=[soon], use="idle") == NOW + 130_000
    # That question was asked; there is no other one for the same reset.
    assert due_at(PACE, next_at=at, asked_at=NOW + 130_000, windows=[soon], use="busy") == at
    assert due_at(PACE, next_at=at, asked_at=NOW + 90_000, windows=[soon], use="busy") == NOW + 150_000, "the floor"
    assert due_at(PACE, next_at=at, asked_at=NOW, windows=[soon], use="failed") == at
