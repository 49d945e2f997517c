"""Has a bot's gateway read the key of a provider from the file that edgebotd writes: shows what would be changed in its
configuration, and changes it where somebody agrees.

The gateway itself does it, and what it answers counts. Where it does not, the refusal says what to write by hand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import trio

from edgebotd.accounts.delivery import Delivering, File
from edgebotd.accounts.vault import Note, Vault
from edgebotd.errors import Conflict, NotFound, Problem
from edgebotd.events import Model
from edgebotd.protocol.openclaw.given import SECRETS_FILE, keeps_files
from edgebotd.protocol.openclaw.linking import (
    SOURCE,
    GatewayConfig,
    KeyFrom,
    Patched,
    parse_config,
    parse_patched,
    references,
)
from edgebotd.store.profiles import Profile

GIVE_SECONDS: Final = 90.0
"""For the file, which has to be there first: a gateway without it has no key at all."""
TELL_SECONDS: Final = 5.0

_IS_REPLACED: Final[Mapping[KeyFrom, str]] = {
    KeyFrom.CONFIG: "The key, or the name of a login, that stands in its configuration is replaced. Keep a copy if you"
    " may want it back: the gateway does not tell it.",
    KeyFrom.ENVIRONMENT: "It has the key from its environment now, which it then does not look at any more.",
    KeyFrom.REFERENCE: "It has the key from another source of secrets now, which it then does not look at any more.",
    KeyFrom.LINKED: "It reads the key from this file already; of which login, the gateway does not tell.",
}


class Gateways(Protocol):
    """What is asked of bots' connections; `bots.gateways` has it."""

    def ids(self) -> list[str]: ...
    def gateway_of(self, bot_id: str) -> tuple[str, str] | None: ...

    async def config(self, bot_id: str) -> Mapping[str, Any]:
        """Return what the gateway tells of its configuration. Raises `Problem`."""

    async def patch_config(self, bot_id: str, patch: Mapping[str, Any], base_hash: str) -> Mapping[str, Any]:
        """Merge something into it. Raises `Problem`: `gateway_silent` where nobody knows whether that was done."""


class LinkPlan(Model):
    """What linking a bot to a login changes in its gateway's configuration, or has changed.

    Attributes:
        version: of the gateway.
        config: the gateway's configuration, where the gateway has it.
        file: what edgebotd writes, and where the gateway is to find it.
        provider: of models, as the gateway calls it.
        key_from: where it has the key now: `nothing`, `config`, `environment`, `reference` or `linked`.
        patch: what is merged into the configuration.
        base_hash: of the configuration as it is now; who agrees says it.
        uses: the bot is already among those that use the login.
        notes: what to know before.
        done: null as long as nothing was asked for; then whether anything was changed.
        complaint: why the gateway has no key even so.
    """

    profile_id: str
    bot_id: str
    version: str
    config: str
    file: str
    provider: str
    key_from: KeyFrom
    patch: dict[str, Any]
    base_hash: str
    uses: bool
    notes: list[str]
    done: bool | None = None
    complaint: str | None = None


Told = Callable[[str, LinkPlan], Awaitable[None]]
"""Hears how an attempt ended, for the audit: `linked`, `unchanged`, `refused` or `unknown`."""


class Linking:
    """Made by `open_accounts`."""

    def __init__(self, vault: Vault, delivering: Delivering) -> None:
        self._vault = vault
        self._delivering = delivering
        self._gateways: Gateways | None = None

    def wire(self, gateways: Gateways) -> None:
        """Say how bots are reached; done once."""
        self._gateways = gateways

    async def plan(self, profile_id: str, bot_id: str, provider: str | None, file: str | None) -> LinkPlan:
        """Say what would be changed; nothing is.

        Args:
            provider: of models, as the gateway calls it; by default the login's.
            file: where the gateway finds the file, by default where edgebotd writes it.

        Raises:
            NotFound: there is no such login or bot.
            Problem: it cannot be linked; it says why, and has `write` and `into` where it can be done by hand.
        """
        profile = self._vault.get(profile_id)
        gateways = self._reached(bot_id)
        self._pass_login(profile)
        told = gateways.gateway_of(bot_id)
        if told is not None and keeps_files(told[0]):
            raise Conflict(
                "keeps_files",
                f"OpenClaw {told[0]} has its logins in a file of its own, into which edgebotd puts this one as soon as"
                f" the bot uses it: `edgebotd accounts bots {profile_id} {bot_id}`. Nothing is to be linked.",
            )
        ours = self._file(bot_id)
        models, place = provider or profile.provider, file or ours.inside
        patch = references(place, {models: profile_id})
        if told is None:
            raise _by_hand(
                Conflict(
                    "gateway_away",
                    f"The bot '{bot_id}' has no OpenClaw gateway that is connected now; `edgebotd bots show {bot_id}`"
                    " says why.",
                ),
                patch,
            )
        config = await self._config(bot_id, patch)
        if config.source_is_taken:
            raise Conflict(
                "source_taken",
                f"The gateway has a source of secrets named '{SOURCE}' that is no file. Rename it in {config.path}.",
            )
        return LinkPlan(
            profile_id=profile_id,
            bot_id=bot_id,
            version=told[0],
            config=config.path,
            file=place,
            provider=models,
            key_from=config.key_from(models),
            patch=patch,
            base_hash=config.base_hash,
            uses=bot_id in self._vault.bots_of(profile_id),
            notes=self._notes(config, bot_id, models),
        )

    async def link(self, agreed: LinkPlan, note: Note, told: Told) -> LinkPlan:
        """Do what a plan says: have the bot use the login, give it the file, and change its configuration.

        Args:
            agreed: from `plan`, just now.
            note: writes into the audit that the bot uses the login.
            told: hears how it ended.

        Raises:
            Problem: the file or the change could not be brought about; as `plan`.
        """
        bot_id = agreed.bot_id
        if not agreed.uses:
            await self._vault.use(agreed.profile_id, bot_id, note)
        await self._give(agreed.profile_id, bot_id)
        gateways, outcome = self._reached(bot_id), "unknown"
        try:
            answer = await gateways.patch_config(bot_id, agreed.patch, agreed.base_hash)
            done = parse_patched(answer, agreed.provider)
            outcome = "linked" if done.changed else "unchanged"
        except Problem as exc:
            if exc.code != "gateway_silent":
                outcome = "refused"
            if exc.code == "config_changed":
                raise changed() from None
            raise _by_hand(exc, agreed.patch, agreed.config) from None
        finally:
            # Whoever asked may have gone, and what was done stays done.
            with trio.move_on_after(TELL_SECONDS, shield=True):
                await told(outcome, agreed)
        complaint = _complaint(done, agreed)
        return agreed.model_copy(update={"uses": True, "done": done.changed, "complaint": complaint})

    async def _config(self, bot_id: str, patch: Mapping[str, Any]) -> GatewayConfig:
        try:
            config = parse_config(await self._reached(bot_id).config(bot_id))
        except Problem as exc:
            raise _by_hand(exc, patch) from None
        if config is None:
            broken = (
                "The gateway's configuration is not valid as it is; `openclaw doctor` beside it says what is wrong."
            )
            raise _by_hand(Conflict("config_invalid", broken), patch)
        return config

    async def _give(self, profile_id: str, bot_id: str) -> None:
        with trio.move_on_after(GIVE_SECONDS) as scope:
            await self._delivering.give(bot_id, profile_id)
        if scope.cancelled_caught:
            known = self._delivering.of(bot_id)
            why = (known.error if known is not None else None) or f"It took longer than {GIVE_SECONDS:.0f} s."
            raise Conflict(
                "not_given",
                f"The bot uses the login now, and has not been given it yet: {why} The gateway's configuration is as it"
                " was. Link it again when that is mended.",
            )

    def _reached(self, bot_id: str) -> Gateways:
        if self._gateways is None or bot_id not in self._gateways.ids():
            raise NotFound("bot", bot_id)
        return self._gateways

    def _pass_login(self, profile: Profile) -> None:
        if profile.owner == "gateway":
            raise Conflict(
                "not_ours",
                f"{profile.id} is the own login of {profile.place}'s gateway, which gives it to nobody.",
            )
        if profile.owner == "external":
            raise Conflict(
                "not_ours",
                f"{profile.id} is refreshed by another program, in {profile.place}. Bots are given what edgebotd owns:"
                " import it with --take, or log in anew.",
            )
        if profile.fingerprint is None:
            raise Conflict("no_secret", f"{profile.id} has no secret here. Log in again first.")

    def _file(self, bot_id: str) -> File:
        file = self._delivering.file_of(bot_id)
        if file is None:
            raise Conflict(
                "no_place",
                f"edgebotd does not know a file from which the gateway of '{bot_id}' could read: it did not make its"
                f' container. Name one that the gateway can read: secret_files = {{ {bot_id} = "/…/{SECRETS_FILE}" }}'
                " in [accounts] of the settings. docs/accounts.md has more.",
            )
        return file

    def _notes(self, config: GatewayConfig, bot_id: str, models: str) -> list[str]:
        notes = []
        if (replaced := _IS_REPLACED.get(config.key_from(models))) is not None:
            notes.append(replaced)
        if not config.knows(models):
            notes.append(
                f"Its configuration has no models.providers.{models} yet. That is well for a provider that OpenClaw"
                " knows by itself; another one needs its address and models there too."
            )
        for own in self._vault.all():
            if (own.owner, own.place, own.provider) == ("gateway", bot_id, models):
                notes.append(f"It has a login of its own there ({own.id}), which it keeps.")
        return notes


def _complaint(done: Patched, plan: LinkPlan) -> str | None:
    if done.unresolved is not None:
        return (
            f"The gateway has no key for {plan.provider} now: {done.unresolved}. Is {plan.file} where the gateway sees"
            " edgebotd's file? In somebody else's container that may be elsewhere: link it again with `--path`."
        )
    if done.waits:
        return "The gateway takes it up when it starts again."
    return None


def changed() -> Conflict:
    """Return the refusal of a plan that is not any more what was shown."""
    return Conflict("config_changed", "The gateway's configuration has changed since it was shown. Look again.")


def _by_hand(problem: Problem, patch: Mapping[str, Any], into: str = "openclaw.json") -> Problem:
    """Return a refusal that has with it what a person can do instead."""
    return Problem(problem.status, problem.code, problem.detail, extra={"write": patch, "into": into})
