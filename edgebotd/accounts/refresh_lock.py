"""One refresher on the machine: a lock on a file of the state directory, held by a descriptor of its own.

The kernel gives it back when the process dies. A lock of the open file description (flock), not of the process: POSIX
locks are lost as soon as anything in the process closes the same file.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

NAME: Final = "refresh.lock"
"""In the state directory."""


class RefreshLock:
    """Not held until `acquire` says so. `release` may be called at any time."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take it, if nobody has it; say whether it is ours. Without a path nobody else can have it.

        Raises:
            OSError: the file cannot be opened.
        """
        if self._path is None or self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(descriptor)
            if isinstance(exc, BlockingIOError):
                return False
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give it back. The file stays: removing it would let two have a lock on two files of the same name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
