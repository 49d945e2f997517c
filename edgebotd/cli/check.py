"""`check`: everything that the start would find wrong, without starting."""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from edgebotd.cli import EXIT_CONFIG
from edgebotd.cli.output import json_option, print_json
from edgebotd.cli.target import Target, connect_error

if TYPE_CHECKING:
    from edgebotd.config import BotSettings, Settings


@click.command()
@click.option("--config", type=click.Path(readable=False, path_type=Path), help="The configuration file.")
@click.option(
    "--online", is_flag=True, help="Also try whether each bot's address answers, and look up the channels of alerts."
)
@json_option
@click.pass_obj
def check(target: Target, config: Path | None, online: bool, as_json: bool) -> None:
    """Say whether the daemon would start.

    Reads the configuration as the start does, with every secret; tries the state directory, certificates and addresses.
    Exits with 78 when the configuration is wrong, with 1 when it is right but the start would fail.
    """
    from edgebotd.cli.run import overrides_of
    from edgebotd.config import ConfigError, find_file, load

    warnings: list[str] = []
    path = config or target.config or find_file(os.environ)
    try:
        settings = load(path, overrides=overrides_of((), target.socket, None), warn=warnings.append, search=False)
    except ConfigError as exc:
        _report(as_json, path, [str(finding) for finding in exc.findings], warnings)
        sys.exit(EXIT_CONFIG)
    problems = list(start_problems(settings))
    if online:
        for bot_id, bot in settings.bots.items():
            problems += [f"bots.{bot_id}: {text}" for text in online_problems(bot)]
        problems += channel_problems(settings)
    _report(as_json, path, problems, warnings)
    if problems:
        sys.exit(1)


def _report(as_json: bool, path: Path | None, problems: list[str], warnings: list[str]) -> None:
    if as_json:
        print_json({"file": None if path is None else str(path), "problems": problems, "warnings": warnings})
        return
    for text in warnings:
        click.echo(f"warning: {text}", err=True)
    for text in problems:
        click.echo(text, err=True)
    if not problems:
        click.echo(f"{path or 'no file, defaults'}: good")


def start_problems(settings: Settings) -> Iterator[str]:
    """Yield what would keep the daemon from starting with valid settings."""
    from edgebotd.store.connection import in_use

    yield from _folder_problems("storage.state_dir", settings.storage.state_dir)
    server = settings.server
    if server.tls_certificate is not None and server.tls_key is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(server.tls_certificate, server.tls_key, password="")
        except OSError as exc:
            reason = exc.strerror or str(exc)
            yield f"server.tls_certificate, server.tls_key: {server.tls_certificate} and {server.tls_key}: {reason}"
    yield from _key_problems(settings)
    if connect_error(server.socket) is None or in_use(settings.storage.database):
        # Its addresses are taken by itself: before a restart that is how it must be. The lock tells that where systemd
        # has put the socket elsewhere than these settings say.
        return
    yield from _folder_problems("server.socket", server.socket.parent)
    for address in server.bind:
        yield from _address_problems(address)


def _key_problems(settings: Settings) -> Iterator[str]:
    """Yield why the vault's key cannot be used, where there is one or the settings name it."""
    from edgebotd.accounts.cipher import Cipher, VaultLocked
    from edgebotd.accounts.house import key_place, read_key
    from edgebotd.accounts.key_check import fits
    from edgebotd.config.credentials import SecretError
    from edgebotd.store import profiles

    place, database = key_place(settings.accounts, settings.storage.state_dir), settings.storage.database
    if isinstance(place, Path) and settings.accounts.key_file is None and not place.exists():
        # It is made at the start, unless something is sealed already.
        if _ask_store(database, profiles.has_secrets):
            yield f"{place}: it is not there, and the stored logins are sealed with it. Put it back (docs/accounts.md)"
        return
    name = "key_credential" if isinstance(place, str) else "key_file"
    said = _placed(settings, ("accounts", name)) if getattr(settings.accounts, name) is not None else str(place)
    try:
        cipher = Cipher(read_key(place, os.environ)[0])
    except (SecretError, VaultLocked, ValueError) as exc:
        yield f"{said}: {exc}"
        return
    if _ask_store(database, lambda conn: fits(conn, cipher)) is False:
        hint = "Put the right one back (docs/accounts.md)"
        yield f"{said}: it is another key than the stored logins were sealed with. {hint}"


def _ask_store(database: Path, query: Callable[[sqlite3.Connection], bool]) -> bool | None:
    """Ask the store, as far as that can be done without making a file beside it; None where it cannot."""
    from edgebotd.store.connection import in_use

    # Beside a daemon the newest is in the log, whose files are there. Else they may be left by one that was killed, and
    # opening them would change them.
    how = "mode=ro" if in_use(database) else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?{how}", uri=True)) as conn:
            return query(conn)
    except sqlite3.Error:
        return None  # there is none, or an older one


def _placed(settings: Settings, key: tuple[str, ...]) -> str:
    """Name a setting with where it was given."""
    given, name = settings.sources.given.get(key), ".".join(key)
    if given is None or given.origin != "file":
        return name if given is None else given.place
    return f"{settings.sources.file}{given.place[given.place.index(':') :]}: {name}"


def _folder_problems(key: str, folder: Path) -> Iterator[str]:
    """Yield why files cannot be made in a folder that is there or is made at the start; makes nothing."""
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        yield f"{key}: {nearest} is not a directory"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        yield f"{key}: {nearest} is not writable for this user"


def _address_problems(address: str) -> Iterator[str]:
    from edgebotd.config import parse_address

    host, port = parse_address(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        yield f"server.bind: {address}: {exc.strerror}"
        return
    for family, kind, protocol, _, place in found[:1]:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(place)
            except OSError as exc:
                hint = f"; `ss -ltnp sport = :{port}` shows by whom" if exc.errno == errno.EADDRINUSE else ""
                yield f"server.bind: {address}: {exc.strerror}{hint}"


def online_problems(bot: BotSettings) -> Iterator[str]:
    """Yield why a bot's peer does not answer; an OpenAI-compatible one is asked for its models, with the token."""
    if bot.url is None:
        return
    if bot.kind == "openai":
        import httpx2

        headers = {"Authorization": f"Bearer {bot.token.get_secret_value()}"} if bot.token else {}
        try:
            answer = httpx2.get(bot.url.rstrip("/") + "/models", headers=headers, timeout=10)
        except (httpx2.TransportError, httpx2.InvalidURL) as exc:
            yield f"{bot.url} does not answer: {str(exc) or type(exc).__name__}"
            return
        if answer.status_code in (401, 403):
            yield f"{bot.url} refuses the token ({answer.status_code})"
        elif answer.status_code >= 500:
            yield f"{bot.url} answers {answer.status_code}"
        return
    parts = urlsplit(bot.url)
    try:
        socket.create_connection(
            (parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)), 10
        ).close()
    except OSError as exc:
        yield f"{bot.url} does not answer: {exc.strerror or exc}"


def channel_problems(settings: Settings) -> list[str]:
    """Return why nothing would be sent to channels of alerts whose server's name has to be looked up for that."""
    import trio

    from edgebotd.outgoing import Outgoing, Refused

    outgoing, problems = Outgoing(allow=settings.alerts.allow_networks), list[str]()

    async def look_up(channel_id: str, url: str) -> None:
        try:
            await outgoing.look_up(url)
        except Refused as exc:
            key = ("alerts", "channels", channel_id, settings.alerts.channels[channel_id].url_key)
            problems.append(f"{_placed(settings, key)}: {exc.detail}")

    async def look_all_up() -> None:
        async with trio.open_nursery() as nursery:
            for channel_id, channel in settings.alerts.channels.items():
                # What Apprise reaches it alone can tell.
                if channel.url is not None and channel.kind != "apprise":
                    nursery.start_soon(look_up, channel_id, channel.url.get_secret_value())

    trio.run(look_all_up)
    return sorted(problems)
