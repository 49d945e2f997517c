"""What every table of the file is built from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, SecretStr

Contradiction = tuple[str | tuple[str | int, ...], str]
"""A key, or a path to what is in it, and what is wrong with it beside the others."""


class Section(BaseModel):
    """A table of the file: closed, immutable; errors never show the value, which may be a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield what is wrong between keys of this section that are each right on their own."""
        yield from ()

    def wrong_secrets(self) -> Iterator[Contradiction]:
        """Yield what is wrong with secrets once they are read, whichever way they came. Must not show them."""
        yield from ()


def secrets_of(model: type[Section]) -> list[str]:
    """Return the keys of a table that hold a secret, each of which may be given in three ways."""
    return [n for n, info in model.model_fields.items() if SecretStr in (info.annotation, *get_args(info.annotation))]


def inner_section(annotation: Any) -> tuple[type[Section] | None, type | None]:
    """Return which table a key of a table is, None for a value.

    Returns:
        its model, and what holds several of them: a dict by id, or a tuple; None where it is one.
    """
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, None
    found = next((p for p in get_args(annotation) if isinstance(p, type) and issubclass(p, Section)), None)
    holder = get_origin(annotation)
    return found, holder if holder in (dict, tuple) else None
