"""What a server's HTTP error means, in kinds that a client acts on and words that a person understands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, Final

from typing_extensions import override

from edgebotd.protocol.fields import encodable, mapping, objects, words

MAX_RETRY_SECONDS: Final = 300.0
"""A server may not park a turn for longer."""
FRAGMENT: Final = 8
"""How much of a key in a row gives it away: servers echo keys shortened in the middle."""


class Kind(Enum):
    """What a client has to do about a refusal."""

    BAD_CREDENTIALS = "bad_credentials"
    CONFIGURATION = "configuration"
    """Wrong URL or model."""
    REJECTED = "rejected"
    """The same request will not work later."""
    UNAVAILABLE = "unavailable"
    """The same request may work later."""
    RESTARTING = "restarting"
    """So may it, and soon: the model is being loaded."""
    FAULT = "fault"
    """The server broke over this request: by chance, or each time."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request was refused. `detail` is for a person and holds no secret; `code` is for programs."""

    kind: Kind
    detail: str
    code: str
    retry_after: float | None = None


class Redactor:
    """Makes a line that may be shown out of what a server said: bounded, and without the API key.

    Any `FRAGMENT` characters in a row that the key has too are taken out, so a shortened key goes as well.
    """

    def __init__(self, secret: str | None) -> None:
        self._secret = secret or ""
        self._width = min(FRAGMENT, len(self._secret))

    @override
    def __repr__(self) -> str:
        return "Redactor()"

    def line(self, text: str, most: int = 300) -> str:
        """Return the text as one line of at most so many characters."""
        text = " ".join(encodable(text[: 16 * most]).split())
        text = "".join(character for character in text if character.isprintable())
        text = self._without_secret(text)
        return text if len(text) <= most else text[: most - 1] + "…"

    def _without_secret(self, text: str) -> str:
        width = self._width
        if not width:
            return text
        pieces: list[str] = []
        told = 0
        for start in range(len(text) - width + 1):
            if text[start : start + width] in self._secret:
                if start > told or not pieces:
                    pieces += [text[told:start], "[API key]"]
                told = start + width
        return "".join([*pieces, text[told:]])


def error_of(payload: object) -> tuple[str, str] | None:
    """Return the (code, message) of a JSON answer that is an error, in any of the forms in use; None where it is none.

    OpenAI: `{"error": {"message", "type", "code"}}`; Ollama: `{"error": "..."}`; vLLM: `{"object": "error",
    "message"}`; FastAPI: `{"detail": ...}`; Google: the first in a list.
    """
    if isinstance(payload, list) and payload:
        payload = payload[0]
    fields = mapping(payload)
    error: Any = fields.get("error")
    if isinstance(error, str) and error.strip():
        return "", error
    if isinstance(error, dict):
        return _code(error), words(error.get("message")) or _code(error) or "no reason given"
    if error:
        return "", "no reason given"
    detail = fields.get("detail")
    said = words(fields.get("message")) or words(detail)
    for problem in objects(detail):
        said = said or words(problem.get("msg"))
    if fields.get("object") == "error" or ("choices" not in fields and said is not None):
        return _code(fields), said or "no reason given"
    return None


def _code(error: Mapping[str, Any]) -> str:
    code = error.get("code")
    return (words(code) or words(error.get("type")) or "") if not isinstance(code, int) else str(code)


def refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    model: str,
    has_key: bool,
    redactor: Redactor,
) -> Refusal:
    """Classify an HTTP answer that is not a success.

    Args:
        headers: with lower-case names, or a mapping that does not care.
        body: its beginning; a cut one is shown as text.
    """
    code, said = _said(body)
    because = f" It says: {redactor.line(said)}" if said else ""
    http = f"(HTTP {status})"
    name = f"http_{status}"
    lower = f"{code} {said}".lower()
    if 300 <= status < 400:
        to = redactor.line(headers.get("location", "").partition("?")[0].partition("#")[0], 200)
        there = f" to {to}" if to else ""
        detail = f"The endpoint redirects{there} {http}. That is not followed, as the API key would go there. "
        detail += "Correct the URL."
        return Refusal(Kind.CONFIGURATION, detail, name)
    if status in (401, 403):
        if not has_key:
            detail = f"The endpoint wants an API key {http}. Set one.{because}"
        else:
            detail = f"The endpoint refuses the API key {http}. Check the key and what it may do.{because}"
        return Refusal(Kind.BAD_CREDENTIALS, detail, name)
    if status in (404, 405, 410):
        if status == 404 and "model" in lower:
            detail = f"The endpoint does not know the model '{model}' {http}. Correct the model's name.{because}"
            return Refusal(Kind.CONFIGURATION, detail, "model_not_found")
        detail = f"There are no chat completions for the model '{model}' at this URL {http}."
        detail += f" Correct the URL (up to `/v1`) or the model's name.{because}"
        return Refusal(Kind.CONFIGURATION, detail, name)
    if status == 413:
        detail = f"The conversation with its files is too large for the endpoint {http}. Send smaller files.{because}"
        return Refusal(Kind.REJECTED, detail, name)
    if status == 402 or "insufficient_quota" in lower:
        detail = f"The account of this API key has no credit left {http}.{because}"
        return Refusal(Kind.REJECTED, detail, "no_credit")
    retry_after = _retry_after(headers)
    if status == 429:
        return Refusal(Kind.UNAVAILABLE, f"The endpoint has too many requests {http}.{because}", name, retry_after)
    if status == 503:
        detail = f"The endpoint is not ready, or overloaded {http}.{because}"
        return Refusal(Kind.RESTARTING, detail, name, retry_after)
    if status in (408, 409, 425) or status > 501:
        detail = f"The endpoint cannot answer now {http}.{because}"
        return Refusal(Kind.UNAVAILABLE, detail, name, retry_after)
    if status == 500:
        return Refusal(Kind.FAULT, f"The endpoint failed over this request {http}.{because}", name, retry_after)
    if "context_length" in lower or "context length" in lower or "context size" in lower:
        detail = f"The conversation is too long for the model '{model}' {http}. Begin a new one.{because}"
        return Refusal(Kind.REJECTED, detail, "context_length_exceeded")
    return Refusal(Kind.REJECTED, f"The endpoint refuses the request {http}.{because}", name)


def _said(body: bytes) -> tuple[str, str]:
    text = body.decode("utf-8", "replace").strip()
    try:
        error = error_of(json.loads(text))
    except (ValueError, RecursionError):
        # A proxy's page tells less than its status.
        return "", "" if text.startswith("<") else text
    return error or ("", "")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "").strip()
    seconds: float
    try:
        seconds = float(value)
    except ValueError:
        try:
            # A date counts from the server's own clock, which its Date header tells.
            until, now = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("date", ""))
            seconds = (until - now).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    # Not `max(...)` alone: what comes may be nan.
    return min(max(seconds, 1.0), MAX_RETRY_SECONDS) if seconds == seconds else None
