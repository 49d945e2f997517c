"""Shows the logins that bots' gateways have of their own: asked for, never refreshed, never known by their secrets.

That one needs a person is told as of every login, by the refresher.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

import trio

from edgebotd.accounts.vault import Vault
from edgebotd.errors import Conflict, EdgebotdError, NotFound
from edgebotd.protocol.openclaw.auth_status import OwnLogin, parse_auth_status
from edgebotd.store.profiles import Profile, ProfileState

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 10.0
"""How long it may go unseen that a gateway is connected again."""
ASK_MS: Final = 300_000
"""Its tokens last for hours."""
ONE_SECONDS: Final = 60.0


class Gateways(Protocol):
    """What is asked of bots' connections; `bots.gateways` has it."""

    def ids(self) -> list[str]: ...

    def gateway_of(self, bot_id: str) -> tuple[str, str] | None:
        """Return version and agent of a bot's gateway, None where none is connected."""

    async def auth_status(self, bot_id: str) -> Mapping[str, Any]:
        """Return the payload of `models.authStatus`.

        Raises:
            EdgebotdError: there is no answer.
        """


class GatewayLogins:
    """Made by `open_accounts`; `run` is a job of the supervisor's."""

    def __init__(self, vault: Vault, now: Callable[[], int]) -> None:
        self._vault = vault
        self._now = now
        self._gateways: Gateways | None = None
        self._asked_at: dict[str, int] = {}
        self._refused: set[str] = set()
        """Bots of which it was said that they do not tell."""

    def wire(self, gateways: Gateways) -> None:
        """Say how bots are asked; done once, before `run`."""
        self._gateways = gateways

    async def run(self) -> None:
        """Ask each gateway when it is connected and every few minutes, for ever."""
        if self._gateways is None:
            await trio.sleep_forever()
        while True:
            await self.look()
            await trio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Ask those that are due; one that does not answer keeps no other waiting."""
        assert self._gateways is not None
        ids = self._gateways.ids()
        for profile in self._own():
            if profile.place not in ids:
                await self._forget(profile)
        async with trio.open_nursery() as nursery:
            for bot_id in ids:
                if self._gateways.gateway_of(bot_id) is None:
                    self._asked_at.pop(bot_id, None)
                elif self._now() - self._asked_at.get(bot_id, -ASK_MS) >= ASK_MS:
                    self._asked_at[bot_id] = self._now()
                    nursery.start_soon(self._ask, bot_id, name=f"logins of {bot_id}")

    async def _ask(self, bot_id: str) -> None:
        assert self._gateways is not None
        try:
            with trio.fail_after(ONE_SECONDS):
                found = parse_auth_status(await self._gateways.auth_status(bot_id))
        except (EdgebotdError, trio.TooSlowError) as exc:
            # Older ones do not know the question. What was told before stays, with its age.
            if bot_id not in self._refused:
                self._refused.add(bot_id)
                log.info("%s does not tell how its logins are: %s", bot_id, str(exc) or "no answer")
            return
        self._refused.discard(bot_id)
        told = {f"{one.id}@{bot_id}": one for one in found}
        for profile in self._own():
            if profile.place == bot_id and profile.id not in told:
                await self._forget(profile)
        for profile_id, one in told.items():
            try:
                await self._settle(profile_id, bot_id, one)
            except (Conflict, NotFound):
                # Somebody has a login of that name here, or the bot was removed meanwhile.
                continue

    async def _settle(self, profile_id: str, bot_id: str, one: OwnLogin) -> None:
        try:
            was = self._vault.get(profile_id)
        except NotFound:
            fresh = Profile(profile_id, one.provider, one.type, owner="gateway", place=bot_id)
            was = await self._vault.add(fresh, None, bots=[bot_id])
        if (was.owner, was.place) != ("gateway", bot_id):
            return
        state: ProfileState = "static" if one.lasting else "fresh"
        if one.trouble is not None:
            state = "needs_login"
        now = dataclasses.replace(
            was, type=one.type, state=state, reason=one.trouble, expires_at=None if one.lasting else one.expires_at
        )
        if now == was:
            return
        await self._vault.change(was, now)

    async def _forget(self, profile: Profile) -> None:
        with suppress(NotFound):
            await self._vault.remove(profile.id)

    def _own(self) -> list[Profile]:
        return [profile for profile in self._vault.all() if profile.owner == "gateway"]
