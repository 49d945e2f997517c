"""The one place that answers "may they?". Pure: no IO, no clock.

A `Principal` is who asks, with everything that decides: role, grants, scopes, the bots it is narrowed to. HTTP routes,
the per-bot socket, the stream and the CLI all ask it. A bot that is not granted is absent: `NotFound`, never
`Forbidden` (CHANNEL section 5, access).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Final

from edgebotd.errors import Forbidden, NotFound


class Grant(IntEnum):
    """What a user may do with one bot; each includes the ones before it."""

    VIEW = 1
    CHAT = 2
    OPERATE = 3


class Scope(Enum):
    """What an API token may be used for. `READ`, `CHAT` and `OPERATE` cap the user's grants at that level."""

    READ = "read"
    CHAT = "chat"
    OPERATE = "operate"
    PUBLISH = "publish"
    ADMIN = "admin"


class Kind(Enum):
    """How a principal proved who it is."""

    SESSION = "session"
    TOKEN = "token"
    LOCAL = "local"


NO_GRANTS: Final[Mapping[str, Grant]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class AccessClass:
    """What decides which events a stream may carry; streams of one class share their frames.

    `every_bot` stands for all bots, those to come included; else `views` and `operated` name them.
    """

    user_id: str
    admin: bool = False
    every_bot: Grant | None = None
    views: frozenset[str] = frozenset()
    operated: frozenset[str] = frozenset()

    def sees(self, bot_id: str) -> bool:
        """Whether events of this bot may reach this class."""
        return self.every_bot is not None or bot_id in self.views

    def operates(self, bot_id: str) -> bool:
        """Whether this class may operate the bot, as its log wants."""
        return self.every_bot == Grant.OPERATE or bot_id in self.operated


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as of now. Looked up again when anything about it changes.

    Attributes:
        credential_id: id of the session or token (never its secret); what a revocation names.
        admin: role admin in full; a token has it only with scope `admin` and without a list of bots.
        scopes: None for sessions and local admins: all but `publish`.
        bots: the bots that it is narrowed to (a token's list, a bot's own host); None for no narrowing.
        expires_at: Unix milliseconds, None for never.
    """

    kind: Kind
    user_id: str
    name: str
    credential_id: str
    admin: bool = False
    grants: Mapping[str, Grant] = field(default_factory=lambda: NO_GRANTS)
    scopes: frozenset[Scope] | None = None
    bots: frozenset[str] | None = None
    expires_at: int | None = None
    every_bot: bool = False
    """The user is an admin: operate on every bot, before scopes and narrowing."""
    shown_to: Principal | None = None
    """The administrator who looks at the channel with this user's eyes (CHANNEL C17); None: it is who asks."""
    token_name: str = ""
    """What the token is called: of several plugins that act as one user it tells which one spoke."""
    profile_id: str | None = None
    """The one login at a provider whose access token it is handed, and nothing else; None for everybody but these."""

    def _cap(self) -> Grant | None:
        if self.scopes is None or Scope.ADMIN in self.scopes or Scope.OPERATE in self.scopes:
            return Grant.OPERATE
        if Scope.CHAT in self.scopes:
            return Grant.CHAT
        if Scope.READ in self.scopes:
            return Grant.VIEW
        return None

    def grant_on(self, bot_id: str) -> Grant | None:
        """Return the effective grant on a bot, None where the bot is absent for this principal."""
        if self.bots is not None and bot_id not in self.bots:
            return None
        own = Grant.OPERATE if self.every_bot else self.grants.get(bot_id)
        cap = self._cap()
        return None if own is None or cap is None else min(own, cap)

    def require(self, bot_id: str, needed: Grant) -> None:
        """Pass, or refuse in the way that tells nothing that the asker may not know.

        Raises:
            NotFound: no grant on the bot.
            Forbidden: a grant, but too small.
        """
        grant = self.grant_on(bot_id)
        if grant is None:
            raise NotFound("bot", bot_id)
        if grant < needed:
            raise Forbidden(
                f"This needs the grant '{needed.name.lower()}' on the bot; yours is '{grant.name.lower()}'."
            )

    def require_publish(self, bot_id: str) -> None:
        """Pass for a token with scope `publish` on the bot (a bot's own plugin).

        Raises:
            NotFound: the token's user has no grant on the bot, or the token is not for it.
            Forbidden: no token, or one without the scope.
        """
        narrowed_out = self.bots is not None and bot_id not in self.bots
        if narrowed_out or not (self.every_bot or bot_id in self.grants):
            raise NotFound("bot", bot_id)
        if self.scopes is None or Scope.PUBLISH not in self.scopes:
            raise Forbidden("Publishing needs a token with the scope 'publish' on this bot.")

    def require_admin(self) -> None:
        """Pass for a full admin.

        Raises:
            Forbidden: anyone else.
        """
        if not self.admin:
            raise Forbidden("This needs an administrator.")

    def visible(self, bot_ids: frozenset[str] | set[str] | list[str]) -> list[str]:
        """Return those of the ids that this principal may see, in order of the id."""
        return sorted(bot_id for bot_id in bot_ids if self.grant_on(bot_id) is not None)

    def narrowed_to(self, bot_id: str) -> Principal:
        """Return this principal as it is on a bot's own host: other bots are absent, for admins too."""
        bots = frozenset({bot_id}) if self.bots is None else self.bots & {bot_id}
        return replace(self, bots=bots, admin=False)

    def access_class(self) -> AccessClass:
        """Return what decides which events this principal's streams carry."""
        cap = self._cap()
        if cap is None:
            return AccessClass(self.user_id)
        if self.every_bot and self.bots is None:
            return AccessClass(self.user_id, admin=self.admin, every_bot=cap)
        named = self.bots if self.every_bot else frozenset(self.grants)
        views = frozenset(b for b in named or () if self.grant_on(b) is not None)
        operated = frozenset(b for b in views if self.grant_on(b) == Grant.OPERATE)
        return AccessClass(self.user_id, admin=self.admin, views=views, operated=operated)


LOCAL_USER_ID: Final = "local"


def local_admin(uid: int) -> Principal:
    """Return the principal of a peer on the unix socket that the operator trusts as admin (by its uid)."""
    return Principal(
        kind=Kind.LOCAL,
        user_id=LOCAL_USER_ID,
        name=f"uid {uid}",
        credential_id=f"uid:{uid}",
        admin=True,
        every_bot=True,
    )
