"""Peers that many tests share: started once a session, in plain subprocesses, ended by their ids."""

from collections.abc import Iterator

import pytest

from tests.peers.model import FakeModel, running_model
from tests.peers.openclaw import Gateway, running_gateway


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """A gateway of the current version. Use a session key of your own; don't kill, freeze or restart it."""
    with running_gateway() as running:
        yield running


@pytest.fixture(scope="session")
def model() -> Iterator[FakeModel]:
    """A fake model by itself, fast, for connectors to OpenAI-compatible endpoints."""
    with running_model(delay=0.02) as running:
        yield running
