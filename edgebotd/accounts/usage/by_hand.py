"""Whether a provider may be asked now because a person wants to know: never sooner than it bears."""

from __future__ import annotations

from edgebotd.accounts.usage.pace import Pace
from edgebotd.accounts.usage.record import Record, not_asked
from edgebotd.errors import Conflict
from edgebotd.store.profiles import Profile


def check_by_hand(profile: Profile, pace: Pace | None, record: Record, now: int) -> None:
    """Pass where it may be asked.

    Args:
        pace: how often, None where nobody can be asked.
        now: Unix milliseconds.

    Raises:
        Conflict: nobody can be asked, or not yet; the words say why, and when.
    """
    if pace is None:
        why = f"nothing says where to ask how much of it is used ([providers.{profile.provider}.usage])"
        raise Conflict("not_asked", f"{profile.id}: {why}.")
    if (trouble := not_asked(profile, now)) is not None:
        raise Conflict("not_well", f"{profile.id}: {trouble}")
    paused = record.failure is not None and record.failure.kind == "rate_limited"
    if paused and record.next_at is not None and record.next_at > now:
        wait = _span(record.next_at - now)
        raise Conflict("rate_limited", f"The provider was asked too often. It may be asked again in {wait}.")
    if record.asked_at is not None and (again := record.asked_at + pace.floor) > now >= record.asked_at:
        words = f"It was asked {_span(now - record.asked_at)} ago, and may be asked again in {_span(again - now)}."
        raise Conflict("too_soon", words)


def _span(ms: int) -> str:
    seconds = -(-ms // 1000)
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds > 2 * size:
            return f"{-(-seconds // size)} {unit}"
    return f"{seconds} s"
