"""Logins at model providers: who has which, and how they are. Their secrets come in here, and never out."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any, Literal

from pydantic import Field

from edgebotd.access import Principal
from edgebotd.accounts.keeping import AddRequest, ImportAnswer, ImportRequest, Label, SecretRequest
from edgebotd.accounts.signing import FinishRequest, SignInRequest, SignInState
from edgebotd.accounts.vault import Note
from edgebotd.config import ProviderSettings
from edgebotd.errors import NotFound
from edgebotd.events import AtMs, BotId, Model
from edgebotd.people.audit import record
from edgebotd.store.profiles import Owner, Profile, ProfileState, ProfileType
from edgebotd.web.route import Call, Route, route
from edgebotd.web.services import Services


class DeliveredRow(Model):
    """What one bot has of a login."""

    bot_id: str
    generation: int | None
    """None: it has none yet."""
    current: bool
    at: AtMs | None
    error: str | None
    """Why it has not been given the present one, or what its gateway complains of."""


class ProfileRow(Model):
    """A login. Who sees a bot that uses it is told how it is; what is null then is for administrators."""

    id: str
    provider: str
    provider_name: str
    type: ProfileType
    state: ProfileState
    expired: bool
    """Its access token, or the token itself, has run out."""
    expires_at: AtMs | None
    bots: list[str]
    """The bots that use it, as far as one sees them."""
    generation: int | None
    """Of its secret; grows with each login and refresh."""
    delivered: list[DeliveredRow] | None
    """What its bots have of it, where it is given to them."""
    owner: Owner | None
    place: str | None
    label: str | None
    account_id: str | None
    fingerprint: str | None
    """Stands for its secret, so that two can be told apart."""
    reason: str | None
    refreshed_at: AtMs | None
    next_at: AtMs | None
    created_at: AtMs | None
    changed_at: AtMs | None


class ProviderRow(Model):
    """A provider that the settings name, and what can be done with it."""

    id: str
    name: str
    methods: list[Literal["browser", "device"]]
    """How a person can log in; none where there are API keys and tokens only."""
    usage: bool
    """It is asked how much is used."""


class ProfileList(Model):
    """By id."""

    items: list[ProfileRow]
    providers: list[ProviderRow]
    """Those of the settings, for administrators."""


class ProfileEdit(Model):
    """What people call it."""

    label: Label | None


class ProfileBots(Model):
    """All bots that use it, in place of those that did."""

    bots: Annotated[list[BotId], Field(max_length=1000)]


class ProfileRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._profiles = services.profiles
        self._vault = services.profiles.vault

    def routes(self) -> list[Route]:
        """Return the rows."""
        one = "/api/profiles/{profile_id}"
        return [
            route("GET", "/api/profiles", self.list_profiles),
            route("POST", "/api/profiles", self.add, status=201),
            route("POST", "/api/profiles/import", self.bring),
            route("POST", "/api/profiles/login", self.begin_login, status=201),
            route("GET", "/api/profiles/login/{login_id}", self.look_at_login),
            route("POST", "/api/profiles/login/{login_id}/finish", self.finish_login),
            route("GET", one, self.show),
            route("POST", one + "/refresh", self.refresh),
            route("PATCH", one, self.edit),
            route("DELETE", one, self.remove, status=204),
            route("PUT", one + "/secret", self.replace),
            route("PUT", one + "/bots", self.set_bots),
        ]

    async def list_profiles(self, call: Call) -> ProfileList:
        """List logins: an administrator all, others those that their bots use."""
        rows = (self._row(profile, call.principal) for profile in self._vault.all())
        providers = self._profiles.providers if call.principal.admin else {}
        return ProfileList(
            items=[row for row in rows if row is not None],
            providers=[_provider(name, settings) for name, settings in sorted(providers.items())],
        )

    async def show(self, call: Call) -> ProfileRow:
        """Show a login."""
        profile_id = call.parameters["profile_id"]
        row = self._row(self._vault.get(profile_id), call.principal)
        if row is None:
            raise NotFound("login", profile_id)
        return row

    async def add(self, call: Call, body: AddRequest) -> ProfileRow:
        """Add a login by its API key or token, which is never shown again."""
        profile = await self._profiles.keeping.add(body, self._note(call))
        return self._whole(profile)

    async def bring(self, call: Call, body: ImportRequest) -> ImportAnswer:
        """Show the logins of another program, or import them; nothing of its own is changed."""
        return await self._profiles.keeping.bring(body, self._note(call))

    async def begin_login(self, call: Call, body: SignInRequest) -> SignInState:
        """Begin a login at a provider: says where the person goes, and what they type there."""
        return await self._profiles.signing.begin(body, call.actor.user_id, self._note(call))

    async def look_at_login(self, call: Call) -> SignInState:
        """Show a login under way, to who began it."""
        return self._profiles.signing.look(call.parameters["login_id"], call.actor.user_id)

    async def finish_login(self, call: Call, body: FinishRequest) -> SignInState:
        """Finish a login with the address that the browser landed on."""
        return await self._profiles.signing.finish(call.parameters["login_id"], call.actor.user_id, body)

    async def refresh(self, call: Call) -> ProfileRow:
        """Refresh a login's token now, and show what came of it."""
        profile = await self._profiles.refresher.refresh_now(call.parameters["profile_id"])
        note = self._note(call)
        await self._services.database.write(lambda tx: note(tx.connection, "profile.refresh", profile))
        return self._whole(profile)

    async def edit(self, call: Call, body: ProfileEdit) -> ProfileRow:
        """Set what people call it."""
        return self._whole(await self._vault.relabel(call.parameters["profile_id"], body.label, self._note(call)))

    async def replace(self, call: Call, body: SecretRequest) -> ProfileRow:
        """Give a login by API key or token another secret."""
        profile_id = call.parameters["profile_id"]
        return self._whole(await self._profiles.keeping.replace(profile_id, body, self._note(call)))

    async def remove(self, call: Call) -> None:
        """Forget a login with its secrets; at the provider it goes on to exist."""
        profile_id = call.parameters["profile_id"]
        # Before it, so that none of them opens another login that gets its name.
        await self._services.tokens.forget_profile(call.actor, self._profiles.keeping.ours_to_change(profile_id).id)
        await self._vault.remove(profile_id, self._note(call))

    async def set_bots(self, call: Call, body: ProfileBots) -> ProfileRow:
        """Say which bots use it."""
        profile_id = self._profiles.keeping.ours_to_change(call.parameters["profile_id"]).id
        await self._vault.set_bots(profile_id, body.bots, self._note(call, bots=sorted(set(body.bots))))
        return self._whole(self._vault.get(profile_id))

    def _row(self, profile: Profile, principal: Principal) -> ProfileRow | None:
        """Return what somebody may see of a login, None for nothing."""
        if principal.admin:
            return self._whole(profile)
        bots = principal.visible(list(self._vault.bots_of(profile.id)))
        if not bots:
            return None
        hidden = (
            "generation",
            "delivered",
            "owner",
            "place",
            "label",
            "account_id",
            "fingerprint",
            "reason",
            "refreshed_at",
            "next_at",
        )
        nothing = dict.fromkeys((*hidden, "created_at", "changed_at"))
        return self._whole(profile).model_copy(update={**nothing, "bots": bots})

    def _whole(self, profile: Profile) -> ProfileRow:
        settings = self._profiles.providers.get(profile.provider)
        return ProfileRow(
            id=profile.id,
            provider=profile.provider,
            provider_name=(settings.name if settings is not None else None) or profile.provider,
            type=profile.type,
            state=profile.state,
            expired=profile.expires_at is not None and profile.expires_at <= self._services.now(),
            expires_at=profile.expires_at,
            bots=list(self._vault.bots_of(profile.id)),
            generation=profile.generation,
            delivered=self._delivered(profile),
            owner=profile.owner,
            place=profile.place,
            label=profile.label,
            account_id=profile.account_id,
            fingerprint=profile.fingerprint,
            reason=profile.reason,
            refreshed_at=profile.refreshed_at,
            next_at=profile.next_at,
            created_at=profile.created_at,
            changed_at=profile.changed_at,
        )

    def _delivered(self, profile: Profile) -> list[DeliveredRow]:
        rows = []
        for bot_id in self._vault.bots_of(profile.id):
            if (known := self._profiles.delivering.of(bot_id)) is not None:
                had = self._profiles.delivering.has(bot_id, profile)
                rows.append(
                    DeliveredRow(
                        bot_id=bot_id,
                        generation=had,
                        current=had == profile.generation,
                        at=known.given_at if had is not None else None,
                        error=known.error,
                    )
                )
        return rows

    def _note(self, call: Call, **detail: Any) -> Note:
        """Return what writes the audit entry of a change, in its transaction."""
        actor, now = call.actor, self._services.now()

        def note(conn: sqlite3.Connection, action: str, profile: Profile) -> None:
            more = detail if action == "profile.bots" else {}
            record(conn, actor, now, action, profile.id, owner=profile.owner, type=profile.type, **more)

        return note


def _provider(provider_id: str, settings: ProviderSettings) -> ProviderRow:
    oauth = settings.oauth
    methods: list[Literal["browser", "device"]] = []
    if oauth is not None and oauth.authorize_url is not None:
        methods.append("browser")
    if oauth is not None and oauth.device_url is not None:
        methods.append("device")
    usage = settings.usage.kind != "none"
    return ProviderRow(id=provider_id, name=settings.name or provider_id, methods=methods, usage=usage)
