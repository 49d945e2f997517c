"""How a message leaves: as JSON to a webhook, or to a topic of ntfy. What is no HTTP of ours is in `apprise.py`."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from pydantic import SecretStr

from edgebotd import __version__
from edgebotd.alerting.message import Message
from edgebotd.errors import EdgebotdError
from edgebotd.outgoing import Outgoing, Posted, Refused

USER_AGENT: Final = f"edgebotd/{__version__}"
FINAL_STATUSES: Final = frozenset({400, 413, 422})
"""The receiver has understood, and takes this message never. All else may be mended at the other end."""
NTFY_TEXT_BYTES: Final = 3500
"""ntfy makes a file of what is longer than 4096 bytes."""

_HINTS: Final = dict.fromkeys((401, 403), " Look at the url and the secret of the channel.") | dict.fromkeys(
    (404, 405, 410), " Look at the url of the channel."
)
_PRIORITIES: Final = {"info": 3, "warning": 4, "critical": 5}
_TAGS: Final = {"info": "information_source", "warning": "warning", "critical": "rotating_light"}


class NotDelivered(EdgebotdError):
    """An attempt failed; its text says why in our own words, without address or secret.

    Args:
        final: trying again is of no use.
        retry_after: seconds that the receiver asks for.
    """

    def __init__(self, detail: str, *, final: bool = False, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.final = final
        self.retry_after = retry_after


class Sender(Protocol):
    """One channel's way out."""

    async def send(self, message: Message) -> None:
        """Send once. Raises `NotDelivered`."""


class Webhook:
    """Posts JSON (docs/alerts.md), signed where there is a key."""

    def __init__(self, outgoing: Outgoing, url: SecretStr, secret: SecretStr | None, now: Callable[[], int]) -> None:
        self._outgoing = outgoing
        self._url = url
        self._secret = secret
        self._now = now

    async def send(self, message: Message) -> None:
        body = encoded(webhook_body(message))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "Edgebotd-Event": _event(message),
            "Edgebotd-Delivery": message.id,
        }
        if self._secret is not None:
            timestamp = str(self._now() // 1000)
            headers["Edgebotd-Timestamp"] = timestamp
            headers["Edgebotd-Signature"] = signature(self._secret.get_secret_value(), timestamp, body)
        await _post(self._outgoing, self._url.get_secret_value(), body, headers)


class Ntfy:
    """Publishes to a topic as JSON (https://docs.ntfy.sh/publish/#publish-as-json)."""

    def __init__(self, outgoing: Outgoing, url: SecretStr, token: SecretStr | None) -> None:
        self._outgoing = outgoing
        self._url = url
        self._token = token

    async def send(self, message: Message) -> None:
        server, _, topic = self._url.get_secret_value().split("?")[0].rpartition("/")
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        await _post(self._outgoing, f"{server}/", encoded(ntfy_body(message, topic)), headers)


def webhook_body(message: Message) -> dict[str, Any]:
    """Return what a webhook gets; members are added in later versions, none is taken away."""
    return {
        "version": 1,
        "id": message.id,
        "event": _event(message),
        "severity": message.severity,
        "title": message.title,
        "text": message.text,
        "at": message.at,
        "url": message.url,
        "alerts": [alert.model_dump(mode="json", by_alias=True, exclude={"type"}) for alert in message.alerts],
    }


def ntfy_body(message: Message, topic: str) -> dict[str, Any]:
    """Return what an ntfy server gets."""
    mended = message.kind == "resolved"
    body: dict[str, Any] = {
        "topic": topic,
        "title": message.title,
        "message": message.text.encode()[:NTFY_TEXT_BYTES].decode(errors="ignore"),
        "priority": 3 if mended or message.kind == "test" else _PRIORITIES[message.severity],
        "tags": ["white_check_mark" if mended else _TAGS[message.severity]],
    }
    if message.url is not None:
        body["click"] = message.url
    return body


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a body at a time: `v1=` and the HMAC-SHA256 of `<timestamp>.<body>` in hexadecimal."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def encoded(body: dict[str, Any]) -> bytes:
    """Return JSON as it is sent and signed."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _event(message: Message) -> str:
    return "test" if message.kind == "test" else f"alert.{message.kind}"


async def _post(outgoing: Outgoing, url: str, body: bytes, headers: dict[str, str]) -> None:
    try:
        answer = await outgoing.post(url, body, headers=headers)
    except Refused as exc:
        todo = " A receiver of your own: see alerts.allow_networks." if exc.code == "not_public" else ""
        raise NotDelivered(exc.detail + todo) from None
    _check(answer, urlsplit(url).hostname or "")


def _check(answer: Posted, host: str) -> None:
    if not 200 <= answer.status < 300:
        detail = f"{host} answers with the status {answer.status}.{_HINTS.get(answer.status, '')}"
        raise NotDelivered(detail, final=answer.status in FINAL_STATUSES, retry_after=answer.retry_after)
