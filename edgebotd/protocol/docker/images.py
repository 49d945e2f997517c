"""Image references, and the progress of a pull."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from typing_extensions import override

from edgebotd.protocol.fields import integer, mapping, string, words

# https://pkg.go.dev/github.com/distribution/reference: host[:port]/path[:tag][@digest].
_HOST: Final = (
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]{1,5})?/)"
)
_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE: Final = re.compile(
    rf"(?P<name>{_HOST}?{_PART}(?:/{_PART})*)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?"
)


class BadReference(ValueError):
    """Not a reference of an image that can be pulled."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's name, tag and digest. str() is what an engine takes."""

    name: str
    tag: str | None = None
    digest: str | None = None

    @override
    def __str__(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        return f"{self.name}{tag}" if self.digest is None else f"{self.name}{tag}@{self.digest}"

    @property
    def pinned(self) -> str:
        """The reference by digest alone, which cannot change its meaning; without a digest the tag's."""
        return str(self) if self.digest is None else f"{self.name}@{self.digest}"


def parse_reference(text: str) -> Reference:
    """Read a reference; one without tag and digest means `latest`.

    Raises:
        BadReference: it is of no such form, begins with `-` (an option to a command), or is a bare id.
    """
    match = _REFERENCE.fullmatch(text) if len(text) <= 512 else None
    if match is None or re.fullmatch(r"[0-9a-f]{64}", text):
        raise BadReference("An image is named like registry.example/name:tag, or by name@sha256:digest.")
    tag, digest = match["tag"], match["digest"]
    return Reference(match["name"], "latest" if tag is None and digest is None else tag, digest)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull is. `bytes_total` grows while layers are found; None until one is known."""

    bytes_done: int = 0
    bytes_total: int | None = None
    layers_done: int = 0
    layers: int = 0


class Pull:
    """Sums the layers of one pull. The engine tells of each layer by its own id, often at its end only."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int, bool]] = {}
        self.error: str | None = None
        self.digest: str | None = None

    @property
    def progress(self) -> Progress:
        """How far it is now."""
        layers = self._layers.values()
        total = sum(layer[1] for layer in layers)
        return Progress(
            sum(layer[0] for layer in layers), total or None, sum(layer[2] for layer in layers), len(layers)
        )

    def feed(self, line: Mapping[str, Any]) -> None:
        """Take one line of the answer. A line with `error` is the only sign of a failure once the answer has begun."""
        if (error := words(line.get("error")) or words(mapping(line.get("errorDetail")).get("message"))) is not None:
            self.error = error
            return
        status, layer = string(line.get("status")) or "", string(line.get("id"))
        if status.startswith("Digest: sha256:"):
            self.digest = status.removeprefix("Digest: ").strip()
        if layer is None or status.startswith("Pulling from"):
            return
        done, total, complete = self._layers.get(layer, (0, 0, False))
        detail = mapping(line.get("progressDetail"))
        current, known = integer(detail.get("current")), integer(detail.get("total"))
        if status == "Downloading" and current is not None:
            # Of the same layer two totals are told that differ by some bytes.
            done, total = max(done, current), max(total, known or 0, current)
        elif status in ("Download complete", "Verifying Checksum", "Extracting"):
            total = max(total, known or 0)
            done = total
        elif status in ("Pull complete", "Already exists"):
            done, complete = total, True
        self._layers[layer] = (done, total, complete)
