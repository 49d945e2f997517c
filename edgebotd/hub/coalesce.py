"""At most so many chat-delta frames a second per run (CHANNEL C15). Sans-IO: the hub owns the clock and the timer."""

from __future__ import annotations

from edgebotd.events import ChatDelta, Event
from edgebotd.hub.delta import merged


class _Run:
    __slots__ = ("held", "quiet_until")

    def __init__(self, quiet_until: float) -> None:
        self.held: ChatDelta | None = None
        self.quiet_until = quiet_until


class Coalescer:
    """Holds back deltas that come too soon after the last one of their run, and merges them meanwhile.

    Bounded by itself: one held delta per run whose last frame is younger than one interval; a held delta grows by
    what its run says within one interval.

    Args:
        frames_per_second: per run.
    """

    def __init__(self, frames_per_second: float) -> None:
        self._interval = 1.0 / frames_per_second
        self._runs: dict[tuple[str, str], _Run] = {}

    @property
    def next_due(self) -> float | None:
        """When `due` has something to say next, on the caller's clock."""
        return min((run.quiet_until for run in self._runs.values()), default=None)

    def offer(self, delta: ChatDelta, now: float) -> list[ChatDelta]:
        """Take a delta; return what must leave now, in order."""
        key = (delta.bot_id, delta.run_id)
        run = self._runs.get(key)
        if run is None or run.quiet_until <= now:
            leaving = [delta] if run is None or run.held is None else [run.held, delta]
            self._runs[key] = _Run(now + self._interval)
            return leaving
        if run.held is None:
            run.held = delta
            return []
        both = merged(run.held, delta)
        if both is not None:
            run.held = both
            return []
        # The text has a hole or cuts a character in two: rare, and being exact comes before the rate.
        leaving = [run.held]
        run.held = delta
        return leaving

    def due(self, now: float) -> list[ChatDelta]:
        """Return the held deltas whose time has come, and forget runs that have been quiet."""
        leaving = []
        for key, run in list(self._runs.items()):
            if run.quiet_until > now:
                continue
            if run.held is None:
                del self._runs[key]
            else:
                leaving.append(run.held)
                self._runs[key] = _Run(now + self._interval)
        return leaving

    def before(self, event: Event) -> list[ChatDelta]:
        """Return the held deltas that must leave before this other event of their run or conversation."""
        if not self._runs:
            return []
        bot_id = getattr(event, "bot_id", None)
        run_id = getattr(event, "run_id", None)
        conversation_id = getattr(event, "conversation_id", None)
        leaving = []
        for (held_bot, held_run), run in self._runs.items():
            held = run.held
            if held is None or held_bot != bot_id:
                continue
            if held_run == run_id or held.conversation_id == conversation_id:
                leaving.append(held)
                run.held = None
        return leaving
