"""The gateways that the tests of one session share: a start takes 14-20 s on two cores."""

from __future__ import annotations

from contextlib import ExitStack

from tests.peers.install import PeerUnavailable
from tests.peers.netns import namespace
from tests.peers.openclaw import Gateway, running_gateway
from tests.support import require_or_skip


class Gateways:
    """One gateway for all, one to break, one off loopback; of each, one version at a time: a gateway takes a gigabyte.

    Ownership: whoever makes it calls `close`. Its methods block.
    """

    def __init__(self) -> None:
        self._running: dict[str, tuple[ExitStack, Gateway]] = {}

    def shared(self, version: str) -> Gateway:
        """Return a gateway for tests that leave it as it is, and keep apart by their session keys."""
        return self._get("shared", version)

    def breakable(self, version: str) -> Gateway:
        """Return a gateway to kill, freeze and restart, whole again after whatever the test before did to it."""
        gateway = self._get("breakable", version)
        if not gateway.running:
            gateway.restart()
        gateway.wait_ready()
        return gateway

    def distant(self, version: str) -> Gateway:
        """Return a gateway in a network namespace: we are not on its loopback. Skips where none can be made."""
        return self._get("distant", version)

    def close(self) -> None:
        """End them all."""
        for kind in list(self._running):
            self._end(kind)

    def _get(self, kind: str, version: str) -> Gateway:
        if kind in self._running and self._running[kind][1].version != version:
            self._end(kind)
        if kind not in self._running:
            with ExitStack() as stack:
                if kind == "distant":
                    try:
                        inside = stack.enter_context(namespace())
                    except PeerUnavailable as error:
                        require_or_skip(str(error))
                    gateway = stack.enter_context(running_gateway(version, bind="lan", namespace=inside))
                else:
                    gateway = stack.enter_context(running_gateway(version))
                self._running[kind] = (stack.pop_all(), gateway)
        return self._running[kind][1]

    def _end(self, kind: str) -> None:
        stack, _gateway = self._running.pop(kind)
        stack.close()
