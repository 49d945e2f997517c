"""A daemon of its own and a real OAuth server: a person logs in in each way."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import trio

from tests.peers.oauth import OAuthServer
from tests.peers.oauth_daemon import begin, daemon_at, landed, log_in, show
from tests.peers.running_daemon import Daemon


async def wait_done(daemon: Daemon, begun: dict[str, Any]) -> dict[str, Any]:
    with trio.fail_after(30):
        while True:
            state: dict[str, Any] = (await daemon.ask("GET", f"/api/profiles/login/{begun['id']}")).json()
            if state["state"] != "waiting":
                return state
            await trio.sleep(0.1)


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
