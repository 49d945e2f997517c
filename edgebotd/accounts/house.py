"""All that this floor has, opened and put together. What each part is for stands in its module."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from types import MappingProxyType
from typing import Final, Protocol

import trio
from pydantic import SecretStr

from edgebotd.accounts import delivery, gateway_logins, linking
from edgebotd.accounts.cipher import Cipher, VaultLocked, load_or_make
from edgebotd.accounts.delivery import Delivering, FileOf
from edgebotd.accounts.gateway_logins import GatewayLogins
from edgebotd.accounts.http import Call, Caller
from edgebotd.accounts.keeping import Keeping
from edgebotd.accounts.lanes import Lanes
from edgebotd.accounts.linking import Linking
from edgebotd.accounts.refresh import Refresher
from edgebotd.accounts.refresh_lock import RefreshLock
from edgebotd.accounts.signing import Signing
from edgebotd.accounts.usage.cache import UsageCache
from edgebotd.accounts.usage.of_gateway import Gateways
from edgebotd.accounts.vault import Vault, load_vault
from edgebotd.accounts.watching import Watching
from edgebotd.config import AccountsSettings, ProviderSettings
from edgebotd.config.credentials import SecretError, read_secret_credential, read_secret_file
from edgebotd.errors import Conflict, NotFound, Problem
from edgebotd.events import ALL
from edgebotd.hub.hub import Hub
from edgebotd.store import profiles
from edgebotd.store.database import Database

log = logging.getLogger(__name__)

KEY_NAME: Final = "vault.key"
"""In the state directory, where the settings name no other."""


class Reached(delivery.Gateways, gateway_logins.Gateways, linking.Gateways, Protocol):
    """What the bots' floor gives; `bots.gateways.Gateways` in the daemon."""


@dataclass(frozen=True)
class ProviderAccounts:
    """The logins' services. From `open_accounts`, which closes it.

    Attributes:
        providers: as the settings have them, by id.
    """

    providers: Mapping[str, ProviderSettings]
    vault: Vault
    keeping: Keeping
    watching: Watching
    lanes: Lanes
    refresher: Refresher
    signing: Signing
    usage: UsageCache
    delivering: Delivering
    linking: Linking
    gateway_logins: GatewayLogins

    async def secret_of(self, profile_id: str) -> SecretStr:
        """Return what is sent to the provider, for the environment of a bot's container that refers to a login.

        Raises:
            Conflict: there is no such login, or it has nothing that is good now and could not be refreshed.
        """
        try:
            return SecretStr((await self.refresher.access_token(profile_id)).token)
        except NotFound:
            known = (
                f"There is no login '{profile_id}' with a secret here. `edgebotd accounts list` shows what there is."
            )
            raise Conflict("secret_missing", known) from None
        except Problem as exc:
            raise Conflict("secret_unusable", f"{exc.detail} Log in again first.") from None

    def wire(self, gateways: Reached, file_of: FileOf) -> None:
        """Say how bots and their files are reached; done once, before the jobs run.

        Args:
            gateways: the bots' connections.
            file_of: finds a file in a bot's container.
        """
        self.delivering.wire(gateways, file_of)
        self.linking.wire(gateways)
        self.gateway_logins.wire(gateways)

    def begin_to_stop(self) -> float:
        """Ask providers for nothing new; return how many seconds what they have been asked for may take to be stored.

        It is waited for, whatever is cancelled: an answer holds the only token that is good.
        """
        waited = self.refresher.begin_to_stop() | self.signing.under_way()
        if waited:
            names, longest = ", ".join(sorted(waited)), max(waited.values())
            log.info("stopping waits for the provider's answer to %s, up to %.0f s: it would be lost", names, longest)
        return max(waited.values(), default=0.0)

    @property
    def jobs(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What the supervisor runs, by name; a bug in one of them stops no other."""
        return {
            "accounts-files": self.watching.run,
            "accounts-refresh": self.refresher.run,
            "accounts-usage": self.usage.run,
            "accounts-delivery": self.delivering.run,
            "accounts-gateways": self.gateway_logins.run,
        }


@asynccontextmanager
async def open_accounts(
    database: Database,
    providers: Mapping[str, ProviderSettings],
    *,
    hub: Hub,
    cipher: Cipher,
    now: Callable[[], int],
    rng: Random | None = None,
    lock: Path | None = None,
    call: Call | None = None,
    gateways: Gateways | None = None,
    secret_files: Mapping[str, Path] = MappingProxyType({}),
) -> AsyncIterator[ProviderAccounts]:
    """Open the vault and what works on it.

    Args:
        cipher: from `open_cipher`.
        lock: the file by which processes agree on one refresher; None: there is no other.
        call: makes requests to providers, for tests.
        gateways: know how much is used of the logins that they own.
        secret_files: where gateways read their keys from, by bot.

    Raises:
        VaultLocked: the key is another one than the store's secrets were sealed with.
    """
    vault = await load_vault(database, cipher, now=now, submit=hub.submit)
    for profile in vault.all():
        # Opening one has its secrets taken out of all that is logged from now on, where an earlier life left them.
        with suppress(NotFound):
            await vault.login(profile.id)
    lanes, ask, rng = Lanes(), call or Caller().call, rng or SystemRandom()
    refresher = Refresher(vault, database, hub, providers, ask, lanes, RefreshLock(lock), now=now, rng=rng)
    usage = UsageCache(
        vault,
        database,
        providers,
        ask,
        lanes,
        publish=partial(hub.publish, ALL),
        rejected=refresher.rejected,
        watched=lambda: bool(hub.connections()),
        gateways=gateways,
        now=now,
        rng=rng,
    )
    await usage.load()
    async with trio.open_nursery() as nursery:
        signing = Signing(vault, providers, ask, nursery, now)
        keeping, watching = Keeping(vault, providers, now), Watching(vault, now)
        delivering = Delivering(vault, database, secret_files, now)
        yield ProviderAccounts(
            providers,
            vault,
            keeping,
            watching,
            lanes,
            refresher,
            signing,
            usage,
            delivering,
            Linking(vault, delivering),
            GatewayLogins(vault, now),
        )
        nursery.cancel_scope.cancel()


async def open_cipher(
    database: Database, settings: AccountsSettings, state_dir: Path, env: Mapping[str, str]
) -> Cipher:
    """Return the cipher with the key that the settings name, or that lies in the state directory.

    A key is made only where nothing is sealed yet: a fresh one would open nothing, and look like the right one later.

    Raises:
        VaultLocked: it is missing, malformed, or cannot be read.
    """
    place = key_place(settings, state_dir)
    try:
        # Small files, once at the start: no thread.
        if _may_be_made(settings, state_dir) and not await database.read(profiles.has_secrets):
            return Cipher(load_or_make(state_dir / KEY_NAME))
        key, loose = read_key(place, env)
    except (SecretError, OSError, ValueError) as exc:
        where = "" if isinstance(place, Path) else "accounts.key_credential: "
        raise VaultLocked(
            f"The vault's key cannot be used: {where}{exc}. Without it the stored logins cannot be read; "
            "docs/accounts.md says where it comes from and what to do when it is lost."
        ) from None
    if loose:
        log.warning("%s", loose)
    return Cipher(key)


def _may_be_made(settings: AccountsSettings, state_dir: Path) -> bool:
    named = settings.key_file is not None or settings.key_credential is not None
    return not named and not (state_dir / KEY_NAME).exists()


def key_place(settings: AccountsSettings, state_dir: Path) -> Path | str:
    """Return where the vault's key is: a file, or the name of a credential."""
    return settings.key_credential or settings.key_file or state_dir / KEY_NAME


def read_key(place: Path | str, env: Mapping[str, str]) -> tuple[SecretStr, str | None]:
    """Return the vault's key as it lies there, and a warning about its file.

    Raises:
        SecretError, ValueError: it cannot be read.
    """
    if isinstance(place, str):
        return SecretStr(read_secret_credential(place, env)), None
    secret, loose = read_secret_file(place)
    return SecretStr(secret), loose
