"""Whose messages wait for work on their container that an earlier life of the daemon has begun.

The store alone tells, before the bots are opened: one that connects faster than its work is resumed would send.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edgebotd.docker import lifecycle, recreate, removal, upgrade
from edgebotd.docker.operations import WAITING
from edgebotd.store import operations as rows
from edgebotd.store.database import Database
from edgebotd.store.operations import Operation

_DOWN: Final = frozenset({WAITING, "drain", "stop"})
_HELD: Final[Mapping[str, tuple[Callable[[str], bool], str]]] = {
    "stop": (_DOWN.__contains__, lifecycle.held_for("stop")),
    "restart": (_DOWN.__contains__, lifecycle.held_for("restart")),
    recreate.KIND: (frozenset({"swap", "healthy", "hello", "settle"}).__contains__, recreate.HELD),
    removal.KIND: (frozenset({"stop", "container", "volumes", "bot"}).__contains__, removal.HELD),
    upgrade.KIND: (lambda step: step not in upgrade.QUIET, upgrade.HELD),
}
"""By kind: in which steps they wait, and why. The work itself lets them go, at its end or where it is undone."""


async def held_bots(database: Database) -> dict[str, str]:
    """Return them, with the reason."""
    found = ((one.bot_id, _reason(one)) for one in await database.read(rows.open_operations))
    return {bot_id: reason for bot_id, reason in found if reason is not None}


def _reason(operation: Operation) -> str | None:
    waits, reason = _HELD.get(operation.kind, (lambda step: False, ""))
    return reason if waits(operation.step) else None
