"""Sessions as an OpenClaw gateway remembers them: read page by page, later only what is new, cut texts made whole."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Mapping
from typing import Any, Final, Protocol

from edgebotd.protocol import openclaw
from edgebotd.protocol.fields import integer, mapping, objects, string
from edgebotd.protocol.run import Outcome, SessionSeen

PAGE: Final = 500
"""Rows asked for at once. The gateway gives up to 1000."""
LATER_PAGE: Final = 100
"""Rows asked for first of a session that was read before: what came since is mostly far less."""
MOST_PAGES: Final = 40
"""Bound of one reading: 20,000 rows. What is older stays in the gateway, and the history is told as incomplete."""
ONLY_PAGE: Final = 1000
"""Rows of a gateway that gives no pages (2026.5.28): the most that it gives."""
MOST_WHOLE: Final = 50
"""Cut rows fetched one by one in one reading."""
SESSIONS_PAGE: Final = 200
MOST_SESSIONS: Final = 10_000
REMEMBERED: Final = 5_000
"""Sessions of which is remembered how far they were read. The oldest are forgotten, and read whole again."""


class Call(Protocol):
    """Asks the gateway; raises ConnectorError."""

    def __call__(self, method: str, params: Mapping[str, Any], /) -> Awaitable[Any]: ...


class Archive:
    """The sessions of one agent over one connection. It forgets with the connection how far it has read.

    Args:
        booted_at: when the gateway's process started, in Unix milliseconds of its own clock; 0 where it is not known.
        gone: runs that an earlier process had: this one can only have taken up their sessions, by runs of its own.
    """

    def __init__(
        self, call: Call, hello: openclaw.Hello, agent_id: str, booted_at: int, gone: frozenset[str] = frozenset()
    ) -> None:
        self._call = call
        self._booted_at = booted_at
        self._gone = gone
        self._hello = hello
        self._agent_id = agent_id
        # What pages needs `offset`, which came with this method; a gateway refuses parameters that it does not know.
        self._pages = hello.can("chat.message.get")
        self._read: OrderedDict[str, tuple[str | None, int]] = OrderedDict()

    async def history(self, key: str) -> openclaw.History:
        """Read a session, canonical key: whole the first time, afterwards from the last message that was read before.

        `complete` says that nothing is missing between what was read before, or the beginning, and now.
        """
        known = self._read.get(key)
        limit = ONLY_PAGE if not self._pages else PAGE if known is None else LATER_PAGE
        first = mapping(await self._page(key, limit))
        session_id = string(first.get("sessionId"))
        if known is not None and known[0] != session_id:
            known = None  # reset: its rows count from 1 again
        rows, whole = list(objects(first.get("messages"))), True
        page, pages = first, 1
        while page.get("hasMore") is True:
            if known is not None and (start := _overlap(rows, known[1])) is not None:
                rows = rows[start:]
                break
            offset = integer(page.get("nextOffset"))
            if offset is None or pages == MOST_PAGES:
                whole = False
                break
            page = mapping(await self._page(key, PAGE, offset))
            pages += 1
            # Rows that came meanwhile have shifted the pages.
            lowest = min((seq for row in rows if (seq := _seq(row)) is not None), default=None)
            older = objects(page.get("messages"))
            rows = [row for row in older if lowest is None or (seq := _seq(row)) is None or seq < lowest] + rows
        rows = await self._made_whole(key, rows)
        newest = max((seq for row in rows if (seq := _seq(row)) is not None), default=None)
        if whole and newest is not None:
            self._read[key] = (session_id, newest)
            self._read.move_to_end(key)
            if len(self._read) > REMEMBERED:
                self._read.popitem(last=False)
        payload = {**first, "messages": rows, "hasMore": not whole}
        return openclaw.parse_history(payload, agent_id=self._agent_id, main_key=self._hello.main_key)

    async def sessions(self, since_at: int | None) -> list[SessionSeen]:
        """Return the sessions of all agents that were touched since then, newest first; at most `MOST_SESSIONS`."""
        found: dict[str, SessionSeen] = {}
        offset: int | None = 0
        while offset is not None and len(found) < MOST_SESSIONS:
            params = {"limit": SESSIONS_PAGE, **({"offset": offset} if offset else {})}
            page, following = openclaw.parse_sessions(await self._call("sessions.list", params))
            touched = [s for s in page if since_at is None or s.updated_at is None or s.updated_at >= since_at]
            for seen in touched:
                found.setdefault(seen.session_key, seen)
            # They come newest first, but for those that are pinned: a page without one is the end.
            offset = following if following is not None and following > offset and touched else None
        return sorted(found.values(), key=lambda seen: -(seen.updated_at or 0))

    async def working(self, history: openclaw.History, expected: frozenset[str]) -> tuple[frozenset[str], bool]:
        """Return the runs that the gateway works on in a session, and whether it works there at all.

        Args:
            expected: runs of the session that have not ended as far as we know.
        """
        active = set(history.active_run_ids)
        if history.in_flight_run_id is not None:
            active.add(history.in_flight_run_id)
        busy = history.has_active_run or bool(active)
        if not history.tells_activity and self._hello.can("sessions.list"):
            # 2026.5.28's history does not say what runs; its list does. What works has just been touched: first page.
            listing = await self._call("sessions.list", {"limit": SESSIONS_PAGE})
            busy = history.session_key in openclaw.busy_sessions(listing)
        if busy and not active:
            # It says that something runs, not what: all that was asked, of this process, and has no whole reply.
            # After a kill 2026.5.28 goes on calling a session running for ever, 2026.9.6 until it has taken it up.
            asked = {m.run_id: m.created_at for m in history.messages if m.role == "user" and m.run_id is not None}
            before = {run_id for run_id, at in asked.items() if at is not None and at < self._booted_at}
            for run_id in (expected | set(list(asked)[-1:])) - before - self._gone:
                reply = history.reply_to(run_id)
                unanswered = reply is None or reply.outcome is Outcome.INTERRUPTED
                if unanswered and not history.was_merged(run_id):
                    active.add(run_id)
        return frozenset(active), busy

    async def _page(self, key: str, limit: int, offset: int = 0) -> Any:
        params = {"sessionKey": key, "limit": limit, "maxChars": openclaw.WHOLE_TEXT}
        return await self._call("chat.history", {**params, "offset": offset} if offset else params)

    async def _made_whole(self, key: str, rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Fetch the rows that the gateway cut in spite of `maxChars`."""
        if not self._hello.can("chat.message.get"):
            return rows
        left = MOST_WHOLE
        made: list[Mapping[str, Any]] = []
        for row in rows:
            parsed = openclaw.parse_row(row)
            if parsed is not None and parsed.truncated and left:
                left -= 1
                answer = mapping(await self._call("chat.message.get", {"sessionKey": key, "messageId": parsed.id}))
                whole = mapping(answer.get("message"))
                again = openclaw.parse_row(whole)
                # Rows may share an id: this must be the same one.
                if again is not None and not again.truncated and (again.id, again.role) == (parsed.id, parsed.role):
                    row = whole
            made.append(row)
        return made


def _seq(row: Mapping[str, Any]) -> int | None:
    return integer(mapping(row.get("__openclaw")).get("seq"))


def _overlap(rows: list[Mapping[str, Any]], read: int) -> int | None:
    """Return where the last message of a user that was read before is: a run's rows must not be cut apart."""
    for index in range(len(rows) - 1, -1, -1):
        seq = _seq(rows[index])
        if seq is not None and seq <= read and rows[index].get("role") == "user":
            return index
    return None
