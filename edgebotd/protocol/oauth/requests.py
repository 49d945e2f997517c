"""Requests to a token endpoint (RFC 6749 sections 2.3.1, 4.1.3 and 6) and to that of devices (RFC 8628)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import quote_plus, urlencode

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True, slots=True)
class Client:
    """What this client is to one provider.

    Attributes:
        auth: how it says who it is: by its id alone, by HTTP basic, or by its secret in the body.
        body: what the endpoint takes; RFC 6749 knows forms.
        send_scope: send the scope with each refresh too.
        extra: further parameters of each token request.
    """

    token_url: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    auth: Literal["none", "basic", "post"] = "none"
    body: Literal["form", "json"] = "form"
    authorize_url: str | None = None
    device_url: str | None = None
    scope: str | None = None
    send_scope: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)
    authorize_extra: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """A POST. Headers and body hold secrets, the address does not."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def refresh_request(client: Client, refresh_token: str) -> Request:
    """Return the request that buys the next access token."""
    parameters = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    if client.send_scope and client.scope is not None:
        parameters["scope"] = client.scope
    return _request(client, client.token_url, parameters)


def code_request(client: Client, code: str, verifier: str, redirect_uri: str, state: str | None = None) -> Request:
    """Return the request that changes an authorization code into tokens.

    Args:
        state: for endpoints that take JSON; such a one is known to want it here again.
    """
    parameters = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }
    if state is not None and client.body == "json":
        parameters["state"] = state
    return _request(client, client.token_url, parameters)


def device_request(client: Client) -> Request:
    """Return the request for a device code; the client has a `device_url`."""
    assert client.device_url is not None
    return _request(client, client.device_url, {} if client.scope is None else {"scope": client.scope}, form=True)


def device_poll(client: Client, device_code: str) -> Request:
    """Return the request that asks whether the person has agreed by now."""
    return _request(client, client.token_url, {"grant_type": DEVICE_GRANT, "device_code": device_code})


def _request(client: Client, url: str, parameters: Mapping[str, str], *, form: bool = False) -> Request:
    fields = {**client.extra, **parameters}
    headers = {"Accept": "application/json"}
    if client.auth == "basic":
        # Each half is encoded as in a form before they are joined (section 2.3.1).
        pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        fields["client_id"] = client.client_id
        if client.auth == "post" and client.client_secret is not None:
            fields["client_secret"] = client.client_secret
    if client.body == "json" and not form:
        headers["Content-Type"] = "application/json"
        body = json.dumps(fields).encode()
    else:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = urlencode(fields).encode()
    return Request(url, headers | dict(client.headers), body)
