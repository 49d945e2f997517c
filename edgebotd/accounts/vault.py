"""The vault: which logins there are, and their secrets, sealed. Nothing else opens them.

A login changes by comparing and swapping its generation and claim (`store/profiles.py`), so that of two writers with
the same old state one is told that it came too late. `Vault.subscribe` hears of each change after it is durable. What a
refresh brings is told by whoever refreshes; of everything else `auth-profiles:refreshed` tells in the same transaction.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

import outcome
import trio

from edgebotd.accounts import key_check
from edgebotd.accounts.cipher import Cipher, VaultLocked
from edgebotd.accounts.secrets import Login
from edgebotd.errors import NotFound
from edgebotd.events import ALL, AuthProfileRefreshed
from edgebotd.store import profiles as rows
from edgebotd.store.database import Database
from edgebotd.store.profiles import Profile
from edgebotd.store.writer import Transaction

T = TypeVar("T")


class Submit(Protocol):
    """Queues a write, as `Database.submit` and `Hub.submit` do."""

    def __call__(self, write: Callable[[Transaction], T], done: Callable[[outcome.Outcome[T]], None], /) -> None: ...


Note = Callable[[sqlite3.Connection, str, Profile], None]
"""Writes what belongs into the same transaction, such as an audit entry: action and profile."""


class Vault:
    """From `load_vault`; there is nothing to close. Profiles are held in memory too; their secrets are not."""

    def __init__(
        self, database: Database, cipher: Cipher, now: Callable[[], int], submit: Submit | None = None
    ) -> None:
        self._database = database
        self._submit = submit
        self._cipher = cipher
        self._now = now
        self._profiles: dict[str, Profile] = {}
        self._bots: Mapping[str, tuple[str, ...]] = {}
        self._told: list[Callable[[str], None]] = []

    def all(self) -> list[Profile]:
        """Return all profiles, by id."""
        return [self._profiles[profile_id] for profile_id in sorted(self._profiles)]

    def get(self, profile_id: str) -> Profile:
        """Return one.

        Raises:
            NotFound: there is none.
        """
        if (profile := self._profiles.get(profile_id)) is None:
            raise NotFound("login", profile_id)
        return profile

    def bots_of(self, profile_id: str) -> tuple[str, ...]:
        """Return the bots that use it."""
        return self._bots.get(profile_id, ())

    def subscribe(self, hear: Callable[[str], None]) -> None:
        """Call `hear` with a profile's id after each change of it, its removal too; it must not raise."""
        self._told.append(hear)

    async def login(self, profile_id: str) -> Login:
        """Return the secrets of a profile's present generation.

        Raises:
            NotFound: there is no such profile, or it has no secret here.
            VaultLocked: it was sealed with another key.
        """
        profile = self.get(profile_id)
        sealed = await self._database.read(lambda conn: rows.secret(conn, profile_id, profile.generation))
        if sealed is None:
            # It may have moved on while we asked.
            if self.get(profile_id).generation != profile.generation:
                return await self.login(profile_id)
            raise NotFound("secret of the login", profile_id)
        return Login.from_bytes(self._cipher.open(sealed, _place(profile)))

    async def before(self, profile_id: str) -> Login | None:
        """Return the secrets of the generation before the present one, as long as they are kept.

        Raises:
            NotFound: there is no such profile.
            VaultLocked: they were sealed with another key.
        """
        profile = self.get(profile_id)
        was = dataclasses.replace(profile, generation=profile.generation - 1)
        sealed = await self._database.read(lambda conn: rows.secret(conn, profile_id, was.generation))
        return None if sealed is None else Login.from_bytes(self._cipher.open(sealed, _place(was)))

    async def add(
        self, profile: Profile, login: Login | None, note: Note | None = None, *, bots: Iterable[str] = ()
    ) -> Profile:
        """Store a new profile with its secrets, and which bots use it; returns it with fingerprint and times.

        Raises:
            Conflict: the id is taken.
            NotFound: there is no such bot.
        """
        now = self._now()
        made = dataclasses.replace(
            profile,
            fingerprint=None if login is None else login.fingerprint,
            created_at=now,
            changed_at=now,
        )

        ids, told = tuple(bots), self._news("added", made)

        def write(tx: Transaction) -> Mapping[str, tuple[str, ...]]:
            rows.add(tx.connection, made, None if login is None else self._sealed(made, login))
            rows.set_bots(tx.connection, made.id, ids)
            if note is not None:
                note(tx.connection, "profile.add", made)
            _emit(tx, told)
            return rows.bots_of(tx.connection)

        def apply(used: Mapping[str, tuple[str, ...]]) -> None:
            self._bots = used
            self._put(made)

        await self._write(write, apply)
        return made

    async def change(
        self,
        was: Profile,
        now: Profile,
        login: Login | None = None,
        note: Callable[[Transaction], None] | None = None,
        *,
        renewed: bool = False,
    ) -> Profile | None:
        """Store what became of a profile; durable when it returns.

        Args:
            was: the profile as the caller knew it. Its generation and claim decide whether it still is.
            now: what it shall be, but for its label (`relabel`). With a new secret its generation is set to the next
                one here.
            login: the new secret, None for a change of bookkeeping.
            note: written in the same transaction, only where the change is made; it may emit events where the vault
                writes through the hub.
            renewed: the new secret was bought with the one before, so it is of the same account. Else somebody may
                have logged in to another one.

        Returns:
            The profile as it is stored, None where it had become another one meanwhile: look again.
        """
        changed = dataclasses.replace(now, changed_at=self._now())
        stored: list[Profile] = []
        if login is not None:
            changed = dataclasses.replace(
                changed,
                generation=was.generation + 1,
                login_generation=was.login_generation if renewed else was.generation + 1,
                fingerprint=login.fingerprint,
            )
        # Somebody has logged in, or its owner has renewed it.
        is_news = (login is not None and not renewed) or was.owner != "edgebotd"
        told = self._news("changed", changed) if is_news else []

        def write(tx: Transaction) -> bool:
            if not rows.replace(tx.connection, changed, was=was):
                return False
            if login is not None:
                rows.put_secret(tx.connection, changed.id, changed.generation, self._sealed(changed, login))
            if note is not None:
                note(tx)
            _emit(tx, told)
            return True

        def apply(done: bool) -> None:
            if done:
                # A person may have relabelled it since the caller looked.
                stored.append(dataclasses.replace(changed, label=self._profiles[changed.id].label))
                self._put(stored[0])

        await self._write(write, apply)
        return stored[0] if stored else None

    async def relabel(self, profile_id: str, label: str | None, note: Note | None = None) -> Profile:
        """Set what people call it, apart from everything else: a refresh that goes on meanwhile keeps its claim.

        Raises:
            NotFound: there is none.
        """
        profile = self.get(profile_id)
        told = self._news("changed", profile)

        def write(tx: Transaction) -> None:
            if not rows.relabel(tx.connection, profile_id, label):
                raise NotFound("login", profile_id)
            if note is not None:
                note(tx.connection, "profile.label", profile)
            _emit(tx, told)

        await self._write(write, lambda _: self._put(dataclasses.replace(self._profiles[profile_id], label=label)))
        return self.get(profile_id)

    async def remove(self, profile_id: str, note: Note | None = None) -> None:
        """Forget a profile, its secrets and its history.

        Raises:
            NotFound: there is none.
        """
        profile = self.get(profile_id)
        told = self._news("removed", profile)

        def write(tx: Transaction) -> None:
            if not rows.remove(tx.connection, profile_id):
                raise NotFound("login", profile_id)
            if note is not None:
                note(tx.connection, "profile.remove", profile)
            _emit(tx, told)

        def apply(_: None) -> None:
            del self._profiles[profile_id]
            self._bots = {known: bots for known, bots in self._bots.items() if known != profile_id}
            self._tell(profile_id)

        await self._write(write, apply)

    async def set_bots(self, profile_id: str, bot_ids: Iterable[str], note: Note | None = None) -> None:
        """Say which bots use a profile.

        Raises:
            NotFound: there is no such profile, or no such bot.
        """
        ids, changed = tuple(sorted(set(bot_ids))), [self.get(profile_id).id]
        await self._change_bots(changed, lambda conn: rows.set_bots(conn, profile_id, ids), note)

    async def use(self, profile_id: str, bot_id: str, note: Note | None = None) -> None:
        """Say that a bot uses a profile too, beside those that do.

        Raises:
            NotFound: there is no such profile, or no such bot.
        """
        changed = [self.get(profile_id).id]
        await self._change_bots(changed, lambda conn: rows.add_bot(conn, profile_id, bot_id), note)

    async def look_at_bots(self) -> None:
        """Look again which bots use what: containers that refer to a login come and go without a word to the vault."""
        seen = self._bots
        found = await self._database.read(rows.bots_of)
        # Something that was written meanwhile knows better.
        if self._bots is seen and found != seen:
            await self._change_bots([one for one in sorted({*seen, *found}) if seen.get(one) != found.get(one)])

    async def forget_bot(self, bot_id: str) -> None:
        """Take a bot that was removed from every profile."""
        theirs = [profile_id for profile_id, bots in self._bots.items() if bot_id in bots]
        await self._change_bots(theirs, lambda conn: rows.forget_bot(conn, bot_id))

    async def _change_bots(
        self,
        changed: list[str],
        change: Callable[[sqlite3.Connection], None] = lambda _: None,
        note: Note | None = None,
    ) -> None:
        """Change which bots use what, and tell of the profiles that are `changed` by it."""
        profiles = [self._profiles[one] for one in changed if one in self._profiles]
        told = self._news("changed", *profiles)

        def write(tx: Transaction) -> Mapping[str, tuple[str, ...]]:
            change(tx.connection)
            if note is not None:
                for profile in profiles:
                    note(tx.connection, "profile.bots", profile)
            _emit(tx, told)
            return rows.bots_of(tx.connection)

        def apply(bots: Mapping[str, tuple[str, ...]]) -> None:
            self._bots = bots
            for profile_id in changed:
                self._tell(profile_id)

        await self._write(write, apply)

    async def look_again(self) -> None:
        """Read all profiles anew, for what another process has changed; tells of those that differ."""

        def read(tx: Transaction) -> tuple[list[Profile], Mapping[str, tuple[str, ...]]]:
            return rows.all_profiles(tx.connection), rows.bots_of(tx.connection)

        def apply(found: tuple[list[Profile], Mapping[str, tuple[str, ...]]]) -> None:
            before, self._profiles = self._profiles, {profile.id: profile for profile in found[0]}
            self._bots = found[1]
            for profile_id in sorted(before.keys() | self._profiles.keys()):
                if before.get(profile_id) != self._profiles.get(profile_id):
                    self._tell(profile_id)

        # In the order of the writes: an answer of before one of them must not come after it.
        await self._write(read, apply)

    async def load(self) -> None:
        """Read all profiles, and see that the key is the right one.

        Raises:
            VaultLocked: it is another one than the store's secrets were sealed with.
        """

        def write(tx: Transaction) -> tuple[bool, list[Profile], Mapping[str, tuple[str, ...]]]:
            conn = tx.connection
            key_check.note(conn, self._cipher)
            return key_check.fits(conn, self._cipher), rows.all_profiles(conn), rows.bots_of(conn)

        fits, profiles, self._bots = await self._database.write(write)
        if not fits:
            raise VaultLocked(
                "The vault's key is another one than the stored logins were sealed with. Put the right one back; "
                "docs/accounts.md says what to do when it is lost."
            )
        self._profiles = {profile.id: profile for profile in profiles}

    async def _write(self, write: Callable[[Transaction], T], apply: Callable[[T], None]) -> T:
        """Write, and let `apply` bring memory in line as soon as it is durable.

        Not after the `await`: a caller that is cancelled would leave memory behind, and two that wait are woken in any
        order.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        answer: list[outcome.Outcome[T]] = []
        finished = trio.Event()

        def done(result: outcome.Outcome[T]) -> None:
            if isinstance(result, outcome.Value):
                apply(result.value)
            answer.append(result)
            finished.set()

        (self._submit or self._database.submit)(write, done)
        await finished.wait()
        return answer[0].unwrap()

    def _news(self, word: str, *profiles: Profile) -> list[AuthProfileRefreshed]:
        """Return what the page is told of a change; nothing where the vault does not write through a hub."""
        if self._submit is None:
            return []
        at = self._now()
        return [AuthProfileRefreshed(profile_id=p.id, outcome=word, expires_at=p.expires_at, at=at) for p in profiles]

    def _sealed(self, profile: Profile, login: Login) -> bytes:
        return self._cipher.seal(login.to_bytes(), _place(profile))

    def _put(self, profile: Profile) -> None:
        self._profiles[profile.id] = profile
        self._tell(profile.id)

    def _tell(self, profile_id: str) -> None:
        for hear in self._told:
            hear(profile_id)


def _emit(tx: Transaction, told: Iterable[AuthProfileRefreshed]) -> None:
    for event in told:
        tx.emit(ALL, event)


def _place(profile: Profile) -> str:
    return f"the login {profile.id}, generation {profile.generation}"


async def load_vault(
    database: Database, cipher: Cipher, *, now: Callable[[], int], submit: Submit | None = None
) -> Vault:
    """Return the vault of a store.

    Args:
        submit: of the hub, where notes of changes emit events.

    Raises:
        VaultLocked: the key is another one than the store's secrets were sealed with.
    """
    vault = Vault(database, cipher, now, submit)
    await vault.load()
    return vault
