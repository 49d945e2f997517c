"""The engine's images: which there are, who uses them, removing one; and what is on its disk."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, Final

import trio

from edgebotd.docker.answers import Image
from edgebotd.docker.containers import Containers
from edgebotd.docker.engine import Engine
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.spec import BOT_LABEL, INSTALLATION_LABEL
from edgebotd.errors import Conflict, Invalid, NotFound
from edgebotd.events import AtMs, Model
from edgebotd.protocol.docker.disk import DiskUse, Room, parse_disk
from edgebotd.protocol.docker.images import BadReference, parse_reference
from edgebotd.store import containers as rows
from edgebotd.store import operations
from edgebotd.store.database import Database

MEASURED_FOR_SECONDS: Final = 10.0
"""How long an answer about the disk is given again: for it the engine goes through every file of every volume."""

_ID: Final = re.compile(r"sha256:[0-9a-f]{64}")


class ImageRow(Model):
    """One image, and who uses it: a bot by its container, by what that would be made from, or by work on it."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size_bytes: int
    """With layers that other images have too."""
    created_at: AtMs | None
    bots: tuple[str, ...]
    containers: tuple[str, ...]
    """Those of no bot."""


class DiskRoom(Model):
    """What one kind of thing takes, and what of that nothing uses."""

    count: int
    size_bytes: int
    reclaimable_bytes: int


class DiskVolume(Model):
    """One volume; `bot_id` where edgebotd made it for one, which may be gone."""

    name: str
    bot_id: str | None
    size_bytes: int | None
    used: bool


class EngineDisk(Model):
    """What the engine has on its disk. `containers`: what they have written beside images and volumes."""

    at: AtMs
    images: DiskRoom
    containers: DiskRoom
    volumes: DiskRoom
    build_cache: DiskRoom
    each_volume: tuple[DiskVolume, ...]


class Images:
    """From `house.py`."""

    def __init__(self, containers: Containers, database: Database, installation: str, now: Callable[[], int]) -> None:
        self._containers = containers
        self._database = database
        self._installation = installation
        self._now = now
        self._measuring = trio.Lock()
        self._measured: tuple[float, EngineDisk] | None = None

    async def rows(self) -> list[ImageRow]:
        """Return all images, those with a name first.

        Raises:
            EngineError: there is no engine, or it is away.
        """
        engine = self._containers.usable()
        users = await self._users(engine)
        found = [_row(image, *users.of(image)) for image in await engine.images()]
        return sorted(found, key=lambda row: (not row.tags, row.tags, row.id))

    async def remove(self, reference: str) -> None:
        """Remove an image by reference or id; of one with several names, the name.

        Raises:
            Invalid: neither a reference nor an id.
            NotFound: the engine has no such image.
            Conflict: somebody uses it.
            EngineError: the engine is away, or refuses.
        """
        known_as = _checked(reference)
        engine = self._containers.usable()
        try:
            image = await engine.image(known_as)
        except EngineError as exc:
            if exc.trouble is Trouble.MISSING:
                raise NotFound("image", reference) from None
            raise
        bots, others = (await self._users(engine)).of(image)
        users = [f"the bot {bot_id}" for bot_id in bots] + [f"the container {name}" for name in others]
        if users:
            raise Conflict("image_used", f"The image {known_as} is used by {_listed(users)}. Remove that first.")
        await engine.remove_image(known_as)

    async def disk(self) -> EngineDisk:
        """Return what is on the disk, at most some seconds old; who asks meanwhile waits for the same answer.

        Raises:
            EngineError: there is no engine, or it is away.
        """
        engine = self._containers.usable()
        async with self._measuring:
            if self._measured is not None and trio.current_time() - self._measured[0] < MEASURED_FOR_SECONDS:
                return self._measured[1]
            disk = self._disk(parse_disk(await engine.disk_use()))
            self._measured = trio.current_time(), disk
            return disk

    def _disk(self, use: DiskUse) -> EngineDisk:
        ours = INSTALLATION_LABEL, self._installation
        return EngineDisk(
            at=self._now(),
            images=_room(use.images),
            containers=_room(use.containers),
            volumes=_room(use.volumes),
            build_cache=_room(use.build_cache),
            each_volume=tuple(
                DiskVolume(
                    name=one.name,
                    bot_id=one.labels.get(BOT_LABEL) if ours in one.labels.items() else None,
                    size_bytes=one.size_bytes,
                    used=one.used,
                )
                for one in use.each_volume
            ),
        )

    async def _users(self, engine: Engine) -> _Users:
        users = _Users()
        for bot_id, words in await self._database.read(_named):
            for word in words:
                users.add(word, bot_id, None)
        for container in await engine.containers():
            users.add(container.image_id, self._containers.bot_of(container), container.name)
        return users


class _Users:
    """Who uses an image, by its id, a tag or a digest."""

    def __init__(self) -> None:
        self._bots: dict[str, set[str]] = {}
        self._others: dict[str, set[str]] = {}

    def add(self, word: str, bot_id: str | None, name: str | None) -> None:
        if bot_id is not None:
            self._bots.setdefault(_bare(word), set()).add(bot_id)
        elif name is not None:
            self._others.setdefault(_bare(word), set()).add(name)

    def of(self, image: Image) -> tuple[set[str], set[str]]:
        words = {_bare(word) for word in (image.id, *image.tags, *image.digests)}
        bots = {bot_id for word in words for bot_id in self._bots.get(word, ())}
        return bots, {name for word in words for name in self._others.get(word, ())}


def _named(conn: sqlite3.Connection) -> list[tuple[str, list[str]]]:
    """Return what may be an image's name in specs, and in what the work that is going on was asked for and has made."""
    specs = [
        (stored.bot_id, list(_words([spec.get("pinned")])))
        for stored in rows.all_containers(conn)
        # What the last upgrade replaced is to be gone back to.
        for spec in (stored.spec, (stored.spec.get("previous") or {}).get("spec", {}))
    ]
    going_on = operations.open_operations(conn)
    return [*specs, *((one.bot_id, list(_words([one.request, one.made]))) for one in going_on)]


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _words(inner)


def _bare(word: str) -> str:
    return word.removeprefix("sha256:")


def _checked(reference: str) -> str:
    if _ID.fullmatch(reference):
        return reference
    try:
        return str(parse_reference(reference))
    except BadReference as exc:
        raise Invalid(str(exc)) from None


def _row(image: Image, bots: set[str], others: set[str]) -> ImageRow:
    return ImageRow(
        id=image.id,
        tags=image.tags,
        digests=image.digests,
        size_bytes=image.size,
        created_at=image.created_at,
        bots=tuple(sorted(bots)),
        containers=tuple(sorted(others)),
    )


def _room(room: Room) -> DiskRoom:
    return DiskRoom(count=room.count, size_bytes=room.size_bytes, reclaimable_bytes=room.reclaimable_bytes)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
