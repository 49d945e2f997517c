"""Files that travel with messages: checked, stored once, given back safely."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import trio

from edgebotd.bots.connector import AttachmentLimits, Feature, Hello
from edgebotd.errors import Problem
from edgebotd.events import AttachmentPart
from edgebotd.store import attachments

T = TypeVar("T")

SHOWN: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "text/plain"})
"""Types that a browser may show in the page; anything else is a download, and HTML or SVG never runs here."""


class InThread(Protocol):
    """Runs a blocking function somewhere; `trio.to_thread.run_sync`, or inline under virtual time."""

    def __call__(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]: ...


async def _in_thread(function: Callable[..., T], /, *args: Any) -> T:
    return await trio.to_thread.run_sync(function, *args)


@dataclass(frozen=True)
class Files:
    """The attachments' directory. `run` does the blocking work."""

    root: Path
    run: InThread = field(default=_in_thread)

    async def save(self, data: bytes) -> str:
        """Store a file durably and return its SHA-256.

        Raises:
            Problem: 503, the disk does not take it.
        """
        try:
            return await self.run(attachments.save, self.root, data)
        except OSError as exc:
            detail = f"The file could not be stored ({exc.strerror}). Look at the disk of the state directory."
            raise Problem(503, "storage_failed", detail) from exc

    async def load(self, sha256: str) -> bytes:
        """Return a file's bytes.

        Raises:
            Problem: 410, it is not there any more.
        """
        try:
            return await self.run(attachments.load, self.root, sha256)
        except OSError as exc:
            raise Problem(410, "attachment_gone", "The file of this attachment is not there any more.") from exc


@dataclass(frozen=True)
class Download:
    """An attachment as it may be served, with the headers that keep it harmless."""

    data: bytes = field(repr=False)
    media_type: str
    disposition: str


def check(name: str, media_type: str, size: int, hello: Hello | None, limit: int) -> None:
    """Pass a file that the bot takes, as far as it is known.

    Raises:
        Problem: 413 too large, 415 a type that the bot does not take; in words.
    """
    limits = AttachmentLimits(limit) if hello is None else hello.attachments
    if limits is None or (hello is not None and Feature.ATTACHMENTS not in hello.features):
        raise Problem(415, "attachments_refused", f"This bot takes no files, so '{name}' cannot be sent.")
    most = min(limits.max_bytes, limit)
    if media_type.startswith("image/") and limits.max_image_bytes is not None:
        most = min(most, limits.max_image_bytes)
    if size > most:
        raise Problem(
            413,
            "attachment_too_large",
            f"'{name}' has {_bytes(size)}; this bot takes {_bytes(most)} at most. Send a smaller one.",
            extra={"maxBytes": most},
        )
    if limits.media_types is not None and not _taken(media_type, limits.media_types):
        kinds = ", ".join(sorted(limits.media_types))
        raise Problem(415, "attachment_type_refused", f"This bot does not take '{name}' ({media_type}), only {kinds}.")


def total_limit(hello: Hello | None, limit: int) -> int:
    """Return how many bytes the files of one message may have together."""
    most = None if hello is None or hello.attachments is None else hello.attachments.max_total_bytes
    return limit if most is None else min(most, limit)


def check_total(sizes: Iterable[int], hello: Hello | None, limit: int) -> None:
    """Pass files that fit together: a message goes to the bot in one piece.

    Raises:
        Problem: 413 too large; in words.
    """
    total, most = sum(sizes), total_limit(hello, limit)
    if total > most:
        raise Problem(
            413,
            "attachments_too_large",
            f"The files have {_bytes(total)} together; this bot takes {_bytes(most)} at most in one message."
            " Send them in several.",
            extra={"maxTotalBytes": most},
        )


def part_of(sha256: str, name: str, media_type: str, size: int) -> AttachmentPart:
    """Return the message part of a stored file."""
    return AttachmentPart(sha256=sha256, name=safe_name(name), media_type=media_type.lower(), size=size)


def safe_name(name: str) -> str:
    """Return a file name without path, control or direction characters."""
    base = re.split(r"[/\\]", name)[-1]
    kept = "".join(c for c in base if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")).strip(" .")
    return kept[:200] or "file"


def download(data: bytes, name: str, media_type: str) -> Download:
    """Decide how a file is served: shown only where that is safe, else downloaded as plain bytes."""
    shown = media_type in SHOWN
    kind = media_type if shown else "application/octet-stream"
    if kind == "text/plain":
        kind = "text/plain; charset=utf-8"
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    encoded = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else _percent(c) for c in name)
    word = "inline" if shown else "attachment"
    return Download(data, kind, f"{word}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))


def _taken(media_type: str, kinds: frozenset[str]) -> bool:
    return media_type in kinds or f"{media_type.split('/')[0]}/*" in kinds


def _bytes(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MiB" if size >= 1024 * 1024 else f"{size} bytes"
