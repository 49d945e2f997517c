"""The way out to addresses that somebody else chose: a bot's text, a person's form.

Whoever names an address must not reach by it what only this machine can: its own services, the network behind it, a
cloud's metadata. So a name is resolved once, every address of it is looked at, and the connection goes to one of these
very addresses, with the name for TLS and `Host`; each redirect is another address that is looked at. What comes back is
bounded in time and bytes.

What the operator wants to be told at home is sent to addresses of the house too, to those alone that the settings
allow; to them also by plain http.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cached_property, partial
from ipaddress import IPv4Network, IPv6Network
from typing import Final, TypeVar

import httpx2
import trio

from edgebotd.errors import Problem
from edgebotd.protocol.addresses import is_near, is_public, is_within

T = TypeVar("T")

SECONDS: Final = 10.0
"""For all of it: names, connections, redirects, the body."""
CONNECT_SECONDS: Final = 4.0
"""For TCP and for TLS with one address, so that there is time for another."""
MAX_ADDRESSES: Final = 3
"""Addresses of one name that are tried."""
MAX_REDIRECTS: Final = 3
HTTPS: Final = 443
HTTP: Final = 80

# Tells no more of the asker than it must: not who, not which version.
USER_AGENT: Final = "Mozilla/5.0 (compatible)"

_NAME: Final = re.compile(r"[0-9A-Za-z._:-]+")
"""Of which names and addresses are made once they are ASCII; all else was misread, by the library or by us."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


async def resolve(name: str) -> list[str]:
    """Return the addresses of a name. Raises `OSError` or `UnicodeError`."""
    found = await trio.socket.getaddrinfo(name, HTTPS, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def source_of(address: str) -> str | None:
    """Return from which of our addresses we would speak to one, None where there is no way to it; sends nothing."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, HTTPS))
        except OSError:
            return None
        return str(probe.getsockname()[0])


@dataclass(frozen=True)
class Network:
    """What is asked of the network; a test plays it.

    Attributes:
        place: where the server of an address and a port is.
    """

    resolve: Callable[[str], Awaitable[list[str]]] = resolve
    source_of: Callable[[str], str | None] = source_of
    place: Callable[[str, int], tuple[str, int]] = lambda address, port: (address, port)
    trust: Callable[[], ssl.SSLContext] = ssl.create_default_context


class Refused(Problem):
    """Nothing came of it; `detail` says why, in words that may be shown to whoever named the address."""


@dataclass(frozen=True)
class Posted:
    """What came back. `retry_after`: seconds, where the server says so."""

    status: int
    retry_after: float | None = None


@dataclass(frozen=True)
class _Asked:
    method: str
    target: httpx2.URL
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Outgoing:
    """Asks servers of the open internet.

    Attributes:
        allow: networks of the house to which `post` may go besides.
    """

    network: Network = Network()
    allow: tuple[IPv4Network | IPv6Network, ...] = ()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Once, as reading all certificates takes a while.
        return self.network.trust()

    async def get(self, url: str, *, accept: str, most: int) -> bytes:
        """Return what is at an address, as it was sent: nothing is unpacked.

        Args:
            most: bytes; more are a refusal.

        Raises:
            Refused: 400 for an address that is not asked, 502 and 504 for what came of asking.
        """
        target = _target(url)
        try:
            with trio.fail_after(SECONDS):
                for _ in range(MAX_REDIRECTS + 1):
                    asked = _Asked("GET", target, {"Accept": accept, "User-Agent": USER_AGENT})
                    addresses = await self._addresses(target.host)
                    answer = await self._ask(asked, addresses, partial(_got, target=target, most=most))
                    if isinstance(answer, bytes):
                        return answer
                    target = answer
        except trio.TooSlowError:
            raise _too_slow(target.host) from None
        detail = f"{target.host} was reached after {MAX_REDIRECTS} redirects and leads on to somewhere else."
        raise Refused(502, "too_many_redirects", detail)

    async def post(self, url: str, body: bytes, *, headers: Mapping[str, str]) -> Posted:
        """Send a body and return with which status it was taken; what comes back besides is not read.

        The address may have a port; by http it is asked only where all its addresses are in `allow`. No redirect is
        followed: the body would go to whom nobody named.

        Raises:
            Refused: 400 for an address that is not asked, 502 and 504 for what came of asking.
        """
        target = _posted_to(url)
        try:
            with trio.fail_after(SECONDS):
                addresses = await self._addresses(target.host, self.allow, plain=target.scheme == "http")
                return await self._ask(_Asked("POST", target, headers, body), addresses, partial(_posted, target.host))
        except trio.TooSlowError:
            raise _too_slow(target.host) from None

    async def look_up(self, url: str) -> None:
        """See that `post` would ask an address, and ask nothing but for its name.

        Raises:
            Refused: as `post`.
        """
        target = _posted_to(url)
        with trio.move_on_after(SECONDS) as scope:
            await self._addresses(target.host, self.allow, plain=target.scheme == "http")
        if scope.cancelled_caught:
            raise _too_slow(target.host)

    async def _addresses(
        self, name: str, allow: tuple[IPv4Network | IPv6Network, ...] = (), *, plain: bool = False
    ) -> list[str]:
        try:
            found = await self.network.resolve(name)
        except (OSError, UnicodeError):
            raise Refused(502, "unknown_name", f"No address of {name} is known. Look for a typing error.") from None
        strangers = [address for address in found if not is_within(address, allow)]
        # One bad address condemns the name: whoever mixes them counts on the next one being tried.
        if not found or not all(map(is_public, strangers)):
            raise _not_public(name)
        reached = {address: source for address in found if (source := self.network.source_of(address)) is not None}
        if any(is_near(address, reached[address]) for address in strangers if address in reached):
            raise _not_public(name)
        if plain and strangers:
            detail = f"{name} is not asked by http, which everybody on the way can read. Use https."
            raise Refused(400, "plain", detail)
        if not reached:
            raise Refused(502, "unreachable", f"There is no way from here to {name}.")
        return list(reached)[:MAX_ADDRESSES]

    async def _ask(self, asked: _Asked, addresses: list[str], take: Callable[[httpx2.Response], Awaitable[T]]) -> T:
        failed: httpx2.RequestError | None = None
        for address in addresses:
            try:
                return await self._ask_at(address, asked, take)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as exc:
                failed = exc
            except httpx2.RequestError as exc:
                raise _failed(asked.target.host, exc) from None
        assert failed is not None
        raise _failed(asked.target.host, failed) from None

    async def _ask_at(self, address: str, asked: _Asked, take: Callable[[httpx2.Response], Awaitable[T]]) -> T:
        target = asked.target
        name = target.raw_host.decode("ascii")
        host, port = self.network.place(address, target.port or (HTTP if target.scheme == "http" else HTTPS))
        named = f"[{name}]" if ":" in name else name
        # A client for each, as connections are kept by their address and must not serve another name of it. The
        # environment could name a proxy, which would do the resolving, and credentials.
        async with httpx2.AsyncClient(
            verify=self._tls,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx2.Timeout(SECONDS, connect=CONNECT_SECONDS),
        ) as client:
            request = client.build_request(
                asked.method,
                httpx2.URL(scheme=target.scheme, host=host, port=port, raw_path=target.raw_path),
                content=asked.body,
                headers={
                    "Host": named if target.port is None else f"{named}:{target.port}",
                    "Accept-Encoding": "identity",
                    **asked.headers,
                },
                extensions={"sni_hostname": name.rstrip(".")},
            )
            response = await client.send(request, stream=True)
            async with aclosing(response):
                return await take(response)


async def _got(response: httpx2.Response, *, target: httpx2.URL, most: int) -> bytes | httpx2.URL:
    """Return the body, or where it leads to."""
    if response.status_code in _REDIRECTS and "location" in response.headers:
        return _target(response.headers["location"], target)
    if not response.is_success:
        detail = f"{target.host} answers with the status {response.status_code}."
        raise Refused(502, "refused_there", detail)
    return await _body(response, target.host, most)


async def _posted(name: str, response: httpx2.Response) -> Posted:
    if response.status_code in _REDIRECTS:
        detail = f"{name} leads on to another address, which is not followed. Set the address that it leads to."
        raise Refused(502, "redirected", detail)
    told = response.headers.get("retry-after", "")
    # The other form, a date, is rare, and clocks differ.
    return Posted(response.status_code, float(told) if told.isascii() and told.isdigit() and len(told) < 7 else None)


def _target(url: str, base: httpx2.URL | None = None) -> httpx2.URL:
    """Return an address that may be asked as far as its words go.

    Raises:
        Refused: 400, it may not.
    """
    try:
        target = httpx2.URL(url) if base is None else base.join(url)
    except (httpx2.InvalidURL, ValueError, TypeError):
        target = httpx2.URL("")
    named = _NAME.fullmatch(target.raw_host.decode("latin-1"))
    if target.scheme != "https" or named is None or target.userinfo or target.port is not None:
        # `port` is None for the scheme's own.
        detail = "Only addresses that begin with https:// are asked, without a user, a password or a port of their own."
        if base is not None:
            detail = f"{base.host} leads to an address that is not asked. {detail}"
        raise Refused(400, "bad_url", detail)
    return target


def _posted_to(url: str) -> httpx2.URL:
    """Return an address to which something may be sent as far as its words go.

    Raises:
        Refused: 400, it may not.
    """
    try:
        target = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError, TypeError):
        target = httpx2.URL("")
    named = _NAME.fullmatch(target.raw_host.decode("latin-1"))
    if target.scheme not in ("https", "http") or named is None or target.userinfo:
        detail = "Only addresses that begin with https:// or http:// are asked, without a user or a password."
        raise Refused(400, "bad_url", detail)
    return target


async def _body(response: httpx2.Response, name: str, most: int) -> bytes:
    """Return the body as it was sent.

    Raises:
        Refused: it is larger; read no further.
    """
    body = bytearray()
    with trio.CancelScope() as enough:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > most:
                # A cancelled read ends the library's nested generators, which leaving the loop would not.
                enough.cancel()
    if len(body) > most:
        raise Refused(502, "too_large", f"What {name} sends is larger than {most // 2**20} MiB.")
    return bytes(body)


def _not_public(name: str) -> Refused:
    # Not which address: it would tell a stranger how the network here is built.
    detail = f"{name} leads to an address that is not of the open internet, and such are not asked from here."
    return Refused(400, "not_public", detail)


def _too_slow(name: str) -> Refused:
    return Refused(504, "too_slow", f"{name} did not answer in full within {SECONDS:.0f} seconds.")


def _failed(name: str, exc: httpx2.RequestError) -> Refused:
    """Translate what the library raises; its own words may hold the address."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            detail = f"The certificate of {name} is not trusted: {cause.verify_message}."
            return Refused(502, "bad_certificate", detail)
        cause = cause.__cause__ or cause.__context__
    if isinstance(exc, httpx2.TimeoutException):
        return Refused(504, "too_slow", f"{name} does not answer in time.")
    if isinstance(exc, httpx2.ConnectError):
        return Refused(502, "unreachable", f"{name} takes no connection.")
    return Refused(502, "broken_off", f"The connection to {name} broke, or what it speaks is no HTTP.")
