"""The body of a request: the conversation as a list of messages, with files as content parts."""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from edgebotd.errors import EdgebotdError

IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
"""What the servers' image decoders have in common."""
TEXT_TYPES: Final = frozenset(
    {
        "text/*",
        "application/json",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/javascript",
        "application/x-sh",
        "application/sql",
    }
)
MAX_TEXT_BYTES: Final = 512 * 1024
"""Of one text file: inlined, this is more than most models can read at once."""
MAX_IMAGES_BYTES: Final = 24 * 1024 * 1024
"""Of all images of a request; those of the oldest messages are left out first. A body is built in memory, twice."""


class Unsendable(EdgebotdError):
    """Raised by `request_body`: a file of the new message cannot travel. The message is for a person."""


class File(Protocol):
    """A file of a message."""

    @property
    def name(self) -> str: ...
    @property
    def media_type(self) -> str: ...
    @property
    def data(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Content:
    """One message; role is system, user or assistant."""

    role: str
    text: str
    files: Sequence[File] = ()


def request_body(model: str, messages: Sequence[Content]) -> bytes:
    """Return the JSON of a streaming request, the last message being the one to answer.

    Neighbours of one role become one message: the chat templates of some models refuse two in a row, and a reply that
    never came leaves two questions behind.

    Raises:
        Unsendable: a file of the last message is neither image nor readable text, or a text of more than
            `MAX_TEXT_BYTES`. Files of earlier messages that cannot travel are left out.
    """
    room = MAX_IMAGES_BYTES
    sent: list[tuple[str, list[dict[str, Any]]]] = []
    for place, message in enumerate(reversed(messages)):
        parts: list[dict[str, Any]] = [{"type": "text", "text": message.text}] if message.text else []
        for file in message.files:
            try:
                part = _part(file)
                if part["type"] == "image_url":
                    if len(file.data) > room:
                        raise Unsendable(f"'{file.name}' is too much: all images together may have 24 MiB.")
                    room -= len(file.data)
            except Unsendable:
                if place == 0:
                    raise
                continue
            parts.append(part)
        if not parts:
            continue
        if sent and sent[-1][0] == message.role:
            sent[-1][1][:0] = parts
        else:
            sent.append((message.role, parts))
    body = {
        "model": model,
        "messages": [{"role": role, "content": _content(parts)} for role, parts in reversed(sent)],
        "stream": True,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def _content(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    # A plain string wherever there are only texts: servers without eyes know no lists.
    if all(part["type"] == "text" for part in parts):
        return "\n\n".join(part["text"] for part in parts)
    return parts


def _part(file: File) -> dict[str, Any]:
    media_type = file.media_type.lower()
    if media_type in IMAGE_TYPES:
        data = base64.b64encode(file.data).decode("ascii")
        return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}}
    if media_type not in TEXT_TYPES and not media_type.startswith("text/"):
        raise Unsendable(f"A model cannot read '{file.name}' ({media_type}); send a picture or a text file.")
    if len(file.data) > MAX_TEXT_BYTES:
        raise Unsendable(f"'{file.name}' is too long: a text file may have {MAX_TEXT_BYTES // 1024} KiB. Send a part.")
    return {"type": "text", "text": f"[File: {file.name}]\n{_decoded(file)}"}


def _decoded(file: File) -> str:
    utf16 = file.data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = file.data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise Unsendable(f"'{file.name}' is not readable as text (UTF-8). Convert it, or send a picture.")
    return text
