"""Background jobs: one task and one cancel scope each, restarted by policy, their health told.

A job that fails touches no other and never the daemon. An error that the program expects (`EdgebotdError`,
`OSError`) is the job's own affair: logged in one line and retried with full-jitter backoff for ever. Anything else is a
bug: logged whole and restarted a bounded number of times, then the job rests as `failed` until the daemon's next start.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal

import trio

from edgebotd.errors import EdgebotdError
from edgebotd.events import JobStatus
from edgebotd.protocol.backoff import Backoff

log = logging.getLogger(__name__)

BUG_RESTARTS: Final = 5
"""A bug that shows five times is not going to go away by itself."""
BACKOFF_BASE: Final = 1.0
BACKOFF_CAP: Final = 60.0
STABLE_SECONDS: Final = 300.0
"""A job that ran this long counts as mended: both counts start anew."""

State = Literal["running", "waiting", "restarting", "failed", "stopped"]


@dataclass(frozen=True)
class Job:
    """What runs on a clock.

    `run` does one round and returns; `period` is the pause between two rounds in seconds. None: `run` goes on by itself
    until cancelled, and its return counts as the job's end.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    period: float | None = None


class Supervisor:
    """Starts jobs in its own nursery and knows how they are. Made by `open_supervisor`."""

    def __init__(
        self, nursery: trio.Nursery, tell: Callable[[JobStatus], None], now: Callable[[], int], rng: random.Random
    ) -> None:
        self._nursery = nursery
        self._tell = tell
        self._now = now
        self._rng = rng
        self._statuses: dict[str, JobStatus] = {}

    def start(self, job: Job) -> None:
        """Run a job from now on. Ownership: the supervisor's nursery, until it closes."""
        if job.name in self._statuses:
            raise ValueError(f"a job named {job.name!r} runs already")
        self._set(JobStatus(job=job.name, state="running", at=self._now()))
        self._nursery.start_soon(self._supervise, job, name=f"job {job.name}")

    def statuses(self) -> tuple[JobStatus, ...]:
        """Return each job's health, by name."""
        return tuple(self._statuses[name] for name in sorted(self._statuses))

    def _set(self, status: JobStatus) -> None:
        self._statuses[status.job] = status
        self._tell(status)

    def _change(self, name: str, state: State, detail: str | None = None, *, restarted: bool = False) -> None:
        old = self._statuses[name]
        if old.state == state and old.detail == detail and not restarted:
            return
        self._set(
            old.model_copy(
                update={
                    "state": state,
                    "detail": detail,
                    "restarts": old.restarts + restarted,
                    "at": self._now(),
                }
            )
        )

    async def _supervise(self, job: Job) -> None:
        bugs = 0
        backoff = Backoff(BACKOFF_BASE, BACKOFF_CAP, self._rng)
        while True:
            started = trio.current_time()
            try:
                await self._rounds(job)
            except (EdgebotdError, OSError) as exc:
                detail = str(exc)
                log.warning("job %s: %s", job.name, exc)
            except Exception as exc:
                detail = f"bug: {type(exc).__name__}"
                log.exception("job %s failed unexpectedly", job.name)
                bugs += 1
            else:
                self._change(job.name, "stopped")
                return
            if trio.current_time() - started >= STABLE_SECONDS:
                backoff.reset()
                bugs = min(bugs, 1)
            if bugs > BUG_RESTARTS:
                log.error("job %s has failed %d times; it rests until the daemon restarts", job.name, bugs)
                self._change(job.name, "failed", detail)
                return
            self._change(job.name, "restarting", detail, restarted=True)
            await trio.sleep(backoff.next())

    async def _rounds(self, job: Job) -> None:
        """Run the job's rounds until it ends or raises; its state is told on the way."""
        self._change(job.name, "running")
        if job.period is None:
            await job.run()
            return
        while True:
            await job.run()
            # From the second round on, "waiting" says that the last one went well.
            self._change(job.name, "waiting")
            await trio.sleep(job.period)


@asynccontextmanager
async def open_supervisor(
    tell: Callable[[JobStatus], None], *, now: Callable[[], int], rng: random.Random
) -> AsyncIterator[Supervisor]:
    """Open the jobs' nursery; leaving cancels every job.

    Args:
        tell: called with each change of a job's health, synchronously (the hub's publish).
        now: wall clock in Unix milliseconds.
        rng: source of the jitter.
    """
    async with trio.open_nursery() as nursery:
        yield Supervisor(nursery, tell, now, rng)
        nursery.cancel_scope.cancel()
