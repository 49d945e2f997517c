"""The live channel as one endless sequence: resumed with its cursor after every break, gaps told."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from edgebotd.cli.client import ApiError, Client, StreamLost, Unreachable
from edgebotd.protocol.sse import ServerEvent

FIRST_SILENCE: Final = 60.0
"""Seconds without a byte that are borne before `hello` has said how often a heartbeat comes."""
MAX_PAUSE: Final = 30.0


class Tail:
    """Follow the channel.

    Args:
        bots, types: only these; all where empty.
        as_user: what this user would see.
        on_break: gets a sentence when the stream broke, is back, or has a gap.
        sleep, rng: for tests.
    """

    def __init__(
        self,
        client: Client,
        *,
        on_break: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
        bots: tuple[str, ...] = (),
        types: tuple[str, ...] = (),
        as_user: str | None = None,
    ) -> None:
        self._client = client
        self._query: dict[str, Any] = {"bot": bots, "type": types, "as": as_user}
        self._on_break = on_break
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._silence = FIRST_SILENCE
        self._retry: float | None = None
        self.cursor = ""

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (`message` or the control event's type, its data) for ever.

        `hello` comes first after each connect, so a consumer sees when it is connected.

        Raises:
            ApiError: the daemon refuses us; trying again would not help.
        """
        failures = 0
        while True:
            try:
                for event in self._one_stream():
                    if failures and event.type != "busy":
                        failures = 0
                    yield event.type, _data(event)
            except (StreamLost, Unreachable) as exc:
                failures += 1
                if failures == 1:
                    self._on_break(f"The stream broke ({exc}); resuming.")
            except ApiError as exc:
                # 5xx: the daemon is going down or coming up; 4xx: it means us.
                if exc.status < 500:
                    raise
                failures += 1
            self._sleep(self._pause(failures))

    def _one_stream(self) -> Iterator[ServerEvent]:
        self._retry = None
        with self._client.stream(self.cursor, self._silence, **self._query) as events:
            for event in events:
                if event.retry is not None:
                    self._retry = event.retry / 1000
                if event.last_event_id:
                    self.cursor = event.last_event_id
                if event.type == "hello":
                    self._greeted(_data(event))
                yield event
                if event.type in ("bye", "busy"):
                    return

    def _greeted(self, hello: dict[str, Any]) -> None:
        self._silence = 2 * float(hello.get("heartbeatSeconds", FIRST_SILENCE / 2)) + 5
        if hello.get("verdict") == "gap":
            self._on_break(
                f"gap: some events are missing ({hello.get('reason', 'unknown')}); what follows is the state now."
            )

    def _pause(self, failures: int) -> float:
        """Return seconds to wait: what the server asked for, or full jitter that grows."""
        if self._retry is not None and failures <= 1:
            return self._retry
        return self._rng.uniform(0.1, min(MAX_PAUSE, 0.5 * 2 ** min(failures, 10)))


def _data(event: ServerEvent) -> dict[str, Any]:
    try:
        value = json.loads(event.data) if event.data else {}
    except ValueError:
        value = {}
    return value if isinstance(value, dict) else {}
