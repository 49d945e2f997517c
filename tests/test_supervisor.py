"""Jobs are restarted by policy and never touch each other."""

from __future__ import annotations

import random

import trio
from trio.testing import MockClock

from edgebotd.errors import EdgebotdError
from edgebotd.events import JobStatus
from edgebotd.supervisor import BUG_RESTARTS, Job, open_supervisor


class Told:
    """Collects what the supervisor tells."""

    def __init__(self) -> None:
        self.statuses: list[JobStatus] = []

    def __call__(self, status: JobStatus) -> None:
        self.statuses.append(status)

    def states(self, job: str) -> list[str]:
        return [status.state for status in self.statuses if status.job == job]


def now() -> int:
    return 1


async def test_a_periodic_job_runs_once_each_period(autojump_clock: MockClock) -> None:
    rounds: list[float] = []

    async def run() -> None:
        rounds.append(trio.current_time())

    start = trio.current_time()
    async with open_supervisor(Told(), now=now, rng=random.Random(1)) as supervisor:
        supervisor.start(Job("beat", run, period=10))
        await trio.sleep(35)
    assert [round(at - start) for at in rounds] == [0, 10, 20, 30]


async def test_an_expected_error_is_retried_for_ever_and_its_words_are_told(autojump_clock: MockClock) -> None:
    tries = 0
    told = Told()

    async def run() -> None:
        nonlocal tries
        tries += 1
        raise EdgebotdError("the engine is away")

    async with open_supervisor(told, now=now, rng=random.Random(1)) as supervisor:
        supervisor.start(Job("docker", run, period=1))
        await trio.sleep(3600)
        (status,) = supervisor.statuses()
    assert tries > BUG_RESTARTS * 3
    assert status.state == "restarting"
    assert status.detail == "the engine is away"
    assert status.restarts == tries


async def test_a_bug_rests_after_a_bounded_number_of_restarts(autojump_clock: MockClock) -> None:
    tries = 0
    told = Told()

    async def run() -> None:
        nonlocal tries
        tries += 1
        raise KeyError("a secret might stand here")

    async with open_supervisor(told, now=now, rng=random.Random(1)) as supervisor:
        supervisor.start(Job("broken", run))
        await trio.sleep(36_000)
        (status,) = supervisor.statuses()
    assert tries == BUG_RESTARTS + 1
    assert status.state == "failed"
    assert status.detail == "bug: KeyError"


async def test_a_failing_job_leaves_the_others_running(autojump_clock: MockClock) -> None:
    good = 0

    async def run_good() -> None:
        nonlocal good
        good += 1

    async def run_bad() -> None:
        raise RuntimeError

    async with open_supervisor(Told(), now=now, rng=random.Random(1)) as supervisor:
        supervisor.start(Job("bad", run_bad, period=1))
        supervisor.start(Job("good", run_good, period=1))
        await trio.sleep(1000.5)
    assert good == 1001


async def test_a_job_that_returns_is_stopped(autojump_clock: MockClock) -> None:
    told = Told()

    async def run() -> None:
        return

    async with open_supervisor(told, now=now, rng=random.Random(1)) as supervisor:
        supervisor.start(Job("once", run))
        await trio.sleep(1)
    assert told.states("once") == ["running", "stopped"]
