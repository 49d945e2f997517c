"""A container made anew in its place, or the old one back; a bot taken away, with what is to be kept."""

from __future__ import annotations

import dataclasses

import pytest
import trio
from trio.testing import MockClock

from edgebotd.docker.answers import EngineVersion
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.house import Docker
from edgebotd.docker.removal import RemoveRequest
from edgebotd.errors import Conflict
from edgebotd.protocol.run import Verdict
from edgebotd.store import bots as bot_rows
from edgebotd.store import containers as rows
from edgebotd.store.bots import StoredBot
from edgebotd.store.containers import StoredContainer
from edgebotd.store.operations import Operation
from tests.docker.yard import ACTOR, IMAGE, Yard, hang_after, make, open_yard, texts

RECREATE = ("validate", "pull", "create", "swap", "healthy", "hello")


async def recreate(docker: Docker) -> Operation:
    return await docker.operations.wait((await docker.recreating.begin("atlas", ACTOR)).id)


async def remove(docker: Docker, *, history: bool = True, volumes: bool = True) -> Operation:
    request = RemoveRequest(keep_history=history, keep_volumes=volumes)
    return await docker.operations.wait((await docker.removal.begin("atlas", request, ACTOR)).id)


def only(yard: Yard) -> tuple[str, str, str]:
    (container,) = yard.engine.all.values()
    return container.id, container.name, container.state


async def test_the_new_one_is_in_the_old_ones_place_with_the_same_volume(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        made = await make(docker)
        before = only(yard)[0]
        operation = await recreate(docker)
        assert (operation.state, operation.reason) == ("succeeded", None)
        after, name, state = only(yard)
        assert after != before
        assert (name, state) == ("edgebotd-atlas", "running")
        mounts = yard.engine.all[after].body["HostConfig"]["Mounts"]
        assert [mount["Source"] for mount in mounts] == [made.made["volume"]] == list(yard.engine.volumes_here)
        stored = await yard.stored()
        assert stored is not None and stored.container_id == after
        assert yard.bots.held == {"atlas": None}
        status = docker.containers.of_bot("atlas")
        assert status is not None and (status.state, status.doing) == ("running", None)
        # The old one was stopped, not killed, before the new one was started.
        calls = [call for call in yard.engine.calls if call.split()[0] in ("stop", "start", "rename", "remove")][-5:]
        assert [call.split()[0] for call in calls] == ["stop", "rename", "rename", "start", "remove"]


async def test_one_that_was_stopped_is_made_anew_and_left_so(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        await make(docker)
        await yard.engine.stop("edgebotd-atlas", 1)
        operation = await recreate(docker)
        assert operation.state == "succeeded"
        assert only(yard)[2] == "created"
        assert "It was stopped, and is left so." in await texts(docker, operation)
        assert "Left out, as it was stopped." in await texts(docker, operation)


async def test_where_the_new_one_does_not_come_up_the_old_one_is_back(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        await make(docker)
        before = only(yard)
        yard.bots.verdicts[:] = [Verdict(False, "bad_credentials", "The gateway refuses the token.")]
        operation = await recreate(docker)
        assert (operation.state, operation.reason) == ("failed", "The gateway refuses the token.")
        assert only(yard) == before
        stored = await yard.stored()
        assert stored is not None and stored.container_id == before[0]
        assert yard.bots.held == {"atlas": None}


@pytest.mark.parametrize("step", RECREATE)
async def test_cancelled_or_after_a_crash_in_any_step_there_is_one_container(
    autojump_clock: MockClock, step: str
) -> None:
    async with open_yard() as yard:
        async with yard.life() as docker:
            await make(docker)
            before = only(yard)
            hang_after(docker, step, "recreate")
            begun = await docker.recreating.begin("atlas", ACTOR)
            await trio.sleep(400)
            await docker.operations.cancel(begun.id)
            assert (await docker.operations.wait(begun.id)).state == "cancelled"
            assert only(yard) == before
            begun = await docker.recreating.begin("atlas", ACTOR)
            await trio.sleep(400)
        async with yard.life() as docker:
            assert (await docker.operations.wait(begun.id)).state == "succeeded"
            after = only(yard)
            assert after[0] != before[0]
            assert after[1:] == before[1:]


async def test_a_stranger_that_has_the_name_is_not_replaced(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        await make(docker)
        (own,) = list(yard.engine.all)
        await yard.engine.remove(own, force=True)
        stranger = yard.engine.add("edgebotd-atlas")
        await yard.engine.start("edgebotd-atlas")
        operation = await recreate(docker)
        assert (operation.state, operation.step) == ("failed", "validate")
        assert operation.reason is not None and "is not that of 'atlas'" in operation.reason
        assert list(yard.engine.all.values()) == [stranger] and stranger.running
        # Out of the way, the bot gets its own again.
        await yard.engine.rename(stranger.id, "moved")
        assert (await recreate(docker)).state == "succeeded"
        assert [one.name for one in yard.engine.all.values()] == ["moved", "edgebotd-atlas"]


@pytest.mark.parametrize("same", [True, False])
async def test_of_an_adopted_bot_the_container_that_was_adopted_is_replaced(
    autojump_clock: MockClock, same: bool
) -> None:
    async with open_yard() as yard, yard.life() as docker:
        await make(docker)
        (container,) = yard.engine.all.values()
        container.body["Labels"] = {}
        stored = await yard.stored()
        assert stored is not None
        adopted = dataclasses.replace(stored, origin="adopted", container_id=container.id if same else "0" * 64)
        await yard.database.write(lambda tx: rows.put(tx.connection, adopted))
        assert (await recreate(docker)).state == ("succeeded" if same else "failed")
        assert (container.id in yard.engine.all) is not same


async def test_what_edgebotd_did_not_make_is_not_made_anew_or_removed(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        for bot_id, origin in (("adopted", "adopted"), ("named", "file"), ("written", "provisioned")):
            bot = StoredBot(bot_id, "openclaw", bot_id, {"url": "ws://x:1"}, "file" if bot_id == "written" else "store")
            container = StoredContainer(bot_id, bot_id, None, origin)  # type: ignore[arg-type]  # out of the table above
            await yard.database.write(lambda tx, bot=bot: bot_rows.add(tx.connection, bot))  # type: ignore[misc]
            await yard.database.write(lambda tx, one=container: rows.put(tx.connection, one))  # type: ignore[misc]
        for bot_id, code in (("adopted", "container_adopted"), ("named", "bot_in_file"), ("written", "bot_in_file")):
            with pytest.raises(Conflict) as refused:
                await docker.removal.begin(bot_id, RemoveRequest(), ACTOR)
            assert refused.value.code == code
            with pytest.raises(Conflict) as spec:
                await docker.recreating.begin(bot_id, ACTOR)
            assert spec.value.code == "no_spec"
        # A bot whose container was there before is forgotten without it.
        await docker.removal.let_go("adopted")
        assert await yard.stored("adopted") is None
        await docker.removal.let_go("nobody")


@pytest.mark.parametrize("volumes", [True, False])
async def test_a_bot_is_taken_away_with_what_is_not_kept(autojump_clock: MockClock, volumes: bool) -> None:
    async with open_yard() as yard, yard.life() as docker:
        await make(docker)
        operation = await remove(docker, volumes=volumes)
        assert operation.state == "succeeded", operation.reason
        assert yard.engine.all == {}
        assert bool(yard.engine.volumes_here) is volumes
        assert yard.bots.names == {}
        assert await yard.stored() is None
        assert docker.containers.of_bot("atlas") is None


async def test_a_removal_that_broke_off_is_gone_on_with_when_asked_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_yard() as yard, yard.life() as docker:
        await make(docker)
        remove_volume = yard.engine.remove_volume

        async def used(name: str) -> None:
            await trio.lowlevel.checkpoint()
            raise EngineError(Trouble.CONFLICT, "volume is in use")

        monkeypatch.setattr(yard.engine, "remove_volume", used)
        failed = await remove(docker, volumes=False)
        assert (failed.state, failed.step, failed.reason) == ("failed", "volumes", "volume is in use")
        assert (len(yard.engine.all), len(yard.engine.volumes_here)) == (0, 1)
        monkeypatch.setattr(yard.engine, "remove_volume", remove_volume)
        again = await docker.operations.wait((await docker.operations.retry(failed.id, ACTOR)).id)
        assert again.state == "succeeded", again.reason
        assert yard.engine.volumes_here == {}


async def test_a_removal_that_is_cancelled_while_it_stops_starts_the_bot_again(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        await make(docker)
        (container,) = yard.engine.all.values()
        container.stop_seconds = 100
        begun = await docker.removal.begin("atlas", RemoveRequest(), ACTOR)
        await trio.sleep(10)
        await docker.operations.cancel(begun.id)
        assert (await docker.operations.wait(begun.id)).state == "cancelled"
        assert container.state == "running"
        assert yard.bots.held == {"atlas": None}
        assert list(yard.bots.names) == ["atlas"]


async def test_a_strangers_container_under_the_bots_name_is_left_as_it_is(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        await make(docker)
        (made,) = list(yard.engine.all)
        await yard.engine.remove(made, force=True)
        stranger = yard.engine.add("edgebotd-atlas")
        await yard.engine.start("edgebotd-atlas")
        operation = await remove(docker, history=False, volumes=False)
        assert operation.state == "succeeded", operation.reason
        assert stranger.running
        assert list(yard.engine.all.values()) == [stranger]
        assert any("is left as it is" in text for text in await texts(docker, operation))
        assert await yard.stored() is None


@pytest.mark.parametrize("kind, user, owner", [("Docker", "node", 1000), ("Docker", "", 0), ("Podman", "node", None)])
async def test_what_is_in_memory_is_its_users_where_the_engine_takes_that(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, kind: str, user: str, owner: int | None
) -> None:
    async with open_yard() as yard:
        version = dataclasses.replace(await yard.engine.version(), kind=kind)

        async def answer() -> EngineVersion:
            await trio.lowlevel.checkpoint()
            return version

        monkeypatch.setattr(yard.engine, "version", answer)
        yard.engine.have_image(IMAGE, config={"User": user})
        async with yard.life() as docker:
            await make(docker)
        (container,) = yard.engine.all.values()
        npm = container.body["HostConfig"]["Tmpfs"]["/home/node/.npm"].split(",")
        assert [option for option in npm if "uid=" in option] == ([] if owner is None else [f"uid={owner}"])
