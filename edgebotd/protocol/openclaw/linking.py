"""A gateway's configuration as far as it says where the keys of its models come from: read, and what would be changed
in it so that one comes from edgebotd's file. No IO.

A gateway blots out what it tells: of a reference its id, of a source of references everything but the names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from edgebotd.protocol.fields import mapping, objects, sequence, string, words

SOURCE: Final = "edge"
"""What edgebotd's file is called in a gateway's `secrets.providers`."""
_OF_A_FILE: Final = frozenset({"source", "path", "mode", "timeoutMs", "maxBytes", "allowInsecurePath"})
_ENVIRONMENT: Final = re.compile(r"\$\{?[A-Z_][A-Z0-9_]*\}?")


class KeyFrom(Enum):
    """Where a gateway has a model provider's key from."""

    NOTHING = "nothing"
    """Its configuration says nothing of it."""
    CONFIG = "config"
    """It stands in its configuration, or the name of a login of its own does."""
    ENVIRONMENT = "environment"
    REFERENCE = "reference"
    """Some other source of secrets."""
    LINKED = "linked"
    """edgebotd's file; of which login the gateway does not say."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """What `config.get` tells.

    Attributes:
        path: where the gateway has it; in a container that is the container's.
        base_hash: of all of it as it is now. A change names it, and is refused where it is not so any more.
    """

    path: str
    base_hash: str
    whole: Mapping[str, Any]
    written: Mapping[str, Any]

    def key_from(self, provider: str) -> KeyFrom:
        """Return where the key of a provider of models comes from."""
        told = _key(self.whole, provider)
        if isinstance(told, dict):
            ours = (words(told.get("source")), words(told.get("provider"))) == ("file", SOURCE)
            return KeyFrom.LINKED if ours else KeyFrom.REFERENCE
        if told is None:
            return KeyFrom.NOTHING
        as_written = string(_key(self.written, provider)) or ""
        return KeyFrom.ENVIRONMENT if _ENVIRONMENT.fullmatch(as_written) else KeyFrom.CONFIG

    def knows(self, provider: str) -> bool:
        """Whether it has anything about a provider of models."""
        return provider in mapping(mapping(self.whole.get("models")).get("providers"))

    @property
    def source_is_taken(self) -> bool:
        """Whether somebody has given the name of edgebotd's file to something that is no file."""
        source = mapping(mapping(self.whole.get("secrets")).get("providers")).get(SOURCE)
        return source is not None and not mapping(source).keys() <= _OF_A_FILE


def parse_config(payload: Mapping[str, Any]) -> GatewayConfig | None:
    """Read the answer of `config.get`; None where it is none, or of a configuration that the gateway cannot read."""
    path, base_hash = words(payload.get("path")), words(payload.get("hash"))
    if path is None or base_hash is None or payload.get("valid") is False:
        return None
    return GatewayConfig(path, base_hash, mapping(payload.get("config")), mapping(payload.get("parsed")))


def references(file: str, logins: Mapping[str, str]) -> dict[str, Any]:
    """Return what a gateway's configuration has to say so that it reads keys from edgebotd's file.

    Args:
        file: where the gateway finds it.
        logins: by provider of models, as the gateway calls it.
    """
    return {
        "secrets": {"providers": {SOURCE: {"source": "file", "path": file, "mode": "json"}}},
        "models": {
            "providers": {
                provider: {"apiKey": {"source": "file", "provider": SOURCE, "id": f"/{profile_id}"}}
                for provider, profile_id in logins.items()
            }
        },
    }


@dataclass(frozen=True, slots=True)
class Patched:
    """What a gateway says that a change has done.

    Attributes:
        changed: anything at all; it was so already where not.
        unresolved: why the provider's key cannot be had from where it is now said to be; None where it can.
        waits: it is taken up when the gateway starts again.
    """

    changed: bool
    unresolved: str | None
    waits: bool


def parse_patched(payload: Mapping[str, Any], provider: str) -> Patched:
    """Read the answer of `config.patch`."""
    unresolved = None
    for owner in objects(payload.get("degradedSecretOwners")):
        if (words(owner.get("ownerKind")), words(owner.get("ownerId"))) == ("provider", provider):
            unresolved = words(owner.get("reason")) or "it does not say why"
    stats = mapping(mapping(mapping(payload.get("sentinel")).get("payload")).get("stats"))
    noop = payload.get("noop") is True or ("changedPaths" in payload and not sequence(payload["changedPaths"]))
    return Patched(not noop, unresolved, stats.get("requiresRestart") is True)


def _key(config: Mapping[str, Any], provider: str) -> object:
    return mapping(mapping(mapping(config.get("models")).get("providers")).get(provider)).get("apiKey")
