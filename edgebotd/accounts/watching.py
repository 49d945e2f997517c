"""Sees what others do to logins: reads the file of an `external` one again when it has changed (its program refreshes
it, nobody else), and looks which bots' containers refer to one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from edgebotd.accounts import stores
from edgebotd.accounts.keeping import secrets_of
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.stores import Mark
from edgebotd.accounts.vault import Vault
from edgebotd.config.credentials import SecretError, check_secret
from edgebotd.errors import Invalid, NotFound
from edgebotd.protocol.logins import KINDS, FoundLogin, Kind
from edgebotd.protocol.oauth.claims import person_of
from edgebotd.store.profiles import Profile

LOOK_SECONDS: Final = 15.0
"""How long a new token of another program may go unseen. A look is one stat for each file."""
REFRESHED_MS: Final = 600_000
"""So long before a token's end a program may refresh it. The known ones do so five minutes before, or later."""


@dataclass
class Watching:
    """Made by `open_accounts`; `run` is a job of the supervisor's."""

    vault: Vault
    now: Callable[[], int]
    _marks: dict[str, Mark | None] = field(default_factory=dict)
    """What each profile's file was when it was read last."""

    async def run(self) -> None:
        """Look at all files, for ever."""
        while True:
            await self.look()
            await trio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Read what has changed since the last look; each file once."""
        await self.vault.look_at_bots()
        watched = [profile for profile in self.vault.all() if profile.owner == "external" and place_of(profile)]
        self._marks = {one.id: self._marks[one.id] for one in watched if one.id in self._marks}
        files: dict[tuple[Kind, Path], list[Profile]] = {}
        for profile in watched:
            if (place := place_of(profile)) is not None:
                files.setdefault(place, []).append(profile)
        for (kind, file), profiles in files.items():
            mark = await trio.to_thread.run_sync(stores.mark_of, file)
            changed = [one for one in profiles if one.id not in self._marks or self._marks[one.id] != mark]
            if changed:
                await self._read(kind, file, mark, changed)

    async def _read(self, kind: Kind, file: Path, mark: Mark | None, profiles: list[Profile]) -> None:
        wrong, found = "", dict[str, FoundLogin]()
        try:
            there = await trio.to_thread.run_sync(stores.find_logins, kind, file)
            found = {one.login.profile_id: one.login for one in there}
        except Invalid as exc:
            wrong = exc.detail
        for profile in profiles:
            settled = await self._settle(profile, found.get(profile.id), wrong or f"It is no longer in {file}.")
            if settled:
                # Only now: what failed, or came too late, is looked at again.
                self._marks[profile.id] = mark

    async def _settle(self, was: Profile, found: FoundLogin | None, wrong: str) -> bool:
        if found is not None and found.problem is None:
            if _usable(found):
                return await self._take(was, found)
            wrong = "What stands in its secret's place is none."
        elif found is not None:
            if found.passing:
                return False
            wrong = f"{(found.problem or '')[:1].upper()}{(found.problem or '')[1:]}."
        # What was good stays in the vault: a program that writes blanks has not logged its user out elsewhere.
        now = dataclasses.replace(was, state="needs_login", reason=wrong)
        return now == was or await self.vault.change(was, now) is not None

    async def _take(self, was: Profile, found: FoundLogin) -> bool:
        login = secrets_of(found, "external")
        now = dataclasses.replace(
            was,
            type=found.type,
            state="fresh" if found.type == "oauth" else "static",
            reason=None,
            expires_at=found.expires_at,
            account_id=found.account_id,
        )
        if login.fingerprint == was.fingerprint:
            return now == was or await self.vault.change(was, now) is not None
        renewed = await self._is_renewed(was, login)
        return await self.vault.change(was, now, login, renewed=renewed) is not None

    async def _is_renewed(self, was: Profile, login: Login) -> bool:
        """Whether a program has refreshed its login, as far as can be told, and nobody has logged in as somebody else.

        Two that say whose they are decide it. Else it is in the time: a program refreshes when the token ends.
        """
        try:
            before = await self.vault.login(was.id)
        except NotFound:
            return False
        persons = person_of(before.identity), person_of(login.identity)
        if None not in persons:
            return persons[0] == persons[1]
        return was.state == "fresh" and was.expires_at is not None and self.now() >= was.expires_at - REFRESHED_MS


def place_of(profile: Profile) -> tuple[Kind, Path] | None:
    """Return which program's file an external login is read from; None for a login that is none."""
    kind, _, path = (profile.place or "").partition(":")
    known = next((one for one in KINDS if one == kind), None)
    return None if profile.owner != "external" or known is None or not path else (known, Path(path))


def _usable(found: FoundLogin) -> bool:
    try:
        return found.access is not None and check_secret(found.access) != ""
    except SecretError:
        return False
