"""A daemon of its own beside a real OAuth server: logins put into its store before it starts, a clock that jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trio

from edgebotd.accounts.house import open_cipher
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.vault import load_vault
from edgebotd.config import AccountsSettings
from edgebotd.daemon import wall_clock
from edgebotd.store.database import open_database
from edgebotd.store.profiles import Profile
from tests.peers.oauth import CLIENT, SCOPE, OAuthServer
from tests.peers.running_daemon import Channel, Daemon, open_daemon

PROVIDER = """
[providers.acme.oauth]
token_url = "{url}/token"
authorize_url = "{url}/auth"
device_url = "{url}/device/auth"
client_id = "{client}"
scope = "{scope}"
authorize_params = {{ prompt = "consent" }}
"""
HOUR_MS = 3_600_000
CLOCK = """
import pathlib
import edgebotd.daemon
from edgebotd.accounts import refresh
real_clock, ahead = edgebotd.daemon.wall_clock, pathlib.Path({ahead!r})
edgebotd.daemon.wall_clock = lambda: real_clock() + int(ahead.read_text())
refresh.LOOK_SECONDS = refresh.WATCH_SECONDS = 0.3
"""
"""Has a daemon look at its clock often, which is ahead by what stands in a file: as after a suspend."""


class Ahead:
    """How far the clock of daemons with `CLOCK` is ahead; they are told by a file."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ahead"
        self.set(0)

    @property
    def plant(self) -> str:
        """What a daemon runs first."""
        return CLOCK.format(ahead=str(self._file))

    def set(self, ms: int) -> None:
        """Let the clock jump."""
        part = self._file.with_suffix(".part")
        part.write_text(str(ms))
        part.rename(self._file)
        self.ms = ms

    def now(self) -> int:
        """Return what time the daemons have."""
        return wall_clock() + self.ms


@asynccontextmanager
async def daemon_at(server: OAuthServer, folder: Path, before: str = "") -> AsyncIterator[tuple[Daemon, Channel]]:
    """Run a daemon that knows the server as `acme`."""
    settings = PROVIDER.format(url=server.url, client=CLIENT, scope=SCOPE)
    async with open_daemon(folder, settings, before) as (daemon, channel):
        yield daemon, channel


async def put_in(folder: Path, logins: Mapping[str, Login], *, due: bool) -> None:
    """Put logins into the store of a daemon that has not started yet, by the names after `acme:`, good for an hour."""
    async with open_database(folder / "state" / "edgebotd.db") as database:
        cipher = await open_cipher(database, AccountsSettings(), folder / "state", {})
        vault = await load_vault(database, cipher, now=wall_clock)
        now = wall_clock()
        for name, login in logins.items():
            profile = Profile(
                f"acme:{name}",
                "acme",
                "oauth",
                state="fresh",
                expires_at=now + HOUR_MS,
                lifetime_ms=HOUR_MS,
                next_at=now if due else now + HOUR_MS * 9 // 10,
            )
            await vault.add(profile, login)


async def stored(folder: Path) -> dict[str, Login]:
    """Return the logins of a daemon, by the names after `acme:`; it does not run."""
    async with open_database(folder / "state" / "edgebotd.db") as database:
        cipher = await open_cipher(database, AccountsSettings(), folder / "state", {})
        vault = await load_vault(database, cipher, now=wall_clock)
        return {one.id.partition(":")[2]: await vault.login(one.id) for one in vault.all()}


async def show(daemon: Daemon, name: str = "default") -> dict[str, Any]:
    """Return a login as an administrator is told of it."""
    row: dict[str, Any] = (await daemon.ask("GET", f"/api/profiles/acme:{name}")).json()
    return row


async def wait_for(daemon: Daemon, state: str, name: str = "default", *, generation: int = 1) -> dict[str, Any]:
    """Wait until a login is in a state, and of a generation at least."""
    row: dict[str, Any] = {}
    with trio.move_on_after(20):
        while True:
            row = await show(daemon, name)
            if row["state"] == state and row["generation"] >= generation:
                return row
            await trio.sleep(0.05)
    raise AssertionError(f"acme:{name} did not become {state}: {row}")


async def wait_count(server: OAuthServer, what: str, count: int) -> None:
    """Wait until something has happened so often at the server."""
    with trio.fail_after(20):
        while await server.count(what) < count:  # noqa: ASYNC110 - of another process
            await trio.sleep(0.05)


async def begin(daemon: Daemon, **more: str) -> dict[str, Any]:
    """Begin to log in."""
    begun: dict[str, Any] = (await daemon.ask("POST", "/api/profiles/login", {"provider": "acme", **more})).json()
    return begun


async def landed(server: OAuthServer, begun: dict[str, Any]) -> str:
    """Agree; return the address that the browser lands on."""
    redirect = parse_qs(urlsplit(begun["url"]).query)["redirect_uri"][0]
    return await server.agree(begun["url"], redirect)


async def log_in(daemon: Daemon, server: OAuthServer, **more: str) -> str:
    """Log in by pasting the address; return it."""
    begun = await begin(daemon, **more)
    address = await landed(server, begun)
    done = await daemon.ask("POST", f"/api/profiles/login/{begun['id']}/finish", {"address": address})
    assert done.json()["state"] == "done", done.text
    return address
