"""Files of gateways on this machine, that the operator names: read, and replaced whole, with the owner they have."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from edgebotd.errors import Conflict

LARGEST: Final = 4 * 1024 * 1024


@dataclass(frozen=True)
class HostFile:
    """One such file. Its folder is there before; gateways take no symbolic link, and neither does this."""

    path: Path

    @property
    def place(self) -> str:
        """What it is called for people."""
        return str(self.path)

    @property
    def inside(self) -> str:
        """Where its gateway finds it, unless that runs in a container of somebody else's."""
        return str(self.path)

    async def read(self) -> bytes | None:
        """Return what is in it, None where there is none.

        Raises:
            Conflict: it cannot be read, or is no file.
        """
        return await trio.to_thread.run_sync(self._read)

    async def write(self, content: bytes) -> None:
        """Replace it: whoever reads has it as it was, or as it is then, of mode 600 and the gateway's own.

        Raises:
            Conflict: it cannot be written.
        """
        await trio.to_thread.run_sync(self._write, content)

    def _read(self) -> bytes | None:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise self._wrong("be read", exc) from None
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Conflict("no_place", f"{self.path} is no file.")
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise Conflict("no_place", f"{self.path} is larger than any store of logins.")
        return content

    def _write(self, content: bytes) -> None:
        try:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            raise self._wrong("be written", exc) from None
        part = f".{self.path.name}.{secrets.token_hex(4)}.part"
        try:
            owner = _owner(folder, self.path.name)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
            with os.fdopen(descriptor, "wb") as file:
                if owner != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), *owner)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(part, self.path.name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        except OSError as exc:
            raise self._wrong("be written", exc) from None
        finally:
            with suppress(OSError):
                os.unlink(part, dir_fd=folder)
            os.close(folder)

    def _wrong(self, what: str, exc: OSError) -> Conflict:
        return Conflict(
            "no_place",
            f"{self.path} cannot {what}: {exc.strerror}. The daemon has to be the gateway's user, or root.",
        )


def _owner(folder: int, name: str) -> tuple[int, int]:
    """Return whose the file is, or is to be: its folder's owner."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        found = os.fstat(folder)
    return found.st_uid, found.st_gid
