"""The one SQLite file: one writer thread with group commit, a few readers, or all of it inline on `:memory:`.

A write is a function that gets a `Transaction`. The writer takes what has queued up, runs each write in a savepoint of
its own inside one transaction, commits once, and hands all outcomes to the Trio thread in one go, in the order of
submission. So each write is durable before its caller hears of it, and a busy daemon pays one fsync for many.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import outcome
import trio

from edgebotd.events import Event
from edgebotd.store import connection, writer
from edgebotd.store.errors import DatabaseError, StoreBusy, StoreClosed
from edgebotd.store.writer import Transaction

__all__ = ["Database", "DatabaseError", "StoreBusy", "StoreClosed", "Transaction", "open_database"]

T = TypeVar("T")
