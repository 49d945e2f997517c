"""What every table of the file is built from."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

Contradiction = tuple[str, str]
"""A key and what is wrong with it beside the others."""


class Section(BaseModel):
    """A table of the file: closed, immutable; errors never show the value, which may be a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield what is wrong between keys of this section that are each right on their own."""
        yield from ()
