"""Inspections of containers as Docker 20.10 gave them, and what to change in them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from edgebotd.docker.spec import Limits, Spec, Volume
from edgebotd.protocol.docker.containers import Container, parse_inspection

DATA = Path(__file__).parent / "data"

SPEC = Spec(
    image="edgebotd-test/plain:1",
    pinned="sha256:9b311b0932196fd75c7902d8a81f2bf8c836aaa21b2ae3813633f5509f930a8e",
    port=20001,
    limits=Limits(memory_bytes=268435456, cpus=2, pids=512),
    volumes=(Volume(name="edgebotd-a-abce1acb", path="/home/node/.openclaw"),),
)
"""What `own.json` was made from."""


def inspection(name: str, **changes: Any) -> Container:
    """Return a recorded container: own (made by the profile), compose (as OpenClaw's own compose file makes it),
    loopback (docker run -p 127.0.0.1::18789). Changes are values by their path: `HostConfig__Memory=0`.
    """
    raw = copy.deepcopy(json.loads((DATA / f"{name}.json").read_text()))
    for path, value in changes.items():
        *folders, last = path.split("__")
        place = raw
        for folder in folders:
            place = place[folder]
        place[last] = value
    return parse_inspection(raw)
