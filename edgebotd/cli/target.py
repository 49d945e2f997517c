"""Which daemon a command talks to: a unix socket of this machine, or a URL with a token."""

from __future__ import annotations

import os
import socket
import stat
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from edgebotd.cli import EXIT_CONFIG

if TYPE_CHECKING:
    from edgebotd.cli.client import Client

DEMO_POINTER: Final = "edgebotd-demo"
"""File in the runtime directory that holds the path of a running demo's socket."""


class _NoSuchFile(click.ClickException):
    exit_code = EXIT_CONFIG


@dataclass(frozen=True)
class Target:
    """What the options before the command say."""

    config: Path | None = None
    socket: Path | None = None
    url: str | None = None

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Open a connection to the daemon.

        Raises:
            click.ClickException: there is none; the message says what was tried and how to start one.
        """
        from edgebotd.cli.client import Client

        if self.url is not None:
            with Client.remote(self.url, os.environ.get("EDGEBOTD_TOKEN", "")) as client:
                yield client
            return
        with Client.local(self.find_socket()) as client:
            yield client

    def find_socket(self) -> Path:
        """Return the unix socket on which a daemon answers.

        Raises:
            click.ClickException: none does.
        """
        tried = []
        for path in self.sockets(os.environ):
            reason = connect_error(path)
            if reason is None:
                return path
            tried.append(f"{path} ({reason})")
        named = self.socket or self.config or os.environ.get("EDGEBOTD_SOCKET")
        if not named and (demo := demo_socket(os.environ)) is not None and connect_error(demo) is None:
            from edgebotd.config import find_file

            if find_file(os.environ) is not None:
                # There is a daemon of one's own, and it is down: that this is another one must be seen.
                click.echo(f"Your edgebotd does not run; this is the demo at {demo}.", err=True)
            return demo
        words = "\n  ".join(tried)
        raise click.ClickException(
            f"No edgebotd answers. Tried:\n  {words}\n"
            "Start it with `edgebotd run`, or `systemctl start edgebotd`; `edgebotd demo` needs no set-up.\n"
            "Does it run elsewhere? Name it with --socket or --url."
        )

    def sockets(self, env: Mapping[str, str]) -> list[Path]:
        """Return where a daemon's socket may be, best first. One that somebody named is the only one."""
        if self.socket is not None:
            return [self.socket]
        if named := env.get("EDGEBOTD_SOCKET") or env.get("EDGEBOTD_SERVER__SOCKET") or self._configured(env):
            return [Path(named)]
        runtime = env.get("XDG_RUNTIME_DIR")
        return [*([Path(runtime, "edgebotd.sock")] if runtime else []), Path("/run/edgebotd.sock")]

    def link(self, made: Mapping[str, Any]) -> str:
        """Return the link of a one-time code that the daemon made.

        It knows where it listens; a daemon that is reached by URL is opened under that one.
        """
        if self.url is not None:
            return code_link(self.url, made["code"])
        return str(made.get("link") or code_link("https://<address of the page>", made["code"]))

    def _configured(self, env: Mapping[str, str]) -> str | None:
        """Return `server.socket` of the configuration file, which need not be valid otherwise, nor readable for us."""
        from edgebotd.config import find_file

        path = self.config or find_file(env)
        if self.config is not None and not self.config.exists():
            raise _NoSuchFile(f"{self.config}: there is no such file; `edgebotd init` writes a configuration.")
        try:
            data: Any = tomllib.loads(path.read_text()) if path else {}
            named = data["server"]["socket"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return os.path.join(path.absolute().parent, os.path.expanduser(named)) if path and named else None


def code_link(page: str, code: str) -> str:
    """Return the link that hands the page a one-time code: in the fragment, which no server and no log sees."""
    return f"{page.rstrip('/')}/#code={code}"


def connect_error(path: Path) -> str | None:
    """Return why nobody answers on a unix socket; None when somebody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(os.fspath(path))
        except FileNotFoundError:
            return "not there"
        except ConnectionRefusedError:
            return "nobody listens"
        except PermissionError:
            return "not allowed for this user"
        except (OSError, ValueError) as exc:
            return (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
    return None


def runtime_dir(env: Mapping[str, str]) -> Path | None:
    """Return the folder that holds a running demo's pointer: private to this user, emptied by a reboot."""
    named = env.get("XDG_RUNTIME_DIR") or ("/run" if os.geteuid() == 0 else "")
    try:
        status = os.stat(named)
    except OSError:
        return None
    private = status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return Path(named) if private else None


def demo_socket(env: Mapping[str, str]) -> Path | None:
    """Return the socket of this user's running demo, as its pointer says."""
    folder = runtime_dir(env)
    try:
        return Path((folder / DEMO_POINTER).read_text().strip()) if folder else None
    except OSError:
        return None
