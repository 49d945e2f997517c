"""The daemon's process killed at each point of a refresh: no refresh token is lost, and none is sent blindly."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
import trio

from tests.peers.oauth import OAuthServer
from tests.peers.oauth_daemon import Ahead, daemon_at, log_in, put_in, show, stored, wait_count, wait_for

# One process stands still at all points at once, each login at its own; the last one stops the whole process.
POINTS = """
import contextvars, signal, trio
from edgebotd.accounts.refreshing import Refreshing
from edgebotd.accounts.vault import Vault

there, doing = pathlib.Path({there!r}), contextvars.ContextVar("doing", default="")
run, ask, save, change, put = Refreshing.run, Refreshing._ask, Refreshing._save, Vault.change, Vault._put

async def stand(point):
    (there / point).touch()
    await trio.sleep_forever()

async def wait(file):
    while not (there / file).exists():
        await trio.sleep(0.02)

async def run_known(self, profile, **more):
    doing.set(profile.id)
    return await run(self, profile, **more)

async def change_or_stand(self, was, now, *more, **named):
    if was.id == "acme:unclaimed" and was.claim is None and now.claim is not None:
        await stand("unclaimed")
    return await change(self, was, now, *more, **named)

async def ask_or_stand(self, oauth, login):
    if doing.get() == "acme:unsent":
        await stand("unsent")
    if doing.get() == "acme:unanswered":
        await wait("held")
    return await ask(self, oauth, login)

async def save_or_stand(self, profile_id):
    if profile_id == "acme:unsaved":
        await stand("unsaved")
    if profile_id == "acme:untold":
        (there / "answered").touch()
        await wait("last")
    return await save(self, profile_id)

def put_or_stop(self, profile):
    if profile.id == "acme:untold" and profile.generation == 2:
        (there / "untold").touch()
        while True:
            signal.pause()
    put(self, profile)

if there.exists():
    Refreshing.run, Refreshing._ask, Refreshing._save = run_known, ask_or_stand, save_or_stand
    Vault.change, Vault._put = change_or_stand, put_or_stop
"""
NAMES = ("unclaimed", "unsent", "unanswered", "unsaved", "untold")


async def test_killed_at_each_point_of_a_refresh(oauth_server: OAuthServer, tmp_path: Path) -> None:
    there, ahead = tmp_path / "there", Ahead(tmp_path)
    there.mkdir()
    logins = dict(zip(NAMES, await oauth_server.logins(len(NAMES)), strict=True))
    await put_in(tmp_path, logins, due=True)
    asked, holding = await oauth_server.count(), await oauth_server.count("holding")
    plant = ahead.plant + POINTS.format(there=str(there))
    async with daemon_at(oauth_server, tmp_path, plant) as (daemon, channel):
        await _there(there, "unclaimed", "unsent", "unsaved", "answered")
        await oauth_server.fault(hold=True)
        (there / "held").touch()
        await wait_count(oauth_server, "holding", holding + 1)
        (there / "last").touch()
        await _there(there, "untold")
        await trio.to_thread.run_sync(daemon.program.kill)
        await oauth_server.fault(hold=False)
        assert await oauth_server.count() == asked + 3
        assert channel.of("auth-profiles:refreshed") == []
        lost = {name: not await oauth_server.newest(login) for name, login in (await stored(tmp_path)).items()}
        assert [name for name in NAMES if lost[name]] == ["unanswered", "unsaved"]

        there.rename(tmp_path / "gone")
        await daemon.start()
        # What was not claimed is due, what was stored is told, and of all else nobody knows.
        await wait_for(daemon, "fresh", "unclaimed", generation=2)
        doubted = ("unsent", "unanswered", "unsaved")
        for name in doubted:
            row = await wait_for(daemon, "uncertain", name)
            assert row["nextAt"] == row["expiresAt"] - 60_000 and row["generation"] == 1
            assert await oauth_server.works(logins[name].access or "")
        assert (await show(daemon, "untold"))["generation"] == 2
        await channel.until(lambda _: len(channel.of("auth-profiles:refreshed")) == 5)
        assert len(channel.of("auth-profiles:refreshed", profileId="acme:untold", outcome="refreshed")) == 1
        refused = await daemon.ask("POST", "/api/profiles/acme:unsent/refresh", {}, check=False)
        assert (refused.status_code, refused.json()["code"]) == (409, "uncertain")
        assert await oauth_server.count() == asked + 4, "none of them was asked for again"

        # A minute before the access tokens end; those that are well are due by then anyway.
        ahead.set((await show(daemon, "unsaved"))["expiresAt"] - 60_000 - ahead.now())
        await wait_for(daemon, "fresh", "unsent", generation=2)
        for name in ("unanswered", "unsaved"):
            await wait_for(daemon, "needs_login", name)
        for name in ("unclaimed", "untold"):
            await wait_for(daemon, "fresh", name, generation=3)
        assert await oauth_server.count() == asked + 9
        await channel.until(lambda _: len(channel.of("alert", state="open")) == 2)
        await log_in(daemon, oauth_server, name="unsaved")
        await wait_for(daemon, "fresh", "unsaved", generation=2)
        await channel.until(lambda _: bool(channel.of("alert", state="resolved", alertId="profile:acme:unsaved:login")))
    good = {name for name, login in (await stored(tmp_path)).items() if await oauth_server.newest(login)}
    assert good == {*NAMES} - {"unanswered"}


async def test_stopping_waits_for_an_answer_and_says_so(
    oauth_server: OAuthServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (login,) = await oauth_server.logins(1)
    await put_in(tmp_path, {"work": login}, due=True)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "systemd"))
    holding = await oauth_server.count("holding")
    await oauth_server.fault(hold=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "systemd"))
        systemd.setblocking(False)
        async with daemon_at(oauth_server, tmp_path) as (daemon, _):
            await wait_count(oauth_server, "holding", holding + 1)
            daemon.program.terminate()
            with trio.fail_after(20):
                while "stopping waits" not in (said := daemon.program.log.read_text()):  # noqa: ASYNC110 - a file
                    await trio.sleep(0.02)
            assert "the provider's answer to acme:work, up to 60 s" in said
            await oauth_server.fault(hold=False)
            assert await trio.to_thread.run_sync(daemon.program.wait, 20) == 0
        told = _all_of(systemd)
    # The requests' deadline, the streams, and this: whatever TimeoutStopSec= is.
    assert max(int(time) for time in re.findall(r"EXTEND_TIMEOUT_USEC=(\d+)", told)) == 90_000_000
    assert all([await oauth_server.newest(one) for one in (await stored(tmp_path)).values()])


def _all_of(systemd: socket.socket) -> str:
    told = ""
    try:
        while True:
            told += systemd.recv(4096).decode() + "\n"
    except BlockingIOError:
        return told


async def _there(folder: Path, *names: str) -> None:
    with trio.fail_after(20):
        while not all((folder / name).exists() for name in names):  # noqa: ASYNC110 - of another process
            await trio.sleep(0.02)
