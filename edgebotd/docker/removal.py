"""A bot with its container taken away, for good; what is to be kept is said before."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from edgebotd.docker.operations import Step, Work
from edgebotd.docker.services import Operating, Services
from edgebotd.docker.spec import Spec
from edgebotd.errors import Conflict
from edgebotd.events import Model
from edgebotd.store import bots as bot_rows
from edgebotd.store import containers as rows
from edgebotd.store.bots import StoredBot
from edgebotd.store.containers import StoredContainer
from edgebotd.store.operations import Operation

KIND: Final = "remove"
HELD: Final = "The bot is being removed."


class RemoveRequest(Model):
    """What stays: the messages here, the bot's own memory and files in its volumes."""

    keep_history: bool = True
    keep_volumes: bool = True


class Removal(Operating):
    """Takes bots away whose containers edgebotd made. From `open_docker`."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._operations.register(
            KIND,
            (
                Step("stop", self._settings.drain_seconds + 60, self._stop, self._undo_stop),
                Step("container", 300, self._remove_container, final=True),
                Step("volumes", 300, self._remove_volumes, final=True),
                Step("bot", 600, self._remove_bot, final=True),
            ),
            waits=False,
        )

    async def begin(self, bot_id: str, request: RemoveRequest, actor: Mapping[str, Any]) -> Operation:
        """Begin to take a bot away.

        Raises:
            Conflict: it stands in the settings file, or its container is not edgebotd's.
        """
        await self._removable(bot_id)
        return await self._operations.begin_once(KIND, bot_id, request.model_dump(mode="json", by_alias=True), actor)

    async def let_go(self, bot_id: str) -> None:
        """Forget the container of a bot that is about to be removed by itself.

        Raises:
            Conflict: it was made for the bot, and would be left behind.
        """
        stored = await self._database.read(lambda conn: rows.get(conn, bot_id))
        if stored is None:
            return
        if stored.origin == "provisioned":
            raise Conflict(
                "bot_has_container",
                f"The bot '{bot_id}' has a container of its own, {stored.name}. Say what of it is to be kept: POST"
                f" /api/bots/{bot_id}/container/remove, or edgebotd bots remove {bot_id}.",
            )
        await self._database.write(lambda tx: rows.remove(tx.connection, bot_id))
        self._containers.bind(bot_id, None)

    # Steps. What is gone already is fine in each: the same asked for once more goes on with the rest.

    async def _stop(self, work: Work) -> None:
        stored, spec = await self._removable(work.bot_id)
        there = await self._maker.find(stored.name)
        # One that somebody else made under this name is not touched.
        ours = there is not None and self._maker.of_bot(there.labels, work.bot_id)
        running = ours and there is not None and there.state in ("running", "restarting", "paused")
        volumes = [] if spec is None else [volume.name for volume in spec.all_volumes]
        await work.keep(name=stored.name, volumes=volumes, running=work.made.get("running", running))
        self._bots.hold(work.bot_id, HELD)
        if running:
            self._containers.overlay(work.bot_id, doing="is being removed", stopping=True)
            await work.log("It is stopped; what the bot is at may end first.")
            await self._maker.engine.stop(stored.name, math.ceil(self._settings.drain_seconds))

    async def _undo_stop(self, work: Work) -> None:
        self._bots.hold(work.bot_id, None)
        self._containers.overlay(work.bot_id, doing="", stopping=False)
        if work.made.get("running"):
            await self._maker.engine.start(work.made["name"])
            await work.log("It runs again.")

    async def _remove_container(self, work: Work) -> None:
        name = work.made["name"]
        there = await self._maker.find(name)
        if there is not None and not self._maker.of_bot(there.labels, work.bot_id):
            await work.log(f"The container {name} was not made by edgebotd for this bot, and is left as it is.")
            return
        if there is not None:
            await self._maker.engine.remove(there.id, force=True)
        await work.log(f"The container {name} is removed.")

    async def _remove_volumes(self, work: Work) -> None:
        keep = RemoveRequest.model_validate(work.request).keep_volumes
        for name in work.made["volumes"]:
            if keep:
                await work.log(f"The volume {name} is kept; the engine's own tools show and remove it.")
            elif await self._maker.remove_volume(name, lambda labels: self._maker.of_bot(labels, work.bot_id)):
                await work.log(f"The volume {name} is removed.")
            else:
                await work.log(f"The volume {name} was not made by edgebotd, and is left.")

    async def _remove_bot(self, work: Work) -> None:
        keep = RemoveRequest.model_validate(work.request).keep_history
        await self._bots.remove(work.bot_id, history=not keep)
        await self._database.write(lambda tx: rows.remove(tx.connection, work.bot_id))
        self._containers.bind(work.bot_id, None)
        await work.log(f"{work.bot_id} is removed; its history is {'kept' if keep else 'removed too'}.")

    async def _removable(self, bot_id: str) -> tuple[StoredContainer, Spec | None]:
        """Return a bot's container. Raises `Conflict` where it is not edgebotd's to remove."""

        def read(conn: sqlite3.Connection) -> tuple[StoredContainer | None, StoredBot | None]:
            return rows.get(conn, bot_id), bot_rows.get(conn, bot_id)

        stored, bot = await self._database.read(read)
        if stored is None:
            detail = f"The bot '{bot_id}' has no container here. DELETE /api/bots/{bot_id} removes it."
            raise Conflict("no_container", detail)
        if stored.origin == "file" or (bot is not None and bot.origin == "file"):
            raise Conflict(
                "bot_in_file", f"The bot '{bot_id}' stands in the settings file; remove it there, in [bots.{bot_id}]."
            )
        if stored.origin == "adopted":
            raise Conflict(
                "container_adopted",
                f"The container '{stored.name}' was there before edgebotd, and stays. DELETE /api/bots/{bot_id} forgets"
                " the bot.",
            )
        return stored, Spec.model_validate(stored.spec) if stored.spec else None
