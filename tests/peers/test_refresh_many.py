"""Two hundred logins that are all due when the machine wakes up: few at once, each once, and nobody waits for them."""

from __future__ import annotations

from pathlib import Path

import trio

from tests.peers.oauth import OAuthServer
from tests.peers.oauth_daemon import HOUR_MS, Ahead, daemon_at, put_in, stored, wait_count
from tests.peers.running_daemon import Channel, Daemon

COUNT = 200


async def test_two_hundred_are_due_after_a_suspend(oauth_server: OAuthServer, tmp_path: Path) -> None:
    ahead = Ahead(tmp_path)
    names = [str(number) for number in range(COUNT)]
    await put_in(tmp_path, dict(zip(names, await oauth_server.logins(COUNT), strict=True)), due=False)
    asked, holding = await oauth_server.count(), await oauth_server.count("holding")
    async with daemon_at(oauth_server, tmp_path, ahead.plant) as (daemon, channel):
        await oauth_server.fault(hold=True)
        ahead.set(HOUR_MS - 120_000)
        await wait_count(oauth_server, "holding", holding + 8)
        await _responsive(daemon)
        assert await oauth_server.count("holding") == holding + 8 and await oauth_server.count() == asked + 8
        await oauth_server.fault(hold=False)
        await _responsive(daemon)
        await _all_refreshed(channel, 1)
        assert await oauth_server.count() == asked + COUNT
        assert "suspended" in daemon.program.log.read_text()

        # Asleep again; this time the provider wants to be left alone.
        await oauth_server.fault(status=429, times=8, retryAfter=1)
        ahead.set(ahead.ms + HOUR_MS - 120_000)
        await _all_refreshed(channel, 2)
        assert await oauth_server.count() == asked + COUNT + 8 + COUNT
        assert await oauth_server.count("most") == 8
        assert {one["outcome"] for one in channel.of("auth-profiles:refreshed")} == {"refreshed", "backoff"}
        assert channel.of("alert") == []
    assert all([await oauth_server.newest(login) for login in (await stored(tmp_path)).values()])


async def _all_refreshed(channel: Channel, times: int) -> None:
    await channel.until(lambda _: len(channel.of("auth-profiles:refreshed", outcome="refreshed")) == COUNT * times)
    each = {one["profileId"] for one in channel.of("auth-profiles:refreshed", outcome="refreshed")[-COUNT:]}
    assert len(each) == COUNT


async def _responsive(daemon: Daemon) -> None:
    """Ask, and listen anew, while refreshes go on."""
    with trio.fail_after(5):
        await daemon.ask("GET", "/api/profiles")
        newcomer = Channel(daemon.socket)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(newcomer.run)
            await newcomer.until(lambda _: bool(newcomer.verdicts))
            nursery.cancel_scope.cancel()
