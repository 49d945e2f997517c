"""What tests of several folders share."""

import os
from typing import NoReturn

import pytest

REQUIRE_PEERS_VARIABLE = "EDGEBOTD_REQUIRE_PEERS"


def peers_required() -> bool:
    """Tell whether a missing peer is a failure: `pytest --require-peers`, or EDGEBOTD_REQUIRE_PEERS=1 as CI sets it."""
    return os.environ.get(REQUIRE_PEERS_VARIABLE, "") not in ("", "0")


def require_or_skip(reason: str) -> NoReturn:
    """Leave a test whose real peer or tool is missing: skipped on a developer's machine, failed where it is required.

    A skip is easily overlooked; CI must not turn green because the thing to be tested was not there.
    """
    if peers_required():
        pytest.fail(f"required here, but missing: {reason}", pytrace=False)
    pytest.skip(reason)
