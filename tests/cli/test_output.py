"""How commands write sizes and times."""

from __future__ import annotations

import time

import pytest

from edgebotd.cli.output import size, until


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (20 * 1024**2, "20 MiB"), (2**40, "1 TiB")],
)
def test_sizes_have_their_largest_unit(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "never"), (-1, "expired"), (899.9, "in 15 min"), (30, "in 1 min"), (90_000, "in 1 d")]
)
def test_what_was_made_for_fifteen_minutes_expires_in_fifteen(
    seconds: float | None, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert until(None if seconds is None else round((1000 + seconds) * 1000)) == text
