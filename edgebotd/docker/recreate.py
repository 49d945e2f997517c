"""A bot's container made anew from the same spec, with the same volumes: the new one beside the old one, then in its
place; where it does not come up, the old one comes back.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Final

from edgebotd.docker.operations import Step, Work
from edgebotd.docker.pairing import PAIR_SECONDS, hello, pair
from edgebotd.docker.pulling import have_pinned
from edgebotd.docker.services import Operating, Services
from edgebotd.docker.spec import Spec
from edgebotd.errors import Conflict
from edgebotd.protocol.docker.containers import Container
from edgebotd.store import containers as rows
from edgebotd.store.containers import StoredContainer
from edgebotd.store.operations import Operation

KIND: Final = "recreate"
DOING: Final = "is being recreated"
HELD: Final = "Its container is being made anew."


class Recreating(Operating):
    """Makes containers anew. From `open_docker`."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        drain = self._settings.drain_seconds
        self._operations.register(
            KIND,
            (
                Step("validate", 60, self._validate),
                Step("pull", 3600, self._pull),
                Step("create", 300, self._create, self._undo_create),
                Step("swap", drain + 120, self._swap, self._undo_swap),
                Step("healthy", 300, self._healthy),
                Step("hello", PAIR_SECONDS, self._hello),
                Step("settle", 120, self._settle, final=True),
            ),
        )

    async def begin(self, bot_id: str, actor: Mapping[str, Any]) -> Operation:
        """Begin to make a bot's container anew.

        Raises:
            Problem: it has none that edgebotd could make, or another operation goes on with it.
        """
        _spec(await self._stored(bot_id))
        return await self._operations.begin_once(KIND, bot_id, {}, actor)

    async def _stored(self, bot_id: str) -> StoredContainer:
        stored = await self._database.read(lambda conn: rows.get(conn, bot_id))
        if stored is None:
            raise Conflict("no_container", f"The bot '{bot_id}' has no container here.")
        return stored

    # Steps

    async def _validate(self, work: Work) -> None:
        stored = await self._stored(work.bot_id)
        _spec(stored)
        old = await self._maker.find(stored.name)
        self._replaceable(stored, old)
        await work.keep(
            name=stored.name,
            old=None if old is None else old.id,
            running=old is not None and old.state in ("running", "restarting", "paused"),
        )
        self._containers.overlay(work.bot_id, doing=DOING)

    def _replaceable(self, stored: StoredContainer, old: Container | None) -> None:
        """Pass what is to be replaced. Raises `Conflict` where another one has the name meanwhile."""
        if old is None or self._maker.of_bot(old.labels, stored.bot_id):
            return
        if stored.origin != "adopted" or stored.container_id not in (None, old.id):
            raise Conflict(
                "name_taken",
                f"The container that is named {stored.name} now is not that of '{stored.bot_id}'. Rename or remove it,"
                " then recreate.",
            )

    async def _pull(self, work: Work) -> None:
        await have_pinned(self._containers, _spec(await self._stored(work.bot_id)).pinned, work.log)

    async def _create(self, work: Work) -> None:
        name = f"{work.made['name']}-new"
        new = await self._maker.make(work, name, _spec(await self._stored(work.bot_id)))
        await work.keep(new=new)
        await work.log(f"A new container is made, {name} for now.")

    async def _swap(self, work: Work) -> None:
        name, old, new = work.made["name"], work.made["old"], work.made["new"]
        self._containers.overlay(work.bot_id, doing=DOING, stopping=True)
        self._bots.hold(work.bot_id, HELD)
        if old is not None and (there := await self._maker.find(old)) is not None:
            if there.state in ("running", "restarting", "paused"):
                await work.log("The old one is stopped; what the bot is at may end first.")
                await self._maker.engine.stop(old, math.ceil(self._settings.drain_seconds))
            if there.name == name:
                await self._maker.engine.rename(old, f"{name}-old")
        self._containers.overlay(work.bot_id, stopping=False)
        if (await self._maker.engine.inspect(new)).name != name:
            await self._maker.engine.rename(new, name)
        if work.made["running"]:
            await self._maker.engine.start(new)
            await work.log("The new one runs in its place.")

    async def _healthy(self, work: Work) -> None:
        if work.made["running"]:
            port = _spec(await self._stored(work.bot_id)).port
            await self._maker.wait_healthy(work, work.made["new"], port)
        else:
            await work.log("Left out, as it was stopped.")

    async def _hello(self, work: Work) -> None:
        """Wait for the bot, unless it was stopped or could not be reached before either."""
        if not work.made["running"]:
            await work.log("It was stopped, and is left so.")
            return
        name = work.made["new"]
        await pair(work, self._bots, self._maker.engine, name, look=lambda: self._maker.alive(work, name))
        await hello(work, self._bots)

    async def _settle(self, work: Work) -> None:
        stored, new, old = await self._stored(work.bot_id), work.made["new"], work.made["old"]
        changed = dataclasses.replace(stored, container_id=new, changed_at=self._containers.now())
        await self._database.write(lambda tx: rows.put(tx.connection, changed))
        self._let_go(work)
        if old is not None:
            await self._maker.engine.remove(old, force=True)
        await work.log("The old one is removed.")

    def _let_go(self, work: Work) -> None:
        if work.bot_id in self._bots.ids():
            self._bots.hold(work.bot_id, None)
        self._containers.overlay(work.bot_id, doing="", stopping=False)

    # Taking back

    async def _undo_swap(self, work: Work) -> None:
        name, old = work.made["name"], work.made["old"]
        await self._maker.remove(work)
        if old is not None and (there := await self._maker.find(old)) is not None:
            if there.name != name:
                await self._maker.engine.rename(old, name)
            if work.made["running"]:
                await self._maker.engine.start(old)
            await work.log("The old one is back.")
        self._let_go(work)

    async def _undo_create(self, work: Work) -> None:
        await self._maker.remove(work)
        self._let_go(work)


def _spec(stored: StoredContainer) -> Spec:
    if not stored.spec:
        raise Conflict(
            "no_spec",
            f"The container '{stored.name}' was not made by edgebotd, which does not know what to make it from."
            f" Recreate it with what made it, or take it over first: edgebotd bots take-over {stored.bot_id}",
        )
    return Spec.model_validate(stored.spec)
