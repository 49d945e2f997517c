"""A real OAuth server: npm oidc-provider with rotation and reuse detection, and a front that injects faults."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2

from edgebotd.accounts.secrets import Login
from tests.peers.install import PeerUnavailable, node, npm_package
from tests.peers.process import Program

VERSION = "9.13.3"
SERVER = Path(__file__).with_name("oauth_server.mjs")
CLIENT = "edgebotd-public"
SCOPE = "openid offline_access"


@dataclass
class OAuthServer:
    """A running server. From `running_oauth`."""

    url: str

    @property
    def token_url(self) -> str:
        """Return where tokens are."""
        return f"{self.url}/token"

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the front for something of its own."""
        async with _browser() as client:
            answer = await client.request(method, self.url + path, json=body)
            answer.raise_for_status()
            return answer.json()

    async def fault(self, **ctl: Any) -> None:
        """Say what happens to the next token requests."""
        await self.ask("POST", "/_ctl", ctl)

    async def count(self, what: str = "token") -> int:
        """Return how often something happened."""
        return int((await self.ask("GET", "/_ctl"))[what])

    async def logins(self, count: int) -> list[Login]:
        """Return the tokens of so many new logins."""
        made = await self.ask("POST", "/_grant", {"count": count})
        return [Login(one["access"], one["refresh"]) for one in made]

    async def newest(self, login: Login) -> bool:
        """Whether a login has the refresh token that is good now."""
        return bool(await self.ask("POST", "/_newest", {"refresh": login.refresh}))

    async def works(self, access: str) -> bool:
        """Whether an access token is taken."""
        async with _browser() as client:
            answer = await client.get(self.url + "/me", headers={"Authorization": f"Bearer {access}"})
            return answer.status_code == 200

    async def revoke(self, login: Login) -> None:
        """End a login."""
        async with _browser() as client:
            form = {"token": login.refresh, "client_id": CLIENT}
            (await client.post(self.url + "/token/revocation", data=form)).raise_for_status()

    async def agree(self, url: str, redirect: str) -> str:
        """Be the person at the browser who agrees; return the address that they land on."""
        async with _browser() as client:
            answer = await client.get(url)
            for _ in range(16):
                if answer.is_redirect:
                    there = urljoin(str(answer.url), answer.headers["location"])
                    if there.startswith(redirect):
                        return there
                    answer = await client.get(there)
                else:
                    answer = await self._submit(client, answer)
        raise AssertionError(f"it never led to {redirect}: {answer.status_code}")

    async def agree_on_device(self, complete_url: str) -> None:
        """Be the person who types the code of a device and agrees."""
        async with _browser() as client:
            answer = await client.get(complete_url)
            for _ in range(16):
                if answer.is_redirect:
                    answer = await client.get(urljoin(str(answer.url), answer.headers["location"]))
                elif "<form" in answer.text:
                    answer = await self._submit(client, answer)
                else:
                    return
        raise AssertionError("the device's login never came to an end")

    async def _submit(self, client: httpx2.AsyncClient, page: httpx2.Response) -> httpx2.Response:
        action = re.search(r'action="([^"]+)"', page.text)
        assert action is not None, page.text[:500]
        inputs = re.findall(r"<input[^>]*>", page.text)
        pairs = [(_attribute(one, "name"), _attribute(one, "value")) for one in inputs]
        given = {name: value for name, value in pairs if name and value}
        fields = {"login": "somebody", "password": "x", **given}
        return await client.post(urljoin(str(page.url), action[1].replace("&amp;", "&")), data=fields)


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', tag)
    return "" if found is None else found[1]


def _browser() -> httpx2.AsyncClient:
    # Without certificates, which take long to read and which nobody here has.
    return httpx2.AsyncClient(trust_env=False, timeout=30, verify=False)


@contextmanager
def running_oauth(folder: Path) -> Iterator[OAuthServer]:
    """Run the server; blocking.

    Raises:
        PeerUnavailable: it cannot be had here.
    """
    runtime = node()
    package = npm_package("oidc-provider", VERSION, first_in_path=runtime.parent)
    log = folder / "oauth.log"
    program = Program([runtime, SERVER, package / "lib" / "index.js"], env=dict(os.environ), log=log)
    program.start()
    try:
        port = re.compile(r"^(\d+)$", re.MULTILINE)
        program.wait_until(lambda: bool(port.search(log.read_text())), 60, "the OAuth server's port")
        found = port.search(log.read_text())
        if found is None:
            raise PeerUnavailable("the OAuth server did not start")
        yield OAuthServer(f"http://127.0.0.1:{found[1]}")
    finally:
        program.close()
