"""What the settings say of a provider, as the OAuth protocol takes it, and a digest that tells when that changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from edgebotd import logs
from edgebotd.accounts.http import USER_AGENT
from edgebotd.config import OAuthSettings, ProviderSettings
from edgebotd.protocol.oauth import Client

_DIGITS: Final = 16


def client_of(oauth: OAuthSettings) -> Client:
    """Return the client that the settings describe."""
    secret = None if oauth.client_secret is None else oauth.client_secret.get_secret_value()
    if secret is not None:
        logs.register_secret(secret)
    return Client(
        token_url=oauth.token_url,
        client_id=oauth.client_id,
        client_secret=secret,
        auth=oauth.client_auth,
        body=oauth.body_format,
        authorize_url=oauth.authorize_url,
        device_url=oauth.device_url,
        scope=oauth.scope,
        send_scope=oauth.send_scope,
        extra=oauth.extra_params,
        authorize_extra=oauth.authorize_params,
        headers={"User-Agent": USER_AGENT} | oauth.headers,
    )


def oauth_of(providers: Mapping[str, ProviderSettings], provider: str) -> OAuthSettings | None:
    """Return how one logs in at a provider, None where the settings do not say."""
    settings = providers.get(provider)
    return None if settings is None else settings.oauth


def digest_of(oauth: OAuthSettings | None) -> str:
    """Return what stands for the settings: the same for the same, another one after any change, of the secret too."""
    if oauth is None:
        return "none"
    told = oauth.model_dump(mode="json", exclude={"client_secret"})
    secret = None if oauth.client_secret is None else oauth.client_secret.get_secret_value()
    whole = json.dumps([told, secret], sort_keys=True).encode()
    # Stretched, as a secret that somebody made up could be guessed from it.
    return hashlib.pbkdf2_hmac("sha256", whole, b"edgebotd settings", 20_000).hex()[:_DIGITS]
