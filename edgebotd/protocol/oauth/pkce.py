"""The authorization code with a proof key: the address where a person agrees, and the one where they land."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from edgebotd.protocol.oauth.requests import Client

_LONGEST: Final = 16 * 1024

Trouble = Literal["no_address", "other_login", "refused", "no_code"]


class LandingError(ValueError):
    """The pasted address does not finish this login; `trouble` says why."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Landing:
    """What the provider gave for the person's consent; it serves once."""

    code: str = field(repr=False)


def challenge_of(verifier: str) -> str:
    """Return the challenge of a verifier, method S256 (RFC 7636 section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode()


def authorize_url(client: Client, *, state: str, verifier: str, redirect_uri: str) -> str:
    """Return where a person agrees. It holds no secret: the challenge is a hash, and state serves this login only."""
    assert client.authorize_url is not None
    parts = urlsplit(client.authorize_url)
    parameters = {
        **client.authorize_extra,
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        **({} if client.scope is None else {"scope": client.scope}),
        "state": state,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
    }
    query = "&".join(filter(None, (parts.query, urlencode(parameters))))
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


def read_landing(text: str, state: str) -> Landing:
    """Return the code of the address that a person landed on, or of the `code#state` that some providers show instead.

    Raises:
        LandingError: it is none, or not of this login.
    """
    text = text.strip()
    if not text or len(text) > _LONGEST:
        raise LandingError("no_address")
    try:
        parts = urlsplit(text)
        query = parse_qs(parts.query, max_num_fields=64) or parse_qs(parts.fragment, max_num_fields=64)
    except ValueError:
        raise LandingError("no_address") from None
    if not query:
        code, mark, given = text.partition("#")
        if not mark or parts.scheme:
            raise LandingError("no_address")
        query = {"code": [code], "state": [given]}
    given = query.get("state", [""])[0]
    if not hmac.compare_digest(given.encode("utf-8", "replace"), state.encode()):
        raise LandingError("other_login")
    if "error" in query:
        raise LandingError("refused")
    if not (code := query.get("code", [""])[0]):
        raise LandingError("no_code")
    return Landing(code)
