"""C5: clients that reconnect at random have everything once and in order, or were told a gap. Real disk, real time."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import trio

from edgebotd.access import Grant
from edgebotd.hub.hub import Hub, open_hub
from edgebotd.hub.settings import HubSettings
from edgebotd.store.database import open_database
from tests.hub.support import INSTALLATION, Client, activity, bus, delta, hello, message, user

BOTS = ("a", "b", "c")


class Reconnecting:
    """A spec-true client that goes away at random and comes back with its cursor."""

    def __init__(self, hub: Hub, name: str, bots: tuple[str, ...], rng: random.Random) -> None:
        self.bots = bots
        self._hub = hub
        self._principal = user(name, **dict.fromkeys(bots, Grant.VIEW))
        self._rng = rng
        self._cursor = ""
        self.ready = trio.Event()
        self.messages: list[int] = []
        self.activities: list[int] = []
        self.told: list[str] = []

    async def run(self, done: trio.Event) -> None:
        """Read, go away, come back; after `done`, stay until nothing more comes."""
        last = False
        while not last:
            last = done.is_set()
            client = Client(self._hub, self._principal, self._cursor)
            quiet_since = trio.current_time()
            leaves_at = quiet_since + self._rng.uniform(0, 0.3)
            while not client.closed:
                if self._take(client):
                    quiet_since = trio.current_time()
                if client.cursor:
                    self.ready.set()
                now = trio.current_time()
                if self.ready.is_set() and now > (quiet_since + 1 if last else leaves_at):
                    break
                await trio.sleep(self._rng.uniform(0, 0.02))
            self._take(client)
            self._cursor = client.cursor
            client.close()
            await trio.sleep(self._rng.uniform(0, 0.05))

    def _take(self, client: Client) -> bool:
        events = client.read()
        for event in events:
            if event.type == "hello":
                self.told.append(hello([event])["verdict"])
            if event.type != "message":
                continue
            (body,) = bus([event])
            assert body["botId"] in self.bots
            if body["type"] == "chat-message":
                self.messages.append(int(body["message"]["id"][1:]))
            elif body["type"] == "bot-activity":
                self.activities.append(int(body["activity"]))
        return any(event.type == "message" for event in events)


async def check(directory: Path, publishes: int, clients: int, ring_events: int) -> None:
    """Publish at full speed to clients that come and go, and see that each got its own, all, in order, once."""
    rng = random.Random(5)
    settings = HubSettings(ring_events=ring_events, heartbeat_seconds=0.1, max_streams=100_000, pending_events=100_000)
    messages: list[int] = []
    activities: list[int] = []
    async with (
        open_database(directory / "store.db", now=1) as database,
        open_hub(
            database, settings, installation=INSTALLATION, life=1, clock=lambda: int(time.time() * 1000), rng=rng
        ) as hub,
    ):
        done = trio.Event()
        readers = [
            Reconnecting(hub, f"u{number}", tuple(rng.sample(BOTS, rng.randint(1, 2))), random.Random(number))
            for number in range(clients)
        ]
        async with trio.open_nursery() as nursery:
            for reader in readers:
                nursery.start_soon(reader.run, done)
            for reader in readers:
                await reader.ready.wait()
            for number in range(publishes):
                bot_id = BOTS[number % 3]
                kind = rng.randrange(3)
                if kind == 0:
                    activities.append(number)
                    hub.publish(bot_id, activity(bot_id, str(number)))
                elif kind == 1:
                    messages.append(number)
                    hub.publish(bot_id, message(bot_id, number=number))
                else:
                    hub.publish(bot_id, delta("x", number, f"r{bot_id}", bot_id))
                if rng.random() < 0.02:
                    await trio.sleep(0.002)
            done.set()
    for reader in readers:
        assert reader.told[0] == "fresh"
        assert set(reader.told[1:]) == {"exact"}
        assert reader.messages == [number for number in messages if BOTS[number % 3] in reader.bots]
        expected = [number for number in activities if BOTS[number % 3] in reader.bots]
        if ring_events >= publishes:
            assert reader.activities == expected
        else:  # those that the ring did not hold any more are summed up by the snapshot
            assert reader.activities == sorted(set(reader.activities) & set(expected))


async def test_c5_a_small_storm(tmp_path: Path) -> None:
    await check(tmp_path, 1500, 20, 10_000)


async def test_c5_a_small_storm_that_outruns_the_ring(tmp_path: Path) -> None:
    await check(tmp_path, 1500, 20, 50)


@pytest.mark.heavy
async def test_c5_ten_thousand_publishes_and_two_hundred_clients(tmp_path: Path) -> None:
    await check(tmp_path, 10_000, 200, 10_000)
