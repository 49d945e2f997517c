"""Two daemons' processes and one login: they never both spend its refresh token, and one outlives the other."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from tests.peers.oauth import OAuthServer
from tests.peers.oauth_daemon import HOUR_MS, Ahead, daemon_at, put_in, show, stored, wait_count, wait_for
from tests.peers.running_daemon import CONFIGURATION, Channel, Daemon, open_daemon
from tests.warm import run_warm

# What keeps a second daemon from a state directory is taken away, and the refresher's own lock has to do.
ONE_STORE = """
from contextlib import nullcontext
from edgebotd.store import connection
connection.only_daemon = lambda path: nullcontext()
"""
NAME = "work"
ID = f"acme:{NAME}"


async def test_one_refreshes_and_the_other_takes_over(oauth_server: OAuthServer, tmp_path: Path) -> None:
    ahead, folders = Ahead(tmp_path), (tmp_path / "one", tmp_path / "two")
    for folder in folders:
        folder.mkdir()
    (first_login,) = await oauth_server.logins(1)
    await put_in(folders[0], {NAME: first_login}, due=False)
    (folders[1] / "state").symlink_to(folders[0] / "state")
    async with AsyncExitStack() as stack:
        two: list[tuple[Daemon, Channel]] = []
        for folder in folders:
            two.append(await stack.enter_async_context(daemon_at(oauth_server, folder, ahead.plant + ONE_STORE)))
        (leader, _), (follower, told) = two

        # Killed before the provider has looked at what was sent: the token is still good.
        asked = await oauth_server.count()
        await oauth_server.fault(wait=True)
        ahead.set(HOUR_MS // 2 + HOUR_MS * 9 // 20)
        await wait_count(oauth_server, "token", asked + 1)
        await _leads(leader, follower)
        await trio.to_thread.run_sync(leader.program.kill)
        await oauth_server.fault(wait=False)
        row = await wait_for(follower, "uncertain", NAME)
        assert await oauth_server.count() == asked + 1, "it was not tried again"
        ahead.set(row["expiresAt"] - 60_000 - ahead.now() + ahead.ms)
        await wait_for(follower, "fresh", NAME, generation=2)
        assert await oauth_server.count() == asked + 2
        assert [one["outcome"] for one in told.of("auth-profiles:refreshed")] == ["uncertain", "refreshed"]

        # The other way round, and this time the provider has answered whoever is dead by then.
        leader, follower = follower, leader
        await follower.start()
        holding = await oauth_server.count("holding")
        await oauth_server.fault(hold=True)
        ahead.set(ahead.ms + HOUR_MS * 19 // 20)
        await wait_count(oauth_server, "holding", holding + 1)
        await _leads(leader, follower)
        await trio.to_thread.run_sync(leader.program.kill)
        await oauth_server.fault(hold=False)
        await wait_for(follower, "uncertain", NAME)
        assert await oauth_server.count() == asked + 3, "what may be spent is not sent while there is a token"
    (login,) = (await stored(folders[0])).values()
    assert not await oauth_server.newest(login) and await oauth_server.works(login.access or "")


async def _leads(leader: Daemon, follower: Daemon) -> None:
    """The follower shows what the leader does once it has looked, and refuses to do it too."""
    assert (await show(leader, NAME))["state"] == "refreshing"
    await wait_for(follower, "refreshing", NAME)
    refused = await follower.ask("POST", f"/api/profiles/{ID}/refresh", {}, check=False)
    assert (refused.status_code, refused.json()["code"]) == (409, "refreshed_elsewhere")


async def test_a_second_daemon_of_a_state_directory_does_not_start(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    two.mkdir()
    (one / "state").mkdir(parents=True)
    (two / "state").symlink_to(one / "state")
    configuration = two / "edgebotd.toml"
    configuration.write_text(CONFIGURATION.format(folder=two))
    async with open_daemon(one) as (daemon, _):
        command = ["run", "--config", str(configuration)]
        ended = await trio.to_thread.run_sync(lambda: run_warm(command, env=os.environ))
        assert ended.returncode == 1
        assert f"another edgebotd (pid {daemon.program.pid}) has this database open" in ended.stderr
        await daemon.ask("GET", "/readyz")
