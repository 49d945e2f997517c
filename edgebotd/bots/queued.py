"""A turn that waits, or is on its way."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from edgebotd.bots.runs import LiveRun
from edgebotd.store.turns import Turn


@dataclass(eq=False)
class Item:
    """A turn in the queue. `run` is set once it was sent, `answered` once the peer has accepted it, `refused` while
    it is certain that the peer does not have it; `unsure` once an answer of the peer was lost.
    """

    turn: Turn
    session_key: str
    over: trio.Event
    run: LiveRun | None = None
    answered: bool = False
    aborted: bool = False
    offering: bool = False
    refused: bool = False
    unsure: bool = False
    pause: trio.CancelScope | None = None

    @property
    def unsent(self) -> bool:
        """Whether the peer cannot have it, so that it ends at once when it is stopped."""
        return self.run is None or self.refused
