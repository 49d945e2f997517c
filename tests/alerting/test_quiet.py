"""Quiet hours are a person's: of their time zone, over midnight, and when clocks are put forward or back."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.alerting.quiet import Quiet, local_zone

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Quiet(time(22), time(7), BERLIN)


def ms(*when: int, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    year, month, day, hour, minute = when
    return round(datetime(year, month, day, hour, minute, tzinfo=zone, fold=fold).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (ms(2027, 1, 20, 21, 59), None),
        (ms(2027, 1, 20, 22, 0), ms(2027, 1, 21, 7, 0)),
        (ms(2027, 1, 21, 0, 30), ms(2027, 1, 21, 7, 0)),
        (ms(2027, 1, 21, 7, 0), None),
        # A night of eight hours, and one of ten.
        (ms(2027, 3, 27, 23, 0), ms(2027, 3, 28, 7, 0)),
        (ms(2027, 3, 28, 6, 59), ms(2027, 3, 28, 7, 0)),
        (ms(2027, 10, 31, 2, 30, fold=1), ms(2027, 10, 31, 7, 0)),
    ],
)
def test_a_night(now: int, until: int | None) -> None:
    assert NIGHT.until(now) == until


def test_hours_within_a_day() -> None:
    noon = Quiet(time(12), time(13, 30), BERLIN)
    assert noon.until(ms(2027, 1, 20, 12, 10)) == ms(2027, 1, 20, 13, 30)
    assert noon.until(ms(2027, 1, 20, 13, 30)) is None and noon.until(ms(2027, 1, 20, 11, 59)) is None


def test_an_end_that_no_clock_shows_or_that_it_shows_twice() -> None:
    odd = Quiet(time(22), time(2, 30), BERLIN)
    begin = ms(2027, 3, 27, 23, 0)
    assert odd.until(begin) == ms(2027, 3, 28, 3, 30)
    assert odd.until(ms(2027, 3, 28, 3, 30)) is None
    assert odd.until(ms(2027, 10, 31, 2, 10)) == ms(2027, 10, 31, 2, 30)
    assert odd.until(ms(2027, 10, 31, 2, 10, fold=1)) is None


@given(
    st.integers(1_700_000_000_000, 1_900_000_000_000),
    st.times(),
    st.times(),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"]),
)
def test_an_end_is_soon_and_is_the_end(now: int, begin: time, end: time, zone: str) -> None:
    begin, end = begin.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0)
    quiet = Quiet(begin, end, ZoneInfo(zone))
    if begin == end:
        return
    until = quiet.until(now)
    if until is not None:
        assert now < until <= now + timedelta(hours=25) / timedelta(milliseconds=1)


def test_the_machines_zone(tmp_path: Path) -> None:
    assert local_zone(tmp_path / "none") is UTC
    (tmp_path / "bad").write_text("no zone")
    assert local_zone(tmp_path / "bad") is UTC
