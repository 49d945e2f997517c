"""What becomes of a login with each outcome of a refresh, and when the next one is due. Decides, and does nothing.

fresh ──due──> refreshing ──granted───────────────> fresh
                   ├─ not sent, refused for now ──> backoff       the same token, later
                   ├─ nobody knows ───────────────> uncertain     the access token to its end, then one try
                   ├─ the login is over ──────────> needs_login   until a person logs in
                   └─ the client is refused ──────> misconfigured until the settings change
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from edgebotd.accounts.secrets import Login
from edgebotd.config import OAuthSettings
from edgebotd.protocol.oauth import Ambiguous, Delayed, Granted, Misconfigured, NotSent, Outcome, Partial, Rejected
from edgebotd.store.profiles import Profile

LEAD_MS: Final = 300_000
LEAD_SHARE: Final = 0.1
JITTER_MS: Final = 60_000
BACKOFF_MS: Final = 300_000
BACKOFF_CAP_MS: Final = 6 * 3_600_000
BACKOFF_FLOOR_MS: Final = 5_000
"""Full jitter may be next to nothing, and that is no wait."""
RETRY_AFTER_CAP_MS: Final = 24 * 3_600_000
LAST_TRY_MS: Final = 60_000
"""So long before the access token's end the one try is made that a doubt or a long wait has put off."""
SOONEST_MS: Final = 5_000
"""Between two refreshes, however short a token lives."""
GRACE_PAUSE_MS: Final = 1_000

ACTIVE: Final = frozenset({"fresh", "backoff", "uncertain"})
"""The states in which a refresh may become due."""

Word = Literal["refreshed", "backoff", "uncertain", "needs_login", "misconfigured"]


@dataclass(frozen=True, slots=True)
class Settled:
    """What is to be stored; `login` where the secret changed."""

    word: Word
    profile: Profile
    login: Login | None = None


def due_at(profile: Profile, oauth: OAuthSettings | None, rng: Random | None = None) -> int | None:
    """Return when a fresh token is to be refreshed; None: never by the clock, as it is not known when it ends."""
    if profile.expires_at is None:
        return None
    lifetime = profile.lifetime_ms
    given = None if oauth is None else oauth.lead_seconds
    lead = float(LEAD_MS) if given is None else given * 1000
    if lifetime is not None:
        if given is None:
            lead = max(lead, lifetime * LEAD_SHARE)
        lead = min(lead, lifetime / 2)
    jitter = 0.0 if rng is None else rng.uniform(0, min(JITTER_MS, lead / 4))
    return int(profile.expires_at - lead - jitter)


def begin_uncertain(profile: Profile, oauth: OAuthSettings | None, now: int, reason: str) -> Profile:
    """Return a login of which nobody knows any more whether its refresh token was spent."""
    since = profile.uncertain_at or profile.claimed_at or now
    at = _last_try(profile, now)
    if profile.uncertain_at is None and oauth is not None and _in_grace(since, oauth, now):
        at = now + GRACE_PAUSE_MS
    return dataclasses.replace(
        profile,
        state="uncertain",
        reason=reason,
        claim=None,
        claimed_at=None,
        uncertain_at=since,
        next_at=at,
    )


def again(profile: Profile, now: int) -> Profile:
    """Return a login whose provider's settings have changed since they were refused."""
    doubt = profile.uncertain_at is not None
    return dataclasses.replace(
        profile,
        state="uncertain" if doubt else "backoff",
        settings_digest=None,
        next_at=_last_try(profile, now) if doubt else now,
    )


def settle(
    profile: Profile, login: Login, outcome: Outcome, oauth: OAuthSettings | None, digest: str, now: int, rng: Random
) -> Settled:
    """Return what becomes of a login that was `refreshing`.

    Args:
        login: its secrets, as they were sent.
        digest: of the provider's settings.
    """
    skew = getattr(outcome, "skew_ms", None)
    open_ = dataclasses.replace(profile, claim=None, claimed_at=None, skew_ms=profile.skew_ms if skew is None else skew)
    match outcome:
        case Granted(tokens=tokens):
            fresh = dataclasses.replace(
                open_,
                state="fresh",
                reason=None,
                attempts=0,
                expires_at=tokens.expires_at,
                lifetime_ms=tokens.lifetime_ms,
                refreshed_at=now,
                uncertain_at=None,
                settings_digest=None,
            )
            at = due_at(fresh, oauth, rng)
            fresh = dataclasses.replace(fresh, next_at=None if at is None else max(at, now + SOONEST_MS))
            new = Login(tokens.access, tokens.refresh or login.refresh, tokens.identity or login.identity)
            return Settled("refreshed", fresh, new)
        case Partial(refresh=refresh, reason=reason):
            kept = Login(login.access, refresh, login.identity)
            # What was sent before is no longer in doubt.
            sure = dataclasses.replace(open_, uncertain_at=None)
            return Settled("backoff", _wait(sure, reason, None, now, rng), kept)
        case NotSent(reason=reason):
            return _put_off(_wait(open_, reason, None, now, rng))
        case Delayed(reason=reason, retry_after_ms=wait):
            return _put_off(_wait(open_, reason, wait, now, rng))
        case Ambiguous(reason=reason):
            if oauth is not None and oauth.rotates == "no":
                # Sending it twice spends nothing.
                return _put_off(_wait(open_, reason, None, now, rng))
            return Settled("uncertain", _doubt(profile, open_, oauth, reason, now, rng))
        case Rejected(reason=reason):
            over = dataclasses.replace(
                open_, state="needs_login", reason=reason, attempts=0, next_at=None, uncertain_at=None
            )
            return Settled("needs_login", over)
        case Misconfigured(reason=reason):
            wrong = dataclasses.replace(
                open_, state="misconfigured", reason=reason, next_at=None, settings_digest=digest
            )
            return Settled("misconfigured", wrong)


def _put_off(profile: Profile) -> Settled:
    # A doubt stays one, whatever came in between: the token that may be spent is still the only one.
    return Settled("backoff" if profile.uncertain_at is None else "uncertain", profile)


def _doubt(
    profile: Profile, open_: Profile, oauth: OAuthSettings | None, reason: str, now: int, rng: Random
) -> Profile:
    if profile.uncertain_at is not None:
        # The one try was made, or the one within the grace.
        waiting = _wait(open_, reason, None, now, rng)
        last = _last_try(open_, now)
        return waiting if last is None or last <= now else dataclasses.replace(waiting, next_at=last)
    doubted = begin_uncertain(dataclasses.replace(profile, skew_ms=open_.skew_ms), oauth, now, reason)
    doubted = dataclasses.replace(doubted, attempts=profile.attempts + 1)
    if doubted.next_at is not None and doubted.next_at <= now:
        # The access token has ended as well. There is nothing to lose, and still no reason to hurry.
        return dataclasses.replace(doubted, next_at=now + backoff_ms(doubted.attempts, rng))
    return doubted


def _wait(profile: Profile, reason: str, wait: int | None, now: int, rng: Random) -> Profile:
    attempts = profile.attempts + 1
    pause = backoff_ms(attempts, rng) if wait is None else min(wait, RETRY_AFTER_CAP_MS)
    at = now + pause
    if profile.expires_at is not None:
        last = profile.expires_at - LAST_TRY_MS
        if now < last and at > last:
            # Never past the token's end without one try.
            at = last
    state: Literal["backoff", "uncertain"] = "backoff" if profile.uncertain_at is None else "uncertain"
    return dataclasses.replace(profile, state=state, reason=reason, attempts=attempts, next_at=at)


def backoff_ms(attempts: int, rng: Random) -> int:
    """Return how long to wait after so many failures in a row: 5 minutes, doubling to 6 hours, with full jitter."""
    bound = min(BACKOFF_CAP_MS, BACKOFF_MS * 2 ** min(attempts - 1, 16))
    return max(BACKOFF_FLOOR_MS, int(rng.uniform(0, bound)))


def _last_try(profile: Profile, now: int) -> int | None:
    # Of a token that nobody knows the end of only a provider's 401 can tell that it is over.
    return None if profile.expires_at is None else max(now, profile.expires_at - LAST_TRY_MS)


def _in_grace(since: int, oauth: OAuthSettings, now: int) -> bool:
    return since <= now < since + oauth.reuse_grace_seconds * 1000 - GRACE_PAUSE_MS
