"""API tokens: made, listed, revoked."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from edgebotd.access import Principal, Scope
from edgebotd.errors import Conflict, Forbidden, Invalid, NotFound
from edgebotd.people.audit import Actor, record
from edgebotd.people.directory import People
from edgebotd.people.secret import digest, new_id, new_token
from edgebotd.store import tokens, users
from edgebotd.store.tokens import Token

MAX_TOKENS = 200
"""Of one user."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token with its secret, which is told once and kept nowhere."""

    token: Token
    secret: str = field(repr=False)


class Tokens:
    """Tokens act as their user, within scopes and bots."""

    def __init__(self, people: People) -> None:
        self._people = people

    async def create(
        self,
        principal: Principal,
        address: str,
        *,
        user_id: str,
        name: str,
        scopes: frozenset[Scope],
        bots: frozenset[str] | None,
        expires_at: int | None,
    ) -> NewToken:
        """Make a token of the principal's own, or as an admin one of somebody else's.

        A principal that is itself narrowed (a bot's own host) makes tokens within that only.

        Raises:
            Forbidden: for another user without being admin; a scope that the user does not have.
            Invalid: no scope, or an expiry in the past.
            NotFound: no such user; a bot that the principal may not know.
            Conflict: too many tokens.
        """
        now = self._people.now()
        if user_id != principal.user_id:
            principal.require_admin()
        if not scopes:
            raise Invalid("A token needs at least one scope: read, chat, operate, publish or admin.")
        if expires_at is not None and expires_at <= now:
            raise Invalid("expiresAt is in the past.")
        if principal.bots is not None:
            bots = principal.bots if bots is None else bots
        for bot_id in sorted(bots or ()):
            if principal.grant_on(bot_id) is None:
                raise NotFound("bot", bot_id)
        if Scope.ADMIN in scopes and not principal.admin:
            raise Forbidden("Only an administrator makes tokens with the scope 'admin'.")
        secret = new_token()
        token = Token(new_id("t"), user_id, name, digest(secret), scopes, bots, now, expires_at)

        def write(conn: sqlite3.Connection) -> None:
            if users.get(conn, user_id) is None:
                raise NotFound("user", user_id)
            if len(tokens.of_user(conn, user_id)) >= MAX_TOKENS:
                raise Conflict("too_many_tokens", f"A user has at most {MAX_TOKENS} tokens. Revoke one first.")
            tokens.add(conn, token)
            words = sorted(scope.value for scope in scopes)
            actor = Actor.of(principal, address)
            record(conn, actor, now, "token.add", user_id, tokenId=token.id, scopes=words, bots=sorted(bots or ()))

        await self._people.change(user_id, write)
        return NewToken(token, secret)

    async def for_profile(
        self, actor: Actor, *, user_id: str, name: str, profile_id: str, expires_at: int | None
    ) -> NewToken:
        """Make a token that is handed the access token of one login, and opens nothing else.

        Whoever calls has checked that the login is there and that the user may have it; such a token dies with its
        user, and with the login (`forget_profile`).

        Raises:
            Invalid: an expiry in the past.
            NotFound: no such user.
            Conflict: too many tokens.
        """
        now = self._people.now()
        if expires_at is not None and expires_at <= now:
            raise Invalid("expiresAt is in the past.")
        secret = new_token()
        token = Token(
            new_id("t"), user_id, name, digest(secret), frozenset(), frozenset(), now, expires_at, profile_id=profile_id
        )

        def write(conn: sqlite3.Connection) -> None:
            if users.get(conn, user_id) is None:
                raise NotFound("user", user_id)
            tokens.forget_expired(conn, user_id, now)
            if len(tokens.of_user(conn, user_id)) >= MAX_TOKENS:
                raise Conflict("too_many_tokens", f"A user has at most {MAX_TOKENS} tokens. Revoke one first.")
            tokens.add(conn, token)
            record(conn, actor, now, "token.add", user_id, tokenId=token.id, profileId=profile_id)

        await self._people.change(user_id, write)
        return NewToken(token, secret)

    async def forget_profile(self, actor: Actor, profile_id: str) -> None:
        """Revoke all tokens that open a login: another one of its name must not be theirs."""

        def write(conn: sqlite3.Connection) -> set[str]:
            found = tokens.of_profile(conn, profile_id)
            for token in found:
                tokens.delete(conn, token.id)
                record(conn, actor, self._people.now(), "token.revoke", token.user_id, tokenId=token.id)
            return {token.user_id for token in found}

        await self._people.change_many(lambda users_: users_, write)

    def visible(self, principal: Principal) -> list[Token]:
        """Return the principal's own tokens, an admin's: everybody's; newest first."""
        records = self._people.records()
        found = [t for r in records if principal.admin or r.user_id == principal.user_id for t in r.tokens]
        return sorted(found, key=lambda token: (-token.created_at, token.id))

    async def revoke(self, principal: Principal, address: str, token_id: str) -> None:
        """Revoke a token; whatever is open with it ends.

        Raises:
            NotFound: none that the principal may see.
        """
        token = next((token for token in self.visible(principal) if token.id == token_id), None)
        if token is None:
            raise NotFound("token")
        owner = token.user_id

        def write(conn: sqlite3.Connection) -> None:
            if not tokens.delete(conn, token_id):
                raise NotFound("token")
            actor = Actor.of(principal, address)
            record(conn, actor, self._people.now(), "token.revoke", owner, tokenId=token_id)

        await self._people.change(owner, write)
