"""`demo`: the whole daemon with its built-in bot, in a state directory of its own, nothing to set up."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import click

from edgebotd.cli.run import overrides_of
from edgebotd.cli.target import DEMO_POINTER, Target, code_link, connect_error, demo_socket, runtime_dir

if TYPE_CHECKING:
    from edgebotd.config import Settings

PREFERRED_PORT: Final = 8787


class Announcement(Protocol):
    """What the daemon tells once it is ready."""

    @property
    def url(self) -> str:
        """Where the page is."""
        ...

    @property
    def code(self) -> str | None:
        """A one-time code that logs an administrator in; None where none was made."""
        ...


@click.command()
@click.option("--state-dir", type=click.Path(path_type=Path), help="Keep everything here; else in a temporary place.")
@click.option("--bind", metavar="HOST:PORT", help="Listen here; else on 127.0.0.1:8787, or a free port.")
@click.option("--verbose", is_flag=True, help="Show the daemon's log.")
@click.pass_obj
def demo(target: Target, state_dir: Path | None, bind: str | None, verbose: bool) -> None:
    """Try it: runs a daemon with a built-in bot until Ctrl-C.

    Reads no configuration. A temporary state directory is removed at the end.
    """
    with _state(state_dir) as folder:
        socket_path = target.socket.absolute() if target.socket else _socket_in(folder)
        given = overrides_of((bind,) if bind else (), target.socket, state_dir)
        settings = _settings(folder, socket_path, given, "info" if verbose else "warning")
        from edgebotd.daemon import run as run_daemon

        with _pointer(socket_path) as found_without_help:

            def announce(info: Announcement) -> None:
                _say(info, socket_path, found_without_help, state_dir is None)

            status = run_daemon(settings, announce=announce)
    sys.exit(status)


def _settings(folder: Path, socket_path: Path, given: dict[str, object], level: str) -> Settings:
    """Return the settings; `given` is what the flags say."""
    from edgebotd.config import ConfigError, load

    defaults: dict[str, object] = {
        "server.socket": str(socket_path),
        # The peer on the socket is who started the demo.
        "server.admin_uids": (os.getuid(),),
        # A demo is stopped by Ctrl-C by someone who waits for the prompt.
        "server.graceful_seconds": 2,
        "storage.state_dir": str(folder),
        "logging.level": level,
        "logging.format": "text",
        "bots": {"echo": {"kind": "echo", "name": "Echo"}},
    }
    if "server.bind" not in given:
        defaults["server.bind"] = (_free_address(),)
    try:
        # The environment may hold settings of a real daemon on this machine.
        return load(None, {"HOME": str(folder)}, given, search=False, defaults=defaults)
    except ConfigError as exc:
        raise click.UsageError(str(exc)) from exc


@contextmanager
def _state(given: Path | None) -> Iterator[Path]:
    if given is not None:
        try:
            given.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise click.ClickException(f"{given} cannot be used: {exc.strerror}.") from exc
        yield given.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="edgebotd-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _socket_in(folder: Path) -> Path:
    path = folder / "edgebotd.sock"
    from edgebotd.config.values import UNIX_PATH_MAX

    if len(os.fsencode(path)) > UNIX_PATH_MAX:
        raise click.UsageError(f"{path} is too long for a unix socket; name a shorter one with edgebotd --socket.")
    return path


def _free_address() -> str:
    """Return the preferred address, or one with a free port. Bound for the look only: the daemon tells a lost race."""
    for port in (PREFERRED_PORT, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return f"127.0.0.1:{probe.getsockname()[1]}"
    raise click.ClickException("There is no free port on 127.0.0.1.")


@contextmanager
def _pointer(socket_path: Path) -> Iterator[bool]:
    """Leave word where this demo's socket is, for commands of the same user; yields whether that worked."""
    folder = runtime_dir(os.environ)
    other = demo_socket(os.environ)
    if folder is None or (other is not None and other != socket_path and connect_error(other) is None):
        yield False
        return
    pointer, fresh = folder / DEMO_POINTER, folder / f"{DEMO_POINTER}.{os.getpid()}"
    try:
        fresh.write_text(f"{socket_path}\n")
        fresh.replace(pointer)
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        if demo_socket(os.environ) == socket_path:
            pointer.unlink(missing_ok=True)


def _say(info: Announcement, socket_path: Path, found_without_help: bool, temporary: bool) -> None:
    command = _own_command(sys.argv[0], sys.executable)
    flags = "" if found_without_help and _nothing_else_answers() else f" --socket {shlex.quote(str(socket_path))}"
    link = code_link(info.url, info.code) if info.code else info.url
    commands = [f"{command}{flags} chat echo", f"{command}{flags} events"]
    if temporary:
        # Who logs out of a fresh demo has no password to come back with.
        commands.append(f"{command}{flags} user passwd admin --link")
    listed = "\n    ".join(commands)
    click.echo(
        f"edgebotd runs, with a built-in bot named echo.\n\n"
        f"  In the browser (the link works once):\n    {link}\n\n"
        f"  In a second terminal:\n    {listed}\n\n"
        f"Ctrl-C stops it{' and removes everything' if temporary else ''}."
    )
    sys.stdout.flush()


def _own_command(called: str, python: str) -> str:
    """Return how this program is called from the folder that we are in."""
    name = os.path.basename(called or "edgebotd")
    if name != "__main__.py":
        return name if shutil.which(name) else shlex.quote(os.path.abspath(called))
    script = Path(python).with_name("edgebotd")
    if not script.exists():
        return f"{shlex.quote(python)} -m edgebotd"
    here = Path.cwd()
    return shlex.quote(str(script.relative_to(here) if script.is_relative_to(here) else script))


def _nothing_else_answers() -> bool:
    """Whether commands without flags will find the demo: a real daemon's socket comes first."""
    return all(connect_error(path) is not None for path in Target().sockets(os.environ))
