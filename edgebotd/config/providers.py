"""[accounts] and [providers.<id>]: providers are data, so that nothing of a vendor's is built in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from typing_extensions import override

from edgebotd.config.section import Contradiction, Section
from edgebotd.config.values import BotId, FilePath, Flag, Seconds, Words, is_loopback

PROVIDER_ID_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,31}$"
CREDENTIAL_PATTERN: Final = r"^[A-Za-z0-9_.-]{1,255}$"


def _secure_url(text: str) -> str:
    parts = urlsplit(text)  # raises ValueError for a broken IPv6 address
    _ = parts.port  # raises ValueError when out of range
    plain = parts.scheme == "http" and parts.hostname is not None and is_loopback(parts.hostname)
    if not plain and parts.scheme != "https":
        raise ValueError("must begin with https://, or http:// on loopback")
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise ValueError("must name a host, without user and password")
    if parts.fragment:
        raise ValueError("must be without a fragment (#)")
    return text


def _header_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", text):
        raise ValueError("is no name of a header")
    return text


def _header_value(text: str) -> str:
    if not re.fullmatch(r"[\x20-\x7e]{0,1024}", text):
        raise ValueError("may have 1024 printable ASCII characters at most")
    return text


def _parameter_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text):
        raise ValueError("is no name of a parameter: it has letters, digits, _, . and - only")
    return text


SecureUrl = Annotated[str, AfterValidator(_secure_url)]
ProviderId = Annotated[str, Field(pattern=PROVIDER_ID_PATTERN)]
CredentialName = Annotated[str, Field(pattern=CREDENTIAL_PATTERN)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
ParameterName = Annotated[str, AfterValidator(_parameter_name)]


class AccountsSettings(Section):
    """[accounts]"""

    key_file: FilePath | None = None
    """File (mode 600) with the key that seals the logins; made in the state directory where it is not set."""
    key_credential: CredentialName | None = None
    """Name of the systemd credential that holds that key."""
    secret_files: dict[BotId, FilePath] = Field(default_factory=dict)
    """Of gateways that are no containers of edgebotd's: the file, by bot, into which the access tokens of the logins
    that the bot uses are written."""
    history_days: Annotated[int, Field(strict=True, ge=1)] = 90
    """Days that the use of accounts is kept."""

    @override
    def contradictions(self) -> Iterator[Contradiction]:
        if self.key_file is not None and self.key_credential is not None:
            yield "key_credential", "there is key_file too; keep one of them"


class OAuthSettings(Section):
    """[providers.<id>.oauth]: how one logs in, and how a token is refreshed (RFC 6749, RFC 7636, RFC 8628)."""

    token_url: SecureUrl
    """The token endpoint."""
    client_id: Words
    """Of the client that you have registered, or may use."""
    client_secret: SecretStr | None = None
    """Better in a file of its own or a systemd credential:"""
    client_secret_file: FilePath | None = None
    """File that holds the client's secret, readable by its owner only."""
    client_secret_credential: CredentialName | None = None
    """Name of the systemd credential that holds the client's secret."""
    client_auth: Literal["none", "basic", "post"] = "none"
    """How the client says who it is: by its id alone, by HTTP basic, or by its secret in the body."""
    body_format: Literal["form", "json"] = "form"
    """What the token endpoint takes; RFC 6749 knows forms."""
    authorize_url: SecureUrl | None = None
    """Where a person agrees; without it there is no login by browser."""
    redirect_uri: Words | None = None
    """Where that leads back to, if the client has a fixed one; the person then pastes the address that they land on."""
    device_url: SecureUrl | None = None
    """The device authorization endpoint, where the provider has one."""
    scope: Words | None = None
    """What to ask for, separated by spaces."""
    send_scope: Flag = False
    """Send the scope with each refresh too."""
    extra_params: dict[ParameterName, HeaderValue] = Field(default_factory=dict)
    """Further parameters of each token request."""
    authorize_params: dict[ParameterName, HeaderValue] = Field(default_factory=dict)
    """Further parameters of the address where a person agrees."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Further headers of each token request, such as an own User-Agent."""
    rotates: Literal["yes", "no", "unknown"] = "unknown"
    """Whether a refresh token serves once only."""
    reuse_grace_seconds: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 0.0
    """How long the provider takes a spent refresh token again; within it a lost answer is asked for once more."""
    lead_seconds: Seconds | None = None
    """So long before its end a token is refreshed; where it is not set, 5 minutes or a tenth of its life."""
    timeout_seconds: Annotated[float, Field(strict=True, gt=0, le=120, allow_inf_nan=False)] = 30.0
    """How long a token request may take."""
    jwt_expiry: Flag = False
    """Take the end of an access token from itself (JWT `exp`) where the answer does not tell it."""
    account_claim: tuple[Words, ...] = ()
    """Where the id token, or the access token (JWT), has the account's id: the names that lead to it."""

    @override
    def contradictions(self) -> Iterator[Contradiction]:
        given = [
            key for key in ("client_secret", "client_secret_file", "client_secret_credential") if getattr(self, key)
        ]
        if self.client_id.startswith("<"):
            yield "client_id", "is still a placeholder: put the id of a client that you have registered, or may use"
        if self.client_auth == "none" and given:
            yield given[0], 'means nothing with client_auth = "none"'
        if self.client_auth != "none" and not given:
            yield "client_auth", f'"{self.client_auth}" needs client_secret_file or client_secret_credential'


class UsageWindowSettings(Section):
    """[[providers.<id>.usage.windows]]: where the generic reader finds one window in the answer."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    """What it is called in events."""
    label: Words | None = None
    """What people see."""
    percent: Words | None = None
    """Path of the used share: "limits.0.percent"."""
    fraction: Words | None = None
    """The same, of 0 to 1."""
    used: Words | None = None
    """Path of what is used, to be divided by `limit`."""
    remaining: Words | None = None
    """Path of what is left of `limit`."""
    limit: Words | None = None
    """Path of the limit."""
    resets_at: Words | None = None
    """Path of when it starts anew: ISO 8601, or Unix seconds or milliseconds."""
    seconds: Seconds | None = None
    """How long the window is."""

    @override
    def contradictions(self) -> Iterator[Contradiction]:
        if self.id in ("login", "refresh"):
            yield "id", "is taken: alerts about a login itself have this name"
        ways = [key for key in ("percent", "fraction", "used", "remaining") if getattr(self, key) is not None]
        if len(ways) != 1:
            yield "id", "needs exactly one of percent, fraction, used, remaining"
        elif ways[0] in ("used", "remaining") and self.limit is None:
            yield ways[0], "needs limit too"


class UsageSettings(Section):
    """[providers.<id>.usage]: how one learns how much of an account is used."""

    kind: Literal["none", "anthropic", "codex", "copilot", "gemini", "openrouter", "json"] = "none"
    """The shape of the answer; json: as `windows` says."""
    url: SecureUrl | None = None
    """Where to ask."""
    method: Literal["GET", "POST"] = "GET"
    """How to ask; a POST sends {}."""
    authorization: Literal["bearer", "token"] = "bearer"
    """The word before the access token in the Authorization header."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Further headers."""
    interval_seconds: Annotated[float, Field(strict=True, ge=10, allow_inf_nan=False)] = 300.0
    """How often to ask."""
    floor_seconds: Annotated[float, Field(strict=True, ge=1, allow_inf_nan=False)] = 60.0
    """Never ask more often, whoever wishes to know."""
    windows: tuple[UsageWindowSettings, ...] = ()
    """json: what to read."""

    @override
    def contradictions(self) -> Iterator[Contradiction]:
        if self.kind != "none" and self.url is None:
            yield "url", f"is required for kind {self.kind}"
        if self.kind == "json" and not self.windows:
            yield "windows", "is required for kind json"
        if self.kind != "json" and self.windows:
            yield "windows", "means nothing but for kind json"
        if self.floor_seconds > self.interval_seconds:
            yield "floor_seconds", "is longer than interval_seconds"
        names = [window.id for window in self.windows]
        if len(set(names)) < len(names):
            yield "windows", "two have the same id"


class ProviderSettings(Section):
    """[providers.<id>]"""

    name: Words | None = None
    """What people see; the id where it is not set."""
    oauth: OAuthSettings | None = None
    """How one logs in with OAuth; without it there are API keys and tokens only."""
    usage: UsageSettings = UsageSettings()
    """How one learns how much of an account is used."""
