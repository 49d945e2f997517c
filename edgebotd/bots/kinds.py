"""The kinds of bots: what each needs to be told, and how its connector is made."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from edgebotd.bots.connector import Connector
from edgebotd.bots.echo import EchoConnector, EchoPeer
from edgebotd.config import BotSettings
from edgebotd.errors import Invalid

SCHEMES: Final[Mapping[str, tuple[str, ...]]] = {"openclaw": ("ws", "wss"), "openai": ("http", "https"), "echo": ()}


@dataclass(frozen=True)
class Wanted:
    """All that a connector is made of. `options` are the kind's own settings: url, agent_id, model, ..."""

    bot_id: str
    kind: str
    options: Mapping[str, Any]
    token: SecretStr | None
    directory: Callable[[], Path] = field(repr=False)
    """The bot's own directory for keys."""
    now: Callable[[], int] = field(repr=False)
    rng: random.Random = field(repr=False)


MakeConnector = Callable[[Wanted], Connector]


def make_connector(wanted: Wanted) -> Connector:
    """Make the connector of a bot; connects nothing yet.

    Raises:
        ConnectorError: CONFIGURATION, such as a key file that cannot be read.
    """
    options = wanted.options
    if wanted.kind == "echo":
        return EchoConnector(EchoPeer(options.get("pace_ms", 30) / 1000, wanted.now))
    if wanted.kind == "openai":
        # Imported only where they are used: both bring a protocol stack along.
        from edgebotd.bots.openai import OpenAIConnector

        return OpenAIConnector(
            str(options["url"]),
            str(options["model"]),
            api_key=wanted.token,
            system_prompt=options.get("system_prompt"),
        )
    from edgebotd.bots.openclaw import OpenClawConnector

    return OpenClawConnector(
        wanted.bot_id,
        str(options["url"]),
        wanted.token,
        agent_id=str(options.get("agent_id", "main")),
        device_key_path=wanted.directory() / "device.key" if options.get("device", True) else None,
    )


def options_of(settings: BotSettings) -> dict[str, Any]:
    """Return the kind's options of a bot in the settings file, without its secrets."""
    return options(
        settings.kind,
        url=settings.url,
        agent_id=settings.agent_id,
        model=settings.model,
        system_prompt=settings.system_prompt,
        device=settings.device,
        pace_ms=settings.pace_ms,
    )


def options(kind: str, **values: Any) -> dict[str, Any]:
    """Return those of the values that mean something for the kind, checked.

    Raises:
        Invalid: a value that is missing or wrong, in words.
    """
    takes = {
        "openclaw": ("url", "agent_id", "device"),
        "openai": ("url", "model", "system_prompt"),
        "echo": ("pace_ms",),
    }[kind]
    chosen = {name: values[name] for name in takes if values.get(name) is not None}
    if SCHEMES[kind]:
        if "url" not in chosen:
            raise Invalid(f"A bot of kind {kind} needs a URL, such as {_example(kind)}.", code="bad_url")
        chosen["url"] = checked_url(kind, chosen["url"])
    if kind == "openai" and "model" not in chosen:
        raise Invalid("A bot of kind openai needs the name of a model.", code="model_missing")
    return chosen


def checked_url(kind: str, url: str) -> str:
    """Return the URL, if a bot of this kind may have it.

    Raises:
        Invalid: another scheme, no host, or a secret in it.
    """
    try:
        parts = urlsplit(url.strip())
        bad = parts.scheme not in SCHEMES[kind] or not parts.hostname or parts.port == 0
    except ValueError:
        bad = True
    if bad or any(c.isspace() or not c.isprintable() for c in url.strip()):
        words = " or ".join(f"{scheme}://" for scheme in SCHEMES[kind])
        raise Invalid(f"The URL must begin with {words} and name a host, such as {_example(kind)}.", code="bad_url")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise Invalid("The URL must hold no user, password, token or query. Give the token apart.", code="bad_url")
    return url.strip()


def _example(kind: str) -> str:
    return "ws://127.0.0.1:18789" if kind == "openclaw" else "http://127.0.0.1:11434/v1"
