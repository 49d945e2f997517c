"""Access tokens of logins, for agents: handed out to a token that was made for the one login, and to nothing else."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from edgebotd.errors import Forbidden, Invalid, Problem
from edgebotd.events import AtMs, Model, Name, UserId
from edgebotd.people.audit import record
from edgebotd.web.route import Call, Reply, Route, route
from edgebotd.web.services import Services

REMEMBERED: Final = 10_000
"""Hand-outs that are known to stand in the audit; the oldest is forgotten first, and would be written once more."""


class ProfileGrant(Model):
    """A token to make, which opens one login."""

    name: Name
    """What it is for."""
    user_id: UserId | None = None
    """Whose token it is: it ends with them. One's own where it is left out."""
    expires_at: AtMs | None = None


class GrantedToken(Model):
    """A new token with its secret, which is told this once."""

    id: str
    user_id: str
    name: str
    profile_id: str
    expires_at: AtMs | None
    token: str


class GrantInfo(Model):
    """A token that opens a login, without its secret. `DELETE /api/tokens/{id}` revokes it."""

    id: str
    user_id: str
    name: str
    created_at: AtMs
    expires_at: AtMs | None
    used_at: AtMs | None


class GrantList(Model):
    """Newest first; those that have expired are left out."""

    items: list[GrantInfo]


class ProfileToken(Model):
    """What the login's provider takes now."""

    token: str
    generation: int
    expires_at: AtMs | None
    account_id: str | None
    """What the provider calls the account, where it wants to be told."""


class GrantRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._written: OrderedDict[tuple[str, str], int] = OrderedDict()
        """By token and login: the generation of which the audit knows."""

    def routes(self) -> list[Route]:
        """Return the rows."""
        return [
            route("GET", "/api/profiles/{profile_id}/grants", self.list_grants),
            route("POST", "/api/profiles/{profile_id}/grants", self.grant, status=201),
            route("GET", "/api/profiles/{profile_id}/token", self.hand_out, answer=ProfileToken),
        ]

    async def list_grants(self, call: Call) -> GrantList:
        """List the tokens that open a login."""
        profile_id, now = self._services.profiles.vault.get(call.parameters["profile_id"]).id, self._services.now()
        return GrantList(
            items=[
                GrantInfo(
                    id=token.id,
                    user_id=token.user_id,
                    name=token.name,
                    created_at=token.created_at,
                    expires_at=token.expires_at,
                    used_at=self._services.people.used_at(token.id, token.used_at),
                )
                for token in self._services.tokens.visible(call.principal)
                if token.profile_id == profile_id and (token.expires_at is None or token.expires_at > now)
            ]
        )

    async def grant(self, call: Call, body: ProfileGrant) -> GrantedToken:
        """Make a token that is handed this login's access token, and may nothing else; its secret is in the answer."""
        profile_id = call.parameters["profile_id"]
        profile = self._services.profiles.vault.get(profile_id)
        if profile.owner == "gateway":
            raise Invalid("A gateway keeps the secrets of this login; there is nothing here to hand out.")
        user_id = body.user_id or call.principal.user_id
        if self._services.people.record(user_id) is None and body.user_id is None:
            raise Invalid("A local administrator is no user: say whose token it shall be (userId).")
        made = await self._services.tokens.for_profile(
            call.actor, user_id=user_id, name=body.name, profile_id=profile_id, expires_at=body.expires_at
        )
        token = made.token
        return GrantedToken(
            id=token.id,
            user_id=user_id,
            name=token.name,
            profile_id=profile_id,
            expires_at=token.expires_at,
            token=made.secret,
        )

    async def hand_out(self, call: Call) -> Reply:
        """Return the login's present access token, over the unix socket, to a token that was made for this login."""
        profile_id = call.parameters["profile_id"]
        if not call.caller.local:
            raise Forbidden("Access tokens are handed out over the unix socket only, by `edgebotd token PROFILE`.")
        if self._services.profiles.vault.get(profile_id).owner == "gateway":
            raise Problem(503, "no_token", "A gateway keeps the secrets of this login.")
        access = await self._services.profiles.refresher.access_token(profile_id)
        await self._note(call, profile_id, access.generation)
        return Reply.of(
            ProfileToken(
                token=access.token,
                generation=access.generation,
                expires_at=access.expires_at,
                account_id=access.account_id,
            )
        )

    async def _note(self, call: Call, profile_id: str, generation: int) -> None:
        """Write the hand-out down, once for each token and generation: agents ask every few minutes."""
        key = (call.principal.credential_id, profile_id)
        if self._written.get(key) == generation:
            return
        actor, now = call.actor, self._services.now()
        await self._services.database.write(
            lambda tx: record(tx.connection, actor, now, "profile.token", profile_id, generation=generation)
        )
        self._written[key] = generation
        self._written.move_to_end(key)
        while len(self._written) > REMEMBERED:
            self._written.popitem(last=False)
