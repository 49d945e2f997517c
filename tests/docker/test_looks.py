"""What looks like an OpenClaw gateway, in containers and on the machine, and where its token is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.docker.gateway_file import NoToken, plain, token_in
from edgebotd.docker.host import look
from edgebotd.docker.looks import (
    address_of,
    config_paths,
    gateway_port,
    obstacle,
    reasons,
    suggested_id,
    url_of,
)
from tests.docker.samples import inspection


def test_openclaws_own_compose_file_is_known() -> None:
    container = inspection("compose")
    assert reasons(container) == (
        "its image is ghcr.io/openclaw/openclaw:2026.9.6",
        "it has the port 18789",
        "its environment has OPENCLAW_GATEWAY_TOKEN",
        "its label com.docker.compose.service is openclaw-gateway",
    )
    assert address_of(container) == ("127.0.0.1", 18789) and obstacle(container) is None


PLAIN: dict[str, Any] = {
    "Config__Image": "debian:12",
    "Config__Env": [],
    "Config__Labels": {},
    "Config__ExposedPorts": {},
    "HostConfig__PortBindings": {},
    "NetworkSettings__Ports": {},
    "Name": "/x",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Config__Image": "registry.example:5000/me/clawdbot:1"}, "its image is"),
        ({"Config__Cmd": ["node", "dist/index.js", "gateway", "--token", "hidden"]}, "its command starts a gateway"),
        ({"Config__Entrypoint": ["openclaw"], "Config__Cmd": ["gateway"]}, "its command starts a gateway"),
        ({"Config__ExposedPorts": {"18789/tcp": {}}}, "it has the port 18789"),
        ({"Config__Env": ["OPENCLAW_STATE_DIR=/x"]}, "its environment has OPENCLAW_STATE_DIR"),
        ({"Config__Labels": {"org.opencontainers.image.source": "https://github.com/openclaw/openclaw"}}, "its label"),
        ({"Name": "/my-openclaw"}, "its name says so"),
    ],
)
def test_each_sign_alone_is_enough(changes: dict[str, Any], words: str) -> None:
    assert reasons(inspection("compose", **PLAIN)) == ()
    (found,) = reasons(inspection("compose", **{**PLAIN, **changes}))
    assert found.startswith(words) and "hidden" not in found


def test_where_a_gateway_is_reached() -> None:
    def ports(*places: tuple[str, str], inside: str = "18789/tcp", **more: Any) -> tuple[str, int] | None:
        found = {inside: [{"HostIp": address, "HostPort": port} for address, port in places]}
        return address_of(inspection("loopback", NetworkSettings__Ports=found, **more))

    assert ports(("192.0.2.7", "5"), ("127.0.0.1", "6")) == ("127.0.0.1", 6)
    assert ports(("::", "5")) == ("::1", 5) and url_of(("::1", 5)) == "ws://[::1]:5"
    assert ports(("192.0.2.7", "5")) == ("192.0.2.7", 5) and url_of(("192.0.2.7", 5)) == "ws://192.0.2.7:5"
    assert ports(("", "5"), inside="9/tcp", HostConfig__PortBindings={}) is None
    command = ["node", "openclaw.mjs", "gateway", "--port", "19000"]
    assert ports(("127.0.0.1", "6"), inside="19000/tcp", Config__Cmd=command) == ("127.0.0.1", 6)
    assert gateway_port(inspection("loopback", Config__Env=["OPENCLAW_GATEWAY_PORT=1234"])) == 1234
    assert gateway_port(inspection("loopback", Config__Cmd=["--port", "99999999"])) == 18789
    assert address_of(inspection("own", HostConfig__NetworkMode="host")) == ("127.0.0.1", 18789)


def test_what_is_in_the_way_is_said_with_what_to_do() -> None:
    unpublished = inspection("loopback", NetworkSettings__Ports={}, HostConfig__PortBindings={})
    assert "-p 127.0.0.1:18789:18789" in (obstacle(unpublished) or "")
    assert "Start it" in (obstacle(inspection("loopback", State={"Status": "exited"})) or "")


def test_ids_are_made_of_names() -> None:
    assert suggested_id("openclaw-openclaw-gateway-1", frozenset()) == "openclaw"
    assert suggested_id("My_Claw", frozenset({"my-claw", "my-claw-2"})) == "my-claw-3"
    assert suggested_id("ann-openclaw-gateway-1", frozenset()) == "ann"
    assert suggested_id("...", frozenset()) == "openclaw" and len(suggested_id("x" * 200, frozenset())) <= 32


def test_the_configuration_is_where_the_environment_says() -> None:
    assert config_paths(inspection("compose"))[0] == "/home/node/.openclaw/openclaw.json"
    named = inspection("compose", Config__Env=["OPENCLAW_CONFIG_PATH=/c.json", "OPENCLAW_STATE_DIR=/s/"])
    assert config_paths(named)[:2] == ["/c.json", "/s/openclaw.json"]


# The token


CONFIG = '{"gateway": {"auth": {"mode": "token", "token": %s}}}'


@pytest.mark.parametrize(
    ("text", "environment", "token"),
    [
        (CONFIG % '"one"', {}, "one"),
        (CONFIG % '"${A}-${B}"', {"A": "x", "B": "y"}, "x-y"),
        (CONFIG % '{"source": "env", "provider": "default", "id": "A"}', {"A": "x"}, "x"),
        ('{"gateway": {}}', {"OPENCLAW_GATEWAY_TOKEN": "env"}, "env"),
        ("", {"OPENCLAW_GATEWAY_TOKEN": "env"}, "env"),
        ('// mine\n{"gateway": {"auth": {"token": "a//b,}", /* x */ }, },\n}\n// end', {}, "a//b,}"),
    ],
)
def test_the_token_is_found(text: str, environment: dict[str, str], token: str) -> None:
    assert token_in(text, environment).get_secret_value() == token


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no token"),
        ("{}", "no token"),
        ("[1]", "no token"),
        ("{nonsense", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("/*" * 500_000, "no JSON"),
        ('{"gateway": {"auth": {"mode": "password", "password": "hidden"}}}', "by password"),
        (CONFIG % '{"source": "file", "id": "/hidden"}', "elsewhere"),
    ],
)
def test_why_there_is_no_token_is_said_without_what_is_in_the_file(text: str, words: str) -> None:
    with pytest.raises(NoToken, match=words) as caught:
        token_in(text, {})
    assert "hidden" not in str(caught.value)


@given(st.text('",/*\\{}[] \n\na', max_size=30))
def test_json_stays_json_and_the_rest_ends(text: str) -> None:
    assert len(plain(text)) <= len(text)


# The machine


def machine(tmp_path: Path, tcp: str = "", tcp6: str = "") -> Path:
    proc = tmp_path / "proc"
    (proc / "net").mkdir(parents=True)
    for name, lines in (("tcp", tcp), ("tcp6", tcp6)):
        (proc / "net" / name).write_text(f"  sl  local_address rem_address   st\n{lines}")
    return proc


def process(proc: Path, number: int, command: str, group: str = "0::/user.slice") -> None:
    (proc / str(number)).mkdir()
    (proc / str(number) / "cmdline").write_text(command)
    (proc / str(number) / "cgroup").write_text(group)


def test_listeners_processes_and_configurations_are_seen(tmp_path: Path) -> None:
    proc = machine(
        tmp_path,
        "   0: 0100007F:4965 00000000:0000 0A x\n   1: 0100007F:4965 0100007F:1000 01 x\n   2: 00000000:0016 0:0 0A\n",
        "   0: 00000000000000000000000001000000:4965 0:0 0A\n   1: 00000000000000000000000000000000:4965 0:0 0A\n",
    )
    process(proc, 7, "openclaw-gateway\0")
    process(proc, 8, "node\0/usr/lib/openclaw.mjs\0gateway\0", f"0::/docker/{'a' * 64}")
    process(proc, 9, "bash\0")
    home = tmp_path / "home"
    (home / ".openclaw").mkdir(parents=True)
    (home / ".openclaw" / "openclaw.json").write_text("{}")
    signs = look(proc, [home, tmp_path / "nobody"])
    assert signs.addresses == ("127.0.0.1", "::1") and signs.processes == (7,)
    assert signs.configs == signs.readable == (home / ".openclaw" / "openclaw.json",)


def test_a_machine_without_any_of_it_has_no_signs(tmp_path: Path) -> None:
    signs = look(machine(tmp_path), [tmp_path])
    assert not (signs.addresses or signs.processes or signs.configs or signs.readable)
    assert look() is not None
