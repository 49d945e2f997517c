"""What the hub counts, as plain numbers that `/metrics` reads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Counters:
    """Totals since the start. `opened` and `closed` are by verdict and by reason."""

    published: int = 0
    """Events accepted from publishers and transactions."""
    released: int = 0
    """Events that became visible; fewer than published where deltas merged."""
    encoded: int = 0
    """Calls of the encoder."""
    frames: int = 0
    """Event frames handed to streams, counted once per stream."""
    sends: int = 0
    """Batches handed to streams: system calls on the fast path."""
    heartbeats: int = 0
    stalls: int = 0
    """How often a socket was full."""
    commits_failed: int = 0
    """Events lost because their own transaction failed."""
    opened: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """Newcomers over a cap, by which."""

    def encode(self) -> None:
        """Count one call of the encoder."""
        self.encoded += 1
