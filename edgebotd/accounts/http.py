"""Calls to providers, where the question is always: was anything sent?

Each call has a connection of its own: one that was kept may be closed by the provider in the moment in which a request
goes out on it, and then nobody knows whether that was read. Redirects are not followed, the environment names no proxy,
and neither headers nor body of a call are in any error.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Protocol

import httpx2
import trio

from edgebotd import __version__
from edgebotd.errors import EdgebotdError

MOST_BYTES: Final = 1024 * 1024
USER_AGENT: Final = f"edgebotd/{__version__}"


class NotSent(EdgebotdError):
    """No byte of the request went out: it may be made again."""


class Unanswered(EdgebotdError):
    """The request went out, in part or whole, and no answer began."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered.

    Attributes:
        headers: names in lower case.
        whole: False where the body broke off, or is longer than is read.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    whole: bool = True


class Call(Protocol):
    """Makes one request; `Caller.call`, or a test's."""

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        seconds: float = 30.0,
        most: int = MOST_BYTES,
    ) -> Answer:
        """Return the answer.

        Args:
            seconds: for all of it.
            most: bytes of the body that are read.

        Raises:
            NotSent: nothing went out.
            Unanswered: it did, and no answer came.
        """
        ...


class Caller:
    """The way to providers; there is nothing to close."""

    def __init__(self, trust: ssl.SSLContext | None = None) -> None:
        self._given = trust

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        # Once, as reading all certificates takes a while.
        return self._given or ssl.create_default_context()

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        seconds: float = 30.0,
        most: int = MOST_BYTES,
    ) -> Answer:
        """Make one request; see `Call`."""
        progress = _Progress(httpx2.URL(url).host)
        # Without TLS (loopback) there is nothing to verify, and no certificates to read. Before the time runs.
        trust = self._trust if url.startswith("https:") else False
        with trio.move_on_after(seconds):
            try:
                await self._ask(method, url, headers or {}, body, trust, seconds, most, progress)
            except (httpx2.HTTPError, httpx2.StreamError, OSError) as exc:
                # Its words may hold the address, and that a key; `exc` is not chained for the same reason.
                progress.trouble = _words(exc)
        return progress.answer()

    async def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        trust: ssl.SSLContext | bool,
        seconds: float,
        most: int,
        progress: _Progress,
    ) -> None:
        given = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
        # The deadline is around all of it; but a handshake that is cancelled leaves its socket to the collector, so TCP
        # and TLS have half of it each.
        timeout = httpx2.Timeout(None, connect=seconds / 2.1)
        async with httpx2.AsyncClient(
            verify=trust,
            trust_env=False,
            follow_redirects=False,
            timeout=timeout,
            limits=httpx2.Limits(max_keepalive_connections=0),
        ) as client:
            extensions: dict[str, Any] = {"trace": progress.trace}
            request = client.build_request(method, url, headers=given, content=body, extensions=extensions)
            response = await client.send(request, stream=True)
            progress.status = response.status_code
            progress.headers = {name.lower(): value for name, value in response.headers.items()}
            try:
                with trio.CancelScope() as enough:
                    async for chunk in response.aiter_raw():
                        progress.body += chunk
                        if len(progress.body) > most:
                            # A cancelled read ends the library's nested generators, which leaving the loop would not.
                            enough.cancel()
                progress.whole = len(progress.body) <= most
                del progress.body[most:]
            finally:
                with trio.move_on_after(1, shield=True):
                    await response.aclose()


class _Progress:
    """How far a call came, which is what counts when it ends badly."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.sent = False
        self.trouble: str | None = None
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.whole = False

    async def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Hear of each step of the library's."""
        del info  # holds the request
        if name.endswith("send_request_headers.started"):
            self.sent = True

    def answer(self) -> Answer:
        """Return what came, as far as it came, or raise what the call is to raise."""
        if self.status is not None:
            body, fine = _unpacked(bytes(self.body), self.headers.get("content-encoding", ""))
            return Answer(self.status, self.headers, body, self.whole and fine)
        if self.sent:
            raise Unanswered(f"{self.host} did not answer: {self.trouble or 'the time was up'}.")
        raise NotSent(f"{self.host} could not be reached: {self.trouble or 'the time was up'}.")


def _words(exc: Exception) -> str:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted, {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    match exc:
        case httpx2.ConnectError():
            return "it takes no connection, or its name is unknown"
        case httpx2.TimeoutException():
            return "the time was up"
        case httpx2.UnsupportedProtocol() | httpx2.LocalProtocolError():
            return "the request is none that can be sent; look at the provider's settings"
        case _:
            return "the connection broke"


def _unpacked(body: bytes, encoding: str) -> tuple[bytes, bool]:
    """Undo what some servers do though they were asked not to; says whether it is whole."""
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return body, encoding in ("", "identity")
    unpack = zlib.decompressobj(wbits=47)  # either of both, by its header
    try:
        return unpack.decompress(body, MOST_BYTES), unpack.eof
    except zlib.error:
        return b"", False
