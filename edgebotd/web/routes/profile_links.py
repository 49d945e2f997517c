"""A bot's gateway is linked to a login: what that changes in its configuration, and doing it."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from edgebotd.accounts.linking import LinkPlan, changed
from edgebotd.events import BotId, Model
from edgebotd.people.audit import record
from edgebotd.protocol.fields import without_controls
from edgebotd.store.profiles import Profile
from edgebotd.web.route import Call, Route, route
from edgebotd.web.services import Services

_ModelProvider = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
_Path = Annotated[str, Field(min_length=2, max_length=1024, pattern="^/"), AfterValidator(without_controls)]
_PATH: Final = "/api/profiles/{profile_id}/link"


class LinkQuery(Model):
    """Which bot. `provider`: of models, as its gateway calls it. `file`: where it finds the file."""

    bot: BotId
    provider: _ModelProvider | None = None
    file: _Path | None = None


class LinkRequest(LinkQuery):
    """The same, and what was agreed to: `baseHash` as it was shown."""

    base_hash: Annotated[str, Field(min_length=1, max_length=200)]


class ProfileLinkRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._linking = services.profiles.linking

    def routes(self) -> list[Route]:
        """Return the rows."""
        return [route("GET", _PATH, self.plan), route("POST", _PATH, self.link)]

    async def plan(self, call: Call, query: LinkQuery) -> LinkPlan:
        """Show what would be changed in the configuration of a bot's gateway so that it uses a login."""
        return await self._linking.plan(call.parameters["profile_id"], query.bot, query.provider, query.file)

    async def link(self, call: Call, body: LinkRequest) -> LinkPlan:
        """Have a bot use a login, and its gateway read the key from the file that edgebotd writes."""
        actor, now = call.actor, self._services.now

        def note(conn: sqlite3.Connection, action: str, profile: Profile) -> None:
            record(conn, actor, now(), action, profile.id, bot_id=body.bot, added=body.bot)

        async def told(outcome: str, plan: LinkPlan) -> None:
            await self._services.database.write(
                lambda tx: record(
                    tx.connection,
                    actor,
                    now(),
                    "profile.link",
                    plan.profile_id,
                    bot_id=plan.bot_id,
                    outcome=outcome,
                    provider=plan.provider,
                    file=plan.file,
                )
            )

        plan = await self.plan(call, body)
        if plan.base_hash != body.base_hash:
            raise changed()
        return await self._linking.link(plan, note, told)
