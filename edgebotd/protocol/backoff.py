"""How long to wait before the next attempt."""

from __future__ import annotations

import math
from random import Random


class Backoff:
    """Exponential backoff with full jitter: each wait is uniform between 0 and a bound that doubles up to a cap.

    Full jitter spreads the clients of a peer that comes back better than a jitter around the exponential value does.
    Idea: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        base: upper bound of the first wait, seconds.
        cap: upper bound of every wait, seconds; at least `base`.
        rng: source of the jitter; a seeded one makes a test deterministic.
    """

    def __init__(self, base: float, cap: float, rng: Random) -> None:
        if not (0 < base <= cap and math.isfinite(cap)):
            raise ValueError(f"a backoff needs 0 < base <= cap < infinity, not base={base}, cap={cap}")
        self._base = base
        self._cap = cap
        self._rng = rng
        self._bound = base

    def next(self) -> float:
        """Return the seconds to wait now, and let the next wait be longer."""
        wait = self._rng.uniform(0, self._bound)
        self._bound = min(self._cap, self._bound * 2)
        return wait

    def reset(self) -> None:
        """Begin anew: an attempt has succeeded."""
        self._bound = self._base
