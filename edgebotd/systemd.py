"""The daemon's side of systemd: state notification, sockets handed over, credentials, watchdog.

Plain functions over the environment, without libsystemd and without Trio: none blocks, and outside systemd each says
that there is nothing. Sources: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3), systemd.exec(5) "CREDENTIALS".
"""

import os
import re
import socket
import stat
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from edgebotd.errors import EdgebotdError

# SD_LISTEN_FDS_START: the first descriptor that systemd passes.
FIRST_DESCRIPTOR = 3
# One entry of LISTEN_FDNAMES: sd_listen_fds(3) names 255 characters as the limit.
_NAME = re.compile(r"[^\x00-\x1f\x7f:]{0,255}")
# systemd.exec(5): all credentials of a unit together may not exceed 1 MB.
MAX_CREDENTIAL_BYTES = 1024 * 1024


class SystemdError(EdgebotdError):
    """What systemd handed over cannot be used; raised at start only, the message says what and where."""


def notify(*assignments: str, environ: Mapping[str, str] | None = None) -> bool:
    """Send the service manager one message of `NAME=value` lines.

    Never blocks and never fails: a daemon does not stop because its manager is not listening, and a lost message shows
    there (a missed READY or WATCHDOG times out).

    Returns: whether the message was handed to a manager; false outside systemd.
    """
    address = (os.environ if environ is None else environ).get("NOTIFY_SOCKET", "")
    if address.startswith("@"):
        address = "\0" + address[1:]
    elif not address.startswith("/"):
        return False
    message = "\n".join(assignments).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as channel:
        try:
            channel.sendto(message, address)
        except OSError:
            return False
    return True


def notify_ready(status: str) -> bool:
    """Tell that start-up (or a reload) is finished."""
    return notify("READY=1", _status(status))


def notify_reloading(status: str) -> bool:
    """Tell that the configuration is read anew; `notify_ready` must follow, whatever comes of it."""
    # Type=notify-reload insists on the time of the same clock as systemd's own.
    return notify(
        "RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}", _status(status)
    )


def notify_stopping(status: str) -> bool:
    """Tell that the daemon has begun to stop."""
    return notify("STOPPING=1", _status(status))


def notify_status(status: str) -> bool:
    """Set the one line that `systemctl status` shows."""
    return notify(_status(status))


def extend_timeout(seconds: float) -> bool:
    """Ask that the start or stop in progress may go on for `seconds` from now; to be repeated before they are over."""
    return notify(f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}")


def notify_watchdog() -> bool:
    """Tell that the daemon is alive; due within every `watchdog_interval`."""
    return notify("WATCHDOG=1")


def _status(text: str) -> str:
    # A line break would start another assignment.
    return "STATUS=" + " ".join(text.split())


def watchdog_interval(environ: Mapping[str, str] | None = None) -> float | None:
    """Return the seconds after which systemd takes the daemon for hung; None where no watchdog is set for this process.

    Notify at half of it, as sd_watchdog_enabled(3) recommends.
    """
    environ = os.environ if environ is None else environ
    microseconds = environ.get("WATCHDOG_USEC", "")
    # WATCHDOG_PID names another process when the variables were inherited from one: its watchdog is not ours.
    if (
        not _is_number(microseconds)
        or int(microseconds) == 0
        or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid())
    ):
        return None
    return int(microseconds) / 1_000_000


@dataclass(frozen=True)
class ListenSocket:
    """One socket that systemd bound for us; whoever takes the list closes `socket`.

    `name` is the FileDescriptorName= of its unit (by default the unit's name), "" where none was given. All sockets of
    one unit share it.
    """

    name: str
    socket: socket.socket


def listen_sockets(environ: MutableMapping[str, str] | None = None) -> list[ListenSocket]:
    """Take over the listening sockets of socket activation; an empty list without any.

    The variables are removed from `environ` and the descriptors made close-on-exec, so that no child takes them for its
    own. A second call therefore returns nothing.

    Raises:
        SystemdError: the variables are malformed, or a descriptor is no listening stream socket. Nothing is closed.
    """
    environ = os.environ if environ is None else environ
    owner, count, names = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    # Meant for another process: a wrapper that did not exec, or a parent that passed on its environment.
    if not count or owner != str(os.getpid()):
        return []
    if not _is_number(count) or int(count) > 1024:
        raise SystemdError(f"LISTEN_FDS is {count!r}, not a number of descriptors")
    labels = names.split(":") if names else [""] * int(count)
    if len(labels) != int(count) or not all(_NAME.fullmatch(label) for label in labels):
        raise SystemdError(f"LISTEN_FDNAMES has {len(labels)} names for {count} descriptors, or a malformed one")
    descriptors = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))
    for descriptor in descriptors:
        _check_listening(descriptor)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return [
        ListenSocket(label, socket.socket(fileno=descriptor))
        for label, descriptor in zip(labels, descriptors, strict=True)
    ]


def _check_listening(descriptor: int) -> None:
    """Refuse what cannot be accepted from, without taking the descriptor over."""
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise SystemdError(
                f"descriptor {descriptor} from systemd is not a socket; the .socket unit must use ListenStream="
            )
        duplicate = socket.socket(fileno=os.dup(descriptor))
    except OSError as exc:
        raise SystemdError(f"descriptor {descriptor} from systemd cannot be used: {exc.strerror}") from exc
    with duplicate:
        listening = duplicate.type == socket.SOCK_STREAM and duplicate.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        )
        if not listening or duplicate.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
            raise SystemdError(
                f"descriptor {descriptor} from systemd is not a listening stream socket; "
                "the .socket unit must use ListenStream= and Accept=no"
            )


def credential(name: str, environ: Mapping[str, str] | None = None) -> bytes | None:
    """Read the credential `edgebotd_NAME`, else `NAME`; None where there is neither.

    `LoadCredential=edgebotd:DIRECTORY` names a file of the directory `edgebotd_NAME`. The content is returned as it is,
    a final line break included.

    Raises:
        SystemdError: it is there and cannot be read, or is too large. The message holds its path, never its content.
        ValueError: `name` is not a file's name.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise ValueError(f"not a credential's name: {name!r}")
    directory = (os.environ if environ is None else environ).get("CREDENTIALS_DIRECTORY", "")
    if not directory.startswith("/"):
        return None
    for path in (Path(directory, f"edgebotd_{name}"), Path(directory, name)):
        try:
            with path.open("rb") as file:
                content = file.read(MAX_CREDENTIAL_BYTES + 1)
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise SystemdError(f"the credential {path} cannot be read: {exc.strerror}") from exc
        if len(content) > MAX_CREDENTIAL_BYTES:
            raise SystemdError(f"the credential {path} is larger than {MAX_CREDENTIAL_BYTES} bytes")
        return content
    return None


def _is_number(text: str) -> bool:
    # str.isdigit alone also takes digits of other scripts, and int() spaces, signs and underscores.
    return text.isascii() and text.isdigit()
