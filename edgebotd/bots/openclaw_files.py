"""Files between us and an OpenClaw gateway: what goes along with a message, and what an agent sent, over HTTP."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import trio

from edgebotd.bots.connector import ConnectorError, OutgoingFile, Trouble
from edgebotd.bots.openclaw_history import Call
from edgebotd.protocol.fields import mapping, words

FETCH_SECONDS: Final = 120.0
CONNECT_SECONDS: Final = 10.0


def attachment(file: OutgoingFile) -> dict[str, Any]:
    """Return a file as `chat.send` takes it."""
    # Only what is called an image is shown to the model as one; all else is stored and named to it.
    return {
        "type": "image" if file.media_type.startswith("image/") else "file",
        "mimeType": file.media_type,
        "fileName": file.name,
        "content": base64.b64encode(file.data).decode(),
    }


async def fetch(
    call: Call,
    gateway: str,
    session_key: str,
    part: Mapping[str, Any],
    limit: int,
    *,
    token: str | None,
    tls: ssl.SSLContext | None,
) -> bytes:
    """Return a file that a message of the agent names.

    2026.9.6 has an artifact of it and gives a ticket for its address; 2026.5.28 has the address, and wants the token.

    Raises:
        ConnectorError: the gateway has not got it (any more), it is too large, or the connection broke.
    """
    path, headers = words(part.get("url")), {}
    reference = words(part.get("reference"))
    if reference is not None:
        answer = mapping(await call("artifacts.download", {"artifactId": reference, "sessionKey": session_key}))
        path = words(answer.get("url"))
    elif token is not None:
        headers["Authorization"] = f"Bearer {token}"
    # Only ever to the gateway itself: an address in a message is what a model wrote, or somebody who talks to it.
    if path is None or not path.startswith("/api/") or "\\" in path or not path.isprintable():
        raise ConnectorError(Trouble.REJECTED, "the gateway names no address for it")
    parts = urlsplit(gateway)
    origin = f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"
    verify: ssl.SSLContext | bool = tls or parts.scheme == "wss"
    try:
        with trio.fail_after(FETCH_SECONDS):
            async with httpx2.AsyncClient(verify=verify, timeout=CONNECT_SECONDS, trust_env=False) as client:
                async with client.stream("GET", origin + path, headers=headers) as response:
                    return await _body(response, limit)
    except trio.TooSlowError:
        raise ConnectorError(Trouble.REJECTED, "the gateway was too slow with it") from None
    except (httpx2.HTTPError, httpx2.InvalidURL):
        # Without the library's words: they quote the address, and with it the ticket. Not LOST: an address that
        # never answers must not keep the message from being stored.
        raise ConnectorError(Trouble.REJECTED, "the gateway did not answer when it was fetched") from None


async def _body(response: httpx2.Response, limit: int) -> bytes:
    if response.status_code != 200:
        raise ConnectorError(Trouble.REJECTED, f"the gateway does not give it (HTTP {response.status_code})")
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > limit:
            raise ConnectorError(Trouble.REJECTED, f"it has more than {limit} bytes")
    return bytes(data)
