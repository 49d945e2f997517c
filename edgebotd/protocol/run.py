"""The vocabulary of a bot's runs: what every connector tells, whatever its wire format.

A run is one turn of a conversation (CHANNEL section 5). Connectors yield these values in the order in which they
happened; `bots.registry` turns them into stored messages and published events. Pure data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Activity(Enum):
    """What a run is doing."""

    STARTED = "started"
    THINKING = "thinking"
    STREAMING = "streaming"
    TOOL = "tool"
    RETRYING = "retrying"


class Outcome(Enum):
    """How a run ended. `MERGED`: its message was answered inside another run, so it has no reply of its own."""

    FINISHED = "finished"
    ABORTED = "aborted"
    FAILED = "failed"
    MERGED = "merged"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run changed what it does. `detail` is for a person (tool name, retry reason), never a secret."""

    run_id: str
    session_key: str
    activity: Activity
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class RunDelta:
    """New text of a streaming reply.

    `offset` counts UTF-16 code units of the reply so far; an offset below the reader's length cuts there first.
    """

    run_id: str
    session_key: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolActivity:
    """A tool call of a run: `phase` is start, update or result. Values are JSON."""

    run_id: str
    session_key: str
    tool_call_id: str
    name: str
    phase: str
    arguments: Any = None
    result: Any = None
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class RunEnding:
    """The run's work is over but its final message has not come; settle from history after a grace period."""

    run_id: str
    session_key: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The one end of a run; whatever comes later for it is ignored.

    `text` is the whole reply as far as it came (None: unknown, keep what was streamed), `truncated` says that there
    is more in the peer's history: text that was cut, or files. `error` is for a person.
    """

    run_id: str
    session_key: str
    outcome: Outcome
    text: str | None = None
    error: str | None = None
    error_kind: str | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class PastMessage:
    """One message as the peer's history tells it: a user message, or all assistant and tool rows of one run folded.

    `parts` as in `events.Part` (camelCase dicts with a `type`), and `file` for what `bots.incoming` has to fetch.
    `run_id` is None where history does not tell.
    `key` identifies the message in the peer's history for ever (its row id).
    """

    key: str
    role: str
    session_key: str
    parts: tuple[dict[str, Any], ...]
    run_id: str | None = None
    created_at: int | None = None
    outcome: Outcome = Outcome.FINISHED
    truncated: bool = False
    internal: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """The peer's own account of a session, oldest first, and what runs in it now."""

    session_key: str
    messages: tuple[PastMessage, ...] = ()
    active_run_ids: frozenset[str] = frozenset()
    in_flight_run_id: str | None = None
    in_flight_text: str = ""
    complete: bool = True


@dataclass(frozen=True, slots=True)
class SessionSeen:
    """A session of the peer that may hold messages we have not: `updated_at` in Unix milliseconds."""

    session_key: str
    updated_at: int | None = None
    title: str | None = None
    source: str | None = None
    active_run_ids: frozenset[str] = field(default_factory=frozenset)


RunEvent = RunStatus | RunDelta | ToolActivity | RunEnding | RunEnded | PastMessage | SessionSeen


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of an attempt to connect to a gateway.

    Attributes:
        connected: there was a hello with the rights that are needed.
        reason: a stable word where not: needs_pairing, bad_credentials, restarting, refused, ...
        detail: the same for a person.
        pairing_request: the gateway's id of our request to be paired, where it waits for an approval.
        version: the gateway's.
        missing: what is degraded, in words.
    """

    connected: bool
    reason: str | None = None
    detail: str | None = None
    pairing_request: str | None = None
    version: str | None = None
    missing: tuple[str, ...] = ()
