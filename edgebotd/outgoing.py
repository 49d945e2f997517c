"""The way out to addresses that somebody else chose: a bot's text, a person's form.

Whoever names an address must not reach by it what only this machine can: its own services, the network behind it, a
cloud's metadata. So a name is resolved once, every address of it is looked at, and the connection goes to one of these
very addresses, with the name for TLS and `Host`; each redirect is another address that is looked at. What comes back is
bounded in time and bytes.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

import httpx2
import trio

from edgebotd.errors import Problem

SECONDS: Final = 10.0
"""For all of it: names, connections, redirects, the body."""
CONNECT_SECONDS: Final = 4.0
"""For TCP and for TLS with one address, so that there is time for another."""
MAX_ADDRESSES: Final = 3
"""Addresses of one name that are tried."""
MAX_REDIRECTS: Final = 3
HTTPS: Final = 443

# Tells no more of the asker than it must: not who, not which version.
USER_AGENT: Final = "Mozilla/5.0 (compatible)"

_NAME: Final = re.compile(r"[0-9A-Za-z._:-]+")
"""Of which names and addresses are made once they are ASCII; all else was misread, by the library or by us."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

# What `is_global` lets pass, or does not know on each of the supported Pythons.
_NOT_PUBLIC: Final = tuple(
    map(
        IPv4Network,
        (
            "192.0.0.0/24",  # protocol assignments, of which some are anycast of the local network
            "192.88.99.0/24",  # relays of 6to4
            "168.63.129.16/32",  # a cloud's host, which is asked for metadata by this public address
        ),
    )
)
# All that was ever given out as global unicast. Outside of it are the mapped addresses and those of NAT64.
_UNICAST: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments; with Teredo, which leads to an IPv4 address
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, the same
            "3fff::/20",  # documentation
        ),
    )
)


def is_public(address: str) -> bool:
    """Whether an address, as the resolver writes it, is unicast of the open internet and leads to nothing else."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if not found.is_global or found.is_multicast or found.is_reserved:
        return False
    if isinstance(found, IPv6Address):
        if found.scope_id is not None or found not in _UNICAST:
            return False
        return not any(found in network for network in _NOT_PUBLIC_6)
    return not any(found in network for network in _NOT_PUBLIC)


def is_near(address: str, source: str) -> bool:
    """Whether an address is this machine's own or beside it, by the address from which we would speak to it.

    With IPv6 all machines of a home have public addresses, so `is_public` alone would let in to its router.
    """
    there, here = ip_address(address), ip_address(source)
    if isinstance(there, IPv6Address):
        return there in IPv6Network((int(here), 64), strict=False)
    return there == here


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
        place: where the server of an address is.
    """

    resolve: Callable[[str], Awaitable[list[str]]] = resolve
    source_of: Callable[[str], str | None] = source_of
    place: Callable[[str], tuple[str, int]] = lambda address: (address, HTTPS)
    trust: Callable[[], ssl.SSLContext] = ssl.create_default_context


class Refused(Problem):
    """Nothing came of it; `detail` says why, in words that may be shown to whoever named the address."""


@dataclass(frozen=True)
class Outgoing:
    """Asks servers of the open internet."""

    network: Network = Network()

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
                    answer = await self._ask(target, accept, most)
                    if isinstance(answer, bytes):
                        return answer
                    target = answer
        except trio.TooSlowError:
            detail = f"{target.host} did not answer in full within {SECONDS:.0f} seconds."
            raise Refused(504, "too_slow", detail) from None
        detail = f"{target.host} was reached after {MAX_REDIRECTS} redirects and leads on to somewhere else."
        raise Refused(502, "too_many_redirects", detail)

    async def _addresses(self, name: str) -> list[str]:
        try:
            found = await self.network.resolve(name)
        except (OSError, UnicodeError):
            raise Refused(502, "unknown_name", f"No address of {name} is known. Look for a typing error.") from None
        # One bad address condemns the name: whoever mixes them counts on the next one being tried.
        if not found or not all(map(is_public, found)):
            raise _not_public(name)
        reached = {address: source for address in found if (source := self.network.source_of(address)) is not None}
        if any(is_near(address, source) for address, source in reached.items()):
            raise _not_public(name)
        if not reached:
            raise Refused(502, "unreachable", f"There is no way from here to {name}.")
        return list(reached)[:MAX_ADDRESSES]

    async def _ask(self, target: httpx2.URL, accept: str, most: int) -> bytes | httpx2.URL:
        """Return the body, or where it leads to."""
        failed: httpx2.RequestError | None = None
        for address in await self._addresses(target.host):
            try:
                return await self._ask_at(address, target, accept, most)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as exc:
                failed = exc
            except httpx2.RequestError as exc:
                raise _failed(target.host, exc) from None
        assert failed is not None
        raise _failed(target.host, failed) from None

    async def _ask_at(self, address: str, target: httpx2.URL, accept: str, most: int) -> bytes | httpx2.URL:
        name = target.raw_host.decode("ascii")
        host, port = self.network.place(address)
        # A client for each, as connections are kept by their address and must not serve another name of it. The
        # environment could name a proxy, which would do the resolving, and credentials.
        async with httpx2.AsyncClient(
            verify=self._tls,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx2.Timeout(SECONDS, connect=CONNECT_SECONDS),
        ) as client:
            request = client.build_request(
                "GET",
                httpx2.URL(scheme="https", host=host, port=port, raw_path=target.raw_path),
                headers={
                    "Host": f"[{name}]" if ":" in name else name,
                    "Accept": accept,
                    "Accept-Encoding": "identity",
                    "User-Agent": USER_AGENT,
                },
                extensions={"sni_hostname": name.rstrip(".")},
            )
            response = await client.send(request, stream=True)
            async with aclosing(response):
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    return _target(response.headers["location"], target)
                if not response.is_success:
                    detail = f"{target.host} answers with the status {response.status_code}."
                    raise Refused(502, "refused_there", detail)
                return await _body(response, target.host, most)


def _target(url: str, base: httpx2.URL | None = None) -> httpx2.URL:
    """Return an address that may be asked as far as its words go.

    Raises:
        Refused: 400, it may not.
    """
    try:
        target = httpx2.URL(url) if base is None else base.join(url)
    except (httpx2.InvalidURL, ValueError, TypeError):
        target = httpx2.URL("")
    # `port` is None for the scheme's own.
    named = _NAME.fullmatch(target.raw_host.decode("latin-1"))
    if target.scheme != "https" or named is None or target.userinfo or target.port is not None:
        detail = "Only addresses that begin with https:// are asked, without a user, a password or a port of their own."
        if base is not None:
            detail = f"{base.host} leads to an address that is not asked. {detail}"
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
