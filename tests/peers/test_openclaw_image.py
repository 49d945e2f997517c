"""The image that stands for OpenClaw's own: its gateway starts shut off from the machine, is paired, and answers."""

from __future__ import annotations

import io
import json
import tarfile
import time

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgebotd.protocol.openclaw import FIRST_SCOPES, device_of
from tests.peers.engine import DockerEngine
from tests.peers.gateway_client import Refused, open_client
from tests.peers.install import PeerUnavailable
from tests.peers.model import FakeModel, running_model
from tests.peers.openclaw import TOKEN, model_config, ready
from tests.peers.openclaw_image import PORT, STATE, USER, provide, reference
from tests.peers.relay import open_relay
from tests.peers.test_gateway_facts import Conversation
from tests.support import require_or_skip

NAME = "openclaw-image"
READY_SECONDS = 120


def configuration(model: FakeModel) -> bytes:
    config = {
        "gateway": {"mode": "local", "port": PORT, "bind": "lan", "auth": {"mode": "token", "token": TOKEN}},
        **model_config(model, f"{STATE}/workspace"),
        "discovery": {"mdns": {"mode": "off"}},
        "update": {"checkOnStart": False},
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        text = json.dumps(config).encode()
        entry = tarfile.TarInfo("openclaw.json")
        entry.size, entry.mode, entry.uid, entry.gid = len(text), 0o600, USER, USER
        tar.addfile(entry, io.BytesIO(text))
    return packed.getvalue()


def start(engine: DockerEngine, model: FakeModel, version: str) -> int:
    """Start a container with nothing that it could do without; return its published port."""
    host = {
        "PortBindings": {f"{PORT}/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
        "ReadonlyRootfs": True,
        # It looks for a place for its workers in both.
        "Tmpfs": dict.fromkeys(("/tmp", "/home/node/.cache"), "rw,noexec,nosuid,nodev,mode=1777"),
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Memory": 2 << 30,
        "PidsLimit": 512,
        "Init": True,
        "Mounts": [{"Type": "volume", "Source": NAME, "Target": STATE}],
    }
    environment = ["OPENCLAW_NO_RESPAWN=1", "OPENCLAW_DISABLE_BONJOUR=1"]
    engine.run(NAME, reference(version), start=False, HostConfig=host, Env=environment)
    path = f"/containers/{NAME}/archive?path={STATE}"
    engine.api("PUT", path, content=configuration(model), content_type="application/x-tar")
    engine.api("POST", f"/containers/{NAME}/start")
    told = json.loads(engine.api("GET", f"/containers/{NAME}/json"))
    return int(told["NetworkSettings"]["Ports"][f"{PORT}/tcp"][0]["HostPort"])


@pytest.mark.heavy  # 40 s; in the ordinary run the tests of provisioning go this way
async def test_a_gateway_in_a_container_is_paired_and_answers(breakable_engine: DockerEngine, version: str) -> None:
    engine = breakable_engine
    try:
        await trio.to_thread.run_sync(provide, engine, version)
    except PeerUnavailable as error:
        require_or_skip(str(error))
    with running_model(delay=0.02, engine=engine) as model:
        port = await trio.to_thread.run_sync(start, engine, model, version)
        device = device_of(Ed25519PrivateKey.generate())
        async with open_relay("127.0.0.1", port, namespace=engine.namespace) as relay:
            await trio.to_thread.run_sync(wait_ready, engine, port)
            with pytest.RaisesGroup(Refused, flatten_subgroups=True) as caught:
                async with open_client(relay.url, token=TOKEN, device=device, scopes=FIRST_SCOPES):
                    pass
            (refusal,) = caught.value.exceptions
            assert isinstance(refusal, Refused)
            request_id = refusal.trouble.request_id
            approve = f"node openclaw.mjs devices approve {request_id} --json"
            said = await trio.to_thread.run_sync(engine.shell, NAME, approve)
            assert json.loads(said)["requestId"] == request_id
            async with open_client(relay.url, token=TOKEN, device=device, scopes=FIRST_SCOPES) as client:
                assert client.hello is not None and set(client.hello.scopes) == set(FIRST_SCOPES)
                talk = Conversation(client, "image")
                ended = await talk.end(await talk.send("[[say in a box]]"))
                assert ended.text == "in a box"
        assert [request["user"] for request in model.requests() if "in a box" in request["user"]]


def wait_ready(engine: DockerEngine, port: int) -> None:
    """Wait until the gateway takes clients; one that asks earlier may be left without an answer."""
    deadline = time.monotonic() + READY_SECONDS
    while not ready("127.0.0.1", port, engine.namespace):
        state = json.loads(engine.api("GET", f"/containers/{NAME}/json"))["State"]
        assert state["Running"], engine.api("GET", f"/containers/{NAME}/logs?stderr=1&tail=20")
        assert time.monotonic() < deadline
        time.sleep(0.3)
