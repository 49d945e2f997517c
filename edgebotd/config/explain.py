"""The settings in force as a list: what each is, who said so and where. Never a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from edgebotd.config.positions import Key
from edgebotd.config.section import Section, inner_section, secrets_of
from edgebotd.config.settings import Settings
from edgebotd.config.sources import Given, Sources, dotted

Origin = Literal["default", "file", "environment", "flag"]

_WAYS: Final = ("", "_file", "_credential")
"""The endings of the keys by which a secret can be given."""

_SECRET_NAME: Final = re.compile(r"auth|key|token|secret|passw|cookie|credential|assertion", re.IGNORECASE)
"""Of headers and parameters, by what people call theirs."""


@dataclass(frozen=True)
class Explained:
    """One setting.

    Attributes:
        value: as JSON; None for a secret.
        present: whether it has a value.
        place: `edgebotd.toml:12:1`, the variable's name or the flag; None for a default.
    """

    key: str
    value: Any
    secret: bool
    present: bool
    origin: Origin
    place: str | None
    doc: str


def explain(settings: Settings) -> list[Explained]:
    """Return every setting, those of bots, providers and channels too, in the order of the settings."""
    return list(_section((), settings, settings.sources))


def _section(key: Key, section: Section, sources: Sources) -> Iterator[Explained]:
    values, secrets = section.model_dump(mode="json"), secrets_of(type(section))
    for name, info in type(section).model_fields.items():
        value, (table, holder) = getattr(section, name), inner_section(info.annotation)
        if isinstance(value, Section):
            yield from _section((*key, name), value, sources)
            continue
        if table is not None and holder is dict:
            for one, inner in value.items():
                yield from _section((*key, name, one), inner, sources)
            continue
        secret = name in secrets
        given = _given((*key, name), secret, sources)
        yield Explained(
            key=dotted((*key, name)),
            value=None if secret else _shown(name, values[name]),
            secret=secret,
            present=values[name] is not None,
            origin="default" if given is None else given.origin,
            place=None if given is None else given.place,
            # Some lead on to the settings below them.
            doc=re.sub(":$", ".", info.description or ""),
        )


def _given(key: Key, secret: bool, sources: Sources) -> Given | None:
    ways = _WAYS if secret else ("",)
    return next((sources.given[k] for way in ways if (k := (*key[:-1], f"{key[-1]}{way}")) in sources.given), None)


def _shown(name: str, value: Any) -> Any:
    """Return a value as it may be shown: some endpoints take their key in the query of the URL, or in a header."""
    if isinstance(value, dict):
        return {one: "…" if isinstance(v, str) and _SECRET_NAME.search(one) else v for one, v in value.items()}
    if not name.endswith("url") or not isinstance(value, str) or not (query := urlsplit(value).query):
        return value
    return value.replace(f"?{query}", "?…", 1)
