"""A bot's container brought to another image as a transaction: whole on the new one, or whole on the old one again.

The new container gets volumes of its own, into which those of the old one are copied while both stand still. So the old
container and its volumes stay as they are until the end: a new version that migrates its state does so in the copy, and
rolling back is taking the new away and starting the old, in which nothing can be lost. The old volumes are kept
afterwards, and what was made from them can be gone back to in the same way.

The image is pulled and the new container is made before the bot is quietened, since both may take long.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, Literal

import trio
from pydantic import Field

from edgebotd.docker.copying import MIB, copy_folder
from edgebotd.docker.errors import EngineError
from edgebotd.docker.lifecycle import UP, Lifecycle
from edgebotd.docker.operations import WAITING, Step, Work
from edgebotd.docker.pairing import PAIR_SECONDS, NotConnected, hello, pair
from edgebotd.docker.pulling import fetch_image, have_pinned, reference_of
from edgebotd.docker.services import Operating, Services
from edgebotd.docker.spec import Previous, Spec, state_volume
from edgebotd.errors import Conflict, Problem
from edgebotd.events import Model
from edgebotd.protocol.docker.containers import Container
from edgebotd.store import containers as rows
from edgebotd.store.containers import StoredContainer
from edgebotd.store.operations import Operation

KIND: Final = "upgrade"
DOING: Final = "is being upgraded"
HELD: Final = "The bot is being upgraded; this goes out when that is done."
HEALTHY_SECONDS: Final = 300.0
ECHO_SECONDS: Final = 180.0
BACK_SECONDS: Final = 100.0
"""How long the old version may take to be connected again after a rollback, before that is said."""
COPY_SECONDS: Final = 3600.0
ECHO_TEXT: Final = "This is edgebotd's check after an upgrade. Answer with the word OK."
QUIET: Final = frozenset({WAITING, "check", "pull", "create"})
"""Steps in which the bot still works as ever."""


class UpgradeRequest(Model):
    """What to bring a bot's container to.

    Attributes:
        image: None: docker.image of the settings for a bot that is made from that repository, else its own anew.
        back: to what the last upgrade replaced, its volumes as they were then; no image.
        probe_turn: have the new version answer a message, in a conversation of edgebotd's own, before it is kept.
        drain: wait for runs to end, or abort them.
    """

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    back: bool = False
    probe_turn: bool = True
    drain: Literal["wait", "abort"] = "wait"


class Upgrading(Operating):
    """Upgrades containers, one at a time. From `open_docker`."""

    def __init__(self, services: Services, lifecycle: Lifecycle) -> None:
        super().__init__(services)
        drain, stop = lifecycle.steps_down()
        steps = (
            Step("check", 60, self._check),
            Step("pull", 3600, self._pull),
            Step("create", 300, self._create, self._undo_create),
            Step("drain", drain.seconds, self._while_up(drain.run), drain.undo),
            Step("stop", stop.seconds, self._while_up(stop.run), self._undo_stop),
            Step("snapshot", COPY_SECONDS, self._snapshot),
            Step("start", 300, self._start, self._undo_start),
            Step("healthy", HEALTHY_SECONDS + 30, self._while_up(self._healthy)),
            Step("hello", PAIR_SECONDS, self._while_up(self._hello)),
            Step("probe", ECHO_SECONDS + 60, self._while_up(self._probe)),
            Step("commit", 300, self._commit, final=True),
        )
        self._operations.register(KIND, tuple(map(self._held, steps)), waits=False, alone=True)

    async def begin(self, bot_id: str, request: UpgradeRequest, actor: Mapping[str, Any]) -> Operation:
        """Begin to upgrade a bot's container.

        Raises:
            Problem: it has none that edgebotd makes, there is nothing to go back to, or another operation goes on.
        """
        stored, spec = await self._stored(bot_id)
        if request.back:
            if request.image is not None:
                raise Conflict("back_and_image", "Going back is to what was before; name no image.")
            if spec.previous is None:
                raise Conflict("nothing_before", f"The bot '{bot_id}' has not been upgraded; nothing is kept.")
        else:
            reference_of(self._image(request, spec))
        self._own(bot_id, stored.name, await self._maker.find(stored.name))
        kept = request.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return await self._operations.begin_once(KIND, bot_id, kept, actor)

    # What steps share

    def _held(self, step: Step) -> Step:
        """Let a step be nothing where there is nothing to do, and hold the bot's messages in those that want it so."""

        async def run(work: Work) -> None:
            if work.made.get("same"):
                return
            if step.name not in QUIET:
                self._hold(work)
            await step.run(work)
            if step.name == "stop":
                # The stop by itself lets them go, and the bot is away: none has left yet.
                self._hold(work)

        return Step(step.name, step.seconds, run, step.undo, final=step.final)

    def _hold(self, work: Work) -> None:
        self._bots.hold(work.bot_id, HELD)
        self._containers.overlay(work.bot_id, doing=DOING)

    def _while_up(self, run: Callable[[Work], Awaitable[None]]) -> Callable[[Work], Awaitable[None]]:
        """Let a step be for bots that ran before."""

        async def maybe(work: Work) -> None:
            if work.made["running"]:
                await run(work)
            else:
                await work.log("Left out, as it was stopped.")

        return maybe

    async def _stored(self, bot_id: str) -> tuple[StoredContainer, Spec]:
        stored = await self._database.read(lambda conn: rows.get(conn, bot_id))
        if stored is None:
            raise Conflict("no_container", f"The bot '{bot_id}' has no container here.")
        if not stored.spec:
            raise Conflict(
                "no_spec",
                f"The container '{stored.name}' was not made by edgebotd, which does not know what to make it from."
                f" Upgrade it with what made it, or take it over first: edgebotd bots take-over {bot_id}",
            )
        return stored, Spec.model_validate(stored.spec)

    def _own(self, bot_id: str, name: str, container: Container | None) -> Container:
        if container is None:
            raise Conflict("container_missing", f"The engine has no container named {name}. Recreate it first.")
        if not self._maker.of_bot(container.labels, bot_id):
            raise Conflict("container_adopted", f"The container {name} is as it was adopted. Recreate it first.")
        return container

    def _image(self, request: UpgradeRequest, spec: Spec) -> str:
        if request.image is not None:
            return request.image
        ours = self._settings.image
        return ours if reference_of(ours).name == reference_of(spec.image).name else spec.image

    # Steps, before the bot notices

    async def _check(self, work: Work) -> None:
        stored, spec = await self._stored(work.bot_id)
        old = self._own(work.bot_id, stored.name, await self._maker.find(stored.name))
        running = old.state in UP
        had: list[str] | None = None
        if running and (verdict := await self._bots.verdict(work.bot_id, 1)).connected:
            had = list(verdict.missing)
            await work.log(f"It runs {spec.image}, OpenClaw {verdict.version}.")
        else:
            await work.log(f"It is made from {spec.image}, and is {'not connected' if running else 'stopped'}.")
        await work.keep(name=stored.name, old=old.id, running=running, missing=had, before=stored.spec)
        if self._settings.mounts.get(work.bot_id):
            await work.log("The folders of this machine that it has (docker.mounts) are not part of this.")

    async def _pull(self, work: Work) -> None:
        request, before = _request(work), _spec(work, "before")
        if "target" in work.made:
            return
        if request.back:
            assert before.previous is not None
            target = before.previous.spec
            await have_pinned(self._containers, target.pinned, work.log)
            await work.log(f"It goes back to {target.image} ({target.pinned}), as it was then.")
            await work.keep(target=target.model_dump(mode="json"), volumes=[])
            return
        image = self._image(request, before)
        pinned, found = await fetch_image(self._containers, image, work.log)
        if pinned == before.pinned or found.id == (await self._maker.engine.inspect(work.made["old"])).image_id:
            await work.log(f"It is made from {pinned} already; nothing is to be done.")
            await work.keep(same=True)
            return
        volumes = [state_volume(work.bot_id).name for _ in before.volumes]
        renamed = [
            volume.model_copy(update={"name": name}) for volume, name in zip(before.volumes, volumes, strict=True)
        ]
        update = {"image": image, "pinned": pinned, "volumes": tuple(renamed), "previous": None}
        await work.keep(target=before.model_copy(update=update).model_dump(mode="json"), volumes=volumes)

    async def _create(self, work: Work) -> None:
        for volume in work.made["volumes"]:
            await self._maker.engine.create_volume(volume, self._maker.labels(work))
        new = await self._maker.make(work, f"{work.made['name']}-new", _spec(work, "target"))
        await work.keep(new=new)

    # Steps, while it is away

    async def _snapshot(self, work: Work) -> None:
        """Copy the volumes, both containers standing still."""
        if not work.made["volumes"] or "size" in work.made:
            return
        if work.made.get("copying"):
            # What a copy that broke off had made may be there no longer where the next one would put it.
            await self._maker.remove(work)
            for volume in work.made["volumes"]:
                await self._maker.remove_volume(volume, lambda labels: self._maker.of_operation(labels, work))
            await self._create(work)
        await work.keep(copying=True)
        began, size = trio.current_time(), 0
        for volume in _spec(work, "before").volumes:
            old = await self._maker.engine.inspect(work.made["old"])
            if old.state in UP:
                raise Conflict("started_again", "Somebody else has started the old container meanwhile.")
            size += await copy_folder(self._maker.engine, old.id, work.made["new"], volume.path, work.log)
        await work.keep(size=size)
        await work.log(f"Its volumes are copied: {size / MIB:.1f} MiB in {trio.current_time() - began:.1f} s.")

    async def _start(self, work: Work) -> None:
        name, old, new = work.made["name"], work.made["old"], work.made["new"]
        if (there := await self._maker.find(old)) is not None and there.name == name:
            await self._move_away(work, old)
        if (await self._maker.engine.inspect(new)).name != name:
            await self._maker.engine.rename(new, name)
        if work.made["running"]:
            await self._maker.engine.start(new)
            await work.log("The new one runs in the place of the old one, which is kept stopped.")
        else:
            await work.log("It was stopped, and is left so: whether the new version works was not tried.")

    async def _move_away(self, work: Work, old: str) -> None:
        aside = f"{work.made['name']}-old"
        left = await self._maker.find(aside)
        if left is not None and self._maker.of_bot(left.labels, work.bot_id):
            await self._maker.engine.remove(left.id, force=True)
        await self._maker.engine.rename(old, aside)

    async def _healthy(self, work: Work) -> None:
        new = work.made["new"]
        with trio.move_on_after(HEALTHY_SECONDS):
            await self._maker.wait_healthy(work, new, _spec(work, "target").port)
            return
        container = await self._maker.engine.inspect(new)
        await self._maker.tell_last_lines(work, container)
        health = "does not answer" if container.health is None else f"is {container.health}"
        raise Problem(502, "not_healthy", f"The new version {health} after {HEALTHY_SECONDS:.0f} s.")

    async def _hello(self, work: Work) -> None:
        new = work.made["new"]
        await pair(work, self._bots, self._maker.engine, new, look=lambda: self._maker.alive(work, new))
        await work.keep(version=await hello(work, self._bots))
        if (had := work.made["missing"]) is None:
            return
        now = (await self._bots.verdict(work.bot_id, 1)).missing
        if lost := [text for text in now if text not in had]:
            raise Problem(502, "rights_lost", f"The new version gives edgebotd less than the old one: {' '.join(lost)}")

    async def _probe(self, work: Work) -> None:
        if not _request(work).probe_turn:
            await work.log("It is not asked for an answer, as was wanted.")
            return
        try:
            said = await self._bots.echo(work.bot_id, ECHO_TEXT, ECHO_SECONDS, work.id)
        except EngineError:
            raise
        except Problem as exc:
            words = f"{exc.detail} Where it cannot answer for another reason, upgrade it without the probe's turn."
            raise Problem(502, "no_reply", words) from None
        await self._maker.alive(work, work.made["new"])
        await work.log(f"It answers: {said.strip()[:100]}")

    # The end

    async def _commit(self, work: Work) -> None:
        """From the first write on it is the new one, whatever happens."""
        before, now = _spec(work, "before"), self._containers.now()
        size = work.made.get("size", 0)
        spec = _spec(work, "target").model_copy(
            update={"previous": Previous(spec=before.alone, at=now, size_bytes=size)}
        )
        stored, _ = await self._stored(work.bot_id)
        if stored.container_id != work.made["new"]:
            changed = StoredContainer(
                stored.bot_id,
                stored.name,
                work.made["new"],
                stored.origin,
                stored.wanted,
                spec.model_dump(mode="json"),
                stored.created_at,
                now,
            )
            await self._database.write(lambda tx: rows.put(tx.connection, changed))
        # Not in the step that asks, which asks once more after a crash. Without a reply it stays: it tells why.
        await self._bots.forget_echo(work.bot_id, work.id)
        self._let_go(work)
        try:
            await self._maker.engine.remove(work.made["old"], force=True)
            await self._remove_older(work, before, spec)
        except EngineError as exc:
            if exc.passing:
                raise
            await work.log(f"Something of the old one could not be removed, and is left: {exc.detail}")
        kept = ", ".join(volume.name for volume in before.volumes)
        await work.log(f"Done. What it was is kept in {kept}: `edgebotd bots upgrade {work.bot_id} --back`.")

    async def _remove_older(self, work: Work, before: Spec, spec: Spec) -> None:
        """Remove what the upgrade before this one kept: one is enough."""
        if before.previous is None:
            return
        needed = {volume.name for volume in (*before.volumes, *spec.volumes)}
        for volume in before.previous.spec.volumes:
            if volume.name in needed:
                continue
            if await self._maker.remove_volume(volume.name, lambda labels: self._maker.of_bot(labels, work.bot_id)):
                await work.log(f"The volume {volume.name}, kept by an earlier upgrade, is removed.")
            else:
                await work.log(f"The volume {volume.name} was not made by edgebotd, and is left.")

    def _let_go(self, work: Work) -> None:
        if work.bot_id in self._bots.ids():
            self._bots.hold(work.bot_id, None)
        self._containers.overlay(work.bot_id, doing="", stopping=False)

    # Rolling back. Undone in this order: start, stop, drain, create.

    async def _undo_start(self, work: Work) -> None:
        name, old = work.made["name"], work.made["old"]
        self._hold(work)
        if work.bot_id in self._bots.ids():
            # Asked by a life that was killed, it would be the old one's to answer.
            await self._bots.end_echo(work.bot_id, work.id)
        await self._maker.remove(work)
        there = await self._maker.find(old)
        if there is None:
            raise Conflict("container_missing", f"The old container {old[:12]} is gone. Recreate the bot's container.")
        if there.name != name:
            await self._maker.engine.rename(old, name)
        await work.log("The new one is removed; the old one has its place again.")

    async def _undo_stop(self, work: Work) -> None:
        if not work.made.get("running"):
            return
        self._hold(work)
        await self._maker.engine.start(work.made["old"])
        await work.log("The old one runs again.")
        if work.made["missing"] is None:
            return
        with trio.move_on_after(BACK_SECONDS):
            try:
                await hello(work, self._bots)
            except NotConnected as exc:
                await work.log(f"It is not connected: {exc.detail}")
            return
        await work.log(f"It is not connected after {BACK_SECONDS:.0f} s; edgebotd goes on trying.")

    async def _undo_create(self, work: Work) -> None:
        await self._maker.remove(work)
        for volume in work.made.get("volumes", ()):
            await self._maker.remove_volume(volume, lambda labels: self._maker.of_operation(labels, work))


def _request(work: Work) -> UpgradeRequest:
    return UpgradeRequest.model_validate(work.request)


def _spec(work: Work, which: str) -> Spec:
    return Spec.model_validate(work.made[which])
