"""How containers are made, and what is found where one is otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from edgebotd.config import DockerSettings
from edgebotd.docker.errors import EngineError
from edgebotd.docker.profile import body
from edgebotd.docker.spec import Limits, Spec, Volume
from edgebotd.docker.violations import MOST, Around, check_body, violations
from edgebotd.errors import Conflict
from edgebotd.protocol.docker.containers import parse_inspection
from edgebotd.store.database import open_database
from tests.docker.house import docker_on
from tests.docker.samples import SPEC, inspection
from tests.hub.support import hub_on

SETTINGS = DockerSettings(host_network=("a",), mounts={"a": ("/srv/notes:/notes:ro", "/srv/music:/music")}, secrets={})


def made(
    spec: Spec = SPEC,
    settings: DockerSettings = SETTINGS,
    secrets: Mapping[str, str] | None = None,
    owner: int | None = None,
) -> dict[str, Any]:
    return body(
        spec,
        bot_id="a",
        installation="i" * 16,
        operation_id="op_1",
        settings=settings,
        secrets={name: SecretStr(secret) for name, secret in (secrets or {}).items()},
        owner=owner,
    )


def test_a_container_is_shut_off() -> None:
    host = made(settings=DockerSettings(drain_seconds=20.5))["HostConfig"]
    assert host["CapDrop"] == ["ALL"] and host["SecurityOpt"] == ["no-new-privileges"]
    assert host["PortBindings"] == {"18789/tcp": [{"HostIp": "127.0.0.1", "HostPort": "20001"}]}
    assert host["Memory"] == host["MemorySwap"] == 268435456
    assert (host["NanoCpus"], host["PidsLimit"], host["ReadonlyRootfs"]) == (2_000_000_000, 512, True)
    assert host["RestartPolicy"] == {"Name": "unless-stopped"} and host["Init"] is True
    assert "/tmp" in host["Tmpfs"] and "/home/node/.openclaw" not in host["Tmpfs"]
    assert host["Mounts"] == [
        {"Type": "volume", "Source": SPEC.volumes[0].name, "Target": "/home/node/.openclaw"},
    ]
    assert made(settings=DockerSettings(drain_seconds=20.5))["StopTimeout"] == 21


def test_what_is_gone_at_a_restart_is_its_users_where_an_engine_takes_that() -> None:
    owned = made(owner=1000)["HostConfig"]["Tmpfs"].values()
    assert len(owned) == 3 and all(options.endswith(",uid=1000") for options in owned)
    assert not any("uid=" in options for options in made()["HostConfig"]["Tmpfs"].values())


@pytest.mark.parametrize(
    ("path", "cache"),
    [
        ("/home/node/.openclaw", "/home/node/.openclaw/.cache"),
        ("/home/node", "/home/node/.openclaw/.cache"),
        ("/home/node/.openclaw-other", "/tmp/.cache"),
        # A folder of this machine that the settings give it: one that it can write to, and one that it cannot.
        ("/bound", "/home/node/.openclaw/.cache"),
        ("/only-read", "/tmp/.cache"),
    ],
)
def test_its_cache_is_where_it_can_write_and_a_restart_finds_it_so(path: str, cache: str) -> None:
    bound = {"/bound": ("/srv/a:/home/node/.openclaw",), "/only-read": ("/srv/a:/home/node/.openclaw:ro",)}
    settings = DockerSettings(mounts={"a": bound.get(path, ())})
    spec = SPEC.model_copy(update={"volumes": (Volume(name="kept", path=path),)})
    assert f"XDG_CACHE_HOME={cache}" in made(spec, settings)["Env"]
    own = spec.model_copy(update={"environment": {"XDG_CACHE_HOME": "/tmp/own"}})
    assert "XDG_CACHE_HOME=/tmp/own" in made(own, settings)["Env"]


def test_the_settings_give_a_bot_folders_and_the_hosts_network() -> None:
    host = made()["HostConfig"]
    assert {"Type": "bind", "Source": "/srv/notes", "Target": "/notes", "ReadOnly": True} in host["Mounts"]
    on_host = SPEC.model_copy(update={"network": "host"})
    assert "PortBindings" not in made(on_host)["HostConfig"] and "20001" in made(on_host)["Healthcheck"]["Test"][3]
    with pytest.raises(Conflict, match=r"docker\.host_network"):
        made(on_host, DockerSettings())


def test_secrets_stand_in_the_environment_and_nowhere_else() -> None:
    spec = SPEC.model_copy(
        update={"environment": {"TERM": "dumb", "KEY": "plain"}, "secret_environment": {"KEY": "anthropic"}}
    )
    environment = made(spec, secrets={"anthropic": "sk-hidden"})["Env"]
    assert "KEY=sk-hidden" in environment and "TERM=dumb" in environment and "KEY=plain" not in environment
    with pytest.raises(Conflict, match="no secret 'anthropic'") as caught:
        made(spec, secrets={"other": "sk-hidden"})
    assert "sk-hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "folder",
    ["//", "/run/..", "//run", "/run", "/var/run/", "/var/run/docker.sock", "/opt/podman.sock", "/srv/engine"],
)
def test_no_settings_give_a_bot_the_engine(folder: str) -> None:
    settings = DockerSettings(socket=Path("/srv/engine/d.sock"), mounts={"a": (f"{folder}:/x:ro",)})
    with pytest.raises(Conflict, match="engine's socket is in /x"):
        made(settings=settings)


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
SECRET_NAMES = st.sampled_from(["one", "two-2"])
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
PATHS = st.lists(st.from_regex(r"[a-z][a-z. =:,-]{0,6}", fullmatch=True), min_size=1, max_size=3).map(
    lambda parts: f"/{'/'.join(parts)}"
)
VOLUMES = st.tuples(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,20}", fullmatch=True), PATHS)


@st.composite
def specs(draw: st.DrawFn) -> Spec | None:
    """A spec, as wild as the model lets it be; None where it does not."""
    try:
        return Spec(
            image=draw(TEXT),
            pinned=draw(TEXT),
            port=draw(st.integers(1, 65535)),
            network=draw(st.sampled_from(["bridge", "host"])),
            limits=Limits(
                memory_bytes=draw(st.integers(2**26, 2**50)),
                cpus=draw(st.floats(0.01, 1024)),
                pids=draw(st.integers(32, 2**22)),
            ),
            volumes=tuple(Volume(name=name, path=path) for name, path in draw(st.lists(VOLUMES, max_size=3))),
            environment=draw(st.dictionaries(NAMES, TEXT, max_size=3)),
            secret_environment=draw(st.dictionaries(NAMES, SECRET_NAMES, max_size=2)),
            read_only=draw(st.booleans()),
        )
    except ValidationError:
        return None


@given(specs())
def test_nothing_that_is_made_stands_against_the_profile(spec: Spec | None) -> None:
    if spec is None:
        return
    request = made(spec, secrets={"one": "1", "two-2": "2"})
    config = {name: value for name, value in request.items() if name != "HostConfig"}
    container = parse_inspection({"Config": config, "HostConfig": request["HostConfig"]})
    assert violations(container, bot_id="a", settings=SETTINGS, spec=spec) == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"volumes": [{"name": "/etc", "path": "/x"}]},
        {"volumes": [{"name": "state", "path": "/"}]},
        {"volumes": [{"name": "state", "path": "/x/../proc"}]},
        {"volumes": [{"name": "state", "path": "/proc/1"}]},
        {"volumes": [{"name": "state", "path": "x"}]},
        {"limits": {"memory_bytes": 0, "cpus": 1, "pids": 32}},
        {"limits": {"memory_bytes": 2**30, "cpus": 1e-10, "pids": 32}},
        {"limits": {"memory_bytes": 2**30, "cpus": float("nan"), "pids": 32}},
        {"limits": {"memory_bytes": 2**30, "cpus": 1, "pids": -1}},
        {"environment": {"A=B": "c"}},
        {"pinned": ""},
        {"privileged": True},
    ],
)
def test_a_spec_cannot_say_what_an_engine_would_take_otherwise(wrong: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Spec.model_validate({**SPEC.model_dump(), **wrong})


def bind(source: str, target: str = "/x", *, writable: bool = True) -> list[dict[str, Any]]:
    return [{"Type": "bind", "Source": source, "Destination": target, "RW": writable}]


OWN_MOUNTS = inspection("own").raw["Mounts"]
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "privileged": ({"HostConfig__Privileged": True}, "privileged"),
    "capability": ({"HostConfig__CapAdd": ["NET_ADMIN"]}, "added capabilities NET_ADMIN"),
    "usual capabilities": ({"HostConfig__CapDrop": None}, "It has capabilities"),
    "some dropped": ({"HostConfig__CapDrop": ["CAP_CHOWN"]}, "It has capabilities"),
    "new privileges": ({"HostConfig__SecurityOpt": None}, "no-new-privileges"),
    "new privileges off": ({"HostConfig__SecurityOpt": ["no-new-privileges:false"]}, "no-new-privileges"),
    "seccomp": ({"HostConfig__SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]}, "seccomp is off"),
    "apparmor": ({"HostConfig__SecurityOpt": ["no-new-privileges", "apparmor:unconfined"]}, "AppArmor"),
    "selinux": ({"HostConfig__SecurityOpt": ["no-new-privileges", "label=disable"]}, "SELinux"),
    "unmasked": ({"HostConfig__MaskedPaths": []}, "hidden from containers"),
    "device": ({"HostConfig__Devices": [{"PathOnHost": "/dev/sda"}]}, "device /dev/sda"),
    "devices by rule": ({"HostConfig__DeviceCgroupRules": ["a *:* rwm"]}, "devices of this machine"),
    "graphics": ({"HostConfig__DeviceRequests": [{"Count": -1}]}, "devices of this machine"),
    "sysctl": ({"HostConfig__Sysctls": {"kernel.shm_rmid_forced": "1"}}, "kernel.shm_rmid_forced"),
    "host network": ({"HostConfig__NetworkMode": "host"}, "this machine's network"),
    "host processes": ({"HostConfig__PidMode": "host"}, "this machine's processes"),
    "host memory": ({"HostConfig__IpcMode": "host"}, "this machine's shared memory"),
    "host name": ({"HostConfig__UTSMode": "host"}, "this machine's host name"),
    "host users": ({"HostConfig__UsernsMode": "host"}, "this machine's user ids"),
    "other network": ({"HostConfig__NetworkMode": "container:x"}, "another container's network"),
    "other processes": ({"HostConfig__PidMode": "container:x"}, "another container's processes"),
    "socket": ({"Mounts": OWN_MOUNTS + bind("/var/run/docker.sock")}, "engine's socket is in /x"),
    "folder with the socket": ({"Mounts": OWN_MOUNTS + bind("/run", writable=False)}, "engine's socket is in /x"),
    "folder": ({"Mounts": OWN_MOUNTS + bind("/etc", writable=False)}, "this machine's /etc at /x"),
    "folder by the old way": ({"HostConfig__Binds": ["/etc:/x:ro"]}, "this machine's /etc at /x"),
    "folder elsewhere": ({"Mounts": OWN_MOUNTS + bind("/srv/notes", "/y")}, "this machine's /srv/notes at /y"),
    "folder to write": (
        {"Mounts": OWN_MOUNTS + bind("/srv/notes", "/notes")},
        "may write to this machine's /srv/notes",
    ),
    "volume with options": (
        {
            "HostConfig__Mounts": [
                {"Type": "volume", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Options": {"o": "bind"}}}}
            ]
        },
        "options of its own",
    ),
    "volumes from": ({"HostConfig__VolumesFrom": ["x"]}, "volumes of another container"),
    "volume gone": ({"Mounts": [], "HostConfig__Mounts": []}, "is not at /home/node/.openclaw"),
    "all addresses": (
        {"NetworkSettings__Ports": {"18789/tcp": [{"HostIp": "0.0.0.0", "HostPort": "20001"}]}},
        "published on 0.0.0.0",
    ),
    "all addresses, not yet": (
        {
            "NetworkSettings__Ports": {},
            "HostConfig__PortBindings": {"18789/tcp": [{"HostIp": "", "HostPort": "20001"}]},
        },
        "published on 0.0.0.0",
    ),
    "all ports": ({"HostConfig__PublishAllPorts": True}, "All ports"),
    "other port": (
        {"NetworkSettings__Ports": {"18789/tcp": [{"HostIp": "127.0.0.1", "HostPort": "1"}]}},
        "not published as 20001",
    ),
    "one more port": (
        {"HostConfig__PortBindings": {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": "22"}]}},
        "port 22/tcp is published",
    ),
    "memory": ({"HostConfig__Memory": 0}, "all of this machine's memory"),
    "more memory": ({"HostConfig__Memory": 2**40}, "its spec says 268435456"),
    "pids": ({"HostConfig__PidsLimit": None}, "any number of processes"),
    "pids by -1": ({"HostConfig__PidsLimit": -1}, "any number of processes"),
    "more pids": ({"HostConfig__PidsLimit": 10_000}, "its spec says 512"),
    "processors": ({"HostConfig__NanoCpus": 0}, "all of this machine's processors"),
    "more processors": ({"HostConfig__NanoCpus": 0, "HostConfig__CpuQuota": 400_000}, "4 processors; its spec says 2"),
    "writable": ({"HostConfig__ReadonlyRootfs": False}, "own files can be changed"),
    "other image": ({"Config__Image": "ghcr.io/other/bot:1", "Image": "sha256:" + "0" * 64}, "made from ghcr.io/other"),
    "labels": ({"Config__Labels": {}}, "labels do not say"),
    "restart": ({"HostConfig__RestartPolicy": {"Name": "no"}}, "does not restart it"),
}


@pytest.mark.parametrize("name", BAD)
def test_each_bad_thing_alone_is_found(name: str) -> None:
    changes, words = BAD[name]
    settings = DockerSettings(mounts=SETTINGS.mounts)
    found = violations(inspection("own", **changes), bot_id="a", settings=settings, spec=SPEC)
    assert len([text for text in found if words in text]) == 1, found
    # A changed network or image has more than one side.
    assert len(found) == 1 or name in ("host network",), found


def test_a_container_as_it_was_made_has_nothing_against_it() -> None:
    settings = DockerSettings()
    assert violations(inspection("own"), bot_id="a", settings=settings, spec=SPEC) == ()
    assert violations(inspection("own"), bot_id="a", settings=settings, spec=None) == ()
    quota = inspection("own", HostConfig__NanoCpus=0, HostConfig__CpuQuota=200_000)
    assert violations(quota, bot_id="a", settings=settings, spec=SPEC) == ()


def test_the_environment_is_compared_by_name_and_never_shown() -> None:
    spec = SPEC.model_copy(update={"environment": {"TERM": "dumb"}, "secret_environment": {"KEY": "k", "HOME": "h"}})
    found = violations(inspection("own"), bot_id="a", settings=SETTINGS, spec=spec)
    assert found == ("The environment's TERM is not as its spec says.", "The environment has no KEY.")


def test_root_is_told_where_the_image_is_another() -> None:
    settings = DockerSettings()

    def users(user: str, image_user: str, spec: Spec | None = SPEC) -> tuple[str, ...]:
        container = inspection("own", Config__User=user)
        return violations(container, bot_id="a", settings=settings, spec=spec, around=Around(image_user))

    assert users("0:0", "node") == ("It runs as root, which its image does not.",)
    assert users("root", "0") == ("It runs as root, not as its image's user.",)
    assert users("", "") == users("node", "node") == users("1001", "node", None) == ()


def test_a_volume_that_is_a_folder_of_the_machine_counts_as_one() -> None:
    around = Around(disguised={SPEC.volumes[0].name: "/run"})
    found = violations(inspection("own"), bot_id="a", settings=SETTINGS, spec=SPEC, around=around)
    assert found == (
        "The container engine's socket is in /home/node/.openclaw: it may do everything with this machine.",
    )


def test_openclaw_as_its_own_compose_file_runs_it() -> None:
    found = violations(inspection("compose"), bot_id=None, settings=SETTINGS, spec=None)
    assert "Its port 18789/tcp is published on 0.0.0.0 and ::, for other machines too." in found
    assert "It has this machine's /srv/openclaw at /home/node/.openclaw." in found
    assert not any("sample-token" in text for text in found)


def test_findings_have_an_end() -> None:
    mounts = [one for number in range(200) for one in bind(f"/srv/{number}\n{'x' * 500}")]
    found = violations(inspection("own", Mounts=mounts), bot_id=None, settings=SETTINGS, spec=None)
    assert len(found) == MOST and all(len(text) <= 200 and text.isprintable() for text in found)


@pytest.mark.parametrize("name", [name for name in BAD if not name.startswith(("volume gone", "all addresses, not"))])
def test_a_bad_body_is_refused(name: str) -> None:
    changes, _ = BAD[name]
    request = made(settings=DockerSettings())
    for path, value in changes.items():
        place, _, last = path.partition("__")
        if place == "HostConfig":
            request["HostConfig"][last] = value
        elif place == "Config":
            request[last] = value
        elif place == "Mounts":
            request["HostConfig"]["Mounts"] = [
                *request["HostConfig"]["Mounts"],
                *(
                    {"Type": "bind", "Source": one["Source"], "Target": one["Destination"], "ReadOnly": not one["RW"]}
                    for one in value[1:]
                ),
            ]
        elif place == "NetworkSettings":
            request["HostConfig"]["PortBindings"] = value
    with pytest.raises(Conflict) as caught:
        check_body(request, settings=DockerSettings(), spec=SPEC)
    assert caught.value.code == "profile"


@pytest.mark.parametrize(
    "change",
    [
        {"User": "root"},
        {"Entrypoint": ["/bin/sh"]},
        {"Labels": {}},
        {"HostConfig": {}},
        {"HostConfig": None},
        {"Volumes": {"/x": {}}},
    ],
)
def test_a_body_has_nothing_that_the_profile_does_not_know(change: Mapping[str, Any]) -> None:
    with pytest.raises(Conflict):
        check_body({**made(), **change}, settings=SETTINGS)
    for key in ("CgroupParent", "Runtime", "GroupAdd", "OomKillDisable", "Annotations"):
        with pytest.raises(Conflict, match=f"no {key}"):
            check_body({**made(), "HostConfig": {**made()["HostConfig"], key: "x"}}, settings=SETTINGS)


async def test_the_daemons_engine_sends_no_bad_body(tmp_path: Path) -> None:
    # Nothing listens there: what is not refused before fails for that.
    async with (
        open_database(None, now=1) as database,
        hub_on(database) as hub,
        docker_on(database, hub, lambda: 1, socket=tmp_path / "no.sock", settings=SETTINGS) as docker,
    ):
        assert docker.engine is not None
        with pytest.raises(EngineError, match="no container engine"):
            await docker.engine.create("edgebotd-a", made())
        bad = made()
        bad["HostConfig"]["Privileged"] = True
        with pytest.raises(Conflict, match="privileged"):
            await docker.engine.create("edgebotd-a", bad)
