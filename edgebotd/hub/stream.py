"""One open stream, of either kind, and the group whose bytes it shares."""

from __future__ import annotations

from typing import Final

import trio
from typing_extensions import override

from edgebotd.access import AccessClass, Principal
from edgebotd.hub.backlog import Backlog, Raw
from edgebotd.hub.entry import Audience, Watched
from edgebotd.hub.frames import Framing, Verdict

GroupKey = tuple[AccessClass, frozenset[str] | None, Watched, Framing]


class Group(Audience):
    """The streams that get the same bytes.

    Attributes:
        streams: those that are live; a dict for its order and its cheap removal.
        members: streams that belong here, live or still replaying; an empty group is dropped.
        due: when its next heartbeat is.
    """

    __slots__ = ("due", "framing", "key", "members", "streams")

    def __init__(self, key: GroupKey, due: float) -> None:
        super().__init__(key[0], key[1], key[2])
        self.key = key
        self.framing = key[3]
        self.streams: dict[Stream, None] = {}
        self.members = 0
        self.due = due


class Stream:
    """A stream whose socket belongs to the hub.

    Slots and plain values: ten thousand idle ones may take 2 kB each, all in all.

    Attributes:
        fd: the hub's own descriptor; -1 once closed.
        live: it gets what is released; before, it replays.
        deadline: clock time at which it ends by age, or at which a stream that is being ended is cut.
        ending: the reason, once it has been decided that it ends.
    """

    __slots__ = (
        "address",
        "backlog",
        "bots",
        "deadline",
        "ending",
        "fd",
        "group",
        "id",
        "live",
        "principal",
        "session_end",
        "since",
        "verdict",
    )

    def __init__(
        self,
        stream_id: str,
        principal: Principal,
        group: Group,
        *,
        fd: int,
        address: str,
        since: int,
        bots: frozenset[str] | None,
    ) -> None:
        self.id = stream_id
        self.principal = principal
        self.group = group
        self.fd = fd
        self.address = address
        self.since = since
        self.bots = bots
        self.backlog: Backlog | None = None
        self.live = False
        self.deadline = 0.0
        self.session_end = False
        self.ending: str | None = None
        self.verdict = Verdict.FRESH

    @property
    def closed(self) -> bool:
        """Whether it is gone."""
        return self.fd < 0

    @property
    def transport(self) -> str:
        """How its bytes leave, for people."""
        return "handed-over"


def is_over(stream: Stream) -> bool:
    """Whether nothing more may be sent to a stream. Asked again after each await."""
    return stream.closed or stream.ending is not None


MAILBOX_FD: Final = 0
"""In place of a descriptor: an open stream that has none."""


class MailboxStream(Stream):
    """A stream whose bytes a task of the edge sends: TLS and HTTP/2, whose sockets cannot be handed over.

    Its backlog is always there; `next_bytes` empties it.
    """

    __slots__ = ("_box", "_wake", "cut", "finished")

    def __init__(
        self,
        stream_id: str,
        principal: Principal,
        group: Group,
        *,
        address: str,
        since: int,
        bots: frozenset[str] | None,
    ) -> None:
        super().__init__(stream_id, principal, group, fd=MAILBOX_FD, address=address, since=since, bots=bots)
        self._box = Backlog()
        self.backlog = self._box
        self._wake = trio.Event()
        self.cut = trio.Event()
        """Set when the stream is closed in the middle: the task that sends for it must end, whatever it waits for."""
        self.finished = False
        """All was sent, the last frame too."""

    @property
    @override
    def transport(self) -> str:
        """How its bytes leave, for people."""
        return "ordinary"

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return self._box.rest is None and not self._box.items

    def put(self, item: Raw) -> None:
        """Queue frames whatever their size, where nothing waits."""
        self._box.items.append(item)
        self._box.size += item.size
        self.wake()

    def wake(self) -> None:
        """Tell the sending task that there is something, or that it is over."""
        self._wake.set()
        if self.closed and not self.finished:
            self.cut.set()

    async def wait(self) -> None:
        """Wait until `wake`."""
        await self._wake.wait()
        self._wake = trio.Event()
