"""Images that bots show from elsewhere: fetched here when a person asks for one, so that no browser is sent there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from edgebotd.access import Principal
from edgebotd.errors import Problem
from edgebotd.outgoing import Outgoing, Refused

MAX_BYTES: Final = 8 * 2**20
AT_ONCE: Final = 4
"""Images that are fetched for one user at the same time. The full case: 429, and the person may click again."""
ACCEPT: Final = "image/avif,image/webp,image/png,image/jpeg,image/gif"

_BEGINNINGS: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


@dataclass(frozen=True)
class Image:
    """An image, of a type that no script can be in."""

    data: bytes = field(repr=False)
    media_type: str


class RemoteImages:
    """Fetches images, for as many at a time as is fair."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._busy: Counter[str] = Counter()

    async def fetch(self, principal: Principal, url: str) -> Image:
        """Return the image at an address.

        Raises:
            Problem: 429 too many at once; what `Outgoing.get` says; 502 it is no image that is shown.
        """
        with self._place(principal.user_id):
            data = await self._outgoing.get(url, accept=ACCEPT, most=MAX_BYTES)
        media_type = media_type_of(data)
        if media_type is None:
            detail = "What is there is no image that can be shown here (PNG, JPEG, GIF, WebP, AVIF)."
            raise Refused(502, "not_an_image", detail)
        return Image(data, media_type)

    @contextmanager
    def _place(self, user_id: str) -> Iterator[None]:
        if self._busy[user_id] >= AT_ONCE:
            detail = f"{AT_ONCE} images are being fetched for you already. Try again when one is there."
            raise Problem(429, "too_many_images", detail, headers={"Retry-After": "2"})
        self._busy[user_id] += 1
        try:
            yield
        finally:
            self._busy[user_id] -= 1
            if not self._busy[user_id]:
                del self._busy[user_id]


def media_type_of(data: bytes) -> str | None:
    """Return the type of an image by how it begins, whatever its server calls it; None for all else, SVG included."""
    for beginning, media_type in _BEGINNINGS.items():
        if data.startswith(beginning):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        # ISO/IEC 14496-12: length, `ftyp`, the major brand, its version, the brands that it is compatible with.
        brands = data[8 : min(int.from_bytes(data[:4]), 256)]
        if {brands[at : at + 4] for at in range(0, len(brands), 4) if at != 4} & {b"avif", b"avis"}:
            return "image/avif"
    return None
