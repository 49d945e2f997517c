"""The last steps of making and adopting a bot, against a gateway and a container that are lists of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from edgebotd.docker.answers import ExecResult
from edgebotd.docker.engine import Engine
from edgebotd.docker.operations import Work
from edgebotd.docker.pairing import APPROVE, NotConnected, hello, pair
from edgebotd.errors import Problem
from edgebotd.protocol.run import Verdict
from edgebotd.store.operations import Operation
from tests.docker.house import FakeBots

REQUEST = "b0a7f2c4-0f5e-4b0d-9c55-1f1d2a3b4c5d"
ASKS = Verdict(False, "needs_pairing", "Approve it.", pairing_request=REQUEST)
CONNECTED = Verdict(True, version="2026.9.6")


@dataclass
class Commands:
    """An engine that only runs commands."""

    results: list[ExecResult]
    run_: list[list[str]] = field(default_factory=list)

    async def run(
        self, container: str, argv: Sequence[str], *, user: str | None = None, seconds: float = 60
    ) -> ExecResult:
        self.run_.append(list(argv))
        return self.results.pop(0)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def work(told: list[str]) -> Work:
    async def tell(work: Work, text: str) -> None:
        told.append(text)

    operation = Operation("op_1", "atlas", "adopt", {}, step="pair")
    return Work(operation, tell, None)  # type: ignore[arg-type]  # no step here stores anything


def engine(*results: ExecResult) -> tuple[Engine, Commands]:
    commands = Commands(list(results))
    return cast(Engine, commands), commands


async def test_a_gateway_that_starts_is_waited_for_and_then_approved(
    work: Work, told: list[str], autojump_clock: object
) -> None:
    starting = Verdict(False, "restarting", "The gateway starts.")
    by_health = Verdict(False, "container_starting", "Its container is starting.")
    bots = FakeBots(verdicts=[starting, starting, by_health, ASKS, CONNECTED])
    the_engine, commands = engine(ExecResult(0, "{}", ""))
    await pair(work, bots, the_engine, "c" * 64)
    assert commands.run_ == [[*APPROVE[0], REQUEST]]
    assert told.count("The gateway starts.") == 1 and told[-1] == "paired"
    # It has answered, and its engine's word for it only says that it was not checked yet.
    assert "Its container is starting." not in told


async def test_where_the_image_has_openclaw_in_its_path_that_is_asked(work: Work) -> None:
    bots = FakeBots(verdicts=[ASKS, CONNECTED])
    the_engine, commands = engine(ExecResult(1, "", "Error: Cannot find module '/openclaw.mjs'"), ExecResult(0, "", ""))
    await pair(work, bots, the_engine, "c" * 64)
    assert commands.run_ == [[*command, REQUEST] for command in APPROVE]


async def test_an_approval_that_fails_says_the_last_that_was_said(work: Work) -> None:
    bots = FakeBots(verdicts=[ASKS])
    the_engine, commands = engine(ExecResult(1, "", "trace\nunknown requestId"))
    with pytest.raises(Problem, match=r"could not be approved within the container c{12}: unknown requestId"):
        await pair(work, bots, the_engine, "c" * 64)
    assert len(commands.run_) == 1


async def test_an_approval_that_changed_nothing_is_not_repeated_for_ever(work: Work) -> None:
    bots = FakeBots(verdicts=[ASKS, ASKS])
    the_engine, _ = engine(ExecResult(0, "", ""))
    with pytest.raises(NotConnected, match="Approve it"):
        await pair(work, bots, the_engine, "c" * 64)


@pytest.mark.parametrize("request_id", ["--help", "a b", "", "x" * 200, "$(id)"])
async def test_a_request_that_is_no_id_becomes_no_command(work: Work, request_id: str) -> None:
    asks = Verdict(False, "needs_pairing", "Approve it.", pairing_request=request_id)
    the_engine, commands = engine()
    with pytest.raises(Problem):
        await pair(work, FakeBots(verdicts=[asks]), the_engine, "c" * 64)
    assert commands.run_ == []


async def test_what_needs_a_person_ends_it(work: Work) -> None:
    wrong = Verdict(False, "bad_credentials", "The token is wrong.")
    with pytest.raises(NotConnected, match="The token is wrong"):
        await pair(work, FakeBots(verdicts=[wrong]), engine()[0], "c" * 64)
    with pytest.raises(NotConnected, match="Approve it"):
        await pair(work, FakeBots(verdicts=[ASKS]), None, None)
    with pytest.raises(NotConnected, match="The token is wrong"):
        await hello(work, FakeBots(verdicts=[wrong]))


async def test_hello_says_who_answered_and_what_is_missing(work: Work, told: list[str], autojump_clock: object) -> None:
    gone = Verdict(False, "lost", "gone")
    greeted = Verdict(True, version="2026.9.6", missing=("It may not stop runs.",))
    await hello(work, FakeBots(verdicts=[gone, greeted]))
    assert told == ["Connected: OpenClaw 2026.9.6. It may not stop runs."]
