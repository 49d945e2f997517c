"""After `kill -9` no client has seen what the store does not have (CHANNEL C4)."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import trio

from edgebotd.access import Grant
from edgebotd.protocol.sse import Parser
from edgebotd.store.database import open_database
from tests.hub.support import Client, bus, hello, hub_on, user

CHILD = """
import sys, trio
from pathlib import Path
from edgebotd.access import Grant
from edgebotd.hub.request import StreamRequest
from edgebotd.store.database import open_database
from tests.hub.support import hub_on, message, user

async def main():
    async with open_database(Path(sys.argv[1]), now=1) as database, hub_on(database) as hub:
        hub.take_socket(StreamRequest(user(a=Grant.VIEW)), int(sys.argv[2]), chunked=False)
        await trio.sleep(0)
        for number in range(1_000_000):
            hub.publish("a", message(number=number))
            if number % 7 == 0:
                await trio.sleep(0.001)

trio.run(main)
"""


def killed_while_it_publishes(path: Path) -> tuple[list[str], str]:
    """Return what a client of a killed daemon has seen, and its cursor."""
    near, far = socket.socketpair()
    near.setblocking(False)
    parser = Parser()
    seen: list[str] = []
    arguments = [sys.executable, "-c", CHILD, str(path), str(near.fileno())]
    with far, subprocess.Popen(arguments, pass_fds=[near.fileno()]) as child:
        near.close()
        far.settimeout(30)
        killed = False
        while data := far.recv(65_536):
            seen += [event["message"]["id"] for event in bus(parser.feed(data))]
            if len(seen) > 500 and not killed:
                child.send_signal(signal.SIGKILL)
                killed = True
    return seen, parser.last_event_id


async def test_c4_whatever_a_client_saw_before_kill_9_is_in_the_store_and_nothing_is_lost_after(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    seen, cursor = killed_while_it_publishes(path)
    async with open_database(path, now=1) as database, hub_on(database, life=2) as hub:
        stored = await database.read(
            lambda conn: [row[0] for row in conn.execute("SELECT data ->> '$.message.id' FROM journal ORDER BY number")]
        )
        stored = stored[stored.index(seen[0]) :]  # it was admitted when some were out already
        assert stored[: len(seen)] == seen
        again = Client(hub, user(a=Grant.VIEW), cursor)
        with trio.fail_after(30):
            while hub.connections()[0].state != "live":  # noqa: ASYNC110 - the end of a replay has no event
                again.read()
                await trio.sleep(0.005)
        again.read()
        missed = [event["message"]["id"] for event in bus(again.events)]
        assert hello(again.events)["verdict"] == "exact"
        assert seen + missed == stored
