"""Looks for an OpenClaw gateway on this machine itself: who listens, what runs, where configurations are.

Reads /proc and asks whether configurations are there; opens none of them.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgebotd.docker.spec import GATEWAY_PORT

_LISTENS: Final = "0A"
"""TCP_LISTEN, in /proc/net/tcp."""
_FOLDERS: Final = ((".openclaw", "openclaw.json"), (".clawdbot", "clawdbot.json"))
_PROCESS: Final = re.compile(rb"openclaw-gateway|openclaw(?:\.mjs)?\0gateway|clawdbot\0gateway")
_IN_A_CONTAINER: Final = re.compile(r"[0-9a-f]{64}|/libpod|/machine\.slice")
MOST_HOMES: Final = 200


@dataclass(frozen=True)
class HostSigns:
    """What was found.

    Attributes:
        addresses: on which somebody listens on the usual port, v4 and v6 in one.
        processes: ids of what looks like a gateway outside of containers.
        configs: configuration files that are there; `readable` those that may be opened too.
    """

    addresses: tuple[str, ...] = ()
    processes: tuple[int, ...] = ()
    configs: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()


def look(proc: Path = Path("/proc"), homes: Sequence[Path] | None = None) -> HostSigns:
    """Look at this machine. Blocks for as long as reading some hundred small files takes."""
    places = _homes() if homes is None else homes
    configs = tuple(
        path for path in (home / folder / name for home in places for folder, name in _FOLDERS) if _is(path)
    )
    return HostSigns(
        addresses=tuple(dict.fromkeys(_listeners(proc))),
        processes=tuple(sorted(_processes(proc))),
        configs=configs,
        readable=tuple(path for path in configs if os.access(path, os.R_OK)),
    )


def _homes() -> list[Path]:
    people = (entry for entry in pwd.getpwall() if entry.pw_uid == os.getuid() or not 0 < entry.pw_uid < 1000)
    found = dict.fromkeys(Path(entry.pw_dir) for entry in people if entry.pw_dir.startswith("/"))
    return list(dict.fromkeys([Path.home(), *found]))[:MOST_HOMES]


def _is(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _listeners(proc: Path) -> Iterator[str]:
    for name, loopback in (("tcp", "0100007F"), ("tcp6", "00000000000000000000000001000000")):
        try:
            lines = (proc / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) < 4 or fields[3] != _LISTENS:
                continue
            address, _, port = fields[1].rpartition(":")
            if int(port, 16) != GATEWAY_PORT:
                continue
            if address == loopback:
                yield "127.0.0.1" if name == "tcp" else "::1"
            elif not address.strip("0"):
                # All addresses. An open v6 socket takes v4 too, as Node's does.
                yield "127.0.0.1"


def _processes(proc: Path) -> Iterator[int]:
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            command = (folder / "cmdline").read_bytes()
            if not _PROCESS.search(command) or _IN_A_CONTAINER.search((folder / "cgroup").read_text()):
                continue
        except OSError:
            continue  # it ended meanwhile
        yield int(folder.name)
