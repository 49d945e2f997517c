"""Tells when a login needs a person to log in, and when it has had one: each once.

That refreshes keep failing is told by `alerting`, whose settings say how often is too often.
"""

from __future__ import annotations

from edgebotd.events import Alert
from edgebotd.store.profiles import Profile


class RefreshAlerts:
    """Which alerts of logins are open; the store has them too, this is what it need not be asked for."""

    def __init__(self) -> None:
        self._open: set[str] = set()

    def load(self, alerts: list[Alert]) -> None:
        """Learn what is open."""
        self._open = {subject for alert in alerts if (subject := _subject(alert.alert_id)) is not None}

    def subjects(self) -> set[str]:
        """Return the logins of which one is open."""
        return set(self._open)

    def changes(self, profile_id: str, profile: Profile | None, now: int) -> list[Alert]:
        """Return what is to be told of a login as it is now, None for one that was removed."""
        if profile is not None and profile.state == "needs_login":
            return [] if profile_id in self._open else [_opened(profile, now)]
        title = f"{profile_id} was removed" if profile is None else f"{profile_id} is logged in again"
        return [_resolved(profile_id, title, now)] if profile_id in self._open else []

    def told(self, alerts: list[Alert]) -> None:
        """Remember what was stored."""
        for alert in alerts:
            if (subject := _subject(alert.alert_id)) is not None:
                (self._open.add if alert.state == "open" else self._open.discard)(subject)


def _opened(profile: Profile, now: int) -> Alert:
    return Alert(
        alert_id=f"profile:{profile.id}:login",
        severity="critical",
        state="open",
        title=f"The login {profile.id} needs a new login",
        detail=" ".join(filter(None, (profile.reason, _todo(profile)))),
        at=now,
    )


def _todo(profile: Profile) -> str:
    if profile.owner == "external":
        return "Log in again in the program that refreshes it; edgebotd sees that by itself."
    if profile.owner == "gateway":
        return f"It is the gateway's own: log in there, on the bot {profile.place}."
    if profile.type != "oauth":
        return f"Give it its secret anew: edgebotd accounts secret {profile.id}."
    provider, _, name = profile.id.partition(":")
    which = "" if name == "default" else f" --name {name}"
    return f"Log in again: edgebotd accounts login {provider}{which}."


def _resolved(profile_id: str, title: str, now: int) -> Alert:
    return Alert(alert_id=f"profile:{profile_id}:login", severity="info", state="resolved", title=title, at=now)


def _subject(alert_id: str) -> str | None:
    subject = alert_id.removeprefix("profile:").removesuffix(":login")
    return subject if subject and alert_id == f"profile:{subject}:login" else None
