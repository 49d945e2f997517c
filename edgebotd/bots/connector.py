"""What a bot's connection can do, whatever its wire format: the `Connector` protocol and the words that go with it.

A connector knows one bot and its peer (a gateway, a model's endpoint, the built-in script). It never touches the store
or the hub: it delivers the vocabulary of `protocol.run` and is asked for history. The registry owns the task that runs
it and decides when to try again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from edgebotd.errors import EdgebotdError
from edgebotd.protocol.run import History, RunEvent, SessionSeen


class Trouble(Enum):
    """What kind of trouble a connection, or one request on it, has."""

    RESTARTING = "restarting"
    """The peer starts, restarts or drains: it will be back soon."""
    UNAVAILABLE = "unavailable"
    """The peer is there but cannot do this just now (busy, rate limit)."""
    REFUSED = "refused"
    """Nothing answers at the address."""
    LOST = "lost"
    """The connection broke, or there is none."""
    NEEDS_PAIRING = "needs_pairing"
    BAD_CREDENTIALS = "bad_credentials"
    NO_RIGHTS = "no_rights"
    PROTOCOL_MISMATCH = "protocol_mismatch"
    CONFIGURATION = "configuration"
    """What we were told about the peer cannot be right: URL, agent, model, key file."""
    REJECTED = "rejected"
    """The peer understood this one request and says no; the same request will not work later."""

    @property
    def needs_person(self) -> bool:
        """Whether trying again is useless until somebody changed something."""
        return self in _NEEDS_PERSON

    @property
    def passing(self) -> bool:
        """Whether the same request may work later."""
        return self in _PASSING


_NEEDS_PERSON: Final = frozenset(
    {
        Trouble.NEEDS_PAIRING,
        Trouble.BAD_CREDENTIALS,
        Trouble.NO_RIGHTS,
        Trouble.PROTOCOL_MISMATCH,
        Trouble.CONFIGURATION,
    }
)
_PASSING: Final = frozenset({Trouble.RESTARTING, Trouble.UNAVAILABLE, Trouble.REFUSED, Trouble.LOST})


class ConnectorError(EdgebotdError):
    """A connection, or one request on it, failed in a way that is expected of peers.

    Args:
        trouble: what kind; decides whether and when to try again.
        detail: for a person: what happened and what to do. Holds no secret.
        reason: stable snake_case word for programs; the trouble's own when left out.
        retry_after: seconds after which the peer asks to be tried again.
        extra: what a person needs to mend it, such as `requestId` and `command` of a pairing. No secret.
    """

    def __init__(
        self,
        trouble: Trouble,
        detail: str,
        *,
        reason: str | None = None,
        retry_after: float | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.trouble = trouble
        self.detail = detail
        self.reason = reason or trouble.value
        self.retry_after = retry_after
        self.extra = dict(extra or {})

    @property
    def needs_person(self) -> bool:
        """Whether trying again is useless until somebody changed something."""
        return self.trouble.needs_person


class Feature:
    """Words of `Hello.features`. A feature that is missing is degraded, never an error."""

    CHAT: Final = "chat"
    ABORT: Final = "abort"
    INTERRUPT: Final = "interrupt"
    """A turn with `interrupt` stops the running one by itself."""
    HISTORY: Final = "history"
    """`history()` tells stored messages; without it, it tells only what runs now."""
    SESSIONS: Final = "sessions"
    ATTACHMENTS: Final = "attachments"
    TOOLS: Final = "tools"
    CONTEXT: Final = "context"
    """The peer has no memory: `Outgoing.context` must hold the earlier messages."""


@dataclass(frozen=True, slots=True)
class AttachmentLimits:
    """What a peer takes. Sizes in bytes of the file; `media_types` None: any, else exact types or `image/*`.

    `max_total_bytes` is for all files of one message together; None where only each one counts.
    """

    max_bytes: int
    max_image_bytes: int | None = None
    media_types: frozenset[str] | None = None
    max_total_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """What a peer said of itself when the connection became usable.

    Attributes:
        version: the peer's version, in its own words.
        features: words of `Feature`.
        attachments: None where the peer takes none.
        boot_id: changes with each start of the peer; None where it does not tell.
        missing: what is degraded, one sentence each, for a person.
    """

    version: str
    features: frozenset[str]
    attachments: AttachmentLimits | None = None
    boot_id: str | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutgoingFile:
    """A file that goes with a message. Not in the repr: the data."""

    name: str
    media_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ContextMessage:
    """An earlier message of the conversation, for peers without memory; role is user or assistant."""

    role: str
    text: str
    attachments: tuple[OutgoingFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One turn on its way to the peer. `run_id` is the peer's idempotency key: the same one twice runs once."""

    run_id: str
    conversation_id: str
    session_key: str
    text: str
    attachments: tuple[OutgoingFile, ...] = ()
    interrupt: bool = False
    context: tuple[ContextMessage, ...] = ()


class Accepted(Enum):
    """What the peer says to a turn."""

    STARTED = "started"
    RUNNING = "running"
    """It had this run already, and works on it."""
    ENDED = "ended"
    """It had this run already, and it is over; its messages are in the history."""


Deliver = Callable[[RunEvent], Awaitable[None]]


class HelloStatus(Protocol):
    """Takes the hello when the connection is usable; `trio.TaskStatus` is one (mypy does not find it in trio)."""

    def started(self, value: Hello, /) -> None: ...


class Connector(Protocol):
    """The connection to one bot. Made once per bot and configuration, used for many sessions, one at a time."""

    async def run_session(self, deliver: Deliver, *, task_status: HelloStatus) -> None:
        """Hold one connection: connect, say `task_status.started(hello)` when it is usable, deliver until it ends.

        Events are delivered one after the other, in the order in which they happened. `started` comes before the first
        delivery. Deltas of runs that were already going come as they are; what was missed is asked with `history`.

        Ownership: the caller's task; every task it needs ends before it does.

        Raises:
            ConnectorError: always, in the end: before `started` it says why there is no connection, after it why it
                ended.
        """

    async def send(self, turn: Outgoing) -> Accepted:
        """Send a turn; return once the peer has accepted it. Events may be delivered before this returns.

        Safe to repeat with the same `run_id`. Has a timeout of its own.

        Raises:
            ConnectorError: not accepted, or not known whether: where `trouble.passing`, the same may be sent again
                (after a reconnect for LOST); REJECTED ends the run.
        """

    async def abort(self, session_key: str, run_id: str) -> bool:
        """Ask for the run's end, which comes as `RunEnded`; False where the peer knows of no such run.

        Raises:
            ConnectorError: not known whether it will end.
        """

    async def history(self, session_key: str) -> History:
        """Return the peer's account of a session; an unknown session is an empty one.

        Raises:
            ConnectorError: there is no connection, or the peer did not answer.
        """

    async def sessions(self, since_at: int | None) -> list[SessionSeen]:
        """Return the sessions touched since then (Unix milliseconds; None: all), newest first.

        Raises:
            ConnectorError: as `history`.
        """
