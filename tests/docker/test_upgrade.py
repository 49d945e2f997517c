"""An upgrade ends whole on the new image, or whole on the old one with everything as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.house import Docker
from edgebotd.docker.operations import Step, Work
from edgebotd.docker.removal import RemoveRequest
from edgebotd.docker.spec import STATE_PATH, Spec
from edgebotd.docker.upgrade import UpgradeRequest
from edgebotd.errors import Conflict, Invalid, Problem
from edgebotd.protocol.run import Verdict
from edgebotd.store.operations import Operation
from tests.docker.fake_container import FakeContainer
from tests.docker.yard import ACTOR, IMAGE, Yard, make, open_yard, texts

NEW = "registry.example/claw:2"
DIGESTS = {NEW: "sha256:" + "2" * 64, "registry.example/claw:3": "sha256:" + "3" * 64}
STEPS = (
    "check", "pull", "create", "drain", "stop", "snapshot", "start", "healthy", "hello", "probe", "commit",
)  # fmt: skip
MIGRATED = b"what the new version made of it"
ALL = Verdict(True, version="2026.5.28")


@asynccontextmanager
async def open_bot(**more: Any) -> AsyncIterator[Yard]:
    """A bot on the old image, over which daemons come and go; a new version changes what its volume holds."""
    async with open_yard(**more) as yard:
        yard.engine.digests = DIGESTS
        begin = yard.engine.begin

        def beginning(container: FakeContainer) -> None:
            begin(container)
            if container.image_id in DIGESTS.values():
                volume = container.volume_at(STATE_PATH) or ""
                # In front: a tar's end is looked at.
                yard.engine.contents[volume] = MIGRATED + yard.engine.contents[volume]

        yard.engine.begin = beginning  # type: ignore[method-assign]  # the fake's own way to start one
        async with yard.life() as docker:
            assert (await make(docker)).state == "succeeded"
        yard.engine.calls.clear()
        yield yard


async def begun(docker: Docker, image: str | None = NEW, **more: Any) -> Operation:
    return await docker.upgrading.begin("atlas", UpgradeRequest(image=image, **more), ACTOR)


async def upgrade(docker: Docker, image: str | None = NEW, **more: Any) -> Operation:
    return await docker.operations.wait((await begun(docker, image, **more)).id)


def change(docker: Docker, name: str, run: Callable[[Step, Work], Awaitable[None]]) -> None:
    """Let a step do something else."""

    def changed(step: Step) -> Step:
        async def doing(work: Work) -> None:
            await run(step, work)

        return dataclasses.replace(step, run=doing) if step.name == name else step

    docker.operations.register("upgrade", [changed(step) for step in docker.operations.kinds["upgrade"]])


@dataclasses.dataclass(frozen=True)
class Whole:
    """What there is of a bot, where one container is all that it has."""

    image: str
    state: str
    volume: str
    content: bytes

    @classmethod
    async def of(cls, yard: Yard) -> Whole:
        (container,) = yard.engine.all.values()
        stored = await yard.stored()
        assert stored is not None
        spec = Spec.model_validate(stored.spec)
        assert (container.name, container.id) == ("edgebotd-atlas", stored.container_id)
        assert container.body["Image"] == spec.pinned
        (volume,) = [volume.name for volume in spec.volumes]
        assert container.volume_at(STATE_PATH) == volume
        assert set(yard.engine.volumes_here) == {one.name for one in spec.all_volumes}
        assert yard.bots.held.get("atlas") is None
        return cls(spec.image, container.state, volume, yard.engine.contents[volume])


async def test_a_bot_is_upgraded_and_what_it_was_is_kept(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        before = await Whole.of(yard)
        operation = await upgrade(docker)
        assert (operation.state, operation.reason) == ("succeeded", None)
        assert docker.operations.steps("upgrade") == STEPS
        after = await Whole.of(yard)
        assert (after.image, after.state, after.content) == (NEW, "running", MIGRATED + before.content)
        assert after.volume != before.volume
        # The new version has never seen it.
        assert yard.engine.contents[before.volume] == before.content
        stored = await yard.stored()
        assert stored is not None
        previous = Spec.model_validate(stored.spec).previous
        assert previous is not None
        assert (previous.spec.image, previous.size_bytes) == (IMAGE, len(before.content))
        said = await texts(docker, operation)
        assert "It answers: This is edgebotd's check after an upgrade. Answer with the word OK." in said
        assert any(text.startswith("Its volumes are copied: 0.0 MiB in ") for text in said)
        status = docker.containers.of_bot("atlas")
        assert status is not None and (status.state, status.doing) == ("running", None)


async def test_the_bot_is_quietened_only_once_the_image_is_there_and_the_new_container_made(
    autojump_clock: MockClock,
) -> None:
    async with open_bot() as yard, yard.life() as docker:
        yard.bots.runs["atlas"] = 2
        operation = await begun(docker)
        await trio.sleep(0.5)
        assert yard.bots.held.get("atlas") is None
        assert (await docker.operations.wait(operation.id)).state == "succeeded"
        order = [call.split()[0] for call in yard.engine.calls]
        assert order.index("pull") < order.index("create") < order.index("stop") < order.index("get")
        assert yard.bots.runs == {} and yard.bots.aborted == []


async def test_runs_are_aborted_where_that_is_asked_for(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        yard.bots.runs["atlas"] = 2
        assert (await upgrade(docker, drain="abort")).state == "succeeded"
        assert yard.bots.aborted == ["atlas"]


async def test_messages_are_held_until_it_is_certain_which_version_they_go_to(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        held: list[str | None] = []

        async def look(step: Step, work: Work) -> None:
            held.append(yard.bots.held.get("atlas"))
            await step.run(work)
            held.append(yard.bots.held.get("atlas"))

        for name in ("snapshot", "start", "healthy", "hello", "probe", "commit"):
            change(docker, name, look)
        await upgrade(docker)
        assert held == ["The bot is being upgraded; this goes out when that is done."] * 11 + [None]


async def test_the_same_image_is_nothing_to_do(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        before = dict(yard.engine.all)
        operation = await upgrade(docker, None)
        assert operation.state == "succeeded"
        assert any("already; nothing is to be done" in text for text in await texts(docker, operation))
        assert yard.engine.all == before
        assert not [call for call in yard.engine.calls if call.split()[0] in ("stop", "create", "rename")]


async def test_by_default_it_is_the_settings_image_for_a_bot_that_is_made_from_that(autojump_clock: MockClock) -> None:
    async with open_bot() as yard:
        yard.settings = yard.settings.model_copy(update={"image": NEW})
        async with yard.life() as docker:
            assert (await upgrade(docker, None)).state == "succeeded"
            assert (await Whole.of(yard)).image == NEW
        yard.settings = yard.settings.model_copy(update={"image": "registry.example/other:9"})
        async with yard.life() as docker:
            operation = await upgrade(docker, None)
            assert any("already; nothing is to be done" in text for text in await texts(docker, operation))


async def test_a_bot_that_was_stopped_is_left_so(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        await yard.engine.stop("edgebotd-atlas", 10)
        operation = await upgrade(docker)
        assert operation.state == "succeeded"
        whole = await Whole.of(yard)
        assert (whole.image, whole.state) == (NEW, "created")
        assert MIGRATED not in whole.content
        said = await texts(docker, operation)
        assert any("is left so" in text for text in said)
        # Nothing waits, says hello or answers: the log does not look as if it had.
        assert said.count("Left out, as it was stopped.") == 5


async def test_what_was_before_can_be_gone_back_to_and_forward_again(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        before = await Whole.of(yard)
        await upgrade(docker)
        after = await Whole.of(yard)
        operation = await upgrade(docker, None, back=True)
        assert (operation.state, operation.reason) == ("succeeded", None)
        assert await Whole.of(yard) == before
        assert (await upgrade(docker, None, back=True)).state == "succeeded"
        assert await Whole.of(yard) == dataclasses.replace(after, content=MIGRATED + after.content)


async def test_of_upgrades_before_the_last_one_nothing_is_kept(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        first = await Whole.of(yard)
        await upgrade(docker)
        second = await Whole.of(yard)
        operation = await upgrade(docker, "registry.example/claw:3")
        third = await Whole.of(yard)
        assert set(yard.engine.volumes_here) == {second.volume, third.volume}
        text = f"The volume {first.volume}, kept by an earlier upgrade, is removed."
        assert text in await texts(docker, operation)


async def test_with_the_bot_what_is_kept_of_an_earlier_version_is_removed(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        await upgrade(docker)
        removal = await docker.removal.begin("atlas", RemoveRequest(keep_volumes=False), ACTOR)
        assert (await docker.operations.wait(removal.id)).state == "succeeded"
        assert (yard.engine.all, yard.engine.volumes_here) == ({}, {})


@pytest.mark.parametrize("step", STEPS[1:-1])
async def test_a_step_that_fails_rolls_back_to_all_that_was(autojump_clock: MockClock, step: str) -> None:
    async with open_bot() as yard, yard.life() as docker:
        before = await Whole.of(yard)

        async def fail(step: Step, work: Work) -> None:
            await step.run(work)
            raise Problem(502, "broken", "It broke.")

        change(docker, step, fail)
        operation = await upgrade(docker)
        assert (operation.state, operation.step, operation.reason) == ("failed", step, "It broke.")
        assert await Whole.of(yard) == before
        status = docker.containers.of_bot("atlas")
        assert status is not None and status.doing is None


@pytest.mark.parametrize("step", STEPS[:-1])
async def test_cancelled_in_any_step_before_the_last_it_is_rolled_back(autojump_clock: MockClock, step: str) -> None:
    async with open_bot() as yard, yard.life() as docker:
        before = await Whole.of(yard)

        async def hang(step: Step, work: Work) -> None:
            await step.run(work)
            await trio.sleep_forever()

        change(docker, step, hang)
        operation = await begun(docker)
        await trio.sleep(20)
        await docker.operations.cancel(operation.id)
        ended = await docker.operations.wait(operation.id)
        assert (ended.state, ended.step) == ("cancelled", step)
        assert await Whole.of(yard) == before


async def test_a_new_version_that_ends_by_itself_is_rolled_back_with_its_last_lines(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        before = await Whole.of(yard)
        _new_containers(yard, lives=[0.2], dies_with=(78, False), health="starting", says="Config invalid")
        operation = await upgrade(docker)
        assert (operation.state, operation.step) == ("failed", "healthy")
        assert "| Config invalid" in await texts(docker, operation)
        assert await Whole.of(yard) == before


async def test_a_new_version_that_never_gets_healthy_is_rolled_back(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        before = await Whole.of(yard)
        _new_containers(yard, health="unhealthy", says="waiting for godot")
        operation = await upgrade(docker)
        assert (operation.state, operation.reason) == ("failed", "The new version is unhealthy after 300 s.")
        assert "| waiting for godot" in await texts(docker, operation)
        assert await Whole.of(yard) == before


async def test_a_new_version_that_gives_fewer_rights_is_rolled_back(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        before = await Whole.of(yard)
        old, new = ("Nobody may approve.",), ("Nobody may approve.", "Nothing can be written.")
        yard.bots.verdicts[:] = [
            Verdict(True, version="1", missing=old),
            *[Verdict(True, version="2", missing=new)] * 3,
        ]
        operation = await upgrade(docker)
        assert operation.reason == "The new version gives edgebotd less than the old one: Nothing can be written."
        assert await Whole.of(yard) == before


@pytest.mark.parametrize(("asked", "state"), [({}, "failed"), ({"probe_turn": False}, "succeeded")])
async def test_a_new_version_that_does_not_answer_is_rolled_back_unless_nobody_asked_it(
    autojump_clock: MockClock, asked: dict[str, Any], state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(bot_id: str, text: str, seconds: float, key: str) -> str:
        await trio.lowlevel.checkpoint()
        raise Conflict("no_reply", "The bot did not answer: no model.")

    async with open_bot() as yard, yard.life() as docker:
        monkeypatch.setattr(yard.bots, "echo", silent)
        operation = await upgrade(docker, **asked)
        assert operation.state == state
        # Whatever was asked of the new one is not left for the old one.
        assert yard.bots.echoes == [f"{'end' if state == 'failed' else 'forget'} {operation.id}"]
        assert state == "succeeded" or "upgrade it without the probe's turn" in (operation.reason or "")


async def test_an_old_one_that_was_not_connected_before_is_not_waited_for(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        away = Verdict(False, "bad_credentials", "The gateway refuses the token.")
        yard.bots.verdicts[:] = [away] * 2
        operation = await upgrade(docker)
        assert (operation.state, operation.reason) == ("failed", "The gateway refuses the token.")
        assert (await Whole.of(yard)).image == IMAGE


async def test_an_engine_that_is_away_while_it_rolls_back_is_waited_for(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        before = await Whole.of(yard)
        down = EngineError(Trouble.DOWN, "The engine is away.")

        async def fail(step: Step, work: Work) -> None:
            await step.run(work)
            yard.engine.down = down
            raise Problem(502, "broken", "It broke.")

        change(docker, "start", fail)
        operation = await begun(docker)
        await trio.sleep(1000)
        assert (await docker.operations.get(operation.id))[0].state == "undoing"
        yard.engine.down = None
        assert (await docker.operations.wait(operation.id)).state == "failed"
        assert await Whole.of(yard) == before


async def test_one_upgrade_goes_on_at_a_time_and_one_that_waits_can_be_cancelled(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        for name in ("bert", "carl"):
            await make(docker, id=name)
        yard.engine.pull_seconds = 5
        operations = [await docker.upgrading.begin(name, UpgradeRequest(image=NEW), ACTOR) for name in
                      ("atlas", "bert", "carl")]  # fmt: skip
        await trio.sleep(1)
        steps = [(await docker.operations.get(one.id))[0].step for one in operations]
        assert steps == ["pull", "waiting", "waiting"]
        assert "Another upgrade goes on; this one begins when that has ended." in await texts(docker, operations[1])
        await docker.operations.cancel(operations[1].id)
        assert (await docker.operations.wait(operations[1].id)).state == "cancelled"
        assert (await docker.operations.wait(operations[2].id)).state == "succeeded"
        assert (await docker.operations.get(operations[0].id))[0].state == "succeeded"


async def test_what_cannot_be_upgraded_is_refused_at_once(autojump_clock: MockClock) -> None:
    async with open_bot() as yard, yard.life() as docker:
        with pytest.raises(Invalid):
            await begun(docker, "-x")
        for more, code in (({"back": True}, "nothing_before"), ({"back": True, "image": NEW}, "back_and_image")):
            with pytest.raises(Conflict) as refused:
                await docker.upgrading.begin("atlas", UpgradeRequest.model_validate(more), ACTOR)
            assert refused.value.code == code
        with pytest.raises(Conflict) as none:
            await docker.upgrading.begin("other", UpgradeRequest(), ACTOR)
        assert none.value.code == "no_container"
        (container,) = yard.engine.all.values()
        container.body["Labels"] = {}
        with pytest.raises(Conflict) as adopted:
            await begun(docker)
        assert adopted.value.code == "container_adopted"


def _new_containers(yard: Yard, *, says: str, **more: Any) -> None:
    add = yard.engine.add

    def adding(name: str, body: Any = None, **given: Any) -> FakeContainer:
        container = add(name, body, **{**given, **more})
        yard.engine.say(container, says)
        return container

    yard.engine.add = adding  # type: ignore[method-assign]  # the fake's own way to make one
