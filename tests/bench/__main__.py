"""The benchmarks: `./dev bench [fanout|idle|stalled|store] [--rounds N]`. Without a name, all of them.

They print what was measured beside the target that was set; they judge no commit. Run them on an otherwise quiet
machine with two cores: the server has core 0, the load client core 1.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench import bench_store
from tests.bench.fanout import measure, side_by_side, table, target
from tests.bench.load import Load

FANOUT = {1: {"edgebotd": 1.1, "hub": 0.9}, 8: {"edgebotd": 0.6, "hub": 0.5}}
"""Targets: CPU per delivery over nchan's, by the number of publishers."""
IDLE_STREAMS = 10_000
IDLE_KB = 2.0
STALLED_SHARE = 0.10
STALLED_RATE = 300.0
"""Events a second, of 10 kB."""
DESCRIPTORS = IDLE_STREAMS + 1_000


def fanout(rounds: int, folder: Path, peers: list[str]) -> None:
    """CPU per delivered event at 500 streams, with one publisher and with eight."""
    for publishers, targets in FANOUT.items():
        load = Load(streams=500, events=200 if publishers == 1 else 800, publishers=publishers)
        rows = side_by_side(["edgebotd", "hub", *peers], load, rounds, folder)
        table(rows, load, rounds)
        for name, most in targets.items():
            target(rows, name, "nchan", most)


def idle(rounds: int, folder: Path) -> None:
    """Memory of the daemon for each idle stream at 10,000."""
    load = Load(streams=IDLE_STREAMS, events=1)
    values = sorted(measure("edgebotd", load, folder).kb_per_stream for _ in range(rounds))
    value = values[len(values) // 2]
    word = "reached" if value <= IDLE_KB else "MISSED"
    print(f"\n{IDLE_STREAMS} idle streams: {value:.2f} kB each (all: {values}), target {IDLE_KB}: {word}")


def stalled(rounds: int, folder: Path) -> None:
    """One of 100 clients stopped while 100 MB is published: what the others notice."""
    # At a rate that one core bears: beyond it the figure would be the publishers' own queue. Hypercorn ends a
    # connection after 1,000 requests, hence so many publishers.
    calm = Load(streams=100, events=10_000, payload=10_000, publishers=16, rate=STALLED_RATE)
    rows: dict[str, list[float]] = {"all read": [], "one stopped": []}
    grown: dict[str, list[int]] = {"all read": [], "one stopped": []}
    for _ in range(rounds):
        for name, load in (("all read", calm), ("one stopped", replace(calm, stuck=1))):
            figures = measure("edgebotd", load, folder)
            rows[name].append(figures.p99_ms)
            grown[name].append(figures.rss_after_kb - figures.rss_before_kb)
            if not figures.complete:
                print(f"INCOMPLETE: {figures.delivered} of {figures.expected}")
    ratios = sorted(b / a for a, b in zip(*rows.values(), strict=True))
    value = ratios[len(ratios) // 2]
    word = "reached" if value <= 1 + STALLED_SHARE else "MISSED"
    print(f"\n1 of 100 clients stopped, 100 MB published: p99 of the others x{value:.2f} (all: {ratios})")
    print(f"target x{1 + STALLED_SHARE:.2f}: {word}; the daemon grew by kB, ring of events included: {grown}")


def raise_descriptor_limit() -> None:
    """Let this process and its children hold 10,000 connections, as far as the system allows.

    Raises:
        SystemExit: it does not; says how.
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < DESCRIPTORS:
        with contextlib.suppress(ValueError, PermissionError):  # root may, unless its container forbids it
            resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
            return
    if hard < DESCRIPTORS:
        raise SystemExit(f"{DESCRIPTORS} open files are needed, the limit is {hard}: ulimit -n {DESCRIPTORS}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """Run the named benchmarks."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="fanout, idle, stalled, store; all when left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default="nchan,floor,better-sse,quart", help="who stands beside edgebotd")
    arguments = parser.parse_args()
    raise_descriptor_limit()
    peers = [name for name in arguments.peers.split(",") if name]
    names = arguments.names or ["fanout", "idle", "stalled", "store"]
    with tempfile.TemporaryDirectory(prefix="edgebotd-bench-") as name:
        folder = Path(name)
        for wanted in names:
            if wanted == "fanout":
                fanout(arguments.rounds, folder, peers)
            elif wanted == "idle":
                idle(arguments.rounds, folder)
            elif wanted == "stalled":
                stalled(arguments.rounds, folder)
            elif wanted == "store":
                bench_store.main()
            else:
                parser.error(f"no benchmark named {wanted!r}")


if __name__ == "__main__":
    main()
