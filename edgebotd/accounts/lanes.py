"""One lane per login: what uses its token and what changes it never do so at once."""

from __future__ import annotations

from collections import defaultdict

import trio


class Lanes:
    """Locks by profile id, which are few and stay."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)

    def of(self, profile_id: str) -> trio.Lock:
        """Return the lock of a profile, the same for the refresher and for who asks how much of it is used."""
        return self._locks[profile_id]
