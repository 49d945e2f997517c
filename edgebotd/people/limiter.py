"""How many logins may be tried: leaky buckets per account, per address and per both, bounded in number."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edgebotd.errors import Problem

WINDOW_SECONDS: Final = 60.0
WIDER: Final = 4
"""An account or an address alone gets this many times what the pair gets: one person at a shared address, or a
stranger who knows a name, must not lock the others out at once."""

MAX_BUCKETS: Final = 10_000
"""Its full case: the bucket that was used longest ago is forgotten, which gives its owner a fresh start; to use that,
one needs thousands of addresses a minute."""


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


class TooManyAttempts(Problem):
    """Wait; the same answer whether or not the account exists."""

    def __init__(self, retry_after: float) -> None:
        seconds = max(1, math.ceil(retry_after))
        super().__init__(
            429,
            "too_many_attempts",
            f"Too many login attempts. Try again in {seconds} s.",
            headers={"Retry-After": str(seconds)},
            extra={"retryAfterSeconds": seconds},
        )


class LoginLimiter:
    """Counts attempts; loopback is no exception.

    Args:
        attempts: a minute, for one account from one address.
        clock: monotonic seconds.
    """

    def __init__(self, attempts: int, clock: Callable[[], float]) -> None:
        self._attempts = attempts
        self._clock = clock
        self._buckets: OrderedDict[tuple[str | None, str | None], _Bucket] = OrderedDict()

    def take(self, account: str, address: str) -> None:
        """Count an attempt before it is made, so that parallel ones do not slip through.

        Raises:
            TooManyAttempts: one of the buckets is full; nothing is counted.
        """
        now = self._clock()
        keys = self._keys(account, address)
        wait = max(self._wait(key, capacity, now) for key, capacity in keys)
        if wait > 0:
            raise TooManyAttempts(wait)
        for key, capacity in keys:
            bucket = self._drained(key, capacity, now) or _Bucket(0.0, now)
            bucket.level += 1
            self._buckets[key] = bucket
            self._buckets.move_to_end(key)
        while len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)

    def give_back(self, account: str, address: str) -> None:
        """Uncount an attempt that turned out right."""
        for key, _ in self._keys(account, address):
            if (bucket := self._buckets.get(key)) is not None:
                bucket.level = max(0.0, bucket.level - 1)

    def __len__(self) -> int:
        return len(self._buckets)

    def _keys(self, account: str, address: str) -> tuple[tuple[tuple[str | None, str | None], int], ...]:
        # What was sent as the name is no id yet; its length must not decide what we keep.
        account = account[:64]
        wide = self._attempts * WIDER
        return ((account, address), self._attempts), ((account, None), wide), ((None, address), wide)

    def _wait(self, key: tuple[str | None, str | None], capacity: int, now: float) -> float:
        bucket = self._drained(key, capacity, now)
        if bucket is None or bucket.level + 1 <= capacity:
            return 0.0
        return (bucket.level + 1 - capacity) * WINDOW_SECONDS / capacity

    def _drained(self, key: tuple[str | None, str | None], capacity: int, now: float) -> _Bucket | None:
        bucket = self._buckets.get(key)
        if bucket is None:
            return None
        bucket.level -= (now - bucket.at) * capacity / WINDOW_SECONDS
        bucket.at = now
        if bucket.level <= 0:
            del self._buckets[key]
            return None
        return bucket
