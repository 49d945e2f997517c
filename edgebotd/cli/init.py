"""`init`: a configuration to start from, and the link that makes the first administrator."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebotd.cli.target import Target, connect_error, page_link

if TYPE_CHECKING:
    from edgebotd.config import Settings

TEMPLATE = """\
# Configuration of edgebotd. What is not here has its default; config.example.toml shows and explains every setting.
# After a change: `edgebotd check`, then restart. Keep this file to yourself (mode 600) when secrets are in it.

[server]
# Another address than this machine's own needs TLS or a trusted proxy.
bind = ["127.0.0.1:8787"]
{admins}
[storage]
state_dir = {state_dir}

# A bot that is built in, to try things. Remove it when you have real ones.
[bots.echo]
kind = "echo"

#[bots.atlas]
#kind = "openclaw"
#url = "ws://127.0.0.1:18789"
#token_file = "atlas.token"
"""

ADMINS = """\
# You, for the commands: who is named here, and root, administrates over the unix socket without a password.
admin_uids = [{uid}]
"""


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Where to write the configuration.")
@click.option("--state-dir", type=click.Path(path_type=Path), help="Where the daemon will keep everything.")
@click.pass_obj
def init(target: Target, config: Path | None, state_dir: Path | None) -> None:
    """Write a configuration, and print a one-time link that makes the first administrator.

    An existing configuration is never overwritten.
    """
    from edgebotd.config import default_state_dir

    path = config or target.config or _default_path()
    folder = (state_dir or default_state_dir(os.environ)).absolute()
    _write(path, TEMPLATE.format(state_dir=_quoted(str(folder)), admins=ADMINS.format(uid=os.getuid())))
    click.echo(f"Wrote {path}")
    from edgebotd.cli.run import load_or_exit

    settings = load_or_exit(path, {} if target.socket is None else {"server.socket": str(target.socket.absolute())})
    made = _code(settings)
    default = path == _default_path() and not config
    start = "edgebotd run" if default else f"edgebotd run --config {path}"
    click.echo(f"Start the daemon:  {start}")
    if made is None:
        click.echo("There is an administrator already; the state directory is an old one. Log in as before.")
        return
    code, expires_at = made
    minutes = max(1, round((expires_at / 1000 - time.time()) / 60))
    click.echo(f"Then open this link within {minutes} minutes; it works once and makes the first administrator:")
    click.echo(f"  {page_link(settings.server.public_url, settings.server.bind, code)}")


def _default_path() -> Path:
    from edgebotd.config import searched_files

    if named := os.environ.get("EDGEBOTD_CONFIG"):
        return Path(named)
    files = searched_files(os.environ)
    return files[-1] if os.geteuid() == 0 else files[-2]


def _quoted(text: str) -> str:
    # JSON's strings are TOML's basic strings, but for DEL.
    import json

    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise click.ClickException(
            f"{path} is there already and stays as it is. Write another one with --config, or remove it first."
        ) from None
    except OSError as exc:
        raise click.ClickException(f"{path} cannot be written: {exc.strerror}.") from exc
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _code(settings: Settings) -> tuple[str, int] | None:
    """Return a new setup code and when it expires; None where there is an administrator."""
    from edgebotd.cli.client import ApiError, Client

    if connect_error(settings.server.socket) is None:
        with Client.local(settings.server.socket) as client:
            try:
                made = client.post("/api/codes", {"purpose": "setup"})
            except ApiError as exc:
                if exc.code == "already_set_up":
                    return None
                raise
            return made["code"], made["expiresAt"]
    import trio

    return trio.run(_offline_code, settings)


async def _offline_code(settings: Settings) -> tuple[str, int] | None:
    """As `_code`, straight into the store of a daemon that does not run."""
    from edgebotd.people.codes import add_code
    from edgebotd.store import users
    from edgebotd.store.database import Transaction, open_database
    from edgebotd.store.errors import StoreError

    now = time.time_ns() // 1_000_000

    def write(transaction: Transaction) -> tuple[str, int] | None:
        if users.count_admins(transaction.connection):
            return None
        lifetime = settings.people.setup_code_seconds
        return add_code(transaction.connection, "setup", None, now=now, lifetime_seconds=lifetime)

    try:
        settings.storage.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with open_database(settings.storage.database, now=now) as database:
            return await database.write(write)
    except (StoreError, OSError) as exc:
        raise click.ClickException(f"The state directory cannot be used: {exc}") from exc
