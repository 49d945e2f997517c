"""What the web layer needs of the rest of the house, wired by the daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edgebotd.events import BotSummary
from edgebotd.hub.hub import Hub
from edgebotd.people.accounts import Accounts
from edgebotd.people.directory import People
from edgebotd.people.sign_in import SignIn
from edgebotd.people.tokens import Tokens
from edgebotd.store.database import Database
from edgebotd.web.metrics import Metrics


class Bots(Protocol):
    """What of `bots.registry.Registry` the people's and the system's routes need."""

    def summaries(self) -> Sequence[BotSummary]: ...
    def get(self, bot_id: str) -> object: ...


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Services:
    """Everything a route may call.

    Attributes:
        ready: whether requests can be served; false from the start of a stop on.
        health: what an administrator sees in `/api/status` besides: jobs, disk, queues. JSON values.
        started_at: of the daemon, Unix milliseconds.
        now: Unix milliseconds.
    """

    database: Database
    hub: Hub
    registry: Bots
    people: People
    accounts: Accounts
    sign_in: SignIn
    tokens: Tokens
    now: Callable[[], int]
    started_at: int
    metrics: Metrics = field(default_factory=Metrics)
    ready: Callable[[], bool] = lambda: True
    health: Callable[[], Mapping[str, Any]] = _nothing
