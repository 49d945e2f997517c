"""Set-up of all tests: how examples are searched, whether a missing peer fails, in which process each runs, the one
peer that tests of several folders share.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.peers.engine import DockerEngine, running_engine
from tests.peers.install import PeerUnavailable
from tests.support import REQUIRE_PEERS_VARIABLE, require_or_skip

pytest_plugins = ["tests.scheduling"]

# Slow machines must not fail a property for its speed; derandomized, a run's outcome depends on the code alone.
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
# To look for new examples: HYPOTHESIS_PROFILE=search ./dev test
settings.register_profile("search", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-peers",
        action="store_true",
        help=f"fail, instead of skip, tests whose real peer or tool is missing (as {REQUIRE_PEERS_VARIABLE}=1)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--require-peers"):
        os.environ[REQUIRE_PEERS_VARIABLE] = "1"


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    """A real Docker engine of the whole session. Name your containers by yourself and remove them; don't stop it."""
    try:
        with running_engine() as running:
            yield running
    except PeerUnavailable as error:
        require_or_skip(str(error))


@pytest.fixture
def breakable_engine(engine: DockerEngine) -> Iterator[DockerEngine]:
    """The same engine to stop, kill and freeze, empty: one test runs at a time, and it is made whole afterwards."""
    engine.make_whole()
    yield engine
    engine.make_whole()
