"""Who did what to which bot, when, from where: the acts of this floor, written with the change they tell of."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any, Final

from edgebotd.access import Kind, Principal
from edgebotd.store import audit


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, from where. `kind` is session, token, local, code or system."""

    user_id: str
    kind: str
    address: str | None = None
    credential_id: str | None = None

    @classmethod
    def of(cls, principal: Principal, address: str) -> Actor:
        """Return the actor behind a request."""
        return cls(principal.user_id, principal.kind.value, address, principal.credential_id)

    @property
    def session_id(self) -> str | None:
        """The session it acts in, if it is one."""
        return self.credential_id if self.kind == Kind.SESSION.value else None


SYSTEM: Final = Actor("system", "system")
"""The daemon itself, at start or on a clock."""


def entry(
    actor: Actor, now: int, action: str, subject: str, /, *, bot_id: str | None = None, **detail: Any
) -> audit.Entry:
    """Return the entry of an act. `detail` is JSON without a secret, under any names but `bot_id`."""
    if actor.kind == Kind.TOKEN.value and actor.credential_id is not None:
        detail["tokenId"] = actor.credential_id
    return audit.Entry(now, actor.user_id, actor.kind, action, subject, bot_id, actor.address, detail)


def record(
    conn: sqlite3.Connection,
    actor: Actor,
    now: int,
    action: str,
    subject: str,
    /,
    *,
    bot_id: str | None = None,
    **detail: Any,
) -> None:
    """Append an entry in the transaction of the change itself."""
    audit.append(conn, entry(actor, now, action, subject, bot_id=bot_id, **detail))
