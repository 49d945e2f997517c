"""API tokens."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgebotd.access import Scope
from edgebotd.errors import Invalid
from edgebotd.events import AtMs, BotId, Model, Name, UserId
from edgebotd.store.tokens import Token
from edgebotd.web.route import Call, Route, route
from edgebotd.web.services import Services


class NewToken(Model):
    """A token to make. It acts as its user, within scopes and bots."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=5)]
    bots: Annotated[list[BotId], Field(min_length=1, max_length=100)] | None = None
    """None: all bots of the user, those to come included."""
    expires_at: AtMs | None = None
    user_id: UserId | None = None
    """For administrators: whose token. One's own where it is left out."""


class TokenInfo(Model):
    """One token, without its secret."""

    id: str
    user_id: str
    name: str
    scopes: list[Scope]
    bots: list[str] | None
    profile_id: str | None
    """The one login that it is for; such a token has no scopes."""
    created_at: AtMs
    expires_at: AtMs | None
    used_at: AtMs | None


class CreatedToken(TokenInfo):
    """A new token with its secret, which is told this once."""

    token: str


class TokenList(Model):
    """One's own tokens, an administrator's: everybody's; newest first."""

    items: list[TokenInfo]


class TokenRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """Return the rows."""
        return [
            route("GET", "/api/tokens", self.list_tokens),
            route("POST", "/api/tokens", self.create, status=201),
            route("DELETE", "/api/tokens/{token_id}", self.revoke, status=204),
        ]

    async def list_tokens(self, call: Call) -> TokenList:
        """List tokens."""
        return TokenList(items=[self._info(token) for token in self._services.tokens.visible(call.principal)])

    async def create(self, call: Call, body: NewToken) -> CreatedToken:
        """Make a token; its secret is in the answer and nowhere else."""
        user_id = body.user_id or call.principal.user_id
        if self._services.people.record(user_id) is None and body.user_id is None:
            raise Invalid("A local administrator is no user: say whose token it shall be (userId).")
        new = await self._services.tokens.create(
            call.principal,
            call.caller.address,
            user_id=user_id,
            name=body.name,
            scopes=frozenset(body.scopes),
            bots=None if body.bots is None else frozenset(body.bots),
            expires_at=body.expires_at,
        )
        return CreatedToken(**self._info(new.token).model_dump(), token=new.secret)

    async def revoke(self, call: Call) -> None:
        """Revoke a token; what is open with it ends."""
        await self._services.tokens.revoke(call.principal, call.caller.address, call.parameters["token_id"])

    def _info(self, token: Token) -> TokenInfo:
        return TokenInfo(
            id=token.id,
            user_id=token.user_id,
            name=token.name,
            scopes=sorted(token.scopes, key=lambda scope: scope.value),
            bots=None if token.bots is None else sorted(token.bots),
            profile_id=token.profile_id,
            created_at=token.created_at,
            expires_at=token.expires_at,
            used_at=self._services.people.used_at(token.id, token.used_at),
        )
