"""One OpenAI-compatible endpoint over HTTP: the client, the probe, and what failures mean.

No redirect is followed, and nothing that holds the API key leaves this module: not the library's errors either.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final

import httpx2
import trio
from pydantic import SecretStr

from edgebotd.bots.connector import ConnectorError, Outgoing, Trouble
from edgebotd.protocol.openai import Content, Kind, Redactor, Unsendable, refusal, request_body

CONNECT_SECONDS: Final = 5.0
"""Each for the TCP connection and for TLS."""
STATUS_SECONDS: Final = 300.0
"""Until the status of an answer: local servers load a model first, and read the whole conversation."""
WRITE_SECONDS: Final = 60.0
PROBE_ANSWER_SECONDS: Final = 20.0
RETRY_SECONDS: Final = 10.0
"""Pause where the endpoint asks for none."""
MAX_CONNECTIONS: Final = 40
MAX_ERROR_BYTES: Final = 64 * 1024

_TROUBLES: Final = {
    Kind.BAD_CREDENTIALS: Trouble.BAD_CREDENTIALS,
    Kind.CONFIGURATION: Trouble.CONFIGURATION,
    Kind.REJECTED: Trouble.REJECTED,
    Kind.UNAVAILABLE: Trouble.UNAVAILABLE,
    Kind.RESTARTING: Trouble.RESTARTING,
    Kind.FAULT: Trouble.UNAVAILABLE,
}


class Endpoint:
    """What we were told about an endpoint, and how to ask it. Arguments as of `OpenAIConnector`."""

    def __init__(self, url: str, model: str, api_key: SecretStr | None, system_prompt: str | None) -> None:
        self._url = url
        self._model = model
        self._api_key = api_key
        self._system_prompt = system_prompt
        self._tls: ssl.SSLContext | None = None
        self.redactor = Redactor(None if api_key is None else api_key.get_secret_value())

    def client(self) -> httpx2.AsyncClient:
        """Make a client.

        Raises:
            ConnectorError: URL or key cannot be used.
        """
        try:
            url = httpx2.URL(self._url)
        except (httpx2.InvalidURL, ValueError):
            url = httpx2.URL("")
        if url.scheme not in ("http", "https") or not url.host or url.userinfo:
            detail = "The URL must begin with http:// or https://, name a host, and hold no user or password."
            raise ConnectorError(Trouble.CONFIGURATION, detail, reason="bad_url")
        headers = {"Accept": "text/event-stream, application/json", "Accept-Encoding": "identity"}
        if self._api_key is not None:
            key = self._api_key.get_secret_value()
            if not key or not all("!" <= character <= "~" for character in key):
                detail = "The API key is empty, or has characters that no key has, such as spaces. Set it again."
                raise ConnectorError(Trouble.BAD_CREDENTIALS, detail, reason="malformed_key")
            headers["Authorization"] = f"Bearer {key}"
        if self._tls is None:
            # Once: reading all certificates takes a while. Without TLS an empty one, which would trust nobody.
            secure = url.scheme == "https"
            self._tls = ssl.create_default_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(STATUS_SECONDS, connect=CONNECT_SECONDS, write=WRITE_SECONDS),
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS),
            verify=self._tls,
            trust_env=False,
            follow_redirects=False,
        )

    def place(self, name: str) -> httpx2.URL:
        """Return the URL of one of the API's resources. A query in the API's URL stays."""
        url = httpx2.URL(self._url)
        return url.copy_with(path=f"{url.path.rstrip('/')}/{name}")

    def body(self, turn: Outgoing) -> bytes:
        """Return the body of a turn's request.

        Raises:
            ConnectorError: a file cannot be sent.
        """
        said = [Content(message.role, message.text, message.attachments) for message in turn.context]
        if self._system_prompt:
            said.insert(0, Content("system", self._system_prompt))
        try:
            return request_body(self._model, [*said, Content("user", turn.text, turn.attachments)])
        except Unsendable as exc:
            raise ConnectorError(Trouble.REJECTED, str(exc), reason="file_refused") from exc

    async def probe(self, client: httpx2.AsyncClient) -> None:
        """Pass where the endpoint answers and takes the key.

        Raises:
            ConnectorError: it does not. Many endpoints have no list of models; that says nothing.
        """
        request = client.build_request("GET", self.place("models"))
        try:
            with trio.fail_after(PROBE_ANSWER_SECONDS):
                response = await client.send(request, stream=True)
                async with aclosing(response):
                    status = response.status_code
                    if status in (401, 403) or 300 <= status < 400 or 502 <= status <= 504:
                        raise await self.refused(response)
        except trio.TooSlowError:
            detail = f"The endpoint takes connections, but does not answer within {PROBE_ANSWER_SECONDS:.0f} seconds."
            raise ConnectorError(Trouble.UNAVAILABLE, detail, reason="silent") from None
        except httpx2.RequestError as exc:
            raise connection_error(exc) from None

    async def refused(self, response: httpx2.Response) -> ConnectorError:
        """Return what an answer that is not a success means."""
        body = bytearray()
        with trio.move_on_after(PROBE_ANSWER_SECONDS):
            async with open_body(response) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) > MAX_ERROR_BYTES:
                        break
        refused = refusal(
            response.status_code,
            response.headers,
            bytes(body[:MAX_ERROR_BYTES]),
            model=self._model,
            has_key=self._api_key is not None,
            redactor=self.redactor,
        )
        pause = refused.retry_after
        if pause is None and refused.kind in (Kind.UNAVAILABLE, Kind.RESTARTING, Kind.FAULT):
            pause = RETRY_SECONDS
        return ConnectorError(_TROUBLES[refused.kind], refused.detail, reason=refused.code, retry_after=pause)


@asynccontextmanager
async def open_body(response: httpx2.Response) -> AsyncIterator[AsyncIterator[bytes]]:
    """Yield the body's chunks; what was not read is given up with the block. The caller closes the response."""
    async with aclosing(response.aiter_bytes()) as chunks:
        try:
            yield chunks
        finally:
            # The library's generators do not close those below them. A cancelled read unwinds the whole tower of them;
            # before that come at most the bytes that have been received already.
            with suppress(httpx2.RequestError, StopAsyncIteration), trio.move_on_after(0, shield=True):
                while True:
                    await anext(chunks)


def connection_error(exc: httpx2.RequestError, *, in_reply: bool = False) -> ConnectorError:
    """Translate what the library raises; its own words may hold headers, so none of them is shown."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            detail = f"The endpoint's certificate is not trusted: {cause.verify_message}."
            return ConnectorError(Trouble.CONFIGURATION, detail, reason="bad_certificate")
        cause = cause.__cause__ or cause.__context__
    if isinstance(exc, httpx2.ConnectError | httpx2.ConnectTimeout):
        how = "in time " if isinstance(exc, httpx2.ConnectTimeout) else ""
        detail = f"The endpoint cannot be reached: nothing answers {how}at the URL's host and port. Is it running?"
        return ConnectorError(Trouble.REFUSED, detail)
    if isinstance(exc, httpx2.TimeoutException):
        detail = "The endpoint took the request, but has not answered in time. Is the model too large for its machine?"
        return ConnectorError(Trouble.UNAVAILABLE, detail, reason="silent", retry_after=RETRY_SECONDS)
    if in_reply:
        return ConnectorError(Trouble.LOST, "The connection broke in the middle of the reply.", reason="cut")
    return ConnectorError(Trouble.LOST, "The connection to the endpoint broke before an answer came.")
