"""One question to a provider, and what its answer means: figures, or what kind of trouble."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from edgebotd.accounts.http import Answer, Call, NotSent, Unanswered
from edgebotd.accounts.secrets import Login
from edgebotd.config import UsageSettings
from edgebotd.events import UsageErrorKind
from edgebotd.protocol.oauth import retry_after
from edgebotd.protocol.usage import UnreadableUsage, Usage, read_usage
from edgebotd.store.profiles import Profile

SECONDS: Final = 20.0
MOST_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there are no figures.

    Attributes:
        detail: for a person; our words only, as an answer may hold anything.
        retry_after_ms: what the provider asked for, None where it did not, or said nothing with its 0.
    """

    kind: UsageErrorKind
    detail: str
    status: int | None = None
    retry_after_ms: int | None = None


async def ask(call: Call, settings: UsageSettings, profile: Profile, login: Login, now: int) -> Usage | Trouble:
    """Ask a provider how much of an account is used.

    Args:
        now: Unix milliseconds.
    """
    if settings.url is None or login.access is None:
        return Trouble("unsupported", "There is nothing to ask with.")
    try:
        answer = await call(
            settings.method,
            settings.url,
            headers=_headers(settings, profile, login.access),
            body=b"{}" if settings.method == "POST" else None,
            seconds=SECONDS,
            most=MOST_BYTES,
        )
    except NotSent as exc:
        return Trouble("unreachable", str(exc))
    except Unanswered as exc:
        return Trouble("timeout", str(exc))
    return _judged(answer, settings, now)


def _headers(settings: UsageSettings, profile: Profile, access: str) -> Mapping[str, str]:
    word = "token" if settings.authorization == "token" else "Bearer"
    headers = {"Accept": "application/json", "Authorization": f"{word} {access}"}
    if settings.kind == "codex" and profile.account_id is not None:
        headers["ChatGPT-Account-Id"] = profile.account_id
    if settings.method == "POST":
        headers["Content-Type"] = "application/json"
    given = {name.lower() for name in settings.headers}
    return {name: value for name, value in headers.items() if name.lower() not in given} | settings.headers


def _judged(answer: Answer, settings: UsageSettings, now: int) -> Usage | Trouble:
    status = answer.status
    if 200 <= status < 300:
        if not answer.whole:
            most = f"{SECONDS:.0f} s, or is larger than {MOST_BYTES // 2**20} MiB"
            return Trouble("malformed", f"The answer is not whole: it broke off, takes longer than {most}.", status)
        try:
            return read_usage(settings.kind, answer.body, now, settings.windows)
        except UnreadableUsage as exc:
            return Trouble("malformed", f"The answer cannot be read: {exc}.", status)
    wait = retry_after(answer.headers, now)
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return Trouble("auth", "The provider does not take the login's token.", status)
        case HTTPStatus.FORBIDDEN if _names_a_scope(answer.body):
            detail = "This login may not read how much is used (it lacks a scope); another kind of login may."
            return Trouble("unsupported", detail, status)
        case HTTPStatus.TOO_MANY_REQUESTS:
            return Trouble("rate_limited", "The provider was asked too often; the login itself is well.", status, wait)
    # Followed, it would hand the login's token to whomever it names.
    elsewhere = " It sends us elsewhere, which is not followed." if status < 400 else ""
    todo = " Look at the url in the settings." if elsewhere or status in (404, 405, 410) else ""
    return Trouble("http", f"The provider answers with the status {status}.{elsewhere}{todo}", status, wait)


def _names_a_scope(body: bytes) -> bool:
    """Whether a refusal speaks of a scope: it is for good then. A firewall's page is not JSON, and passes."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and b"scope" in body.lower()
