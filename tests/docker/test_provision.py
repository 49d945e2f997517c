"""A bot is made in steps: whole, or taken away again with everything that it made and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from pydantic import SecretStr
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd import logs
from edgebotd.docker.answers import ExecResult
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.gateway import check_config
from edgebotd.docker.spec import BOT_LABEL, INSTALLATION_LABEL, OPERATION_LABEL
from edgebotd.errors import Conflict, Invalid, Problem
from edgebotd.protocol.run import Verdict
from tests.docker.house import INSTALLATION, docker_on
from tests.docker.yard import ACTOR, IMAGE, PAIRING, STEPS, begun, hang_after, make, open_yard, texts


async def test_a_bot_is_made_paired_and_greeted(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        yard.bots.verdicts[:] = [Verdict(False, "restarting", "It starts."), PAIRING, Verdict(True, version="2026.9.6")]
        operation = await make(docker, name="Atlas", model="fake/one", config={"agents": {"defaults": {"x": 1}}})
        assert (operation.state, operation.reason) == ("succeeded", None)
        assert docker.operations.steps("create") == STEPS
        (container,) = yard.engine.all.values()
        (volume,) = yard.engine.volumes_here.values()
        labels = {BOT_LABEL: "atlas", INSTALLATION_LABEL: INSTALLATION, OPERATION_LABEL: operation.id}
        assert (container.name, container.state, container.body["Labels"]) == ("edgebotd-atlas", "running", labels)
        assert volume["Labels"] == labels
        assert container.body["HostConfig"]["RestartPolicy"] == {"Name": "unless-stopped"}
        assert container.body["Image"].startswith("registry.example/claw@sha256:")
        url, token = yard.bots.gateways["atlas"]
        assert url == "ws://127.0.0.1:18900"
        assert container.body["HostConfig"]["PortBindings"] == {
            "18789/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18900"}]
        }
        stored = await yard.stored()
        assert stored is not None
        assert (stored.name, stored.container_id, stored.origin, stored.wanted) == (
            "edgebotd-atlas",
            container.id,
            "provisioned",
            "running",
        )
        assert stored.spec["port"] == 18900
        config = yard.config()
        assert config["gateway"]["auth"] == {"mode": "token", "token": token.get_secret_value()}
        assert (config["gateway"]["bind"], config["gateway"]["port"]) == ("lan", 18789)
        assert config["agents"]["defaults"]["model"] == {"primary": "fake/one"}
        assert config["agents"]["defaults"]["x"] == 1
        # The token is in the keyring and in the volume, nowhere else.
        assert token.get_secret_value() not in json.dumps(
            [container.body, operation.made, operation.request, stored.spec]
        )
        assert "exec edgebotd-atlas node openclaw.mjs devices approve req-1" in yard.engine.calls
        status = docker.containers.of_bot("atlas")
        assert status is not None
        assert (status.state, status.doing) == ("running", None)
        told = yard.bots.told["atlas"]
        assert told is not None and told.state == "running"
        assert (await texts(docker, operation))[-1] == "Connected: OpenClaw 2026.9.6."


@pytest.mark.parametrize(
    "body, code",
    [
        ({"image": "--privileged"}, "bad_image"),
        ({"secretEnvironment": {"KEY": "nobody"}}, "secret_missing"),
        ({"logins": ["fake:work"]}, "secret_missing"),
        ({"environment": {"OPENAI_API_KEY": "sk"}}, "invalid_request"),
        ({"config": {"gateway": {"bind": "lan"}}}, "invalid_request"),
        ({"config": {"models": {"providers": {"x": {"apiKey": "sk-1"}}}}}, "invalid_request"),
        ({"config": {"gateway": 1}}, "invalid_request"),
        ({"limits": {"memoryBytes": 1}}, "invalid_request"),
        ({"network": "host"}, "host_network"),
    ],
)
async def test_what_cannot_be_right_is_refused_before_anything_begins(
    autojump_clock: MockClock, body: dict[str, Any], code: str
) -> None:
    async with open_yard() as yard, yard.life() as docker:
        with pytest.raises(Problem) as refused:
            await begun(docker, **body)
        assert refused.value.code == code
        assert "sk" not in refused.value.detail
        assert await docker.operations.newest() == []


async def test_an_id_that_was_ever_given_is_not_given_again(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        await make(docker)
        with pytest.raises(Conflict) as taken:
            await begun(docker)
        assert taken.value.code == "bot_exists"


async def test_without_an_engine_it_is_said_what_to_do(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, docker_on(yard.database, yard.hub, yard.clock, settings=yard.settings) as docker:
        with pytest.raises(EngineError) as none:
            await begun(docker)
        assert none.value.code == "engine_none"


async def test_a_secret_goes_into_the_environment_by_its_name(autojump_clock: MockClock, tmp_path: Path) -> None:
    file = tmp_path / "anthropic.key"
    file.touch(0o600)
    file.write_text("sk-hush-hush\n")
    async with open_yard(secrets={"anthropic": file}) as yard, yard.life() as docker:
        operation = await make(
            docker,
            environment={"LANG": "C.UTF-8"},
            secretEnvironment={"ANTHROPIC_API_KEY": "anthropic"},
            config={"models": {"providers": {"a": {"apiKey": "${ANTHROPIC_API_KEY}"}}}},
        )
        (container,) = yard.engine.all.values()
        assert {"ANTHROPIC_API_KEY=sk-hush-hush", "LANG=C.UTF-8"} <= set(container.body["Env"])
        stored = await yard.stored()
        assert stored is not None
        assert "sk-hush-hush" not in json.dumps([operation.request, operation.made, stored.spec])
        assert stored.spec["secret_environment"] == {"ANTHROPIC_API_KEY": "anthropic"}


async def test_the_same_asked_for_again_while_it_goes_on_is_answered_by_that(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        first = await begun(docker, name="Atlas")
        await wait_all_tasks_blocked()
        assert (await begun(docker, name="Atlas")).id == first.id
        with pytest.raises(Conflict):
            await begun(docker, name="Other")


async def test_a_pull_is_told_once_a_second_and_its_failure_leaves_nothing(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        yard.engine.pull_seconds = 3.5
        yard.engine.pull_error = EngineError(Trouble.REFUSED, "unknown blob")
        operation = await begun(docker, image="registry.example/other:2")
        await trio.sleep(2.2)
        (pull,) = docker.containers.status().pulls
        assert (pull.image, pull.bytes_done, pull.bytes_total) == ("registry.example/other:2", 500, 1000)
        ended = await docker.operations.wait(operation.id)
        assert ended.state == "failed"
        assert ended.reason == "The image registry.example/other:2 could not be pulled: unknown blob"
        assert docker.containers.status().pulls == ()
        await yard.is_clean()


async def test_a_registry_that_is_gone_is_no_reason_while_the_image_is_here(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        yard.engine.pull_error = EngineError(Trouble.REFUSED, "connection refused")
        operation = await make(docker)
        assert operation.state == "succeeded"
        assert f"The {IMAGE} that is here is taken." in " ".join(await texts(docker, operation))


async def test_an_image_by_digest_that_is_here_is_not_pulled(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        pinned = "registry.example/claw@sha256:" + "d" * 64
        assert (await make(docker, image=pinned)).made["pinned"] == pinned
        assert not [call for call in yard.engine.calls if call.startswith("pull")]


async def test_a_name_that_a_strangers_container_has_is_not_taken_from_it(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        stranger = yard.engine.add("edgebotd-atlas")
        operation = await make(docker)
        assert operation.reason is not None
        assert "which edgebotd did not make" in operation.reason
        assert list(yard.engine.all.values()) == [stranger]
        assert yard.engine.volumes_here == {}
        yard.engine.all.clear()
        await yard.is_clean()
        assert (await make(docker)).state == "succeeded"


async def test_what_an_earlier_attempt_left_is_no_obstacle(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        labels = {BOT_LABEL: "atlas", INSTALLATION_LABEL: INSTALLATION, OPERATION_LABEL: "op_old"}
        left = yard.engine.add("edgebotd-atlas", {"Labels": labels})
        assert (await make(docker)).state == "succeeded"
        assert left.id not in yard.engine.all


async def test_a_port_that_somebody_has_is_passed_over(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_yard() as yard, yard.life() as docker:
        start = yard.engine.start

        async def clash(container: str) -> None:
            binding = yard.engine.named(container).body["HostConfig"]["PortBindings"]["18789/tcp"][0]
            if binding["HostPort"] in ("18900", "18901"):
                await trio.lowlevel.checkpoint()
                words = f"driver failed: Bind for 127.0.0.1:{binding['HostPort']} failed: port is already allocated"
                raise EngineError(Trouble.REFUSED, words)
            await start(container)

        monkeypatch.setattr(yard.engine, "start", clash)
        operation = await make(docker)
        assert (operation.state, operation.made["port"]) == ("succeeded", 18902)
        assert yard.bots.gateways["atlas"][0] == "ws://127.0.0.1:18902"
        assert len(yard.engine.all) == 1
        stored = await yard.stored()
        assert stored is not None and stored.spec["port"] == 18902
        assert yard.config()["gateway"]["auth"]["token"] == "token-of-atlas"


async def test_each_bot_has_a_port_of_its_own_until_there_is_none(autojump_clock: MockClock) -> None:
    async with open_yard(ports="20000-20002") as yard, yard.life() as docker:
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(lambda n: make(docker, id=f"b{n}"), number)
        assert sorted(url for url, _ in yard.bots.gateways.values()) == [
            f"ws://127.0.0.1:{port}" for port in (20000, 20001, 20002)
        ]
        operation = await make(docker, id="b3")
        assert operation.reason == "No port out of 20000-20002 is free. Widen docker.ports."


async def test_a_container_that_ends_by_itself_fails_with_its_last_lines(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        add = yard.engine.add

        def dying(name: str, body: Any = None, **more: Any) -> Any:
            container = add(name, body, lives=[0.2], dies_with=(78, False), health="starting")
            yard.engine.say(container, "Config invalid: agents.defaults.x")
            return container

        yard.engine.add = dying  # type: ignore[method-assign]  # the fake's own way to make one
        operation = await make(docker)
        assert operation.state == "failed"
        assert operation.reason is not None and "ended by itself" in operation.reason
        assert "| Config invalid: agents.defaults.x" in await texts(docker, operation)
        await yard.is_clean()


async def test_the_last_lines_are_told_without_secrets_by_a_daemon_that_did_not_make_it_too(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    file = tmp_path / "oddly.key"
    file.touch(0o600)
    file.write_text("hush-of-the-file")
    async with open_yard(secrets={"oddly": file}) as yard:
        add = yard.engine.add

        def dying(name: str, body: Any = None, **more: Any) -> Any:
            container = add(name, body, lives=[0.2], dies_with=(1, False), health="starting")
            yard.engine.say(container, f"{'x' * 490} hush-of-the-file")
            yard.engine.say(container, "Authorization: Bearer hush-of-another")
            return container

        yard.engine.add = dying  # type: ignore[method-assign]  # the fake's own way to make one
        async with yard.life() as docker:
            hang_after(docker, "create")
            operation = await begun(docker, secretEnvironment={"ODDLY": "oddly"})
            await wait_all_tasks_blocked()
        logs.forget_secret("hush-of-the-file")
        async with yard.life() as docker:
            assert (await docker.operations.wait(operation.id)).state == "failed"
            told = " ".join(await texts(docker, operation))
            assert "xxx" in told and "Authorization" in told
            assert "hush" not in told


async def test_a_gateway_that_does_not_take_the_token_ends_it_at_once(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        yard.bots.verdicts[:] = [Verdict(False, "bad_credentials", "The gateway refuses the token.")]
        operation = await make(docker)
        assert (operation.state, operation.reason) == ("failed", "The gateway refuses the token.")
        await yard.is_clean()


async def test_a_pairing_that_is_not_approved_ends_it(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        yard.bots.verdicts[:] = [PAIRING] * 1000
        yard.engine.exec_answers[:] = [ExecResult(1, "", "unknown requestId")] * 10
        operation = await make(docker)
        assert (operation.state, operation.step) == ("failed", "pair")
        assert operation.reason is not None and operation.reason.endswith("unknown requestId")
        await yard.is_clean()


async def test_a_bot_that_somebody_connects_under_the_id_meanwhile_is_left_alone(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        yard.engine.pull_seconds = 5
        operation = await begun(docker, image="registry.example/other:2")
        await trio.sleep(1)
        await yard.bots.add("atlas", "Somebody's", "ws://elsewhere:1", SecretStr("t"))
        ended = await docker.operations.wait(operation.id)
        assert ended.state == "failed"
        assert yard.bots.gateways == {"atlas": ("ws://elsewhere:1", SecretStr("t"))}
        assert (yard.engine.all, yard.engine.volumes_here) == ({}, {})


async def test_a_failed_one_is_tried_again_with_the_same_request(autojump_clock: MockClock) -> None:
    async with open_yard() as yard, yard.life() as docker:
        yard.bots.verdicts[:] = [Verdict(False, "bad_credentials", "No.")]
        failed = await make(docker, name="Atlas")
        again = await docker.operations.retry(failed.id, ACTOR)
        assert again.id != failed.id
        assert (await docker.operations.retry(failed.id, ACTOR)).id == again.id
        assert (await docker.operations.wait(again.id)).state == "succeeded"
        assert yard.bots.names == {"atlas": "Atlas"}
        with pytest.raises(Conflict):
            await docker.operations.retry(again.id, ACTOR)


@pytest.mark.parametrize("step", STEPS)
async def test_cancelled_in_any_step_nothing_is_left(autojump_clock: MockClock, step: str) -> None:
    async with open_yard() as yard, yard.life() as docker:
        hang_after(docker, step)
        operation = await begun(docker)
        await trio.sleep(30)
        await docker.operations.cancel(operation.id)
        ended = await docker.operations.wait(operation.id)
        assert (ended.state, ended.step) == ("cancelled", step)
        await yard.is_clean()
        assert docker.containers.of_bot("atlas") is None


@pytest.mark.parametrize("checkpoints", range(0, 120, 7))
async def test_a_daemon_that_dies_anywhere_goes_on_where_it_was(autojump_clock: MockClock, checkpoints: int) -> None:
    async with open_yard() as yard:
        yard.bots.verdicts[:] = [PAIRING]
        async with yard.life() as docker:
            operation = await begun(docker)
            for _ in range(checkpoints):
                await trio.lowlevel.checkpoint()
        async with yard.life() as docker:
            ended = await docker.operations.wait(operation.id)
            assert ended.state == "succeeded"
            assert (len(yard.engine.all), len(yard.engine.volumes_here)) == (1, 1)
            assert list(yard.bots.names) == ["atlas"]
            stored = await yard.stored()
            assert stored is not None and stored.container_id in yard.engine.all


async def test_a_configuration_is_refused_with_the_key_and_never_the_value() -> None:
    with pytest.raises(Invalid) as refused:
        check_config({"channels": [{"botToken": "123:hush"}]})
    assert "channels.botToken" in refused.value.detail
    assert "hush" not in refused.value.detail
    check_config({"channels": [{"botToken": "${TELEGRAM}"}], "tokenLimit": 5, "maxTokens": 100})


@pytest.mark.parametrize(
    "config",
    [
        {"a": {"headers": {"Authorization": "hush-hush"}}},
        {"a": {"note": "sk-hush-abcdefghijklmnop"}},
        {"proxy": "http://ada:hush-hush@proxy:3128"},
        {"args": ["--key", "sk-hush-abcdefghijklmnop"]},
        {"label": "glpat-hushhushhushhushhush"},
        {"note": "of hU5h2mVx9Kq7Lb4Zr8Tn3Wc6 it is"},
        {"pin": {"password": 12345678}},
        {"apiKey": 9.5},
        {"botToken": 12345678901},
    ],
)
async def test_a_secret_is_seen_by_its_form_whatever_it_stands_under(config: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        check_config(config)
    assert "hush" not in refused.value.detail


async def test_a_reference_may_stand_in_a_text() -> None:
    check_config({"headers": {"Authorization": "Bearer ${A_LONG_NAME}"}, "proxy": "http://ada:${PASSWORD}@proxy:3128"})


def test_what_is_no_secret_is_none() -> None:
    check_config(
        {
            "model": {"primary": "anthropic/claude-3-5-Sonnet-20241022-v2", "maxTokens": 200_000, "max_token": 4096},
            "image": "registry.example/Team/openclaw@sha256:" + "0123456789abcdef" * 4,
            "id": ["3f2504e0-4f89-41d3-9a0c-0305e82c3301", "987654321098765432"],
            "cwd": "/home/node/.openclaw/workspace/2026-Notes/OpenClawAgentNumber2",
            "password": False,
            "apiKey": None,
            "handler": "runTheOpenClawGatewayHandlerV2",
        }
    )


@pytest.mark.parametrize(
    ("name", "value"), [("FOO", "sk-hush-abcdefghijklmnop"), ("DB", "pg://ada:hush@db/x"), ("MY_AUTH", "hush")]
)
async def test_a_plain_variable_with_a_secret_in_it_is_refused(
    autojump_clock: MockClock, name: str, value: str
) -> None:
    async with open_yard() as yard, yard.life() as docker:
        with pytest.raises(Invalid) as refused:
            await begun(docker, environment={name: value})
        assert "hush" not in refused.value.detail
        assert await docker.operations.newest() == []
