"""Files that a bot sends along: fetched from the peer when its messages are first stored, so that they outlive it."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, runtime_checkable

from edgebotd.bots.connector import Connector, ConnectorError
from edgebotd.bots.files import Files, part_of
from edgebotd.errors import Problem
from edgebotd.protocol.run import History, PastMessage
from edgebotd.store import messages
from edgebotd.store.database import Database

MOST_FILES: Final = 200
"""Files fetched for one history. What is beyond is told as an error in its message."""

Complete = Callable[[str, Connector, History], Awaitable[History]]
"""Makes a history of a bot one that can be stored."""


@runtime_checkable
class HasFiles(Protocol):
    """A connector whose messages name files: parts of type `file` with `name`, `mediaType` and `size`."""

    async def fetch_file(self, session_key: str, part: Mapping[str, Any], limit: int) -> bytes:
        """Return a file of at most `limit` bytes.

        Raises:
            ConnectorError: passing: it may work later; else it never will.
        """


class Incoming:
    """Puts what was fetched in the place of what was named.

    Args:
        limit: the largest file that is taken, in bytes.
    """

    def __init__(self, database: Database, files: Files, limit: int) -> None:
        self._database = database
        self._files = files
        self._limit = limit

    async def complete(self, bot_id: str, connector: Connector, history: History) -> History:
        """Return the history with its files stored; those of messages that are known already are not asked for.

        Raises:
            ConnectorError: the connection broke meanwhile.
        """
        named = [m for m in history.messages if any(part.get("type") == "file" for part in m.parts)]
        if not named or not isinstance(connector, HasFiles):
            return history
        known = await self._database.read(lambda conn: messages.known_external(conn, bot_id, [m.key for m in named]))
        left = MOST_FILES
        done: dict[str, PastMessage] = {}
        for message in named:
            if message.key in known:
                continue
            parts = []
            for part in message.parts:
                if part.get("type") == "file":
                    part = await self._fetched(connector, history.session_key, part, left > 0)
                    left -= 1
                parts.append(part)
            done[message.key] = dataclasses.replace(message, parts=tuple(parts))
        return dataclasses.replace(history, messages=tuple(done.get(m.key, m) for m in history.messages))

    async def _fetched(
        self, connector: HasFiles, session_key: str, part: Mapping[str, Any], wanted: bool
    ) -> dict[str, Any]:
        name, size = str(part["name"]), part.get("size")
        try:
            if not wanted:
                return _missing(name, "there were too many files at once")
            if isinstance(size, int) and size > self._limit:
                return _missing(name, f"it has {size} bytes, and {self._limit} are taken at most")
            data = await connector.fetch_file(session_key, part, self._limit)
            sha256 = await self._files.save(data)
        except ConnectorError as exc:
            if exc.trouble.passing:
                raise
            return _missing(name, exc.detail.rstrip("."))
        except Problem as exc:
            return _missing(name, exc.detail.rstrip("."))
        return part_of(sha256, name, str(part["mediaType"]), len(data)).model_dump(by_alias=True)


def _missing(name: str, why: str) -> dict[str, Any]:
    return {"type": "error", "message": f"The bot's file '{name}' is not kept here: {why}.", "code": "file_not_kept"}
