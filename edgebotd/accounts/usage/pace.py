"""When to ask next: pure decisions, so that no provider is ever asked more often than it bears.

Anthropic's endpoint answers 429 for hours to whoever asked each minute, with a `Retry-After` of 0; many 401 in a row
become 429 too. So a failure is followed by a pause that doubles, and what cannot go well is not asked at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from edgebotd.accounts.usage.asking import Trouble
from edgebotd.config import UsageSettings
from edgebotd.protocol.usage import Window

MINUTE_MS: Final = 60_000
RATE_LIMITED_MS: Final = 5 * MINUTE_MS
RATE_LIMITED_CAP_MS: Final = 6 * 60 * MINUTE_MS
REFUSED_MS: Final = 60 * MINUTE_MS
FAILED_CAP_MS: Final = 60 * MINUTE_MS
RETRY_AFTER_CAP_MS: Final = 24 * 60 * MINUTE_MS
"""Whoever asks for a longer pause is asked again after a day."""
JITTER: Final = 0.1
IDLE_FACTOR: Final = 3
AFTER_RESET_MS: Final = 30_000
"""A provider needs a moment to start a window anew."""
GATEWAY_INTERVAL_MS: Final = 300_000
GATEWAY_FLOOR_MS: Final = 60_000
"""A gateway's own cache is as old."""

_HARD_FLOORS_MS: Final = {"anthropic": 180_000}
"""Below what the settings may say."""


Use = Literal["idle", "busy", "failed"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a profile may be asked about, milliseconds."""

    interval: int
    floor: int

    @classmethod
    def of(cls, settings: UsageSettings) -> Pace:
        """Return what the settings of a provider say."""
        floor = max(round(settings.floor_seconds * 1000), _HARD_FLOORS_MS.get(settings.kind, 0))
        return cls(max(round(settings.interval_seconds * 1000), floor), floor)


GATEWAY: Final = Pace(GATEWAY_INTERVAL_MS, GATEWAY_FLOOR_MS)


def after_good(pace: Pace, now: int, rng: Random) -> int:
    """Return when to ask again after an answer, where the account is in use."""
    return now + max(pace.floor, round(pace.interval * rng.uniform(1 - JITTER, 1 + JITTER)))


def after_trouble(pace: Pace, trouble: Trouble, failures: int, now: int, rng: Random) -> int | None:
    """Return when to ask again after so many failures in a row, None for not before the login changes."""
    if trouble.kind == "unsupported":
        # What a gateway tells of changes with its settings, of which nobody hears.
        return now + FAILED_CAP_MS if pace is GATEWAY else None
    asked_for = min(trouble.retry_after_ms or 0, RETRY_AFTER_CAP_MS)
    if trouble.kind == "rate_limited":
        base, cap = max(asked_for, RATE_LIMITED_MS, pace.interval), RATE_LIMITED_CAP_MS
    elif trouble.kind == "auth":
        # A refresh has it asked at once; this is for keys, which nobody refreshes and a provider may refuse by mistake.
        base, cap = REFUSED_MS, RATE_LIMITED_CAP_MS
    else:
        base, cap = pace.interval, max(FAILED_CAP_MS, pace.interval)
    wait = max(asked_for, min(cap, base << min(failures - 1, 16)))
    # Never sooner than was asked for, so the jitter goes one way.
    return now + round(wait * rng.uniform(1, 1 + JITTER))


def due_at(pace: Pace, *, next_at: int, asked_at: int | None, windows: Iterable[Window], use: Use) -> int:
    """Return when to ask.

    Args:
        next_at: of `after_good` or `after_trouble`.
        windows: of the last good answer; shortly after one of them starts anew is one more question.
        use: whether a bot of the account works or somebody looks; or that the last question failed.
    """
    if use == "failed":
        return next_at
    at = next_at + (IDLE_FACTOR - 1) * pace.interval if use == "idle" else next_at
    if asked_at is None:
        return at
    resets = (window.resets_at + AFTER_RESET_MS for window in windows if window.resets_at is not None)
    return max(min([at, *(one for one in resets if one > asked_at)]), asked_at + pace.floor)
