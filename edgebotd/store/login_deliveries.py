"""What bots' gateways have been given of the logins here."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one bot has.

    Attributes:
        place: the file, as it is called for people; at another one nothing has been given yet.
        given: generation by login, as the gateway has read it last.
        given_at: when that was, Unix milliseconds.
        error: why what is due has not been given, for a person.
    """

    bot_id: str
    place: str
    given: Mapping[str, int] = field(default_factory=dict)
    given_at: int | None = None
    error: str | None = None


def all_deliveries(conn: sqlite3.Connection) -> list[Delivery]:
    """Return all, by bot."""
    rows = conn.execute("SELECT bot_id, place, given, given_at, error FROM login_deliveries ORDER BY bot_id")
    return [Delivery(bot_id, place, json.loads(given), at, error) for bot_id, place, given, at, error in rows]


def put(conn: sqlite3.Connection, one: Delivery) -> None:
    """Keep one in place of what was known of its bot; of a bot that is gone nothing is kept."""
    conn.execute(
        "INSERT OR REPLACE INTO login_deliveries SELECT ?1, ?2, ?3, ?4, ?5 FROM bots WHERE id = ?1",
        (one.bot_id, one.place, json.dumps(dict(one.given), sort_keys=True), one.given_at, one.error),
    )


def forget(conn: sqlite3.Connection, bot_id: str) -> None:
    """Forget what a bot has."""
    conn.execute("DELETE FROM login_deliveries WHERE bot_id = ?", (bot_id,))
