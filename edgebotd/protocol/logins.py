"""Reads what other programs keep of logins: OpenClaw, Claude Code, Codex, the Gemini CLI. Texts in, logins out.

Units differ: OpenClaw, Claude Code and the Gemini CLI have Unix milliseconds, Codex has none but what its access token
says of itself (seconds). A blank in a secret's place means that the program is logged out: several of them write blanks
after a refresh that failed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from edgebotd.protocol.fields import LAST_MILLISECOND, mapping
from edgebotd.protocol.oauth.clocks import jwt_expiry, number

Kind = Literal["openclaw", "claude", "codex", "gemini"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_NAME: Final = re.compile(r"[^A-Za-z0-9._@+-]+")
LONGEST_NAME: Final = 64
_LEGACY: Final = {"openai-codex": "openai", "google-gemini-cli": "google"}
"""Providers that OpenClaw has renamed, or has a name of its own for."""

_FENCE: Final = re.compile(r"openclaw-oauth-refresh-fence:[^:]*:[^:]*:(failed:)?")
"""What OpenClaw (2026.9.6) writes in place of both tokens while it refreshes, and leaves there where that failed."""


class NotAStore(ValueError):
    """The text is not what this program keeps. The message holds nothing of it."""


@dataclass(frozen=True, slots=True)
class FoundLogin:
    """One login of another program.

    Attributes:
        name: what follows the provider in a profile's id.
        access, refresh, identity: as in `accounts.secrets.Login`.
        expires_at: of the access token, Unix milliseconds; None where it does not expire, or nobody knows.
        problem: why it cannot be used, in words without a secret; None: it can.
        passing: it will soon be another one: its program is refreshing it now.
    """

    provider: str
    name: str
    type: Literal["oauth", "token", "api_key"]
    access: str | None = field(default=None, repr=False)
    refresh: str | None = field(default=None, repr=False)
    identity: str | None = field(default=None, repr=False)
    expires_at: int | None = None
    account_id: str | None = None
    label: str | None = None
    problem: str | None = None
    passing: bool = False

    @property
    def profile_id(self) -> str:
        """What its profile is called."""
        return f"{self.provider}:{self.name}"


def read_logins(kind: Kind, text: str | bytes) -> list[FoundLogin]:
    """Return what a program's file, or row of its database, holds of logins.

    Raises:
        NotAStore: it is nothing of this program.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        # The cause would hold the text.
        document = None
    if not isinstance(document, dict):
        raise NotAStore("is no JSON object")
    return list({"openclaw": _openclaw, "claude": _claude, "codex": _codex, "gemini": _gemini}[kind](document))


def _openclaw(document: Mapping[str, Any]) -> Iterator[FoundLogin]:
    profiles = document.get("profiles")
    if not isinstance(profiles, dict):
        raise NotAStore('has no "profiles", as OpenClaw has it')
    for key, value in profiles.items():
        row = mapping(value)
        provider, _, name = key.partition(":")
        if isinstance(row.get("provider"), str):
            provider = row["provider"]
        provider = provider_id(_LEGACY.get(provider, provider))
        common: dict[str, Any] = {
            "provider": provider, "name": profile_name(name), "label": _label(row, "email"),
        }  # fmt: skip
        match row.get("type"):
            case "api_key":
                yield _found(type="api_key", access=_text(row, "key"), problem=_reference(row, "keyRef"), **common)
            case "token":
                expires_at, problem = _expires(row.get("expires"))
                problem = _reference(row, "tokenRef") or problem
                access = _text(row, "token")
                yield _found(type="token", access=access, expires_at=expires_at, problem=problem, **common)
            case "oauth":
                expires_at, problem = _expires(row.get("expires"))
                yield _found(
                    type="oauth",
                    access=_text(row, "access"),
                    refresh=_text(row, "refresh"),
                    identity=_text(row, "idToken"),
                    expires_at=expires_at,
                    account_id=_account(row, "accountId"),
                    problem=problem,
                    **common,
                )
            case _:
                yield FoundLogin(type="token", problem="it is of a kind that is not known here", **common)


def _claude(document: Mapping[str, Any]) -> Iterator[FoundLogin]:
    if not isinstance(row := document.get("claudeAiOauth"), dict):
        raise NotAStore('has no "claudeAiOauth", as Claude Code has it')
    expires_at, problem = _expires(row.get("expiresAt"))
    yield _found(
        provider="anthropic",
        name="claude",
        type="oauth",
        access=_text(row, "accessToken"),
        refresh=_text(row, "refreshToken"),
        expires_at=expires_at,
        label=_label(row, "subscriptionType"),
        problem=problem,
    )


def _codex(document: Mapping[str, Any]) -> Iterator[FoundLogin]:
    if "tokens" not in document and "OPENAI_API_KEY" not in document:
        raise NotAStore('has neither "tokens" nor "OPENAI_API_KEY", as Codex has them')
    if key := _text(document, "OPENAI_API_KEY"):
        yield _found(provider="openai", name="codex-key", type="api_key", access=key)
    if document.get("tokens") is not None or not key:
        row = mapping(document.get("tokens"))
        access = _text(row, "access_token")
        yield _found(
            provider="openai",
            name="codex",
            type="oauth",
            access=access,
            refresh=_text(row, "refresh_token"),
            identity=_text(row, "id_token"),
            expires_at=None if access is None else jwt_expiry(access),
            account_id=_account(row, "account_id"),
        )


def _gemini(document: Mapping[str, Any]) -> Iterator[FoundLogin]:
    if "access_token" not in document and "refresh_token" not in document:
        raise NotAStore('has neither "access_token" nor "refresh_token", as the Gemini CLI has them')
    expires_at, problem = _expires(document.get("expiry_date"))
    yield _found(
        provider="google",
        name="gemini",
        type="oauth",
        access=_text(document, "access_token"),
        refresh=_text(document, "refresh_token"),
        identity=_text(document, "id_token"),
        expires_at=expires_at,
        problem=problem,
    )


def _found(**fields: Any) -> FoundLogin:
    """Return a login, with what is wrong about its secrets where nothing else is."""
    fences = [_FENCE.match(fields.get(key) or "") for key in ("access", "refresh")]
    if fence := next(filter(None, fences), None):
        words = "its gateway failed to refresh it" if fence[1] else "its gateway is refreshing it at this moment"
        fields.update(access=None, refresh=None, expires_at=None, problem=words, passing=not fence[1])
    found = FoundLogin(**fields)
    if found.problem is None and found.access is None and found.refresh is None:
        fields["problem"] = "there is no secret in it: the program is logged out"
        # An end of nothing: blanks come with 0.
        fields["expires_at"] = None
        return FoundLogin(**fields)
    return found


def _expires(value: object) -> tuple[int | None, str | None]:
    """Return Unix milliseconds, or what is wrong with them. 0 comes with blanks; OpenClaw takes no other odd value."""
    if value is None or value == 0:
        return None, None
    at = number(value)
    if at is None or not 0 < at <= LAST_MILLISECOND:
        return None, "its time of expiry is no time"
    return int(at), None


def _reference(row: Mapping[str, Any], key: str) -> str | None:
    return "its secret lies elsewhere, it holds a reference only" if row.get(key) is not None else None


def _text(row: Mapping[str, Any], key: str) -> str | None:
    value = row.get(key)
    return value if isinstance(value, str) and value.strip() else None


def _label(row: Mapping[str, Any], key: str) -> str | None:
    return " ".join("".join(c if c.isprintable() else " " for c in _text(row, key) or "").split())[:100] or None


def _account(row: Mapping[str, Any], key: str) -> str | None:
    # It goes into a header.
    value = _text(row, key)
    return value if value is not None and re.fullmatch(r"[!-~]{1,200}", value) else None


def provider_id(text: str) -> str:
    """Return a text as a provider's id can be."""
    return re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")[:32].rstrip("-") or "other"


def profile_name(text: str) -> str:
    """Return a text as the part of a profile's id after the provider can be."""
    return _NAME.sub("-", text).strip("-._@+")[:LONGEST_NAME].rstrip("-._@+") or "default"
