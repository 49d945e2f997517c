"""Logins at model providers: bookkeeping, and apart from it their secrets, which are sealed before they come here."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from edgebotd.errors import Conflict, NotFound
from edgebotd.store import bots

ProfileType = Literal["oauth", "token", "api_key"]
Owner = Literal["edgebotd", "gateway", "external"]
ProfileState = Literal["static", "fresh", "refreshing", "backoff", "uncertain", "needs_login", "misconfigured"]


@dataclass(frozen=True, slots=True)
class Profile:
    """One login. Times are Unix milliseconds; nothing in it is a secret.

    Attributes:
        id: `<provider>:<name>`.
        owner: who refreshes it. Only `edgebotd` means this daemon; the others are watched.
        place: `external`: the file it is read from; `gateway`: the bot's id.
        account_id: what the provider calls the account, where it must be said (ChatGPT-Account-Id).
        fingerprint: the first 12 hexadecimal digits of the SHA-256 of the lasting secret; None where there is none.
        state: `fresh` is also said of one that is due; `next_at` tells when.
        reason: why it is not well, for a person.
        generation: of the secret; grows with each login and refresh.
        login_generation: of the secret that the present login began with: later ones were bought with it, and are of
            the same account.
        expires_at: of the access token, by our clock. None: it does not expire, or nobody knows.
        lifetime_ms: what the provider gave the access token.
        next_at: when the next refresh is due.
        attempts: refreshes that failed in a row.
        skew_ms: the provider's clock less ours.
        claim: id of the refresh that goes on, or that the process died in.
        forced_generation: the one of which a provider has said 401 already.
        uncertain_at: since when nobody knows whether the refresh token was spent.
        settings_digest: of the provider's settings that were refused; `misconfigured` lasts while they are the same.
    """

    id: str
    provider: str
    type: ProfileType
    owner: Owner = "edgebotd"
    place: str | None = None
    label: str | None = None
    account_id: str | None = None
    fingerprint: str | None = None
    state: ProfileState = "static"
    reason: str | None = None
    generation: int = 1
    login_generation: int = 1
    expires_at: int | None = None
    lifetime_ms: int | None = None
    refreshed_at: int | None = None
    next_at: int | None = None
    attempts: int = 0
    skew_ms: int = 0
    claim: str | None = None
    claimed_at: int | None = None
    forced_generation: int | None = None
    uncertain_at: int | None = None
    settings_digest: str | None = None
    created_at: int = 0
    changed_at: int = 0


_NAMES = tuple(field.name for field in dataclasses.fields(Profile))
_COLUMNS = ", ".join(_NAMES)
# Not the label, which people set while a refresh may go on.
_CHANGING = tuple(name for name in _NAMES if name not in ("id", "label", "created_at"))
_CHANGED = ", ".join(f"{name} = ?" for name in _CHANGING)


def add(conn: sqlite3.Connection, profile: Profile, sealed: bytes | None) -> None:
    """Store a new one, with its secret where it has one.

    Raises:
        Conflict: the id is taken.
    """
    if get(conn, profile.id) is not None:
        detail = (
            f"There is a login '{profile.id}' already. Log in again or give it another secret to change it "
            "(`edgebotd accounts login`, `edgebotd accounts secret`), or choose another name."
        )
        raise Conflict("profile_exists", detail)
    marks = ", ".join("?" * len(_NAMES))
    conn.execute(f"INSERT INTO profiles ({_COLUMNS}) VALUES ({marks})", _values(profile))
    if sealed is not None:
        put_secret(conn, profile.id, profile.generation, sealed)


def get(conn: sqlite3.Connection, profile_id: str) -> Profile | None:
    """Return one."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM profiles WHERE id = ?", (profile_id,)).fetchone()
    return None if row is None else Profile(*row)


def all_profiles(conn: sqlite3.Connection) -> list[Profile]:
    """Return all, by id."""
    return [Profile(*row) for row in conn.execute(f"SELECT {_COLUMNS} FROM profiles ORDER BY id")]


def replace(conn: sqlite3.Connection, profile: Profile, *, was: Profile) -> bool:
    """Store a profile in place of what it was, but for its label; say whether generation and claim still were those."""
    values = (getattr(profile, name) for name in _CHANGING)
    changed = conn.execute(
        f"UPDATE profiles SET {_CHANGED} WHERE id = ? AND generation = ? AND claim IS ?",
        (*values, profile.id, was.generation, was.claim),
    )
    return changed.rowcount == 1


def relabel(conn: sqlite3.Connection, profile_id: str, label: str | None) -> bool:
    """Set what people call it; say whether there is one."""
    return conn.execute("UPDATE profiles SET label = ? WHERE id = ?", (label, profile_id)).rowcount == 1


def remove(conn: sqlite3.Connection, profile_id: str) -> bool:
    """Remove one with its secret, its use and its history; say whether there was one."""
    return conn.execute("DELETE FROM profiles WHERE id = ?", (profile_id,)).rowcount == 1


def put_secret(conn: sqlite3.Connection, profile_id: str, generation: int, sealed: bytes) -> None:
    """Keep the secret of a generation; those older than the one before it are forgotten."""
    conn.execute("INSERT INTO profile_secrets VALUES (?, ?, ?)", (profile_id, generation, sealed))
    conn.execute("DELETE FROM profile_secrets WHERE profile_id = ? AND generation < ?", (profile_id, generation - 1))


def secret(conn: sqlite3.Connection, profile_id: str, generation: int) -> bytes | None:
    """Return the sealed secret of a generation."""
    row = conn.execute(
        "SELECT sealed FROM profile_secrets WHERE profile_id = ? AND generation = ?", (profile_id, generation)
    ).fetchone()
    return None if row is None else row[0]


def bots_of(conn: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """Return which bots use each profile that a bot uses: as people say, and as their containers' environment refers.

    Removed bots are left out.
    """
    found: dict[str, list[str]] = {}
    used = conn.execute(
        "SELECT profile_id, bot_id FROM profile_bots"
        " UNION SELECT substr(value, 9), bot_id FROM containers, json_each(spec, '$.secret_environment')"
        " WHERE value LIKE 'profile:%' AND substr(value, 9) IN (SELECT id FROM profiles)"
        " ORDER BY 1, 2"
    )
    there = {bot.id for bot in bots.all_bots(conn)}
    for profile_id, bot_id in used:
        if bot_id in there:
            found.setdefault(profile_id, []).append(bot_id)
    return {profile_id: tuple(ids) for profile_id, ids in found.items()}


def set_bots(conn: sqlite3.Connection, profile_id: str, bot_ids: Iterable[str]) -> None:
    """Say which bots use a profile, in place of what was said before.

    Raises:
        NotFound: there is no such profile, or no such bot.
    """
    if get(conn, profile_id) is None:
        raise NotFound("login", profile_id)
    conn.execute("DELETE FROM profile_bots WHERE profile_id = ?", (profile_id,))
    for bot_id in sorted(set(bot_ids)):
        add_bot(conn, profile_id, bot_id)


def add_bot(conn: sqlite3.Connection, profile_id: str, bot_id: str) -> None:
    """Say that a bot uses a profile too.

    Raises:
        NotFound: there is no such profile, or no such bot.
    """
    if get(conn, profile_id) is None:
        raise NotFound("login", profile_id)
    if bots.get(conn, bot_id) is None:
        raise NotFound("bot", bot_id)
    conn.execute("INSERT OR IGNORE INTO profile_bots VALUES (?, ?)", (profile_id, bot_id))


def forget_bot(conn: sqlite3.Connection, bot_id: str) -> None:
    """Take a bot from every profile."""
    conn.execute("DELETE FROM profile_bots WHERE bot_id = ?", (bot_id,))


def check_value(conn: sqlite3.Connection) -> bytes | None:
    """Return what was sealed when the vault was made, None for a store without one."""
    row = conn.execute("SELECT sealed FROM vault").fetchone()
    return None if row is None else row[0]


def set_check_value(conn: sqlite3.Connection, sealed: bytes) -> None:
    """Keep it."""
    conn.execute("INSERT OR REPLACE INTO vault VALUES (1, ?)", (sealed,))


def has_secrets(conn: sqlite3.Connection) -> bool:
    """Say whether anything is sealed: without, any key is as good as another."""
    return bool(conn.execute("SELECT EXISTS (SELECT 1 FROM profile_secrets)").fetchone()[0])


def forget_secrets(conn: sqlite3.Connection, reason: str, now: int) -> int:
    """Forget every secret, for a store whose key is lost; return of how many logins, which have to be made anew."""
    conn.execute("DELETE FROM vault")
    had = conn.execute("SELECT count(DISTINCT profile_id) FROM profile_secrets").fetchone()[0]
    conn.execute(
        "UPDATE profiles SET state = 'needs_login', reason = ?, fingerprint = NULL, claim = NULL, claimed_at = NULL,"
        " next_at = NULL, changed_at = ? WHERE id IN (SELECT profile_id FROM profile_secrets)",
        (reason, now),
    )
    conn.execute("DELETE FROM profile_secrets")
    return int(had)


def _values(profile: Profile) -> tuple[Any, ...]:
    return tuple(getattr(profile, name) for name in _NAMES)
