"""What a user's page remembers on all devices: favourites, sorting, what was dismissed."""

from __future__ import annotations

from typing import Final

from pydantic import JsonValue

from edgebotd.errors import Problem
from edgebotd.events import Model
from edgebotd.store import preferences
from edgebotd.web.route import JSON, Call, Reply, Route, route
from edgebotd.web.services import Services

MAX_BYTES: Final = 16_384


class Preferences(Model):
    """One object, whose names and values are the page's own."""

    values: dict[str, JsonValue]


class PreferencesRoutes:
    """Handlers. Not in the audit, as read markers are not: they change nothing for anybody else."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """Return the rows."""
        return [
            route("GET", "/api/me/preferences", self.show, answer=Preferences),
            route("PUT", "/api/me/preferences", self.put, answer=Preferences),
        ]

    async def show(self, call: Call) -> Reply:
        """Give one's preferences; an empty object where there are none."""
        user_id = call.principal.user_id
        stored = await self._services.database.read(lambda conn: preferences.get(conn, user_id))
        return Reply((stored or '{"values":{}}').encode(), content_type=JSON)

    async def put(self, call: Call, body: Preferences) -> Reply:
        """Keep one's preferences, all of them: what is left out is forgotten."""
        user_id, now, data = call.principal.user_id, self._services.now(), body.model_dump_json(by_alias=True)
        if len(data.encode()) > MAX_BYTES:
            raise Problem(413, "too_large", f"Preferences may have {MAX_BYTES} bytes of JSON at most.")
        await self._services.database.write(lambda tx: preferences.put(tx.connection, user_id, data, now))
        return Reply(data.encode(), content_type=JSON)
