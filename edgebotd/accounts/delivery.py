"""Gives bots the access tokens of the logins that they use, while they run: each new generation into the file that the
gateway reads, then a word to the gateway to read it. What each bot has is kept, and what fails is tried again.

Gateways and files belong to other floors; the daemon passes them in (`Delivering.wire`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import trio

from edgebotd.accounts.host_file import HostFile
from edgebotd.accounts.vault import Vault
from edgebotd.errors import Conflict, EdgebotdError, NotFound
from edgebotd.protocol.openclaw.given import (
    PROFILES_FILE,
    SECRETS_FILE,
    Given,
    NotProfiles,
    keeps_files,
    merged_profiles,
    secret_file,
)
from edgebotd.store import login_deliveries as deliveries
from edgebotd.store.database import Database
from edgebotd.store.login_deliveries import Delivery
from edgebotd.store.profiles import Profile

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 10.0
"""How long it may go unseen that a gateway is connected again, or has another container."""
FIRST_WAIT_MS: Final = 5_000
LONGEST_WAIT_MS: Final = 300_000
ONE_SECONDS: Final = 150.0
"""For one bot: reading, writing and telling, each of which has a shorter deadline of its own."""
CHANGED_TRIES: Final = 3
"""How often a file that its gateway writes at the same moment is read again."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is connected now."""

    version: str
    agent_id: str = "main"


class Gateways(Protocol):
    """What is asked of bots' connections; `bots.gateways` has it."""

    def ids(self) -> list[str]: ...

    def gateway_of(self, bot_id: str) -> tuple[str, str] | None:
        """Return version and agent of a bot's gateway, None where none is connected, or takes no keys."""

    async def reload_secrets(self, bot_id: str) -> int:
        """Have the gateway read its secrets again; return of how many it complains.

        Raises:
            EdgebotdError: it does not, or nobody knows.
        """


class File(Protocol):
    """The file from which a gateway has it."""

    @property
    def place(self) -> str: ...
    @property
    def inside(self) -> str: ...
    async def read(self) -> bytes | None: ...
    async def write(self, content: bytes) -> None: ...


FileOf = Callable[[str, str], File | None]
"""Bot and path in the gateway's state directory: the file in a container of edgebotd's, None for other bots."""


_Marks = frozenset[tuple[str, int, int]]
"""Logins with generation and birth: another one of the same name begins with the same generation."""


@dataclass(slots=True)
class _Try:
    """What was tried last for a bot, and when it is tried again if nothing changes."""

    wanted: _Marks
    place: str
    connected: bool
    wait_ms: int
    next_at: int


class Delivering:
    """Made by `open_accounts`; `run` is a job of the supervisor's.

    Args:
        named: files of gateways that are no containers of edgebotd's, by bot.
    """

    def __init__(self, vault: Vault, database: Database, named: Mapping[str, Path], now: Callable[[], int]) -> None:
        self._vault = vault
        self._database = database
        self._named = named
        self._now = now
        self._gateways: Gateways | None = None
        self._file_of: FileOf = _no_file
        self._known: dict[str, Delivery] = {}
        self._tries: dict[str, _Try] = {}
        self._written: dict[str, tuple[str, _Marks]] = {}
        """By bot: what lies at a place, and has perhaps not been read by the gateway."""
        self.counts = {"ok": 0, "away": 0, "failed": 0}
        """How attempts to give a bot what it uses have ended; `away`: its gateway reads the file when it is back."""
        self._wake = trio.Event()
        self._kept = trio.Event()
        vault.subscribe(lambda _profile_id: self._wake.set())

    def wire(self, gateways: Gateways, file_of: FileOf) -> None:
        """Say how bots are reached; done once, before `run`."""
        self._gateways, self._file_of = gateways, file_of

    def of(self, bot_id: str) -> Delivery | None:
        """Return what a bot has, None where nothing has been tried."""
        return self._known.get(bot_id)

    def has(self, bot_id: str, profile: Profile) -> int | None:
        """Return which generation of a login a bot has, None where it has none of it."""
        return _had(self._known.get(bot_id), profile)

    def file_of(self, bot_id: str) -> File | None:
        """Return from which file a bot has its logins, None where edgebotd knows of none."""
        told = None if self._gateways is None else self._gateways.gateway_of(bot_id)
        return self._file(bot_id, None if told is None else Gateway(*told))

    async def give(self, bot_id: str, profile_id: str) -> None:
        """Try again at once where it was to be later, and wait until a bot has the present one of a login.

        Raises:
            NotFound: the login is removed meanwhile.
        """
        self._tries.pop(bot_id, None)
        self._wake.set()
        while self.has(bot_id, profile := self._vault.get(profile_id)) != profile.generation:
            await self._kept.wait()

    async def run(self) -> None:
        """Deliver, for ever."""
        if self._gateways is None:
            await trio.sleep_forever()
        known = await self._database.read(deliveries.all_deliveries)
        self._known = {one.bot_id: one for one in known}
        while True:
            self._wake = trio.Event()
            await self.look()
            with trio.move_on_after(self._pause()):
                await self._wake.wait()

    async def look(self) -> None:
        """Give what is due now; one bot keeps no other waiting."""
        wanted: dict[str, list[Profile]] = {bot_id: [] for bot_id in self._known}
        for profile in self._vault.all():
            if profile.owner == "edgebotd" and profile.fingerprint is not None:
                for bot_id in self._vault.bots_of(profile.id):
                    wanted.setdefault(bot_id, []).append(profile)
        async with trio.open_nursery() as nursery:
            for bot_id, profiles in sorted(wanted.items()):
                # The one that was there first is the provider's own: another one beside it changes nothing.
                profiles.sort(key=lambda one: (one.created_at, one.id))
                nursery.start_soon(self._look_at, bot_id, profiles, name=f"deliver to {bot_id}")

    async def _look_at(self, bot_id: str, profiles: list[Profile]) -> None:
        assert self._gateways is not None
        told = self._gateways.gateway_of(bot_id)
        gateway = None if told is None else Gateway(*told)
        file = self._file(bot_id, gateway)
        if file is None:
            if bot_id not in self._gateways.ids() and (lost := self._known.get(bot_id)) is not None:
                await self._keep(Delivery(bot_id, lost.place), lost)
            return
        wanted = _marks(profiles)
        known = self._known.get(bot_id) or Delivery(bot_id, file.place)
        has_all = all(_had(known, profile) == profile.generation for profile in profiles)
        if known.place == file.place and has_all and len(known.given) == len(profiles):
            self._tries.pop(bot_id, None)
            return
        tried, now = self._tries.get(bot_id), self._now()
        again = tried is not None and (tried.wanted, tried.place, tried.connected) == (
            wanted,
            file.place,
            gateway is not None,
        )
        if again and tried is not None and now < tried.next_at:
            return
        wait_ms = min(tried.wait_ms * 2, LONGEST_WAIT_MS) if again and tried is not None else FIRST_WAIT_MS
        self._tries[bot_id] = _Try(wanted, file.place, gateway is not None, wait_ms, now + wait_ms)
        await self._keep(await self._deliver(known, profiles, file, gateway), known)

    async def _deliver(self, known: Delivery, profiles: list[Profile], file: File, gateway: Gateway | None) -> Delivery:
        bot_id, wanted = known.bot_id, {profile.id: profile.generation for profile in profiles}
        lies, marks = self._written.get(bot_id), _marks(profiles)
        error, outcome = f"It was not done within {ONE_SECONDS:.0f} s.", "failed"
        with trio.move_on_after(ONE_SECONDS):
            try:
                if lies != (file.place, marks):
                    self._written.pop(bot_id, None)
                    await self._write(file, profiles, set(known.given) - set(wanted))
                    self._written[bot_id] = (file.place, marks)
                assert self._gateways is not None
                if bot_id not in self._gateways.ids() and not wanted:
                    return Delivery(bot_id, file.place)  # it was removed, and its file has nothing of ours any more
                if gateway is None:
                    raise Conflict("away", "The gateway is not connected. The file is written, and read at its start.")
                complaints = await self._gateways.reload_secrets(bot_id)
                log.info(
                    "%s has been given %s", bot_id, ", ".join(f"{k} ({g})" for k, g in wanted.items()) or "nothing"
                )
                words = None
                if complaints:
                    words = f"The gateway has read it, and cannot resolve {complaints} references of its configuration."
                self.counts["ok"] += 1
                return Delivery(bot_id, file.place, wanted, self._now(), words)
            except (EdgebotdError, NotFound) as exc:
                error = str(getattr(exc, "detail", exc))
                outcome = "away" if getattr(exc, "code", None) == "away" else "failed"
        self.counts[outcome] += 1
        # What was given at another place is not had here.
        given = known.given if known.place == file.place else {}
        return replace(known, place=file.place, given=given, error=error)

    async def _write(self, file: File, profiles: list[Profile], gone: set[str]) -> None:
        logins = [await self._given(profile) for profile in profiles]
        if not file.place.endswith(PROFILES_FILE):
            await file.write(secret_file(logins))
            return
        for _ in range(CHANGED_TRIES):
            before = await file.read()
            if before is None:
                raise Conflict(
                    "no_profiles",
                    f"{file.place} is not there. It is the gateway's own, and made by it with its first login.",
                )
            try:
                after = merged_profiles(before, logins, gone)
            except NotProfiles:
                raise Conflict("no_profiles", f"{file.place} is no store of logins.") from None
            # The gateway writes it too, when it refreshes a login of its own.
            if await file.read() == before:
                if after != before:
                    await file.write(after)
                return
        raise Conflict("busy", f"{file.place} is being written by its gateway.")

    async def _given(self, profile: Profile) -> Given:
        login = await self._vault.login(profile.id)
        if self._vault.get(profile.id).generation != profile.generation or login.access is None:
            # The change has woken us; the next look has it.
            raise Conflict("changed", f"{profile.id} was changed at the same moment.")
        is_key = profile.type == "api_key"
        return Given(profile.id, profile.provider, login.access, is_key=is_key, expires_at=profile.expires_at)

    async def _keep(self, one: Delivery, before: Delivery) -> None:
        if one == self._known.get(one.bot_id):
            return
        if one.error is not None and one.error != before.error:
            log.warning("%s has not been given what it uses: %s", one.bot_id, one.error)
        self._kept.set()
        self._kept = trio.Event()
        if not one.given and one.error is None:
            self._known.pop(one.bot_id, None)
            await self._database.write(lambda tx: deliveries.forget(tx.connection, one.bot_id))
            return
        self._known[one.bot_id] = one
        await self._database.write(lambda tx: deliveries.put(tx.connection, one))

    def _file(self, bot_id: str, gateway: Gateway | None) -> File | None:
        if (path := self._named.get(bot_id)) is not None:
            if path.name == PROFILES_FILE and (gateway is None or not keeps_files(gateway.version)):
                # A newer one would not start again beside such a file.
                return None
            return HostFile(path)
        known = self._known.get(bot_id)
        if gateway is None and known is not None and known.place.endswith(PROFILES_FILE):
            return None  # which version comes back, and of which agent, is seen when it is back
        if gateway is not None and keeps_files(gateway.version):
            return self._file_of(bot_id, f"agents/{gateway.agent_id}/agent/{PROFILES_FILE}")
        return self._file_of(bot_id, SECRETS_FILE)

    def _pause(self) -> float:
        now = self._now()
        waits = [(one.next_at - now) / 1000 for one in self._tries.values()]
        return max(0.5, min([LOOK_SECONDS, *waits]))


def _marks(profiles: list[Profile]) -> _Marks:
    return frozenset((one.id, one.generation, one.created_at) for one in profiles)


def _had(known: Delivery | None, profile: Profile) -> int | None:
    if known is None or known.given_at is None or profile.created_at > known.given_at:
        return None
    return known.given.get(profile.id)


def _no_file(bot_id: str, path: str) -> File | None:
    del bot_id, path
    return None
