"""Peers that many tests share: started once a session, in plain subprocesses, ended by their ids."""

from collections.abc import Iterator

import pytest

from tests.peers.gateways import Gateways
from tests.peers.install import CURRENT, OLDER, PeerUnavailable
from tests.peers.model import FakeModel, running_model
from tests.peers.oauth import OAuthServer, running_oauth
from tests.peers.openclaw import Gateway
from tests.peers.systemd import Container
from tests.peers.units import UNITS, make_fresh, open_machine
from tests.support import require_or_skip


@pytest.fixture(scope="session")
def gateways() -> Iterator[Gateways]:
    """The gateways of the whole session, each started when it is first asked for."""
    running = Gateways()
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="session", params=[CURRENT, pytest.param(OLDER, marks=pytest.mark.heavy)])
def version(request: pytest.FixtureRequest) -> str:
    """A version of the gateway: the current one, and in the run of everything the older one too."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def gateway(gateways: Gateways) -> Gateway:
    """A gateway of the current version. Use a session key of your own; don't kill, freeze or restart it."""
    return gateways.shared(CURRENT)


@pytest.fixture(scope="session")
def model() -> Iterator[FakeModel]:
    """A fake model by itself, fast, for connectors to OpenAI-compatible endpoints."""
    with running_model(delay=0.02) as running:
        yield running


@pytest.fixture(scope="session")
def oauth_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OAuthServer]:
    """A real OAuth server; leave no fault behind."""
    try:
        with running_oauth(tmp_path_factory.mktemp("oauth")) as running:
            yield running
    except PeerUnavailable as error:
        require_or_skip(str(error))


@pytest.fixture(scope="session")
def machine() -> Iterator[Container]:
    """A booted systemd with the daemon's units installed."""
    try:
        with open_machine() as booted:
            yield booted
    except PeerUnavailable as error:
        require_or_skip(str(error))


@pytest.fixture
def fresh(machine: Container) -> Iterator[Container]:
    """The machine without any trace of an earlier daemon, and a good configuration."""
    make_fresh(machine)
    yield machine
    machine.run("systemctl", "stop", *UNITS, check=False)
