"""HTTP over an engine's unix socket: calls with a deadline, and streams that live apart from them.

What has been measured of httpx with Trio here: a transport loads the authorities unless told not to, 40 ms of a still
loop; the default read timeout ends a quiet stream; leaving the loop over a body early leaves
its generators to the collector.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import trio
from typing_extensions import override

from edgebotd.docker.errors import EngineError, Trouble, frozen, lost, unreachable
from edgebotd.protocol.docker.streams import BrokenFraming
from edgebotd.protocol.fields import mapping, words

CALL_SECONDS: Final = 20.0
CHUNK_BYTES: Final = 65_536
CALLS_AT_ONCE: Final = 16


class Transport:
    """The two clients of one socket. From `open_transport`, which closes it.

    Attributes:
        prefix: put before each path that is not said to be bare, `/v1.41`.
    """

    def __init__(self, socket: Path, calls: httpx2.AsyncClient, streams: httpx2.AsyncClient) -> None:
        self.socket = socket
        self.prefix = ""
        self._calls = calls
        self._streams = streams

    async def json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        seconds: float = CALL_SECONDS,
        bare: bool = False,
    ) -> Any:
        answer = await self.call(method, path, params=params, body=body, seconds=seconds, bare=bare)
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            raise EngineError(Trouble.REFUSED, f"The engine's answer to {method} {path} is no JSON.") from None

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        content_type: str | None = None,
        seconds: float = CALL_SECONDS,
        bare: bool = False,
        fine: tuple[int, ...] = (),
    ) -> bytes:
        """Return an answer's body.

        Raises:
            EngineError: unreachable; silent for so long; or a status that is neither 2xx nor one of `fine`.
        """
        target = path if bare else self.prefix + path
        headers = {} if content_type is None else {"Content-Type": content_type}
        try:
            with trio.fail_after(seconds):
                answer = await self._calls.request(
                    method, target, params=params, json=body, content=content, headers=headers
                )
        except (trio.TooSlowError, httpx2.TimeoutException):
            raise frozen(self.socket, seconds) from None
        except httpx2.ConnectError as exc:
            raise unreachable(self.socket, exc) from None
        except httpx2.HTTPError:
            raise lost(self.socket) from None
        if answer.status_code in fine or 200 <= answer.status_code < 300:
            return answer.content
        raise _refusal(answer.status_code, answer.content)

    async def stream(
        self,
        method: str,
        path: str,
        feed: Callable[[bytes], None] | None,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        started: Callable[[], None] = lambda: None,
        take: Callable[[bytes], Awaitable[None]] | None = None,
        silence: float | None = None,
    ) -> None:
        """Feed an answer's bytes as they come, until it ends. Ends early by cancellation alone: leaving the loop over a
        body leaves its generators to the collector, which Trio warns of.
        """
        target = self.prefix + path
        failure: EngineError | None = None
        timeout = httpx2.Timeout(CALL_SECONDS, read=silence)
        try:
            async with self._streams.stream(method, target, params=params, json=body, timeout=timeout) as answer:
                if not 200 <= answer.status_code < 300:
                    raise _refusal(answer.status_code, await answer.aread())
                started()
                async for data in answer.aiter_raw(CHUNK_BYTES if take is not None else None):
                    if failure is not None:
                        continue
                    try:
                        if feed is not None:
                            feed(data)
                        if take is not None:
                            await take(data)
                    except BrokenFraming as exc:
                        failure = EngineError(Trouble.REFUSED, str(exc))
        except httpx2.TimeoutException:
            raise frozen(self.socket, silence or CALL_SECONDS) from None
        except httpx2.ConnectError as exc:
            raise unreachable(self.socket, exc) from None
        except httpx2.HTTPError:
            raise lost(self.socket) from None
        if failure is not None:
            raise failure

    async def upload(
        self, path: str, pieces: AsyncIterator[bytes], *, params: Mapping[str, str], content_type: str, silence: float
    ) -> None:
        """PUT a body that comes in pieces, taken as fast as the engine takes them.

        Where its source fails, cancel: the engine then knows that the body is not whole.

        Raises:
            EngineError: as `call`; FROZEN where it takes nothing, or does not answer, for `silence` seconds.
        """
        timeout = httpx2.Timeout(CALL_SECONDS, read=silence, write=silence)
        request = self._streams.build_request(
            "PUT",
            self.prefix + path,
            params=params,
            content=pieces,
            timeout=timeout,
            headers={"Content-Type": content_type},
        )
        # In place of the library's own, a generator that would be left to the collector where a write fails.
        request.stream = _Pieces(pieces)
        try:
            answer = await self._streams.send(request)
        except httpx2.TimeoutException:
            raise frozen(self.socket, silence) from None
        except httpx2.ConnectError as exc:
            raise unreachable(self.socket, exc) from None
        except httpx2.HTTPError:
            raise lost(self.socket) from None
        if not 200 <= answer.status_code < 300:
            raise _refusal(answer.status_code, answer.content)


class _Pieces(httpx2.AsyncByteStream):
    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    @override
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces


def _refusal(status: int, body: bytes) -> EngineError:
    """Return an answer that is none, in the engine's words where it has some. 20.10 answers some in plain text."""
    try:
        said = words(mapping(json.loads(body)).get("message"))
    except (ValueError, RecursionError):
        said = words(body[:300].decode("utf-8", "replace"))
    detail = said or f"The engine answered with status {status}."
    trouble = {404: Trouble.MISSING, 409: Trouble.CONFLICT}.get(status, Trouble.REFUSED)
    return EngineError(trouble, detail, engine_status=status)


@asynccontextmanager
async def open_transport(socket: Path) -> AsyncIterator[Transport]:
    """Open the clients of an engine's socket; connects nothing yet. Leaving closes them.

    Two clients: a stream holds a connection for as long as it lasts, and must not keep a call waiting for one.
    """
    # `verify=False`: no TLS is spoken on a unix socket.
    calls = httpx2.AsyncHTTPTransport(
        uds=str(socket), verify=False, limits=httpx2.Limits(max_connections=CALLS_AT_ONCE, keepalive_expiry=10)
    )
    streams = httpx2.AsyncHTTPTransport(
        uds=str(socket), verify=False, limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    )
    settings: dict[str, Any] = {"base_url": "http://engine", "timeout": None, "trust_env": False}
    # Else an engine packs its archives, which takes a processor long and is not undone in a raw stream.
    settings["headers"] = {"Accept-Encoding": "identity"}
    async with (
        httpx2.AsyncClient(transport=calls, **settings) as calling,
        httpx2.AsyncClient(transport=streams, **settings) as streaming,
    ):
        yield Transport(socket, calling, streaming)
