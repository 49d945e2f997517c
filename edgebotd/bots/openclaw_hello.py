"""What an OpenClaw gateway's hello means here: what works on the connection, and what is missing, in words."""

from __future__ import annotations

from typing import Final

from edgebotd.bots.connector import AttachmentLimits, Feature, Hello
from edgebotd.protocol import openclaw

FRAME_SLACK: Final = 256 * 1024
"""What of a frame is not files."""

MISSING: Final = {
    openclaw.APPROVALS: "The gateway did not grant operator.approvals: approvals are not shown or decided here.",
    openclaw.ADMIN: "The gateway did not grant operator.admin: it cannot be administrated from here.",
}
TOKEN_REFUSED: Final = "The gateway refuses the token that is set; the paired device's own is used. Set the new one."
UNSUBSCRIBED: Final = "The gateway does not tell of messages from elsewhere while they happen."


def hello_of(hello: openclaw.Hello, missing: list[str]) -> Hello:
    """Say what works on this connection, by the methods there are."""
    features = {Feature.CHAT, Feature.TOOLS, Feature.ATTACHMENTS}
    for feature, method in (
        (Feature.ABORT, "chat.abort"),
        (Feature.INTERRUPT, "chat.abort"),
        (Feature.HISTORY, "chat.history"),
        (Feature.SESSIONS, "sessions.list"),
    ):
        if hello.can(method):
            features.add(feature)
        elif feature is not Feature.INTERRUPT:
            missing.append(f"The gateway has no {method}.")
    largest = (hello.max_payload - FRAME_SLACK) * 3 // 4
    return Hello(
        version=hello.version,
        features=frozenset(features),
        attachments=AttachmentLimits(
            max_bytes=min(hello.max_attachment_bytes, largest),
            max_image_bytes=min(hello.max_image_bytes, largest),
            max_total_bytes=largest,
        ),
        boot_id=hello.boot_id,
        missing=tuple(missing),
    )
