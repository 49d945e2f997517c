"""The load client (`sseload.c`): built once, run on a core of its own, its figures parsed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Load:
    """What one run asks for. `rate` is events a second, 0 for as fast as acknowledged; `payload` is bytes an event."""

    streams: int = 500
    events: int = 200
    publishers: int = 1
    payload: int = 200
    rate: float = 0
    stuck: int = 0
    timeout: int = 120


@dataclass(frozen=True)
class Figures:
    """What one run measured. Times as their names say; CPU and memory are the server's, all its processes."""

    cpu_us_per_delivery: float
    deliveries_per_second: float
    p50_ms: float
    p99_ms: float
    kb_per_stream: float
    connect_cpu_us: float
    delivered: int
    expected: int
    rss_before_kb: int
    rss_after_kb: int
    publish_errors: int

    @property
    def complete(self) -> bool:
        """Whether every stream got every event."""
        return self.delivered == self.expected and self.publish_errors == 0


def build(source: Path, target: Path) -> Path:
    """Compile a C file of the benchmarks unless that has been done."""
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-w", "-o", target, source, "-lpthread"], check=True)
    return target


def processes(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += processes(int(child))
    return found


def run(
    program: Path, load: Load, *, port: int, pid: int, subscribe: str, publish: str, header: str, body: str
) -> Figures:
    """Run the load client against a server on 127.0.0.1:`port` whose process is `pid`.

    Raises:
        RuntimeError: the client gave up; its words are in it.
    """
    argv: Sequence[str | os.PathLike[str]] = [
        "taskset", "-c", "1", program,
        "-p", str(port), "-n", str(load.streams), "-m", str(load.events), "-c", str(load.publishers),
        "-s", str(load.payload), "-r", str(load.rate), "-z", str(load.stuck), "-t", str(load.timeout),
        "-u", subscribe, "-w", publish, "-b", body, "-i", ",".join(map(str, processes(pid))),
        *(("-H", header) if header else ()),
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, timeout=load.timeout + 120, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr or done.stdout)
    values = {key: float(value) for key, value in re.findall(r"(\w+)=([0-9.]+)", done.stdout)}
    delivered = re.search(r"delivered=(\d+)/(\d+)", done.stdout)
    if delivered is None:
        raise RuntimeError(f"no figures in: {done.stdout!r}")
    return Figures(
        cpu_us_per_delivery=values["cpu_us_per_deliv"],
        deliveries_per_second=values["deliv_per_s"],
        p50_ms=values["p50"],
        p99_ms=values["p99"],
        kb_per_stream=values["kb_per_conn"],
        connect_cpu_us=values["connect_cpu_us"],
        delivered=int(delivered[1]),
        expected=int(delivered[2]),
        rss_before_kb=int(values["conn"]),
        rss_after_kb=int(values["after"]),
        publish_errors=int(values["pub_err"]),
    )
