"""What making an adopted container anew would keep and lose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from edgebotd.config import DockerSettings
from edgebotd.docker.answers import Image
from edgebotd.docker.profile import body
from edgebotd.docker.spec import Volume
from edgebotd.docker.spec_from import Plan, plan
from edgebotd.docker.violations import Around
from tests.docker.samples import inspection

DIGEST = f"ghcr.io/openclaw/openclaw@sha256:{'d' * 64}"
IMAGE = Image(
    f"sha256:{'a' * 64}",
    ("ghcr.io/openclaw/openclaw:2026.9.6",),
    (f"mirror.example/openclaw@sha256:{'e' * 64}", DIGEST),
    1,
    1,
    {"Env": ["PATH=/bin:/usr/bin"], "Cmd": ["/bot.sh"], "Labels": {"edgebotd.test": "1"}},
)


def planned(name: str, settings: DockerSettings | None = None, image: Image = IMAGE, **changes: Any) -> Plan:
    container = inspection(name, **changes)
    return plan(container, image, bot_id="atlas", settings=settings or DockerSettings(), around=Around())


OWN = ["PATH=/bin:/usr/bin", "TZ=Europe/Vienna", "http_proxy=http://proxy:3128"]


def test_what_a_container_has_of_its_own_is_kept() -> None:
    found = planned("loopback", Config__Env=OWN, Config__Cmd=["openclaw", "x"])
    assert found.obstacles == () and found.spec is not None
    spec = found.spec
    assert (spec.image, spec.pinned) == ("ghcr.io/openclaw/openclaw:2026.9.6", DIGEST)
    assert spec.volumes == (Volume(name="claw-state", path="/home/node/.openclaw"),)
    assert spec.environment == {"TZ": "Europe/Vienna", "http_proxy": "http://proxy:3128"} and spec.command == (
        "openclaw",
        "x",
    )
    assert spec.limits.memory_bytes == 2147483648 and spec.limits.pids == 512
    assert "the volume claw-state at /home/node/.openclaw" in found.keeps
    assert "of the environment TZ, http_proxy" in found.keeps
    made = body(spec, bot_id="atlas", installation="i", operation_id="o", settings=DockerSettings(), secrets={})
    assert made["Cmd"] == ["openclaw", "x"] and "TZ=Europe/Vienna" in made["Env"]
    ports = inspection("loopback").raw["NetworkSettings"]["Ports"]["18789/tcp"]
    assert str(spec.port) == ports[0]["HostPort"]


def test_what_is_lost_is_said() -> None:
    found = planned("loopback", NetworkSettings__Networks={"bridge": {}, "shared": {}}, Config__User="root")
    assert "The network shared, by which other containers reach it." in found.loses
    assert "Its user root: it would run as its image's, root." in found.loses
    assert any(text.startswith("No longer so: It has capabilities") for text in found.loses)


def test_secrets_are_kept_by_name_alone() -> None:
    environment = ["OPENCLAW_GATEWAY_TOKEN=hidden-1", "PROXY=http://u:hidden-2@proxy:1", "a.b=hidden-3"]
    settings = DockerSettings(secrets={"openclaw-gateway-token": Path("/etc/token")})
    found = planned("loopback", settings, Config__Env=environment)
    assert found.spec is not None and found.spec.environment == {}
    assert found.spec.secret_environment == {"OPENCLAW_GATEWAY_TOKEN": "openclaw-gateway-token"}
    assert any("proxy = FILE" in text for text in found.loses) and any(
        "environment's a.b" in text for text in found.loses
    )
    assert "hidden" not in repr(found)
    secrets = {"openclaw-gateway-token": SecretStr("x")}
    body(found.spec, bot_id="atlas", installation="i", operation_id="o", settings=settings, secrets=secrets)


def test_a_folder_with_the_state_must_be_named_in_the_settings() -> None:
    found = planned("compose", Config__Env=[])
    assert found.spec is None
    assert any('atlas = ["/srv/openclaw:/home/node/.openclaw"]' in text for text in found.obstacles)
    assert any("compose project" in text for text in found.loses) and "Its published port 18790/tcp." in found.loses
    folders = ("/srv/openclaw:/home/node/.openclaw", "/srv/openclaw/workspace:/home/node/.openclaw/workspace")
    named = planned("compose", DockerSettings(mounts={"atlas": folders}), Config__Env=[])
    assert named.obstacles == () and named.spec is not None and named.spec.volumes == ()
    assert not any("/srv/openclaw" in text for text in named.loses)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"HostConfig__NetworkMode": "host"}, "docker.host_network"),
        ({"Config__Cmd": ["openclaw", "gateway", "--port", "19000"]}, "listens on 19000"),
        ({"NetworkSettings__Ports": {}, "HostConfig__PortBindings": {}}, "not published"),
        (
            {"NetworkSettings__Ports": {"18789/tcp": [{"HostIp": "192.0.2.7", "HostPort": "5"}]}},
            "reached at 192.0.2.7",
        ),
        ({"Config__Cmd": ["openclaw", "gateway", "--token", "hidden"]}, "secret stands in its command"),
        ({"Mounts": [], "HostConfig__Binds": [], "HostConfig__Mounts": []}, "would be lost"),
        ({"HostConfig__Memory": 1024}, "cannot make: memory_bytes"),
    ],
)
def test_what_has_to_be_done_first_is_said(changes: dict[str, Any], words: str) -> None:
    try:
        found = planned("loopback", **changes)
    except ValueError:
        pytest.fail("a container is never a crash")
    assert found.spec is None and any(words in text for text in found.obstacles), found.obstacles
    assert "hidden" not in repr(found)


def test_an_image_without_a_name_is_pinned_by_its_id() -> None:
    found = planned("loopback", Config__Image=IMAGE.id, image=IMAGE)
    assert found.spec is not None and found.spec.pinned == IMAGE.id
