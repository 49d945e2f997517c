"""What a container uses, read from what Docker 20.10 and newer ones were seen to send."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edgebotd.protocol.docker.usage import Usage, parse_usage, per_second

READ = "2026-11-23T21:48:21.013598628Z"
SECOND: dict[str, Any] = {
    "read": READ,
    "pids_stats": {"current": 2},
    "cpu_stats": {"cpu_usage": {"total_usage": 65_654_492}, "system_cpu_usage": 5_227_130_000_000, "online_cpus": 2},
    "precpu_stats": {"cpu_usage": {"total_usage": 43_259_643}, "system_cpu_usage": 5_225_130_000_000, "online_cpus": 2},
    "memory_stats": {"usage": 880_640, "stats": {"total_inactive_file": 80_640}, "limit": 25_276_502_016},
    "networks": {"eth0": {"rx_bytes": 1042, "tx_bytes": 7}, "eth1": {"rx_bytes": 8}},
}
EMPTY = {"read": "0001-01-01T00:00:00Z", "cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {}}
NOW = Usage(2000, 1.0, 5, None, 300, 40, 1, 9)


def test_an_object_is_read() -> None:
    usage = parse_usage(SECOND)
    assert usage is not None
    assert (usage.at % 86_400_000, usage.cpu_percent, usage.memory_bytes) == (78_501_013, 2.24, 800_000)
    assert (usage.received_bytes, usage.sent_bytes, usage.pids, usage.cpu_nanoseconds) == (1050, 7, 2, 65_654_492)


def test_the_first_object_tells_no_processor_and_a_stopped_container_nothing() -> None:
    first = parse_usage({**SECOND, "precpu_stats": {"cpu_usage": {"total_usage": 0}}})
    assert first is not None and (first.cpu_percent, first.cpu_nanoseconds) == (None, 65_654_492)
    assert parse_usage(EMPTY) is None


def test_cgroup_2_and_the_hosts_network_have_other_fields() -> None:
    usage = parse_usage({**SECOND, "networks": {}, "memory_stats": {"usage": 9, "stats": {"inactive_file": 4}}})
    assert usage is not None and (usage.memory_bytes, usage.received_bytes, usage.sent_bytes) == (5, None, None)


def test_a_rate_is_between_two_moments_of_one_count() -> None:
    before = replace(NOW, at=1000, received_bytes=100)
    assert per_second(NOW, before, lambda one: one.received_bytes) == 200
    for other in (None, replace(before, at=2000), replace(before, received_bytes=301), replace(before, at=3000)):
        assert per_second(NOW, other, lambda one: one.received_bytes) is None
    assert per_second(NOW, replace(before, received_bytes=None), lambda one: one.received_bytes) is None


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(sorted(SECOND)), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(SECOND)), junk))
def test_whatever_comes_is_read_or_left(changed: dict[str, Any]) -> None:
    usage = parse_usage({**SECOND, **changed})
    assert usage is None or usage.memory_bytes >= 0
