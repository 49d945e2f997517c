"""A daemon of its own and a real OAuth server: a person logs in in each way, and it is killed in a refresh."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import trio

from edgebotd.accounts.house import open_cipher
from edgebotd.accounts.vault import load_vault
from edgebotd.config import AccountsSettings
from edgebotd.store.database import open_database
from tests.peers.oauth import CLIENT, SCOPE, OAuthServer
from tests.peers.running_daemon import Channel, Daemon, open_daemon

ID = "acme:default"
PROVIDER = """
[providers.acme.oauth]
token_url = "{url}/token"
authorize_url = "{url}/auth"
device_url = "{url}/device/auth"
client_id = "{client}"
scope = "{scope}"
authorize_params = {{ prompt = "consent" }}
"""


@asynccontextmanager
async def daemon_at(server: OAuthServer, folder: Path) -> AsyncIterator[tuple[Daemon, Channel]]:
    settings = PROVIDER.format(url=server.url, client=CLIENT, scope=SCOPE)
    async with open_daemon(folder, settings) as (daemon, channel):
        yield daemon, channel


async def begin(daemon: Daemon, **more: str) -> dict[str, Any]:
    begun: dict[str, Any] = (await daemon.ask("POST", "/api/profiles/login", {"provider": "acme", **more})).json()
    return begun


async def landed(server: OAuthServer, begun: dict[str, Any]) -> str:
    redirect = parse_qs(urlsplit(begun["url"]).query)["redirect_uri"][0]
    return await server.agree(begun["url"], redirect)


async def log_in(daemon: Daemon, server: OAuthServer, **more: str) -> str:
    """Log in by pasting the address; return it."""
    begun = await begin(daemon, **more)
    address = await landed(server, begun)
    done = await daemon.ask("POST", f"/api/profiles/login/{begun['id']}/finish", {"address": address})
    assert done.json()["state"] == "done", done.text
    return address


async def show(daemon: Daemon, profile_id: str = ID) -> dict[str, Any]:
    row: dict[str, Any] = (await daemon.ask("GET", f"/api/profiles/{profile_id}")).json()
    return row


async def rested(daemon: Daemon) -> dict[str, Any]:
    """Return the login when nothing is done with it."""
    with trio.fail_after(20):
        while (row := await show(daemon))["state"] == "refreshing":  # noqa: ASYNC110 - of another process
            await trio.sleep(0.05)
    return row


async def wait_done(daemon: Daemon, begun: dict[str, Any]) -> dict[str, Any]:
    with trio.fail_after(30):
        while True:
            state: dict[str, Any] = (await daemon.ask("GET", f"/api/profiles/login/{begun['id']}")).json()
            if state["state"] != "waiting":
                return state
            await trio.sleep(0.1)


async def has_newest(server: OAuthServer, folder: Path) -> bool:
    """Whether the store of a daemon that does not run has the refresh token that is good now."""
    async with open_database(folder / "state" / "edgebotd.db") as database:
        cipher = await open_cipher(database, AccountsSettings(), folder / "state", {})
        vault = await load_vault(database, cipher, now=lambda: 1)
        return await server.newest(await vault.login(ID))


async def test_a_person_logs_in_in_each_way(oauth_server: OAuthServer, tmp_path: Path) -> None:
    async with daemon_at(oauth_server, tmp_path) as (daemon, channel):
        address = await log_in(daemon, oauth_server)
        row = await show(daemon)
        assert (row["state"], row["type"], row["owner"]) == ("fresh", "oauth", "edgebotd")

        begun = await begin(daemon, name="browser")
        assert begun["landsHere"] and begun["method"] == "browser"
        async with httpx2.AsyncClient(trust_env=False, verify=False) as browser:
            there = await landed(oauth_server, begun)
            wrong = await browser.get(there.replace("state=", "state=x"))
            assert "another login" in wrong.text
            page = await browser.get(there)
            assert "logged in as acme:browser" in page.text and page.headers["referrer-policy"] == "no-referrer"
        assert (await wait_done(daemon, begun))["state"] == "done"

        begun = await begin(daemon, name="device", method="device")
        assert begun["userCode"] and "user_code=" in begun["url"]
        await oauth_server.agree_on_device(begun["url"])
        assert (await wait_done(daemon, begun))["state"] == "done"

        for name in ("default", "browser", "device"):
            answer = await daemon.ask("POST", f"/api/profiles/acme:{name}/refresh", {})
            assert answer.json()["state"] == "fresh", answer.text
        await channel.until(lambda _: len(channel.of("auth-profiles:refreshed", outcome="refreshed")) == 3)

        again = await daemon.ask("POST", f"/api/profiles/login/{begun['id']}/finish", {"address": address}, check=False)
        assert again.status_code == 409
        audit = (await daemon.ask("GET", "/api/audit?limit=100")).text
        code = parse_qs(urlsplit(address).query)["code"][0]
        assert code not in audit + daemon.program.log.read_text() + str(channel.events)


async def test_killed_while_the_answer_is_on_its_way(oauth_server: OAuthServer, tmp_path: Path) -> None:
    async with daemon_at(oauth_server, tmp_path) as (daemon, _channel):
        await log_in(daemon, oauth_server)
        before, held = await oauth_server.count(), await oauth_server.count("holding")
        await oauth_server.fault(hold=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_refresh, daemon)
            with trio.fail_after(20):
                while await oauth_server.count("holding") == held:  # noqa: ASYNC110 - of another process
                    await trio.sleep(0.05)
            daemon.program.kill()
        await oauth_server.fault(hold=False)
        assert not await has_newest(oauth_server, tmp_path)
        await daemon.start()
        row = await rested(daemon)
        assert row["state"] == "uncertain" and row["nextAt"] == row["expiresAt"] - 60_000
        await trio.sleep(1)
        assert await oauth_server.count() == before + 1, "it was not tried again"
        refused = await daemon.ask("POST", f"/api/profiles/{ID}/refresh", {}, check=False)
        assert (refused.status_code, refused.json()["code"]) == (409, "uncertain")
        await log_in(daemon, oauth_server)
        assert (await show(daemon))["state"] == "fresh"


@pytest.mark.parametrize("seconds", [0.0, 0.004, 0.012, 0.03, 0.2])
async def test_killed_at_some_moment_of_a_refresh(oauth_server: OAuthServer, tmp_path: Path, seconds: float) -> None:
    async with daemon_at(oauth_server, tmp_path) as (daemon, _channel):
        await log_in(daemon, oauth_server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_refresh, daemon)
            await trio.sleep(seconds)
            daemon.program.kill()
        newest = await has_newest(oauth_server, tmp_path)
        await daemon.start()
        row = await rested(daemon)
        assert row["state"] == "uncertain" or (newest and row["state"] == "fresh"), row


async def _refresh(daemon: Daemon) -> None:
    try:
        await daemon.ask("POST", f"/api/profiles/{ID}/refresh", {}, check=False)
    except httpx2.TransportError:
        pass  # it was killed
