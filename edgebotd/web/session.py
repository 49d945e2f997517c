"""Who calls: from an ASGI scope to a `Principal`, without a web framework; and the Origin rules.

The front calls it for every surface, so routes, stream and socket cannot differ in who they believe.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol

from edgebotd.access import Principal, local_admin
from edgebotd.errors import Forbidden
from edgebotd.web.hosts import Host, Hosts, is_loopback
from edgebotd.web.policy import Policy, Surface, Unauthenticated

Scope = MutableMapping[str, Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PRINCIPAL_KEY: Final = "edgebotd.principal"
"""In `scope["state"]`: the `Principal` that the front found, before any surface runs."""
ADDRESS_KEY: Final = "edgebotd.address"
"""In `scope["state"]`, for the stream: the client's address, a trusted proxy's word included."""
CONNECTION_KEY: Final = "edgebotd.connection"

COOKIE: Final = "edgebotd_session"
SECURE_COOKIE: Final = "__Host-edgebotd_session"
"""The prefix makes the browser refuse it from another host or without TLS."""

MAX_SECRET_LENGTH: Final = 512
MAX_COOKIES_TRIED: Final = 4
"""A neighbour on the same address can set a cookie of our name with another path: ours is then one of several."""


class Credentials(Protocol):
    """What of `people.directory.People` this needs."""

    def principal_of_token(self, secret: str) -> Principal | None: ...
    def principal_of_session(self, secret: str) -> Principal | None: ...


class Via(Enum):
    """What kind of credential came; it may still be worth nothing."""

    NONE = "none"
    COOKIE = "cookie"
    BEARER = "bearer"
    PEER = "peer"


@dataclass(frozen=True, slots=True)
class Caller:
    """Everything about a request's sender that decides. `address` is for limits and the audit, never for rights."""

    host: Host
    address: str
    secure: bool
    via: Via
    principal: Principal | None
    origin: str | None
    fetch_site: str | None
    user_agent: str
    session_secrets: tuple[str, ...] = ()
    local: bool = False
    """It came over the unix socket, and not through a proxy or from a page."""

    def require(self) -> Principal:
        """Return the principal.

        Raises:
            Unauthenticated: no valid credential came.
        """
        if self.principal is None:
            raise Unauthenticated
        return self.principal


class Door:
    """Identifies callers.

    Args:
        trusted_proxies: whose `X-Forwarded-For` and `X-Forwarded-Proto` count; a unix socket's peer counts as
            `127.0.0.1` here. Identity headers of proxies (`X-Remote-User` and the like) count for nobody.
        admin_uids: peers of the unix socket that are local admins, besides root.
    """

    def __init__(
        self,
        credentials: Credentials,
        hosts: Hosts,
        *,
        trusted_proxies: Iterable[Network | str] = (),
        admin_uids: Iterable[int] = (),
    ) -> None:
        self._credentials = credentials
        self.hosts = hosts
        self._proxies: tuple[Network, ...] = tuple(ipaddress.ip_network(p, strict=False) for p in trusted_proxies)
        self._admin_uids = frozenset(admin_uids) | {0}

    def authenticate(self, scope: Scope) -> Principal:
        """Return who calls.

        Raises:
            Misdirected: an unknown Host.
            Unauthenticated: no valid credential.
        """
        return self.identify(scope).require()

    def identify(self, scope: Scope) -> Caller:
        """Return what is known of the caller; refuses only an unknown Host.

        Raises:
            Misdirected: the Host is none of ours.
        """
        headers = _Headers(scope["headers"])
        host = self.hosts.find(headers.host)
        address, secure = self._way_here(scope, headers)
        # Where TLS ends before us and the proxy does not say so, the public URL does.
        secure = secure or (self.hosts.https and not is_loopback(host.name))
        secrets = _session_secrets(headers.cookies, self.cookie_name(secure))
        via, principal = self._principal(scope, headers, secrets, host)
        if principal is not None and host.bot_id is not None:
            principal = principal.narrowed_to(host.bot_id)
        return Caller(
            host,
            address,
            secure,
            via,
            principal,
            headers.origin,
            headers.fetch_site,
            headers.user_agent,
            secrets,
            _is_local(scope, headers),
        )

    def cookie_name(self, secure: bool) -> str:
        """Return the session cookie's name for a connection."""
        return SECURE_COOKIE if secure else COOKIE

    def check_origin(self, policy: Policy, caller: Caller) -> None:
        """Refuse a request that another site's page may have made (CHANNEL sections 2 and 4).

        Raises:
            Forbidden: foreign or `null` Origin; with a cookie also one whose origin is in doubt.
        """
        if not policy.guarded:
            return
        own: bool | None = None
        if caller.origin is not None:
            own = self.hosts.owns(caller.origin, caller.host.authority, "https" if caller.secure else "http")
            if not own:
                raise Forbidden("Requests from pages of another origin are refused; see server.allowed_origins.")
        if caller.via is not Via.COOKIE or own:
            return
        # From here on: a cookie, which a browser attaches by itself, and no Origin.
        if caller.fetch_site not in (None, "same-origin", "none"):
            raise Forbidden("Requests from pages of another site are refused.")
        if policy.surface is Surface.SOCKET:
            raise Forbidden("A WebSocket that comes with a cookie needs an Origin.")
        if policy.mutating and caller.fetch_site != "same-origin":
            raise Forbidden("A change that comes with a cookie needs an Origin or `Sec-Fetch-Site: same-origin`.")

    def _way_here(self, scope: Scope, headers: _Headers) -> tuple[str, bool]:
        """Return the client's address and whether it came by TLS."""
        connection = scope.get("state", {}).get(CONNECTION_KEY)
        client = scope.get("client")
        unix = connection is not None and connection.unix_uid is not None
        peer = "unix" if unix else str(client[0]) if client else "unknown"
        secure = scope.get("scheme") in ("https", "wss")
        if not self._trusts("127.0.0.1" if unix else peer):
            return peer, secure
        hops = [hop.strip() for hop in ",".join(headers.forwarded_for).split(",") if hop.strip()]
        # From the right: the first hop that is no proxy of ours is the client; what stands left of it is its claim.
        address = next((hop for hop in reversed(hops) if not self._trusts(hop)), hops[0] if hops else peer)
        if headers.forwarded_proto is not None:
            secure = headers.forwarded_proto == "https"
        return address[:64], secure

    def _trusts(self, address: str) -> bool:
        if not self._proxies:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._proxies)

    def _principal(
        self, scope: Scope, headers: _Headers, secrets: tuple[str, ...], host: Host
    ) -> tuple[Via, Principal | None]:
        # What is said on purpose wins, and where it is wrong nothing else is tried in its stead.
        if headers.authorization is not None:
            scheme, _, secret = headers.authorization.partition(" ")
            secret = secret.strip()
            if scheme.lower() != "bearer" or not 0 < len(secret) <= MAX_SECRET_LENGTH:
                return Via.BEARER, None
            return Via.BEARER, self._credentials.principal_of_token(secret)
        for secret in secrets:
            if (principal := self._credentials.principal_of_session(secret)) is not None:
                return Via.COOKIE, principal
        if secrets:
            return Via.COOKIE, None
        connection = scope.get("state", {}).get(CONNECTION_KEY)
        uid = None if connection is None else connection.unix_uid
        if uid in self._admin_uids and _is_local(scope, headers) and is_loopback(host.name):
            return Via.PEER, local_admin(uid)
        return Via.NONE, None


def _is_local(scope: Scope, headers: _Headers) -> bool:
    connection = scope.get("state", {}).get(CONNECTION_KEY)
    # A proxy or a browser's page that reaches the socket is not the person whose uid carries it.
    passed_on = headers.forwarded or headers.origin is not None or headers.fetch_site is not None
    return connection is not None and connection.unix_uid is not None and not passed_on


class _Headers:
    """The headers that matter, in one pass: it runs for every request."""

    __slots__ = (
        "authorization", "cookies", "fetch_site", "forwarded", "forwarded_for", "forwarded_proto", "host", "origin",
        "user_agent",
    )  # fmt: skip

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.authorization: str | None = None
        self.cookies: list[str] = []
        self.fetch_site: str | None = None
        self.forwarded = False
        self.forwarded_for: list[str] = []
        self.forwarded_proto: str | None = None
        self.host: str | None = None
        self.origin: str | None = None
        self.user_agent = ""
        for name, value in headers:
            if (read := _READERS.get(name.lower())) is not None:
                read(self, value.decode("latin-1"))


def _host(headers: _Headers, value: str) -> None:
    # Two hosts: which one a proxy before us looked at is anyone's guess.
    headers.host = value if headers.host in (None, value) else ""


def _origin(headers: _Headers, value: str) -> None:
    headers.origin = value if headers.origin in (None, value) else "null"


def _authorization(headers: _Headers, value: str) -> None:
    headers.authorization = value if headers.authorization is None else ""


def _cookie(headers: _Headers, value: str) -> None:
    headers.cookies.append(value)


def _fetch_site(headers: _Headers, value: str) -> None:
    headers.fetch_site = value


def _user_agent(headers: _Headers, value: str) -> None:
    headers.user_agent = value[:200]


def _forwarded(headers: _Headers, _value: str) -> None:
    headers.forwarded = True


def _forwarded_for(headers: _Headers, value: str) -> None:
    headers.forwarded = True
    headers.forwarded_for.append(value)


def _forwarded_proto(headers: _Headers, value: str) -> None:
    headers.forwarded = True
    headers.forwarded_proto = value.strip().lower()


_READERS: Final[Mapping[bytes, Callable[[_Headers, str], None]]] = {
    b"host": _host,
    b"origin": _origin,
    b"authorization": _authorization,
    b"cookie": _cookie,
    b"sec-fetch-site": _fetch_site,
    b"user-agent": _user_agent,
    b"forwarded": _forwarded,
    b"via": _forwarded,
    b"x-forwarded-host": _forwarded,
    b"x-real-ip": _forwarded,
    b"x-forwarded-for": _forwarded_for,
    b"x-forwarded-proto": _forwarded_proto,
}


def _session_secrets(cookies: Iterable[str], name: str) -> tuple[str, ...]:
    found: list[str] = []
    for header in cookies:
        for pair in header.split(";"):
            key, equals, value = pair.strip().partition("=")
            if equals and key == name and 0 < len(value) <= MAX_SECRET_LENGTH:
                found.append(value)
    return tuple(found[:MAX_COOKIES_TRIED])


def session_cookie(secret: str, *, secure: bool, max_age: int) -> str:
    """Return the `Set-Cookie` value of a session; with max_age 0 it deletes the cookie."""
    name = SECURE_COOKIE if secure else COOKIE
    # Strict costs nothing here: the page itself is public, and what it fetches comes from its own site.
    tail = "; Secure" if secure else ""
    return f"{name}={secret}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{tail}"
