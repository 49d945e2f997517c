"""One user as memory holds it: the user's rows, and the principals that follow from them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edgebotd.access import Grant, Kind, Principal, Scope
from edgebotd.store import sessions, tokens, users
from edgebotd.store.sessions import Session
from edgebotd.store.tokens import Token
from edgebotd.store.users import User


@dataclass(frozen=True, slots=True)
class Record:
    """A user with grants, sessions and tokens, as of one transaction. `user` None: there is no such user (any more)."""

    user_id: str
    user: User | None
    grants: Mapping[str, Grant]
    sessions: tuple[Session, ...]
    tokens: tuple[Token, ...]

    @property
    def active(self) -> bool:
        """Whether the user exists and may act."""
        return self.user is not None and self.user.disabled_at is None

    def credentials(self) -> Iterator[tuple[bytes, Principal]]:
        """Yield what authenticates as this user: the secret's SHA-256, and who that is."""
        if self.user is None or not self.active:
            return
        for session in self.sessions:
            yield session.secret_hash, _session_principal(self.user, self.grants, session)
        for token in self.tokens:
            yield token.secret_hash, _token_principal(self.user, self.grants, token)


def read_record(conn: sqlite3.Connection, user_id: str) -> Record:
    """Return a user as the connection sees it."""
    return Record(
        user_id,
        users.get(conn, user_id),
        MappingProxyType(users.grants_of(conn, user_id)),
        tuple(sessions.of_user(conn, user_id)),
        tuple(tokens.of_user(conn, user_id)),
    )


def _session_principal(user: User, grants: Mapping[str, Grant], session: Session) -> Principal:
    return Principal(
        kind=Kind.SESSION,
        user_id=user.id,
        name=user.name,
        credential_id=session.id,
        admin=user.admin,
        grants=grants,
        expires_at=session.expires_at,
        every_bot=user.admin,
    )


def _token_principal(user: User, grants: Mapping[str, Grant], token: Token) -> Principal:
    return Principal(
        kind=Kind.TOKEN,
        user_id=user.id,
        name=user.name,
        credential_id=token.id,
        # A token is never more than its user is now, however it was made.
        admin=user.admin and Scope.ADMIN in token.scopes and token.bots is None,
        grants=grants,
        scopes=token.scopes,
        bots=token.bots,
        expires_at=token.expires_at,
        every_bot=user.admin,
        token_name=token.name,
        profile_id=token.profile_id,
    )
