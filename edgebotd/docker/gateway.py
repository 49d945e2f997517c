"""The configuration of a new bot's gateway: what edgebotd must have in it, and what the person wants besides."""

from __future__ import annotations

import io
import itertools
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pydantic import SecretStr

from edgebotd.docker.redact import redact_shapes
from edgebotd.docker.spec import GATEWAY_PORT, STATE_PATH
from edgebotd.errors import Invalid
from edgebotd.protocol.fields import mapping

CONFIG_FILE: Final = "openclaw.json"
NODE_USER: Final = 1000
"""The user of OpenClaw's image."""
OWN_KEYS: Final = frozenset({"mode", "port", "bind", "auth", "tls"})
"""Of the table `gateway`: what edgebotd reaches it by."""
_SECRET_KEY: Final = re.compile(
    r"(?:api_?key|token|secret|passw(?:or)?d|passphrase|private_?key|credential|cookie|authorization|_auth)s?$", re.I
)
_COUNTED: Final = re.compile(r"tokens?$", re.I)
MOST_TOKENS: Final = 10_000_000
"""Up to here a number under such a name is how many."""
DIFFERENT: Final = 14
"""Different letters and digits that 24 of them which chance has drawn have at the least, but for one in a thousand."""
_WORD: Final = re.compile(r"[A-Za-z0-9+_=-]{24,}")
"""What could be a key of no provider whose form is known. No slash and no dot: paths, hosts and images are none."""
_REFERENCE: Final = re.compile(r"\$\{[A-Z_][A-Z0-9_]*\}")


def looks_secret(name: str) -> bool:
    """Whether what stands under such a name is a secret by all appearances."""
    return _SECRET_KEY.search(name) is not None or name.upper().endswith("_KEY")


def has_secret(text: str) -> bool:
    """Whether a text holds a secret by its form, whatever it stands under: a provider's key, a URL with a password,
    what only chance has made.
    """
    plain = _REFERENCE.sub("", text)
    return redact_shapes(plain) != plain or any(_is_random(word) for word in _WORD.findall(plain))


def _is_random(word: str) -> bool:
    """Whether a word looks drawn by chance: letters of both cases and digits, many different ones, turn and turn about.

    Of keys of 32 bytes in base64, nine out of ten are seen. Hexadecimal is none: digests and ids are written so.
    """
    drawn = [char for char in word if char.isalnum()]
    kinds = [1 if char.isdigit() else 2 if char.islower() else 3 for char in drawn]
    turns = sum(here != there for here, there in itertools.pairwise(kinds))
    mixed = kinds.count(1) >= 2 and {1, 2, 3} == set(kinds)
    return mixed and len(set(drawn)) >= DIFFERENT and turns >= len(drawn) / 2


def check_config(config: Mapping[str, Any]) -> None:
    """Pass a configuration that a person gives.

    Raises:
        Invalid: it sets what edgebotd sets itself, or holds a secret: it is kept, and secrets are not.
    """
    own = config.get("gateway")
    if own is not None and not isinstance(own, dict):
        raise Invalid("config: 'gateway' must be an object.")
    if taken := sorted(OWN_KEYS & (own or {}).keys()):
        raise Invalid(f"config: edgebotd sets gateway.{taken[0]} itself; leave it out.")
    for path, value in _values(config, ""):
        name = path.rpartition(".")[2]
        if isinstance(value, str):
            secret = (looks_secret(name) and _REFERENCE.search(value) is None) or has_secret(value)
        else:
            secret = looks_secret(name) and (_COUNTED.search(name) is None or value > MOST_TOKENS)
        if secret:
            raise Invalid(
                f"config: {path} looks like a secret, which is not kept here. Name its file in docker.secrets, give it"
                " to the bot's environment, and write ${NAME} here."
            )


def by_provider(logins: Iterable[str]) -> dict[str, str]:
    """Return logins by the provider that their names begin with."""
    return {profile_id.partition(":")[0]: profile_id for profile_id in logins}


def check_logins(logins: Sequence[str], config: Mapping[str, Any]) -> None:
    """Pass logins that a gateway is to have for its models.

    Raises:
        Invalid: there are two for one provider, or the configuration that a person gives has a key for it.
    """
    found = by_provider(logins)
    if len(found) != len(logins):
        raise Invalid("logins: two are of one provider. A gateway has one key for each.")
    models = mapping(mapping(config.get("models")).get("providers"))
    for provider, profile_id in found.items():
        if "apiKey" in mapping(models.get(provider)):
            raise Invalid(f"config: models.providers.{provider}.apiKey is what {profile_id} gives. Leave one out.")


def _values(value: object, path: str) -> Iterator[tuple[str, str | float]]:
    """Yield texts and numbers, with where they stand."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _values(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner, path)
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        yield path, value


def gateway_config(
    token: SecretStr, *, port: int, host_network: bool, model: str | None, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the gateway's whole configuration.

    Args:
        port: of this machine; the gateway listens there itself only where it has the host's network.
        config: what the person wants, over what is set here by default, under what must be as it is.
    """
    defaults: dict[str, Any] = {
        "gateway": {"controlUi": {"enabled": False}},
        "agents": {"defaults": {"workspace": f"{STATE_PATH}/workspace"}},
        "discovery": {"mdns": {"mode": "off"}},
        # An image is as it is: `edgebotd bots upgrade` brings another one.
        "update": {"checkOnStart": False},
    }
    if model is not None:
        defaults["agents"]["defaults"]["model"] = {"primary": model}
    whole = merged(defaults, config)
    whole["gateway"].update(
        mode="local",
        port=port if host_network else GATEWAY_PORT,
        bind="loopback" if host_network else "lan",
        auth={"mode": "token", "token": token.get_secret_value()},
    )
    return whole


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return two objects as one: objects in both are merged, of anything else `above` counts."""
    whole = dict(below)
    for key, value in above.items():
        known = whole.get(key)
        whole[key] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return whole


def command(port: int) -> list[str]:
    """Return the command of a gateway with the host's network: an image's own may listen to every address."""
    return ["node", "openclaw.mjs", "gateway", "--bind", "loopback", "--port", str(port)]


def owner_of(user: str | None) -> int:
    """Return the user id of an image's `User`: who has to be able to read the configuration."""
    name = (user or "").partition(":")[0]
    if name in ("", "root"):
        return 0
    return int(name) if name.isdigit() else NODE_USER


def archive(config: Mapping[str, Any], owner: int, more: Mapping[str, bytes] = MappingProxyType({})) -> bytes:
    """Return the tar that is unpacked into the state's folder, whose files their owner alone can read.

    Args:
        more: content by name, of files beside the configuration.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in {CONFIG_FILE: json.dumps(config, indent=1).encode(), **more}.items():
            file = tarfile.TarInfo(name)
            file.size, file.mode, file.uid, file.gid = len(content), 0o600, owner, owner
            tar.addfile(file, io.BytesIO(content))
    return packed.getvalue()
