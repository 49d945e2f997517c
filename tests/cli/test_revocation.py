"""In a daemon as it is started, a revocation reaches the streams: the parts are tested elsewhere, here their wiring."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path

import httpx2
import pytest

from edgebotd.protocol.sse import Parser, ServerEvent
from tests.cli.place import DEADLINE, Place


@pytest.mark.quiet
def test_c6_a_running_daemon_ends_the_stream_of_a_revoked_token_within_a_second(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.demo() as (_process, printed):
        origin = re.search(r"http://127\.0\.0\.1:\d+", printed)
        assert origin is not None
        place.run("user", "add", "ann", "--link")
        place.run("user", "grant", "ann", "echo", "view")
        made = json.loads(place.run("token", "create", "ann", "--name", "t", "--scope", "read", "--json"))
        headers = {"Authorization": f"Bearer {made['token']}"}
        events: list[ServerEvent] = []
        began, ended = threading.Event(), threading.Event()
        ended_at = 0.0

        def read() -> None:
            nonlocal ended_at
            parser = Parser()
            with httpx2.stream("GET", f"{origin[0]}/api/events", headers=headers, timeout=DEADLINE) as response:
                for chunk in response.iter_raw():
                    events.extend(parser.feed(chunk))
                    began.set()
            ended_at = time.monotonic()
            ended.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert began.wait(DEADLINE)
        place.run("token", "revoke", made["id"])
        revoked_at = time.monotonic()
        assert ended.wait(DEADLINE)
        reader.join()
        assert ended_at - revoked_at < 1
        assert (events[0].type, events[-1].type) == ("hello", "bye")
        assert json.loads(events[-1].data) == {"reason": "revoked"}
        assert httpx2.get(f"{origin[0]}/api/events", headers=headers).status_code == 401
