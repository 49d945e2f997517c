"""Set-up of all tests: how examples are searched, and whether a missing peer fails."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.support import REQUIRE_PEERS_VARIABLE

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
