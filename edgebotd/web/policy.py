"""Who may use which route: one row for each, and nothing answers without a row.

`create_app` refuses to start when a route has no row or a row no route; the walk of `tests/web/test_walk.py` is made
from this table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from edgebotd.access import Grant, Principal, Scope
from edgebotd.errors import Forbidden, NotFound, Problem
from edgebotd.events import BOT_ID_PATTERN


class Need(Enum):
    """What a route asks of its caller. The last four are about the route's `{bot_id}`."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"
    ACCOUNT = "account"
    """The person: a session, a local admin, or a token that stands for an admin in full.

    Keeps a narrow token from making a wider one."""
    MONITOR = "monitor"
    """An admin, or an admin's token with scope `read`: figures about the whole system."""
    ADMIN = "admin"
    PROFILE_TOKEN = "profile token"
    """A token that was made for the login of the route, which opens nothing else; nobody's rights replace it."""
    VIEW = "view"
    CHAT = "chat"
    OPERATE = "operate"
    PUBLISH = "publish"


GRANT_OF: Final = {Need.VIEW: Grant.VIEW, Need.CHAT: Grant.CHAT, Need.OPERATE: Grant.OPERATE}


class Surface(Enum):
    """Who serves a row."""

    HTTP = "http"
    STREAM = "stream"
    SOCKET = "socket"


class Body(Enum):
    """How large a request's body may be."""

    NONE = "none"
    """No body is read; one that comes is refused."""
    SMALL = "small"
    """64 KiB: names, passwords, markers."""
    JSON = "json"
    """`server.max_body_bytes`."""
    MESSAGE = "message"
    """A message with its files in base64: four thirds of `chat.attachment_max_bytes`, and the rest of the JSON."""


SMALL_BODY_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Policy:
    """One row. `path` names its parameters in braces; `{name...}` at the end takes the rest of the path."""

    method: str
    path: str
    need: Need
    body: Body = Body.NONE
    surface: Surface = Surface.HTTP

    @property
    def mutating(self) -> bool:
        """Whether it changes something; no GET does."""
        return self.method != "GET"

    @property
    def guarded(self) -> bool:
        """Whether the Origin rules hold (CHANNEL sections 2 and 4, and every mutating request)."""
        return self.mutating or self.surface is not Surface.HTTP

    @property
    def of_bot(self) -> bool:
        """Whether the row is about one bot."""
        return "/{bot_id}" in self.path


_BOT: Final = "/api/bots/{bot_id}"
_PROFILE: Final = "/api/profiles/{profile_id}"
_CONVERSATION: Final = _BOT + "/conversations/{conversation_id}"

PAGES: Final = (
    "/",
    "/chat",
    "/chat/{view...}",
    "/bots/{view...}",
    "/admin",
    "/admin/{view...}",
    "/operations/{view...}",
    "/account",
    "/accounts",
    "/accounts/{view...}",
)
"""Paths at which the page is: it looks at the path itself, and shows what is there."""

POLICIES: Final[tuple[Policy, ...]] = (
    # Nothing else answers without a credential; these reveal nothing about users, bots or version.
    *(Policy("GET", path, Need.PUBLIC) for path in PAGES),
    Policy("GET", "/ui/{file...}", Need.PUBLIC),
    Policy("GET", "/healthz", Need.PUBLIC),
    Policy("GET", "/readyz", Need.PUBLIC),
    Policy("POST", "/api/login", Need.PUBLIC, Body.SMALL),
    Policy("POST", "/api/setup", Need.PUBLIC, Body.SMALL),
    # One's own.
    Policy("POST", "/api/logout", Need.SIGNED_IN, Body.SMALL),
    Policy("GET", "/api/me", Need.SIGNED_IN),
    Policy("PUT", "/api/me/password", Need.ACCOUNT, Body.SMALL),
    Policy("GET", "/api/me/preferences", Need.ACCOUNT),
    Policy("PUT", "/api/me/preferences", Need.ACCOUNT, Body.SMALL),
    Policy("GET", "/api/sessions", Need.ACCOUNT),
    Policy("DELETE", "/api/sessions/{session_id}", Need.ACCOUNT, Body.SMALL),
    Policy("GET", "/api/tokens", Need.ACCOUNT),
    Policy("POST", "/api/tokens", Need.ACCOUNT, Body.SMALL),
    Policy("DELETE", "/api/tokens/{token_id}", Need.ACCOUNT, Body.SMALL),
    # People.
    Policy("GET", "/api/users", Need.ADMIN),
    Policy("POST", "/api/users", Need.ADMIN, Body.SMALL),
    Policy("PATCH", "/api/users/{user_id}", Need.ADMIN, Body.SMALL),
    Policy("DELETE", "/api/users/{user_id}", Need.ADMIN, Body.SMALL),
    Policy("PUT", "/api/users/{user_id}/password", Need.ADMIN, Body.SMALL),
    Policy("PUT", "/api/users/{user_id}/grants/{granted_bot_id}", Need.ADMIN, Body.SMALL),
    Policy("DELETE", "/api/users/{user_id}/grants/{granted_bot_id}", Need.ADMIN, Body.SMALL),
    Policy("POST", "/api/codes", Need.ADMIN, Body.SMALL),
    Policy("GET", "/api/audit", Need.ADMIN),
    # The channel and what explains it.
    Policy("GET", "/api/events", Need.SIGNED_IN, surface=Surface.STREAM),
    Policy("GET", "/api/events/poll", Need.SIGNED_IN),
    Policy("GET", "/api/events/schema", Need.SIGNED_IN),
    Policy("PUT", "/api/streams/{stream_id}/watch", Need.SIGNED_IN, Body.SMALL),
    Policy("GET", "/api/connections", Need.ADMIN),
    Policy("GET", "/api/status", Need.SIGNED_IN),
    Policy("GET", "/api/alerts", Need.SIGNED_IN),
    Policy("GET", "/api/alerts/channels", Need.ADMIN),
    Policy("POST", "/api/alerts/channels/{channel_id}/test", Need.ADMIN, Body.SMALL),
    Policy("GET", "/api/config", Need.ADMIN),
    Policy("GET", "/api/openapi.json", Need.SIGNED_IN),
    Policy("GET", "/metrics", Need.MONITOR),
    Policy("GET", "/ws/dash", Need.SIGNED_IN),
    # Logins at model providers. What is read shows each what its bots use.
    Policy("GET", "/api/profiles", Need.SIGNED_IN),
    Policy("GET", _PROFILE, Need.SIGNED_IN),
    Policy("GET", "/api/usage", Need.SIGNED_IN),
    Policy("GET", _PROFILE + "/usage", Need.SIGNED_IN),
    Policy("GET", _PROFILE + "/usage/history", Need.SIGNED_IN),
    Policy("POST", "/api/profiles", Need.ADMIN, Body.SMALL),
    Policy("POST", "/api/profiles/import", Need.ADMIN, Body.JSON),
    Policy("POST", "/api/profiles/login", Need.ADMIN, Body.SMALL),
    Policy("GET", "/api/profiles/login/{login_id}", Need.ADMIN),
    Policy("POST", "/api/profiles/login/{login_id}/finish", Need.ADMIN, Body.SMALL),
    Policy("POST", _PROFILE + "/refresh", Need.ADMIN, Body.SMALL),
    Policy("POST", _PROFILE + "/usage", Need.ADMIN, Body.SMALL),
    Policy("PATCH", _PROFILE, Need.ADMIN, Body.SMALL),
    Policy("DELETE", _PROFILE, Need.ADMIN, Body.SMALL),
    Policy("PUT", _PROFILE + "/secret", Need.ADMIN, Body.SMALL),
    Policy("PUT", _PROFILE + "/bots", Need.ADMIN, Body.SMALL),
    Policy("GET", _PROFILE + "/grants", Need.ADMIN),
    Policy("GET", _PROFILE + "/link", Need.ADMIN),
    Policy("POST", _PROFILE + "/link", Need.ADMIN, Body.SMALL),
    Policy("POST", _PROFILE + "/grants", Need.ADMIN, Body.SMALL),
    Policy("GET", _PROFILE + "/token", Need.PROFILE_TOKEN),
    # Bots and chat.
    Policy("GET", "/api/bots", Need.SIGNED_IN),
    Policy("POST", "/api/bots", Need.ADMIN, Body.SMALL),
    Policy("POST", "/api/bots/connect", Need.ADMIN, Body.SMALL),
    Policy("GET", "/api/adoptable", Need.ADMIN),
    Policy("POST", "/api/bots/adopt", Need.ADMIN, Body.SMALL),
    Policy("GET", _BOT + "/container/take-over", Need.ADMIN),
    Policy("POST", _BOT + "/container/take-over", Need.ADMIN, Body.SMALL),
    Policy("GET", _BOT, Need.VIEW),
    Policy("PATCH", _BOT, Need.ADMIN, Body.SMALL),
    Policy("DELETE", _BOT, Need.ADMIN, Body.SMALL),
    Policy("POST", _BOT + "/retry", Need.OPERATE, Body.SMALL),
    Policy("POST", _BOT + "/container/start", Need.OPERATE, Body.SMALL),
    Policy("POST", _BOT + "/container/stop", Need.OPERATE, Body.SMALL),
    Policy("POST", _BOT + "/container/restart", Need.OPERATE, Body.SMALL),
    Policy("GET", _BOT + "/container/operation", Need.OPERATE),
    Policy("GET", _BOT + "/container/logs", Need.OPERATE),
    Policy("GET", _BOT + "/container/logs/download", Need.OPERATE),
    Policy("GET", _BOT + "/container/crashes", Need.OPERATE),
    Policy("POST", _BOT + "/events", Need.PUBLISH, Body.JSON),
    Policy("POST", _BOT + "/chat/send", Need.CHAT, Body.MESSAGE),
    Policy("POST", _BOT + "/chat/abort", Need.CHAT, Body.SMALL),
    Policy("GET", _BOT + "/chat/history", Need.VIEW),
    Policy("GET", _BOT + "/runs/{run_id}", Need.VIEW),
    Policy("POST", _BOT + "/remote-image", Need.VIEW, Body.SMALL),
    Policy("GET", _BOT + "/chat/window", Need.VIEW),
    Policy("GET", _BOT + "/conversations", Need.VIEW),
    Policy("POST", _BOT + "/conversations", Need.CHAT, Body.SMALL),
    Policy("GET", _CONVERSATION, Need.VIEW),
    Policy("PATCH", _CONVERSATION, Need.CHAT, Body.SMALL),
    Policy("DELETE", _CONVERSATION, Need.OPERATE, Body.SMALL),
    Policy("PUT", _CONVERSATION + "/read", Need.VIEW, Body.SMALL),
    Policy("GET", _CONVERSATION + "/export", Need.VIEW),
    # Containers, and work on them.
    Policy("POST", _BOT + "/container/recreate", Need.ADMIN, Body.SMALL),
    Policy("POST", _BOT + "/container/upgrade", Need.ADMIN, Body.SMALL),
    Policy("POST", _BOT + "/container/remove", Need.ADMIN, Body.SMALL),
    Policy("GET", "/api/operations", Need.ADMIN),
    Policy("GET", "/api/operations/{operation_id}", Need.ADMIN),
    Policy("POST", "/api/operations/{operation_id}/cancel", Need.ADMIN, Body.SMALL),
    Policy("POST", "/api/operations/{operation_id}/retry", Need.ADMIN, Body.SMALL),
    # The engine and the bots' containers.
    Policy("GET", "/api/containers", Need.ADMIN),
    Policy("GET", _BOT + "/container", Need.VIEW),
    Policy("GET", _BOT + "/container/usage", Need.VIEW),
    Policy("GET", "/api/images", Need.ADMIN),
    Policy("DELETE", "/api/images", Need.ADMIN, Body.SMALL),
    Policy("GET", "/api/engine/disk", Need.ADMIN),
    Policy("GET", "/api/search", Need.SIGNED_IN),
    Policy("GET", "/api/attachments/{sha256}", Need.SIGNED_IN),
    Policy("GET", "/ws/bots/{bot_id}", Need.VIEW, surface=Surface.SOCKET),
)


@dataclass(frozen=True, slots=True)
class Match:
    """A row and the values of its parameters."""

    policy: Policy
    parameters: dict[str, str]


class MethodNotAllowed(Problem):
    """The path exists, the method does not."""

    def __init__(self, allowed: list[str]) -> None:
        words = ", ".join(allowed)
        super().__init__(405, "method_not_allowed", f"This path takes {words}.", headers={"Allow": words})
        self.allowed = allowed


def _pattern(path: str) -> re.Pattern[str]:
    escaped = re.escape(path).replace(r"\{", "{").replace(r"\}", "}").replace(r"\.\.\.", "...")
    escaped = re.sub(r"\{(\w+)\.\.\.\}", r"(?P<\1>.+)", escaped)
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", escaped), re.DOTALL)


_BOT_ID: Final = re.compile(BOT_ID_PATTERN)


class Table:
    """Finds the row of a request. The policy's own matching, not the framework's, decides what is allowed."""

    def __init__(self, policies: tuple[Policy, ...] = POLICIES) -> None:
        self._fixed: dict[str, dict[str, Match]] = {}
        patterns: dict[str, dict[str, Policy]] = {}
        for policy in policies:
            if "{" in policy.path:
                patterns.setdefault(policy.path, {})[policy.method] = policy
            else:
                self._fixed.setdefault(policy.path, {})[policy.method] = Match(policy, {})
        # By the count of slashes first: a request then tries two or three patterns, not thirty.
        self._patterns: dict[int, list[tuple[re.Pattern[str], dict[str, Policy]]]] = {}
        self._open_ended: list[tuple[re.Pattern[str], dict[str, Policy]]] = []
        for path, methods in patterns.items():
            entry = (_pattern(path), methods)
            if "...}" in path:
                self._open_ended.append(entry)
            else:
                self._patterns.setdefault(path.count("/"), []).append(entry)

    def methods(self, path: str) -> list[str]:
        """Return the methods of a path, HEAD included, empty where there is no such path."""
        found = {policy.method for policy, _ in self._rows(path)}
        return sorted(found | ({"HEAD"} if "GET" in found else set()))

    def match(self, method: str, path: str) -> Match:
        """Return the row of a request; HEAD is the GET's.

        Raises:
            NotFound: no such path.
            MethodNotAllowed: the path takes other methods.
        """
        method = "GET" if method == "HEAD" else method
        fixed = self._fixed.get(path)
        if fixed is not None and method in fixed:
            return fixed[method]
        for policy, parameters in self._rows(path):
            if policy.method == method:
                return Match(policy, parameters)
        if allowed := self.methods(path):
            raise MethodNotAllowed(allowed)
        raise NotFound("page")

    def _rows(self, path: str) -> Iterator[tuple[Policy, dict[str, str]]]:
        for match in self._fixed.get(path, {}).values():
            yield match.policy, match.parameters
        for pattern, methods in (*self._patterns.get(path.count("/"), ()), *self._open_ended):
            if found := pattern.fullmatch(path):
                for policy in methods.values():
                    yield policy, found.groupdict()


def check(policy: Policy, parameters: dict[str, str], principal: Principal | None) -> None:
    """Pass a caller whom the row allows.

    Raises:
        Problem: 401 where no valid credential came.
        NotFound: the bot is absent for this principal, or can be no bot.
        Forbidden: allowed to know, not to do.
    """
    if policy.need is Need.PUBLIC:
        return
    if principal is None:
        raise Unauthenticated
    if policy.need is Need.PROFILE_TOKEN:
        if principal.profile_id is None or principal.profile_id != parameters["profile_id"]:
            raise Forbidden("This needs a token that was made for this login; see `edgebotd accounts grant`.")
        return
    if principal.profile_id is not None:
        raise Forbidden("This token is for the access token of one login, and for nothing else.")
    if policy.of_bot:
        _check_bot(policy, parameters["bot_id"], principal)
    if policy.need is Need.ADMIN:
        principal.require_admin()
    elif policy.need is Need.ACCOUNT:
        if principal.scopes is not None and not principal.admin:
            raise Forbidden("A token can't do this. Sign in, or use an admin's token with the scope 'admin'.")
    elif policy.need is Need.MONITOR:
        principal_monitors = principal.every_bot and principal.bots is None
        if not principal_monitors or (principal.scopes is not None and principal.scopes <= {Scope.PUBLISH}):
            raise Forbidden("This needs an administrator, or an administrator's token with the scope 'read'.")


def _check_bot(policy: Policy, bot_id: str, principal: Principal) -> None:
    if _BOT_ID.fullmatch(bot_id) is None:
        raise NotFound("bot", bot_id)
    if policy.need is Need.PUBLISH:
        principal.require_publish(bot_id)
    else:
        principal.require(bot_id, GRANT_OF.get(policy.need, Grant.VIEW))


class Unauthenticated(Problem):
    """One answer for a missing, wrong, truncated, expired or revoked credential: it tells nothing."""

    def __init__(self) -> None:
        super().__init__(
            401,
            "unauthenticated",
            "This needs a valid session or token. Sign in, or send `Authorization: Bearer <token>`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
