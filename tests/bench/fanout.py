"""Fan-out side by side: every server in turn, round by round, on the same core, under the same load client.

CPU per delivery is the steady figure on a shared machine, and only ratios of one run are worth quoting.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.load import HERE, Figures, Load, build, run
from tests.bench.servers import SERVERS, Missing

Rows = dict[str, list[Figures]]


def measure(name: str, load: Load, folder: Path) -> Figures:
    """Start one server fresh, load it once, end it."""
    program = build(HERE / "sseload.c", folder / "sseload")
    with tempfile.TemporaryDirectory(dir=folder, prefix=f"{name}-") as own:
        with SERVERS[name](Path(own)) as server:
            return run(
                program,
                load,
                port=server.port,
                pid=server.pid,
                subscribe=server.subscribe,
                publish=server.publish,
                header=server.header,
                body=server.body,
            )


def side_by_side(names: Sequence[str], load: Load, rounds: int, folder: Path) -> Rows:
    """Measure each server once a round; a peer that is not installed is left out, and said."""
    rows: Rows = {}
    missing: dict[str, str] = {}
    for _ in range(rounds):
        for name in names:
            if name in missing:
                continue
            try:
                rows.setdefault(name, []).append(measure(name, load, folder))
            except Missing as exc:
                missing[name] = str(exc)
                rows.pop(name, None)
                print(f"{name}: left out ({exc})")
    return rows


def median(rows: Rows, name: str, key: str) -> float:
    """Return the median of one figure of one server."""
    return float(statistics.median(getattr(figures, key) for figures in rows[name]))


def ratios(rows: Rows, name: str, other: str) -> list[float]:
    """Return CPU per delivery of one server over another's, round by round."""
    pairs = zip(rows[name], rows[other], strict=True)
    return [a.cpu_us_per_delivery / b.cpu_us_per_delivery for a, b in pairs]


def table(rows: Rows, load: Load, rounds: int) -> None:
    """Print the medians of a side-by-side run."""
    print(
        f"\n{load.streams} streams, {load.events} events of {load.payload} B, {load.publishers} publisher(s), "
        f"{rounds} rounds, medians"
    )
    heads = (
        f"{'CPU us/delivery':>16}{'deliveries/s':>14}{'p50 ms':>9}{'p99 ms':>9}{'kB/stream':>11}{'CPU us/connect':>16}"
    )
    print(" " * 11 + heads)
    for name in rows:
        whole = "" if all(figures.complete for figures in rows[name]) else "  INCOMPLETE"
        print(
            f"{name:11}{median(rows, name, 'cpu_us_per_delivery'):16.2f}"
            f"{median(rows, name, 'deliveries_per_second'):14.0f}{median(rows, name, 'p50_ms'):9.2f}"
            f"{median(rows, name, 'p99_ms'):9.2f}{median(rows, name, 'kb_per_stream'):11.1f}"
            f"{median(rows, name, 'connect_cpu_us'):16.0f}{whole}"
        )


def target(rows: Rows, name: str, other: str, most: float) -> None:
    """Print whether a target, a ratio of CPU per delivery, is reached."""
    if name not in rows or other not in rows:
        print(f"{name} / {other}: not measured")
        return
    values = ratios(rows, name, other)
    value = statistics.median(values)
    word = "reached" if value <= most else "MISSED"
    print(f"{name} / {other}: x{value:.2f} ({min(values):.2f}-{max(values):.2f}), target {most}: {word}")
