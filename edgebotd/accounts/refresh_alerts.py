"""Tells when a login needs a person, and when it is mended: each once."""

from __future__ import annotations

from typing import Final, Literal

from edgebotd.events import Alert
from edgebotd.store.profiles import Profile

FAILURES: Final = 3
"""In a row, until somebody is told; the first ones mend themselves."""
_KINDS: Final = ("login", "refresh")

Kind = Literal["login", "refresh"]


class RefreshAlerts:
    """Which alerts of logins are open; the store has them too, this is what it need not be asked for."""

    def __init__(self) -> None:
        self._open: set[str] = set()

    def load(self, alerts: list[Alert]) -> None:
        """Learn what is open."""
        self._open = {alert.alert_id for alert in alerts if _subject(alert.alert_id) is not None}

    def subjects(self) -> set[str]:
        """Return the logins of which one is open."""
        return {subject for alert_id in self._open if (subject := _subject(alert_id)) is not None}

    def changes(self, profile_id: str, profile: Profile | None, now: int) -> list[Alert]:
        """Return what is to be told of a login as it is now, None for one that was removed."""
        wanted = None if profile is None else _wanted(profile, now)
        told = []
        for kind in _KINDS:
            alert_id = f"profile:{profile_id}:{kind}"
            if wanted is not None and wanted[0] == kind:
                if alert_id not in self._open:
                    told.append(_opened(alert_id, profile_id, kind, wanted[1], now))
            elif alert_id in self._open:
                told.append(_resolved(alert_id, profile_id, kind, now))
        return told

    def told(self, alerts: list[Alert]) -> None:
        """Remember what was stored."""
        for alert in alerts:
            (self._open.add if alert.state == "open" else self._open.discard)(alert.alert_id)


def _wanted(profile: Profile, now: int) -> tuple[str, str | None] | None:
    ended = profile.expires_at is not None and profile.expires_at <= now
    if profile.state == "needs_login":
        return "login", profile.reason
    if profile.state == "misconfigured":
        return "refresh", profile.reason
    if profile.state in ("backoff", "uncertain", "refreshing") and (
        profile.attempts >= FAILURES or (ended and profile.attempts > 0)
    ):
        return "refresh", profile.reason
    return None


def _opened(alert_id: str, profile_id: str, kind: str, reason: str | None, now: int) -> Alert:
    if kind == "login":
        title = f"The login {profile_id} needs a new login"
        todo = f"Log in again: edgebotd accounts login {profile_id.partition(':')[0]}."
    else:
        title = f"The token of {profile_id} is not refreshed"
        todo = "It is tried again by itself, or after a change of the provider's settings."
    return Alert(
        alert_id=alert_id,
        severity="critical" if kind == "login" else "warning",
        state="open",
        title=title,
        detail=" ".join(filter(None, (reason, todo))),
        at=now,
    )


def _resolved(alert_id: str, profile_id: str, kind: str, now: int) -> Alert:
    title = f"{profile_id} is logged in again" if kind == "login" else f"The token of {profile_id} is refreshed again"
    return Alert(alert_id=alert_id, severity="info", state="resolved", title=title, at=now)


def _subject(alert_id: str) -> str | None:
    kind, _, rest = alert_id.partition(":")
    subject, _, what = rest.rpartition(":")
    return subject if kind == "profile" and what in _KINDS and subject else None
