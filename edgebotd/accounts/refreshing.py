"""One refresh of one login, from its claim to what is stored of it, so that no refresh token is ever lost.

Before a provider is called, a claim (the fence) is durable; what the provider answers is durable before anybody gets
it, and nothing cancels what lies in between. A claim that nobody works on means that an earlier life died there, and
that nobody knows whether the token was spent. `schedule.py` decides what becomes of a login; this does it.
"""

from __future__ import annotations

import dataclasses
import logging
import secrets
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

import trio

from edgebotd import logs
from edgebotd.accounts.clients import client_of, digest_of, oauth_of
from edgebotd.accounts.http import Call, NotSent, Unanswered
from edgebotd.accounts.refresh_alerts import RefreshAlerts
from edgebotd.accounts.schedule import Settled, again, begin_uncertain, settle
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.vault import Vault
from edgebotd.config import OAuthSettings, ProviderSettings
from edgebotd.errors import NotFound
from edgebotd.events import ALL, Alert, AuthProfileRefreshed
from edgebotd.hub.hub import Hub
from edgebotd.protocol import oauth as protocol
from edgebotd.store.database import StoreError
from edgebotd.store.profiles import Profile
from edgebotd.store.writer import Transaction

log = logging.getLogger(__name__)

SAVE_SECONDS: Final = 30.0
"""How long an answer is tried to be stored before it is left to the next round; it stays in memory until it is."""
SAVE_PAUSE_SECONDS: Final = 2.0


def longest_of(oauth: OAuthSettings | None) -> float:
    """Return how long a refresh may take, which nothing cancels."""
    return (0.0 if oauth is None else oauth.timeout_seconds) + SAVE_SECONDS


class Refreshing:
    """Made by `Refresher`, which sees that a login is in here once at a time.

    Attributes:
        unsaved: logins whose refresh has begun and is not settled in the store, be it that an answer could not be
            stored. At most one for each login.
    """

    def __init__(
        self,
        vault: Vault,
        hub: Hub,
        providers: Mapping[str, ProviderSettings],
        call: Call,
        *,
        now: Callable[[], int],
        rng: Random,
    ) -> None:
        self._vault = vault
        self._hub = hub
        self._providers = providers
        self._call = call
        self._now = now
        self._rng = rng
        self.alerts = RefreshAlerts()
        self.unsaved: dict[str, tuple[Profile, Login, protocol.Outcome]] = {}
        self._digests: dict[str, str] = {}
        self._past: dict[str, list[Login]] = {}

    def orphaned(self, profile: Profile) -> bool:
        """Whether a login is claimed by a refresh that nobody is at; `profile` is not being refreshed now."""
        return profile.claim is not None and profile.id not in self.unsaved

    async def run(self, profile: Profile, *, forced: bool) -> protocol.Outcome | None:
        """Refresh a login, or finish what was begun; durable when it returns. Cancelled: it is finished all the same.

        Returns:
            What the provider made of it, None where it was not asked or the answer could not be stored yet.

        Raises:
            NotFound, VaultLocked, StoreError: nothing was sent.
        """
        if profile.id in self.unsaved:
            with trio.move_on_after(SAVE_SECONDS, shield=True):
                await self._save(profile.id)
            return None
        oauth = oauth_of(self._providers, profile.provider)
        if profile.claim is not None:
            if not profile.claim.startswith(f"{profile.generation}-"):
                # Of a login that was replaced while it was refreshed.
                await self._vault.change(profile, dataclasses.replace(profile, claim=None, claimed_at=None))
                return None
            reason = "edgebotd ended while the provider was asked; nobody knows whether it answered."
            await self._store(profile, Settled("uncertain", begin_uncertain(profile, oauth, self._now(), reason)))
            return None
        with trio.move_on_after(longest_of(oauth), shield=True):
            login = await self._vault.login(profile.id)
            claimed = await self._vault.change(
                profile,
                dataclasses.replace(
                    profile,
                    state="refreshing",
                    claim=f"{profile.generation}-{secrets.token_hex(8)}",
                    claimed_at=self._now(),
                    forced_generation=profile.generation if forced else profile.forced_generation,
                ),
            )
            if claimed is None:
                await self._vault.look_again()
                return None
            # Until it is known better: should anything break from here on, nobody knows.
            self.unsaved[profile.id] = claimed, login, protocol.Ambiguous("The provider was not heard to the end.")
            outcome = await self._ask(oauth, login)
            self.unsaved[profile.id] = claimed, login, outcome
            if await self._save(profile.id):
                return outcome
        return None

    async def retry_changed(self, profile: Profile) -> None:
        """Try a login again that was refused for settings which are others now."""
        if profile.state == "misconfigured" and profile.settings_digest != self._digest(profile.provider):
            await self._vault.change(profile, again(profile, self._now()))

    async def _ask(self, oauth: OAuthSettings | None, login: Login) -> protocol.Outcome:
        """Return what the provider makes of the refresh token; never raises for anything that it does."""
        if oauth is None:
            return protocol.Misconfigured("The settings do not say how its tokens are refreshed.", 0, "no_settings")
        if login.refresh is None:
            return protocol.Rejected("It has no refresh token, so nothing buys the next access token.", 0, "no_token")
        request = protocol.refresh_request(client_of(oauth), login.refresh)
        sent_at = self._now()
        try:
            answer = await self._call(
                "POST", request.url, headers=request.headers, body=request.body, seconds=oauth.timeout_seconds
            )
        except NotSent as exc:
            return protocol.NotSent(str(exc))
        except Unanswered as exc:
            return protocol.Ambiguous(str(exc))
        return protocol.read_token_answer(
            answer.status,
            answer.headers,
            answer.body,
            sent_at=sent_at,
            received_at=self._now(),
            jwt=oauth.jwt_expiry,
        )

    async def _save(self, profile_id: str) -> bool:
        """Store what came of it, however often that takes; a newer login wins. Returns whether it was stored."""
        claimed, login, outcome = self.unsaved[profile_id]
        while True:
            try:
                stored = await self._settle(claimed, login, outcome)
                break
            except StoreError as exc:
                log.error("what a refresh of %s brought could not be stored, it is tried again: %s", claimed.id, exc)
                await trio.sleep(SAVE_PAUSE_SECONDS)
            except NotFound:
                stored = False  # removed meanwhile
                break
        del self.unsaved[profile_id]
        if stored:
            self._log(profile_id, outcome)
        return stored

    async def _settle(self, claimed: Profile, login: Login, outcome: protocol.Outcome) -> bool:
        while True:
            now = self._vault.get(claimed.id)
            if (now.generation, now.fingerprint) != (claimed.generation, claimed.fingerprint):
                log.info("%s was logged in anew while it was refreshed; the newer login stays", claimed.id)
                return False
            oauth = oauth_of(self._providers, claimed.provider)
            base = dataclasses.replace(now, state="refreshing", claimed_at=claimed.claimed_at)
            digest = self._digest(claimed.provider)
            settled = settle(base, login, outcome, oauth, digest, self._now(), self._rng)
            if await self._store(now, settled):
                self._forget(claimed.id, login, settled.login)
                return True
            await self._vault.look_again()

    async def _store(self, was: Profile, settled: Settled) -> bool:
        """Store it with its event, and an alert where one is due; say whether it still was what it was."""
        at = self._now()
        told = self.alerts.changes(was.id, settled.profile, at)
        event = AuthProfileRefreshed(
            profile_id=was.id,
            outcome=settled.word,
            expires_at=settled.profile.expires_at,
            detail=settled.profile.reason,
            at=at,
        )

        def note(tx: Transaction) -> None:
            tx.emit(ALL, event)
            for alert in told:
                tx.emit(ALL, alert)

        if await self._vault.change(was, settled.profile, settled.login, note, renewed=True) is None:
            return False
        self.alerts.told(told)
        return True

    def _forget(self, profile_id: str, sent: Login, new: Login | None) -> None:
        """Stop looking in the logs for tokens that are three generations old; the list would grow for ever."""
        if new is None:
            return
        past = self._past.setdefault(profile_id, [])
        past.append(sent)
        if len(past) > 2:
            oldest = past.pop(0)
            kept = {value for login in (*past, new) for value in (login.access, login.refresh, login.identity)}
            for value in {oldest.access, oldest.refresh, oldest.identity} - kept:
                if value is not None:
                    logs.forget_secret(value)

    def _digest(self, provider: str) -> str:
        if provider not in self._digests:
            self._digests[provider] = digest_of(oauth_of(self._providers, provider))
        return self._digests[provider]

    def _log(self, profile_id: str, outcome: protocol.Outcome) -> None:
        """Log what came, never what was in it."""
        profile = self._vault.get(profile_id)
        fields = {
            "profile": profile_id,
            "http_status": getattr(outcome, "status", None),
            "oauth_error": getattr(outcome, "code", None),
            "disposition": profile.state,
            "generation": profile.generation,
        }
        level = logging.INFO if profile.state == "fresh" else logging.WARNING
        log.log(level, "refreshed %s: %s", profile_id, profile.reason or "its token is fresh", extra=fields)

    async def tell_changed(self, busy: set[str]) -> None:
        """Tell of logins that are over, or well again, without a refresh: by a person, or by their own program."""
        known = {profile.id: profile for profile in self._vault.all()}
        over = {profile.id for profile in known.values() if profile.state == "needs_login"}
        for profile_id in sorted((self.alerts.subjects() | over) - busy):
            if told := self.alerts.changes(profile_id, known.get(profile_id), self._now()):
                await self._emit(told)

    async def _emit(self, told: list[Alert]) -> None:
        def write(tx: Transaction) -> None:
            for alert in told:
                tx.emit(ALL, alert)

        await self._hub.transact(write)
        self.alerts.told(told)
