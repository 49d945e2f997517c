"""`run`: the daemon in the foreground, as systemd wants it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebotd.cli import EXIT_CONFIG
from edgebotd.cli.target import Target

if TYPE_CHECKING:
    from edgebotd.config import Settings


def load_or_exit(config: Path | None, overrides: dict[str, object], *, search: bool = True) -> Settings:
    """Return the settings; where they are wrong, say everything that is, and exit with 78."""
    from edgebotd.config import ConfigError, load

    try:
        return load(
            config, overrides=overrides, search=search, warn=lambda text: click.echo(f"warning: {text}", err=True)
        )
    except ConfigError as exc:
        click.echo(str(exc), err=True)
        sys.exit(EXIT_CONFIG)


def overrides_of(
    bind: tuple[str, ...], socket: Path | None, state_dir: Path | None, log_level: str | None = None
) -> dict[str, object]:
    """Return what flags set, by the settings' names."""
    given: dict[str, object] = {
        "server.bind": bind or None,
        "server.socket": None if socket is None else str(socket.absolute()),
        "storage.state_dir": None if state_dir is None else str(state_dir.absolute()),
        "logging.level": log_level,
    }
    return {key: value for key, value in given.items() if value is not None}


@click.command()
@click.option("--config", type=click.Path(readable=False, path_type=Path), help="The configuration file.")
@click.option("--bind", multiple=True, metavar="HOST:PORT", help="Listen here instead; may be repeated.")
@click.option("--socket", type=click.Path(path_type=Path), help="The unix socket.")
@click.option("--state-dir", type=click.Path(path_type=Path), help="Where everything is kept.")
@click.option("--level", type=click.Choice(["debug", "info", "warning", "error"]), help="What is logged.")
@click.pass_obj
def run(
    target: Target,
    config: Path | None,
    bind: tuple[str, ...],
    socket: Path | None,
    state_dir: Path | None,
    level: str | None,
) -> None:
    """Run the daemon until it is stopped by SIGTERM or Ctrl-C; a second one stops it at once."""
    settings = load_or_exit(config or target.config, overrides_of(bind, socket or target.socket, state_dir, level))
    from edgebotd.daemon import run as run_daemon

    sys.exit(run_daemon(settings))
