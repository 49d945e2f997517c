"""What a container engine leaves on a machine when it ends, or is killed: looked up by its own folder and cgroup."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")


def mount_cgroups() -> None:
    """Mount the controllers of cgroup v1 that dockerd needs, where neither they nor cgroup v2 are: in plain containers
    and small virtual machines. They stay; another engine may use them.
    """
    mounted = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    if any(parts[1] == str(_CGROUPS) and parts[2] == "cgroup2" for parts in mounted):
        return
    there = {option for parts in mounted if parts[2] == "cgroup" for option in parts[3].split(",")}
    for controller in CONTROLLERS:
        if controller not in there:
            with suppress(OSError):
                (_CGROUPS / controller).mkdir(parents=True, exist_ok=True)
                subprocess.run(
                    ["mount", "-t", "cgroup", "-o", controller, "cgroup", _CGROUPS / controller],
                    check=False,
                    capture_output=True,
                )


def command_of(pid: int) -> str:
    """Return the name of a process's program; empty for one that is gone or a zombie."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return ""
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return "" if fields["State"].startswith(("Z", "X")) else fields["Name"]


def end_process(pid_file: Path, command: str) -> None:
    """End the process whose id a file holds, if that is still such a program: TERM, then KILL after 10 s."""
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return
    for number, seconds in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + seconds
        while command_of(pid) == command:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
    pid_file.unlink(missing_ok=True)


def end_shims(exec_root: Path) -> None:
    """Kill the containers' supervisors below one engine's folder, which outlive an engine that was killed."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if "containerd-shim" in line.split(" ")[0] and f"{exec_root}/" in line:
                os.kill(int(entry.name), signal.SIGKILL)


def end_cgroup(name: str) -> None:
    """Kill what still runs in an engine's own cgroup, and remove it, in each hierarchy."""
    roots = [root for root in (_CGROUPS / name, *_CGROUPS.glob(f"*/{name}")) if root.is_dir()]
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        living = [int(pid) for root in roots for file in root.rglob("cgroup.procs") for pid in _pids(file)]
        if not living:
            break
        for pid in living:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    for root in roots:
        for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
            with suppress(OSError):
                folder.rmdir()
        with suppress(OSError):
            root.rmdir()


def _pids(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def unmount_below(folder: Path) -> None:
    """Unmount all that is mounted below a folder, the deepest first."""
    places = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted((place for place in places if place.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)


def remove_folder(folder: Path) -> None:
    """Remove an engine's folder, of which nothing is mounted any more."""
    unmount_below(folder)
    shutil.rmtree(folder, ignore_errors=True)
