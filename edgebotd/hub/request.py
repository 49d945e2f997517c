"""What a subscriber asks for, and what people can ask about a stream."""

from __future__ import annotations

from dataclasses import dataclass

from edgebotd.access import AccessClass, Principal
from edgebotd.errors import EdgebotdError, Problem


class HubFull(Problem):
    """Too many events wait for a commit: the disk does not keep up. Nothing was published; the publisher may retry."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "hub_full",
            "Too many events wait for the disk. Try again in a few seconds.",
            headers={"Retry-After": "5"},
        )


class HubClosed(EdgebotdError):
    """The hub has ended: the daemon is stopping."""


@dataclass(frozen=True)
class StreamRequest:
    """One subscription as asked for.

    Attributes:
        cursor: the client's last event id as it came, None or empty for none.
        bots, types: what it narrows itself to (CHANNEL C16), None for no narrowing.
        address: of the peer, for people.
    """

    principal: Principal
    cursor: str | None = None
    bots: frozenset[str] | None = None
    types: frozenset[str] | None = None
    address: str = ""


def narrowed(access: AccessClass, bots: frozenset[str] | None) -> AccessClass:
    """Return the class as `?bot=` narrows it: those bots only, and of system-wide events what concerns them."""
    if bots is None:
        return access
    views = frozenset(bot_id for bot_id in bots if access.sees(bot_id))
    operated = frozenset(bot_id for bot_id in bots if access.operates(bot_id))
    return AccessClass(access.user_id, views=views, operated=operated)


@dataclass(frozen=True)
class ConnectionInfo:
    """One open stream, as `GET /api/connections` explains it (CHANNEL C17).

    Attributes:
        since_at: Unix milliseconds.
        queued_bytes: what waits for it in the daemon; the kernel's buffers come on top.
        state: live, replaying, or the reason for which it is being ended.
        transport: handed-over (the hub's own socket) or ordinary (TLS, HTTP/2).
    """

    stream_id: str
    user_id: str
    address: str
    since_at: int
    queued_bytes: int
    verdict: str
    state: str
    transport: str
    bots: tuple[str, ...] | None
    types: tuple[str, ...] | None


@dataclass(frozen=True)
class PollAnswer:
    """What a poll gets (CHANNEL section 5): `events` are JSON objects, in order."""

    verdict: str
    reason: str | None
    cursor: str
    events: tuple[str, ...]

    def to_json(self) -> str:
        """Return the answer's body."""
        reason = "" if self.reason is None else f'"reason":"{self.reason}",'
        return f'{{"verdict":"{self.verdict}",{reason}"cursor":"{self.cursor}","events":[{",".join(self.events)}]}}'
