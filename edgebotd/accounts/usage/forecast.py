"""When a window runs out at the pace of this window: arithmetic over its history, without a clock."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Final

from edgebotd.protocol.usage import Window
from edgebotd.store.usage import Point

FULL: Final = 100.0
LEAST_POINTS: Final = 4
MOST_POINTS: Final = 48
"""Pairs are compared, which are 1,128 then."""
LEAST_RISE: Final = 1.0
"""Percent. Below it most of what is seen is rounding."""
LEAST_MS: Final = 600_000
LEAST_SHARE: Final = 0.02
"""Of the window's length that must have been seen, for long ones; of a week three hours."""
DROP: Final = 5.0
"""So many points down mean that the window has started anew, where nobody says so."""


def runs_out_at(window: Window, points: Sequence[Point]) -> int | None:
    """Return when a window is used up, Unix milliseconds.

    The slope is the weighted median of the slopes between all pairs of points (Theil and Sen), each weighted by how far
    its points are apart: one wrong answer or a short burst does not move it, a night without work counts as such.

    Args:
        window: as it is now.
        points: of its history, oldest first; the last one is now.

    Returns:
        None where it starts anew before that, is used up already, or too little has been seen.
    """
    seen = _sampled(_of_this_one(window, points))
    if len(seen) < LEAST_POINTS or window.used_percent >= FULL:
        return None
    last = seen[-1]
    least = max(LEAST_MS, (window.window_seconds or 0) * 1000 * LEAST_SHARE)
    if last.at - seen[0].at < least or last.used_percent - min(one.used_percent for one in seen) < LEAST_RISE:
        return None
    ends = _ends(window, last.at)
    slope = _slope(seen)
    if ends is None or slope <= 0:
        return None
    at = last.at + (FULL - last.used_percent) / slope
    return round(at) if at < ends else None


def _ends(window: Window, now: int) -> int | None:
    if window.resets_at is not None:
        return window.resets_at
    return None if window.window_seconds is None else now + window.window_seconds * 1000


def _of_this_one(window: Window, points: Sequence[Point]) -> Sequence[Point]:
    """Leave out what was used before the window last started anew."""
    begins = 0
    if window.resets_at is not None and window.window_seconds is not None:
        begins = window.resets_at - window.window_seconds * 1000
    kept = [one for one in points if one.at >= begins]
    starts = [0, *(place for place, (old, new) in enumerate(pairwise(kept), 1) if _starts_anew(old, new))]
    # A single answer that is much lower is a mistake of the provider's when the next one is as before.
    for start in reversed(starts):
        if start == 0 or not _recovers(kept, start):
            return kept[start:]
    return kept


def _starts_anew(old: Point, new: Point) -> bool:
    return new.used_percent < old.used_percent - DROP


def _recovers(points: Sequence[Point], start: int) -> bool:
    after = points[start + 1 : start + 3]
    return bool(after) and max(one.used_percent for one in after) >= points[start - 1].used_percent


def _sampled(points: Sequence[Point]) -> Sequence[Point]:
    """Return at most `MOST_POINTS`, spread over time, the first and the last among them."""
    if len(points) <= MOST_POINTS:
        return points
    step = (points[-1].at - points[0].at) / (MOST_POINTS - 1)
    found: list[Point] = []
    for point in points[:-1]:
        if not found or point.at >= found[0].at + len(found) * step:
            found.append(point)
    return [*found[: MOST_POINTS - 1], points[-1]]


def _slope(points: Sequence[Point]) -> float:
    """Return percent for each millisecond."""
    pairs = [
        ((new.used_percent - old.used_percent) / (new.at - old.at), new.at - old.at)
        for old, new in combinations(points, 2)
        if new.at > old.at
    ]
    pairs.sort()
    half, so_far = sum(weight for _, weight in pairs) / 2, 0
    for slope, weight in pairs:
        so_far += weight
        if so_far >= half:
            return slope
    return 0.0
