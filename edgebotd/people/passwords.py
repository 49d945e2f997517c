"""Passwords: argon2id in a thread, one at a time, with the same work for accounts that do not exist."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final, TypeVar

import argon2
import trio

from edgebotd.errors import Invalid, Problem

T = TypeVar("T")

MIN_LENGTH: Final = 10
MAX_LENGTH: Final = 1024
"""In characters. Without a bound a request could make us hash a megabyte."""

MAX_WAITING: Final = 20
"""Verifications that may queue for the one thread (about 30 ms each); its full case: 503, try again."""


class Passwords:
    """Hashes and verifies.

    The parameters are OWASP's first choice for argon2id (Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane). One
    at a time, because each takes a core and 19 MiB, and a login storm must not starve the channel.
    """

    def __init__(self, hasher: argon2.PasswordHasher | None = None, *, threads: int = 1) -> None:
        self._hasher = hasher or argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._limiter = trio.CapacityLimiter(threads)
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """Return the encoded hash of a new password.

        Raises:
            Invalid: too short or too long.
        """
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            raise Invalid(
                f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters; yours has {len(password)}.",
                code="bad_password",
            )
        text = _normal(password)
        return await self._in_thread(lambda: self._hasher.hash(text))

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Whether the password is the one; None (no such account, or none set) costs as much and is False.

        Raises:
            Problem: 503 where too many wait.
        """
        text = _normal(password[:MAX_LENGTH])
        return await self._in_thread(lambda: self._verify(encoded, text)) and len(password) <= MAX_LENGTH

    def outdated(self, encoded: str) -> bool:
        """Whether the hash was made with other parameters and should be made anew while the password is known."""
        return self._hasher.check_needs_rehash(encoded)

    def _verify(self, encoded: str | None, text: str) -> bool:
        if encoded is None and self._decoy is None:
            self._decoy = self._hasher.hash("a decoy that nobody's password is compared with")
        try:
            self._hasher.verify(encoded or self._decoy or "", text)
        except argon2.exceptions.VerificationError:
            return False
        except argon2.exceptions.InvalidHashError:
            return False  # not written by us: nobody gets in with it
        return encoded is not None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._limiter.statistics().tasks_waiting >= MAX_WAITING:
            raise Problem(
                503, "busy", "Too many logins at once. Try again in a few seconds.", headers={"Retry-After": "3"}
            )
        return await trio.to_thread.run_sync(work, limiter=self._limiter)


def _normal(password: str) -> str:
    # One password, however the keyboard composes it (NIST SP 800-63B, 5.1.1.2).
    return unicodedata.normalize("NFKC", password)
