"""What the engine has on its disk, and an inspected container of the machine."""

from __future__ import annotations

from typing import Any

from edgebotd.protocol.docker.containers import parse_inspection
from edgebotd.protocol.docker.details import Given, limits_of, mounts_of
from edgebotd.protocol.docker.disk import Room, parse_disk

ANSWER: dict[str, Any] = {
    "LayersSize": 1000,
    "Images": [
        {"Size": 700, "SharedSize": 200, "Containers": 1},
        {"Size": 500, "SharedSize": 200, "Containers": 0},
    ],
    "Containers": [{"SizeRw": 30, "State": "running"}, {"SizeRw": 12, "State": "exited"}, {"State": "created"}],
    "Volumes": [
        {"Name": "used", "Labels": None, "UsageData": {"Size": 50, "RefCount": 1}},
        {"Name": "left", "Labels": {"a": "b", "c": 1}, "UsageData": {"Size": 60, "RefCount": 0}},
        {"Name": "unknown", "UsageData": {"Size": -1, "RefCount": -1}},
    ],
    "BuildCache": [{"Size": 5, "InUse": False}],
}


def test_what_nothing_uses_is_reclaimable_and_shared_layers_count_once() -> None:
    use = parse_disk(ANSWER)
    assert use.images == Room(2, 1000, 500)
    assert use.containers == Room(3, 42, 12)
    assert use.volumes == Room(3, 110, 60)
    assert use.build_cache == Room(1, 5, 5)
    shown = [(one.name, dict(one.labels), one.size_bytes, one.used) for one in use.each_volume]
    assert shown == [("left", {"a": "b"}, 60, False), ("unknown", {}, None, True), ("used", {}, 50, True)]


def test_an_answer_without_much_is_read() -> None:
    for answer in ({}, {"Images": None, "Volumes": None, "Containers": "x", "BuildCache": None, "LayersSize": -1}):
        use = parse_disk(answer)
        assert use.images == use.volumes == use.build_cache == Room(0, 0, 0)
    assert parse_disk({"Images": [{"Size": 7}]}).images == Room(1, 7, 7)


def test_limits_are_read_whichever_way_they_were_set() -> None:
    def limits(**host: Any) -> Given:
        return limits_of(parse_inspection({"HostConfig": host}))

    assert limits(Memory=0, NanoCpus=0, PidsLimit=None) == limits() == Given(None, None, None)
    assert limits(PidsLimit=-1, CpuQuota=-1) == Given(None, None, None)
    assert limits(CpuQuota=150_000, CpuPeriod=100_000) == Given(None, 1.5, None)
    assert limits(Memory=64, NanoCpus=500_000_000, PidsLimit=9) == Given(64, 0.5, 9)


def test_mounts_without_their_fields_are_read() -> None:
    (mount,) = mounts_of(parse_inspection({"Mounts": [{}, "x"]}))
    assert (mount.kind, mount.source, mount.path, mount.read_only) == ("unknown", "", "", False)
