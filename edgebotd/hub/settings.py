"""What the hub can be told, with the defaults of CHANNEL section 5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class ChannelSection(Protocol):
    """The configuration's section `channel`."""

    @property
    def heartbeat_seconds(self) -> float: ...
    @property
    def backlog_bytes(self) -> int: ...
    @property
    def max_streams(self) -> int: ...
    @property
    def max_streams_per_user(self) -> int: ...
    @property
    def max_age_seconds(self) -> float: ...
    @property
    def ring_events(self) -> int: ...
    @property
    def journal_days(self) -> float: ...
    @property
    def journal_events(self) -> int: ...
    @property
    def delta_frames_per_second(self) -> float: ...


@dataclass(frozen=True)
class HubSettings:
    """Limits and periods of the channel.

    Attributes:
        backlog_bytes: what one stream may have queued; its full case: merge, then `bye` slow and close.
        ring_events, ring_bytes: what is kept in memory for exact resumption; its full case: the oldest are dropped,
            and a client that still needs them gets the journal and a snapshot instead.
        pending_events, pending_bytes: what may wait behind a commit; its full case: `publish` raises `HubFull`,
            `transact` waits.
        linger_seconds: how long a stream that is being ended may take to read its last frames.
    """

    heartbeat_seconds: float = 15.0
    backlog_bytes: int = 1024 * 1024
    max_streams: int = 2000
    max_streams_per_user: int = 64
    max_age_seconds: float = 6 * 3600.0
    ring_events: int = 10_000
    # Few events are larger than 1.5 kB; without a bound in bytes ten thousand long messages would fill the memory.
    ring_bytes: int = 16 * 1024 * 1024
    journal_days: float = 7
    journal_events: int = 1_000_000
    delta_frames_per_second: float = 20.0
    pending_events: int = 10_000
    pending_bytes: int = 32 * 1024 * 1024
    linger_seconds: float = 5.0
    retry_ms: int = 2000

    @classmethod
    def of(cls, section: ChannelSection) -> HubSettings:
        """Return the settings that the configuration's section `channel` asks for."""
        return cls(
            heartbeat_seconds=section.heartbeat_seconds,
            backlog_bytes=section.backlog_bytes,
            max_streams=section.max_streams,
            max_streams_per_user=section.max_streams_per_user,
            max_age_seconds=section.max_age_seconds,
            ring_events=section.ring_events,
            journal_days=section.journal_days,
            journal_events=section.journal_events,
            delta_frames_per_second=section.delta_frames_per_second,
        )
