"""Copies a folder of one container into another one's, through this process: no engine copies a volume by itself.

Neither container has to run, and no program of an image is needed. Memory holds one piece.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from edgebotd.docker.engine import Engine
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.errors import EdgebotdError

TELL_SECONDS: Final = 5.0
MIB: Final = 1024 * 1024
END: Final = bytes(1024)
"""Of every whole tar. An engine that fails in the middle of one ends its answer as if nothing had happened."""


async def copy_folder(
    engine: Engine, source: str, target: str, path: str, say: Callable[[str], Awaitable[None]]
) -> int:
    """Copy what is in a folder, owners and rights included; return how many bytes that took as a tar.

    The folder itself is not touched: of a volume's own, engines pass over it, and it is as the target's image has it.

    Args:
        source, target: containers, by id. What the target has in the folder already stays, or is overwritten.
        say: takes a line about how far it is.

    Raises:
        EngineError: in the engine's words; the target's folder holds a part then.
    """
    send, receive = trio.open_memory_channel[bytes](0)
    copied, last = 0, b""
    # Kept rather than raised: a nursery would wrap it.
    failed: EdgebotdError | None = None

    async def take(piece: bytes) -> None:
        nonlocal copied, last
        await send.send(piece)
        copied += len(piece)
        last = (last + piece)[-len(END) :]

    async def read() -> None:
        # The folder's content, not the folder: the target's has its own place.
        await engine.get_archive(source, f"{path}/.", take)
        if last != END:
            raise EngineError(Trouble.REFUSED, f"The engine broke off its copy of {path} after {copied} bytes.")
        # Only now: an end tells the engine that it has everything.
        await send.aclose()

    async def tell() -> None:
        told = 0
        while True:
            await trio.sleep(TELL_SECONDS)
            if copied != told:
                told = copied
                await say(f"{told / MIB:.0f} MiB are copied.")

    async with send, receive, trio.open_nursery() as nursery:

        async def guarded(run: Callable[[], Awaitable[None]]) -> None:
            nonlocal failed
            try:
                await run()
            except EdgebotdError as exc:
                failed = failed or exc
                nursery.cancel_scope.cancel()

        async def write() -> None:
            await engine.put_archive(target, path, receive)
            nursery.cancel_scope.cancel()

        for part in (read, write, tell):
            nursery.start_soon(guarded, part)
    if failed is not None:
        raise failed
    if last != END:
        raise EngineError(Trouble.REFUSED, f"The engine took {copied} bytes of {path} only, and says that it has all.")
    return copied
