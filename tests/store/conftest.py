"""A database in memory, for the tests of aggregates."""

import sqlite3
from collections.abc import Iterator

import pytest

from tests.store.made import furnished


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    with furnished() as connection:
        yield connection
