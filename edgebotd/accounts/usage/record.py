"""What is known of one profile's use, how it is stored, and what is told of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import TypeAdapter, ValidationError

from edgebotd.accounts.usage.asking import Trouble
from edgebotd.events import AuthProfileUsage, UsageBilling, UsageError, UsageErrorKind, UsageWindow
from edgebotd.protocol.usage import Billing, Usage, Window
from edgebotd.store.profiles import Profile
from edgebotd.store.usage import Point, StoredUsage

THRESHOLDS: Final = (80.0, 95.0, 100.0)
_MINUTE_MS: Final = 60_000
_POINTS: Final = 1.0
_WOBBLE_MS: Final = 600_000
_WOBBLE: Final = 0.2
_KEPT_STEP: Final = 0.5
_KEPT_EVERY_MS: Final = 600_000

_STATES: Final = {
    "needs_login": "It is not asked until somebody logs in again.",
    "misconfigured": "It is not asked while the provider's settings are refused.",
    "backoff": "It is not asked while the login cannot be refreshed.",
    "uncertain": "It is not asked while it is unknown whether the login was refreshed.",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What is wrong since the last good answer.

    Attributes:
        generation: of the login that it was said to.
        settings: stands for those that it was asked with.
    """

    kind: UsageErrorKind
    detail: str
    since_at: int
    generation: int
    status: int | None = None
    settings: str = ""


_USAGE: Final = TypeAdapter(Usage)
_FAILURE: Final = TypeAdapter(Failure)


@dataclass(slots=True)
class Record:
    """Of one profile.

    Attributes:
        fingerprint, generation, login_generation, account_id: of the login, when it was looked at last.
        good: the last good answer, and `fetched_at` when it came.
        failure: that came since; `failures` how many in a row, of this kind.
        next_at: when to ask again; None: not by itself.
        runs_out: by window, where it does before it starts anew.
        kept: the last point of each window's history.
    """

    profile_id: str
    fingerprint: str | None
    generation: int
    login_generation: int
    account_id: str | None
    good: Usage | None = None
    fetched_at: int | None = None
    failure: Failure | None = None
    failures: int = 0
    asked_at: int | None = None
    next_at: int | None = 0
    runs_out: dict[str, int] = field(default_factory=dict)
    kept: dict[str, Point] = field(default_factory=dict)

    @classmethod
    def begin(cls, profile: Profile) -> Record:
        """Return one that knows nothing."""
        return cls(profile.id, profile.fingerprint, profile.generation, profile.login_generation, profile.account_id)

    @classmethod
    def of_row(cls, row: StoredUsage) -> Record:
        """Return what was stored; what an other version wrote and this one cannot read is not known."""
        good: Usage | None = None
        failure: Failure | None = None
        try:
            good = None if row.good is None else _USAGE.validate_json(row.good)
            failure = None if row.error is None else _FAILURE.validate_json(row.error)
        except ValidationError:
            good = failure = None
        return cls(
            row.profile_id,
            row.fingerprint,
            row.generation,
            row.login_generation,
            row.account_id,
            good,
            None if good is None else row.fetched_at,
            failure,
            row.failures if failure is not None else 0,
            row.asked_at,
            row.next_at if failure is not None or row.next_at is not None else 0,
        )

    def row(self) -> StoredUsage:
        """Return it for the store."""
        return StoredUsage(
            self.profile_id,
            self.fingerprint,
            self.generation,
            self.login_generation,
            self.account_id,
            None if self.good is None else _USAGE.dump_json(self.good).decode(),
            self.fetched_at,
            None if self.failure is None else _FAILURE.dump_json(self.failure).decode(),
            self.failures,
            self.asked_at,
            self.next_at,
        )

    def is_of(self, profile: Profile) -> bool:
        """Whether a login is of the account that this is known of, as far as can be told."""
        if self.fingerprint == profile.fingerprint:
            # Of gateways' logins there is none, and nobody tells what they are logged in to.
            return True
        if self.generation == profile.generation:
            # Another one of the same name, after the first was removed.
            return False
        if self.account_id is not None and profile.account_id is not None:
            return self.account_id == profile.account_id
        return self.login_generation == profile.login_generation

    def follow(self, profile: Profile, now: int, floor: int) -> None:
        """Take over a login that was refreshed: what its old token was refused for may be over."""
        moved = self.generation != profile.generation
        self.fingerprint, self.generation = profile.fingerprint, profile.generation
        self.login_generation, self.account_id = profile.login_generation, profile.account_id
        if moved and self.failure is not None and self._may_be_over(self.failure.kind):
            soon = max(now, (self.asked_at or 0) + floor)
            self.next_at = soon if self.next_at is None else min(self.next_at, soon)

    def _may_be_over(self, kind: UsageErrorKind) -> bool:
        # A second token that is refused as the first one was says that it is not the token.
        return kind == "rate_limited" or (kind == "auth" and self.failures == 1)

    def take(self, usage: Usage, now: int) -> list[Point]:
        """Take over a good answer; returns the points of history that it makes."""
        self.good, self.fetched_at, self.failure, self.failures = usage, now, None, 0
        points = [Point(one.id, now, one.used_percent, to_minute(one.resets_at)) for one in usage.windows]
        new = [point for point in points if _is_worth(self.kept.get(point.window_id), point)]
        self.kept |= {point.window_id: point for point in new}
        return new

    def mended(self, settings: str, now: int, floor: int) -> None:
        """Hear at a start what the settings are: what others led to says nothing of these, but for a pause."""
        if self.failure is not None and self.failure.kind != "rate_limited" and self.failure.settings != settings:
            self.failures, self.next_at = 0, max(now, (self.asked_at or 0) + floor)

    def fail(self, trouble: Trouble, generation: int, now: int, settings: str = "") -> None:
        """Take over a failure; what was good stays."""
        before = self.failure
        again = before is not None and before.kind == trouble.kind
        self.failures = self.failures + 1 if again else 1
        since_at = now if before is None else before.since_at
        self.failure = Failure(trouble.kind, trouble.detail, since_at, generation, trouble.status, settings)

    def event(self, profile: Profile, bot_ids: tuple[str, ...], now: int) -> AuthProfileUsage:
        """Return what is told of it."""
        good = self.good or Usage()
        source: Literal["poll", "gateway"] = "gateway" if profile.owner == "gateway" else "poll"
        return AuthProfileUsage(
            profile_id=profile.id,
            bot_ids=bot_ids,
            plan=good.plan,
            windows=tuple(_window(one, self.runs_out.get(one.id)) for one in good.windows),
            billing=tuple(_billing(one) for one in good.billing),
            fetched_at=self.fetched_at,
            source=None if self.good is None else source,
            error=self._error(profile, now),
        )

    def _error(self, profile: Profile, now: int) -> UsageError | None:
        if (why := not_asked(profile, now)) is not None:
            ended = profile.expires_at if profile.state in ("fresh", "static") else None
            # When it may be mended without anybody: then nobody is needed.
            again = profile.next_at if profile.state in ("backoff", "uncertain") else None
            return UsageError(kind="auth", detail=why, since_at=ended or profile.changed_at, retry_at=again)
        if (wrong := self.failure) is None:
            return None
        return UsageError(
            kind=wrong.kind, status=wrong.status, detail=wrong.detail, since_at=wrong.since_at, retry_at=self.next_at
        )


def not_asked(profile: Profile, now: int) -> str | None:
    """Return why nobody asks with a login, None where it is well. Refused tokens become refused callers."""
    if profile.owner == "gateway":
        # Its gateway asks, and knows best.
        return None
    if (why := _STATES.get(profile.state)) is not None:
        return why
    if profile.expires_at is not None and profile.expires_at <= now:
        return "It is not asked while the login's token has run out."
    return None


def changed(before: AuthProfileUsage, after: AuthProfileUsage) -> bool:
    """Whether what is told has changed, beyond the wobble of figures and clocks."""
    if _frame(before) != _frame(after):
        return True
    old = {window.id: window for window in before.windows}
    return any(_moved(old[one.id], one) or _foreseen(old[one.id], one, after.fetched_at) for one in after.windows)


def to_minute(at: int | None) -> int | None:
    """Return a time to the minute: some providers say it with a fraction that differs each time."""
    return None if at is None else (at + _MINUTE_MS // 2) // _MINUTE_MS * _MINUTE_MS


def _frame(event: AuthProfileUsage) -> Mapping[str, object]:
    # Of a login that is not well, whether somebody has to do something.
    kind = None if event.error is None else (event.error.kind, event.error.retry_at is None)
    windows = [(one.id, one.label, one.window_seconds, one.scope) for one in event.windows]
    rest = event.model_dump(exclude={"windows", "error", "fetched_at"})
    return {**rest, "windows": windows, "kind": kind, "known": event.fetched_at is not None}


def _moved(old: UsageWindow, new: UsageWindow) -> bool:
    if abs(new.used_percent - old.used_percent) >= _POINTS:
        return True
    if any((old.used_percent < one) != (new.used_percent < one) for one in THRESHOLDS):
        return True
    if old.resets_at is None or new.resets_at is None:
        return old.resets_at != new.resets_at
    return abs(new.resets_at - old.resets_at) > _MINUTE_MS


def _foreseen(old: UsageWindow, new: UsageWindow, now: int | None) -> bool:
    """Whether what is foreseen is another: there or not, or off by more than it wobbles, the less the nearer it is."""
    if old.runs_out_at is None or new.runs_out_at is None:
        return old.runs_out_at != new.runs_out_at
    wobble = max(_WOBBLE_MS, _WOBBLE * (old.runs_out_at - (now or 0)))
    return abs(new.runs_out_at - old.runs_out_at) > wobble


def _is_worth(before: Point | None, now: Point) -> bool:
    """Whether a point tells more than the one before it."""
    if before is None or now.at - before.at >= _KEPT_EVERY_MS or now.resets_at != before.resets_at:
        return True
    return abs(now.used_percent - before.used_percent) >= _KEPT_STEP


def _window(window: Window, runs_out_at: int | None) -> UsageWindow:
    told = dataclasses.asdict(window) | {"resets_at": to_minute(window.resets_at)}
    return UsageWindow(**told, runs_out_at=to_minute(runs_out_at))


def _billing(billing: Billing) -> UsageBilling:
    return UsageBilling(**dataclasses.asdict(billing))
