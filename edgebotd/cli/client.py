"""The HTTP client of the commands: blocking, one connection, errors as one sentence."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, urlsplit

import click
import httpx2

from edgebotd.errors import EdgebotdError
from edgebotd.protocol.sse import ParseError, Parser, ServerEvent

TIMEOUT: Final = httpx2.Timeout(30, connect=10)
"""Above the 10 s that an abort may take to answer."""


class ApiError(click.ClickException):
    """The daemon refused. Shown as its own sentence."""

    def __init__(self, status: int, code: str, detail: str, members: Mapping[str, Any]) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.members = members


class Unreachable(click.ClickException):
    """No answer came."""


class StreamLost(EdgebotdError):
    """The event stream ended or broke; it can be resumed."""


def path(template: str, *values: str) -> str:
    """Fill a path's `{}` with values, whatever characters they have."""
    return template.format(*(quote(value, safe="") for value in values))


class Client:
    """One daemon's API. Use as a context manager.

    Raises, all methods:
        ApiError: the daemon refused; `.code` is stable.
        Unreachable: it does not answer.
    """

    def __init__(self, http: httpx2.Client, where: str, stranger: str | None = None) -> None:
        self._http = http
        self._where = where
        self._stranger = stranger
        """What to say where the daemon does not know us; None: what it says itself."""

    @classmethod
    def local(cls, socket: Path, token: str | None = None) -> Client:
        """Return a client over a unix socket, where the kernel tells the daemon who we are, or a token does."""
        transport = httpx2.HTTPTransport(uds=str(socket))
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        http = httpx2.Client(transport=transport, base_url="http://localhost", timeout=TIMEOUT, headers=headers)
        if token is not None:
            return cls(http, str(socket))
        stranger = (
            f"edgebotd at {socket} does not take you (uid {os.getuid()}) for an administrator: that are root and the "
            "uids in server.admin_uids. With a token of a user: --url http://127.0.0.1:8787, and EDGEBOTD_TOKEN."
        )
        return cls(http, str(socket), stranger)

    @classmethod
    def remote(cls, url: str, token: str) -> Client:
        """Return a client over the network, with a token.

        Raises:
            click.UsageError: no token, no URL, or the token would travel in the clear.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise click.UsageError(f"--url must be http:// or https:// and a host, not {url!r}.")
        if not token:
            raise click.UsageError("A daemon elsewhere needs a token: set EDGEBOTD_TOKEN (`edgebotd token create`).")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise click.UsageError("The token would travel in the clear; use https://.")
        http = httpx2.Client(base_url=url, timeout=TIMEOUT, headers={"Authorization": f"Bearer {token}"})
        return cls(http, url)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """GET; parameters that are None or empty are left out."""
        return self._call("GET", path, params={key: value for key, value in query.items() if value not in (None, ())})

    def post(self, path: str, body: object, *, seconds: float | None = None) -> Any:
        """POST JSON; `seconds` for an answer that may take longer than most."""
        longer = {} if seconds is None else {"timeout": httpx2.Timeout(seconds, connect=10)}
        return self._call("POST", path, json=body, **longer)

    def put(self, path: str, body: object) -> Any:
        """PUT JSON."""
        return self._call("PUT", path, json=body)

    def patch(self, path: str, body: object) -> Any:
        """PATCH JSON."""
        return self._call("PATCH", path, json=body)

    def delete(self, path: str, body: Any = None, **query: Any) -> Any:
        """DELETE, with JSON where the path does not say what."""
        return self._call("DELETE", path, params=query, **({} if body is None else {"json": body}))

    def pages(self, path: str, *, limit: int, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield up to `limit` items of a list, over its pages, newest first."""
        before = None
        while limit > 0:
            page = self.get(path, limit=min(limit, 100), before=before, **query)
            items = page["items"]
            yield from items[:limit]
            limit -= len(items)
            before = page.get("next")
            if before is None or not items:
                return

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx2.TransportError as exc:
            raise self._unreachable(exc) from exc
        if response.is_error or response.is_redirect:
            raise self._refusal(response)
        try:
            return response.json() if response.content else None
        except ValueError as exc:
            raise Unreachable(f"What answers at {self._where} is no edgebotd.") from exc

    def _refusal(self, response: httpx2.Response) -> ApiError:
        refusal = _refusal(response)
        if refusal.status == 401 and self._stranger is not None:
            return ApiError(refusal.status, refusal.code, self._stranger, refusal.members)
        return refusal

    def _unreachable(self, exc: Exception) -> Unreachable:
        what = "did not answer in time" if isinstance(exc, httpx2.TimeoutException) else "does not answer"
        return Unreachable(f"edgebotd at {self._where} {what}. Is it running? `edgebotd status`")

    @contextmanager
    def stream(self, cursor: str, silence: float, **query: Any) -> Iterator[Iterator[ServerEvent]]:
        """Open the live channel; the events end with StreamLost, however the stream ends.

        Args:
            cursor: where to resume, "" for the start.
            silence: seconds without a byte after which the stream counts as dead.
        """
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": cursor} if cursor else {})}
        params = {key: value for key, value in query.items() if value not in (None, ())}
        timeout = httpx2.Timeout(silence, connect=10)
        try:
            with self._http.stream("GET", "/api/events", params=params, headers=headers, timeout=timeout) as response:
                if response.is_error:
                    response.read()
                    raise self._refusal(response)
                yield _events(response, Parser(last_event_id=cursor))
        except httpx2.TransportError as exc:
            raise StreamLost(_lost(exc, silence)) from exc


def _lost(exc: httpx2.TransportError, silence: float) -> str:
    """Return why a stream ended, for people: the library speaks of chunks and numbers of errors."""
    match exc:
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return "edgebotd does not answer"
        case httpx2.ReadTimeout():
            return f"no sign of life for {silence:.0f} s"
    return "the connection was cut"


def _events(response: httpx2.Response, parser: Parser) -> Iterator[ServerEvent]:
    try:
        for chunk in response.iter_raw():
            yield from parser.feed(chunk)
    except ParseError as exc:
        raise StreamLost(str(exc)) from exc
    raise StreamLost("the stream ended")


def _refusal(response: httpx2.Response) -> ApiError:
    try:
        members = json.loads(response.content)
    except ValueError:
        members = None
    if not isinstance(members, dict):
        members = {}
    detail = members.get("detail") or members.get("title") or f"The daemon answered {response.status_code}."
    return ApiError(response.status_code, str(members.get("code", "")), str(detail), members)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
