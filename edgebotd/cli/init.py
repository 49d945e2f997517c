"""`init`: a configuration to start from, and the link that makes the first administrator."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebotd.cli.output import json_option, print_json, until
from edgebotd.cli.target import Target, code_link, connect_error

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
@json_option
@click.pass_obj
def init(target: Target, config: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """Write a configuration, and print a one-time link that makes the first administrator.

    An existing configuration is never overwritten: then there is only a new link, as long as nobody used one.
    """
    from edgebotd.cli.run import load_or_exit
    from edgebotd.config import default_state_dir

    path = config or target.config or _default_path()
    folder = (state_dir or default_state_dir(os.environ)).absolute()
    wrote = _write(path, TEMPLATE.format(state_dir=_quoted(str(folder)), admins=_admins(os.environ)))
    settings = load_or_exit(path, {} if target.socket is None else {"server.socket": str(target.socket.absolute())})
    if not wrote and state_dir is not None and settings.storage.state_dir != folder:
        raise click.ClickException(
            f"{path} is there already and names another state directory, {settings.storage.state_dir}. "
            "Write another configuration with --config, or remove this one first."
        )
    running = _running(settings, replace(target, config=path))
    made = _code(settings) if running is None else _running_code(running)
    default = path == _default_path() and not config
    start = "edgebotd run" if default else f"edgebotd run --config {shlex.quote(str(path))}"
    if as_json:
        print_json({"config": str(path), "wrote": wrote, "stateDir": str(settings.storage.state_dir), **(made or {})})
        return
    click.echo(f"Wrote {path}" if wrote else f"{path} is there already and stays as it is.")
    if running is None:
        click.echo(f"Start the daemon:  {start}")
    if made is None:
        click.echo("There is an administrator already. A new password: edgebotd user passwd NAME --link")
        return
    expiry = until(made["expiresAt"])
    click.echo(
        f"{'Then open' if running is None else 'Open'} this link; it works once, expires {expiry}, and makes the first "
        f"administrator:\n  {made['link']}"
    )


def _admins(env: Mapping[str, str]) -> str:
    """Return the lines that let the person who calls use the commands; root may without them."""
    sudo = env.get("SUDO_UID", "")
    uid = int(sudo) if os.getuid() == 0 and sudo.isascii() and sudo.isdigit() else os.getuid()
    return ADMINS.format(uid=uid) if uid else ""


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


def _write(path: Path, text: str) -> bool:
    """Write a new file for this user's eyes only; returns False where there is one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    except OSError as exc:
        raise click.ClickException(f"{path} cannot be written: {exc.strerror}.") from exc
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return True


def _running(settings: Settings, target: Target) -> Path | None:
    """Return the socket of these settings' daemon, where it runs.

    systemd may have put it elsewhere than the settings say; then the lock of the database tells that one runs.
    """
    from edgebotd.store.connection import in_use

    if connect_error(settings.server.socket) is None:
        return settings.server.socket
    if not in_use(settings.storage.database):
        return None
    return next((path for path in target.sockets(os.environ) if connect_error(path) is None), None)


def _running_code(socket: Path) -> dict[str, Any] | None:
    """Return `link` and `expiresAt` of a new setup code; None where there is an administrator."""
    from edgebotd.cli.client import ApiError, Client

    with Client.local(socket) as client:
        try:
            made = client.post("/api/codes", {"purpose": "setup"})
        except ApiError as exc:
            if exc.code == "already_set_up":
                return None
            raise
    return {"link": Target().link(made), "expiresAt": made["expiresAt"]}


def _code(settings: Settings) -> dict[str, Any] | None:
    """As `_running_code`, straight into the store of a daemon that does not run."""
    import trio

    from edgebotd.config import address_url, parse_address

    made = trio.run(_offline_code, settings)
    if made is None:
        return None
    code, expires_at = made
    page = settings.server.public_url
    if page is None:
        place = parse_address(settings.server.bind[0] if settings.server.bind else "127.0.0.1:8787")
        page = address_url(*place, tls=settings.server.tls_certificate is not None)
    return {"link": code_link(page, code), "expiresAt": expires_at}


async def _offline_code(settings: Settings) -> tuple[str, int] | None:
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
        async with open_database(settings.storage.database, now=now) as database:
            return await database.write(write)
    except (StoreError, OSError) as exc:
        raise click.ClickException(f"The state directory cannot be used: {exc}") from exc
