"""Have an image here, and know it by its digest: a tag can mean another image tomorrow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from edgebotd.docker.answers import Image
from edgebotd.docker.containers import Containers
from edgebotd.docker.engine import Engine
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.errors import EdgebotdError, Invalid
from edgebotd.protocol.docker.images import BadReference, Progress, Reference, parse_reference

TELL_SECONDS: Final = 1.0
"""A line about the progress at most so often."""
MIB: Final = 1024 * 1024


def reference_of(image: str) -> Reference:
    """Return a reference that a person wrote. Raises `Invalid`."""
    try:
        return parse_reference(image)
    except BadReference as exc:
        raise Invalid(f"The image '{image[:100]}' is no reference. {exc}", code="bad_image") from None


async def fetch_image(containers: Containers, image: str, say: Callable[[str], Awaitable[None]]) -> tuple[str, Image]:
    """Pull an image where that is needed; return its reference by digest, or its id where it has none, and the image.

    One that is named by a digest and is here, and one that was built here, is not pulled. A tag is asked for anew;
    where its registry does not give it, the one that is here is taken.

    Args:
        say: takes a line about how far it is.

    Raises:
        EngineError: it cannot be had, in the engine's words.
    """
    engine, reference = containers.usable(), reference_of(image)
    here = await _have(engine, str(reference) if reference.digest is None else reference.pinned)
    if here is not None and (reference.digest is not None or not here.digests):
        await say(f"{image} is here.")
        return pinned(reference, here), here
    try:
        await _pull(containers, engine, reference, say)
    except EngineError as exc:
        if here is None or exc.passing:
            raise
        await say(f"{exc.detail} The {image} that is here is taken.")
    found = await engine.image(str(reference) if reference.digest is None else reference.pinned)
    name = pinned(reference, found)
    await say(f"{image} is {name}.")
    return name, found


async def have_pinned(containers: Containers, name: str, say: Callable[[str], Awaitable[None]]) -> Image:
    """Return the image that a container was made from, pulled again where it was removed meanwhile.

    Raises:
        EngineError: it cannot be had any more.
    """
    engine = containers.usable()
    if (here := await _have(engine, name)) is not None:
        return here
    if "@" not in name:
        raise EngineError(
            Trouble.MISSING, f"The image {name} was built here and is gone. Build or load it again, or upgrade the bot."
        )
    await _pull(containers, engine, reference_of(name), say)
    return await engine.image(name)


def pinned(reference: Reference, image: Image) -> str:
    """Return an image's name by digest as its own registry gave it; its id where it was built here."""
    if reference.digest is not None:
        return reference.pinned
    for digest in image.digests:
        name = digest.partition("@")[0]
        # Docker leaves out its own registry's name, Podman writes it in full.
        if name == reference.name or f"/{name}".endswith(f"/{reference.name}") or reference.name.endswith(f"/{name}"):
            return digest
    return image.id


async def _have(engine: Engine, name: str) -> Image | None:
    try:
        return await engine.image(name)
    except EngineError as exc:
        if exc.trouble is Trouble.MISSING:
            return None
        raise


async def _pull(
    containers: Containers, engine: Engine, reference: Reference, say: Callable[[str], Awaitable[None]]
) -> None:
    now = told = Progress()
    # Kept rather than raised: a nursery would wrap it.
    failed: EdgebotdError | None = None
    over = trio.Event()

    def take(progress: Progress) -> None:
        nonlocal now
        now = progress

    async def pull() -> None:
        nonlocal failed
        try:
            await engine.pull(reference, take)
        except EngineError as exc:
            failed = exc if exc.passing else _with_name(exc, reference)
        over.set()

    await say(f"{reference} is being pulled.")
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pull, name=f"pull {reference}")
            while not over.is_set():
                with trio.move_on_after(TELL_SECONDS):
                    await over.wait()
                if now != told:
                    told = now
                    containers.pulling(str(reference), told)
                    try:
                        await say(_words(told))
                    except EdgebotdError as exc:
                        failed = exc
                        nursery.cancel_scope.cancel()
                        break
    finally:
        containers.pulling(str(reference), None)
    if failed is not None:
        raise failed


def _with_name(exc: EngineError, reference: Reference) -> EngineError:
    begin = f"The image {reference} could not be pulled"
    if exc.detail.startswith(begin):
        return exc
    return EngineError(exc.trouble, f"{begin}: {exc.detail}", engine_status=exc.engine_status)


def _words(progress: Progress) -> str:
    total = "" if progress.bytes_total is None else f" of {progress.bytes_total / MIB:.1f}"
    return f"{progress.bytes_done / MIB:.1f}{total} MiB, {progress.layers_done} of {progress.layers} layers"
