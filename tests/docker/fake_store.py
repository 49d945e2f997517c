"""What the fake engine has beside containers: images and volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import trio
from typing_extensions import override

from edgebotd.docker.answers import Image
from edgebotd.docker.engine import Engine
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.protocol.docker.images import Progress, Reference
from tests.docker.fake_container import FakeContainer

DIGEST = "sha256:" + "d" * 64
IMAGE_ID = "sha256:" + "a" * 64


class FakeStore(Engine):
    """Half of `FakeEngine`.

    Attributes:
        digests: by reference, what a pull of it brings; `DIGEST` for all others.
        contents: by volume, the tar that was put there last.
    """

    all: dict[str, FakeContainer]
    images_here: dict[str, Image]
    digests: dict[str, str]
    volumes_here: dict[str, dict[str, Any]]
    contents: dict[str, bytes]
    pull_error: EngineError | None
    pull_seconds: float
    _clock: Callable[[], int]

    def _time(self) -> str:
        raise NotImplementedError

    async def _asked(self, *words: object) -> None:
        raise NotImplementedError

    def have_image(self, name: str, digest: str = DIGEST, config: Mapping[str, Any] | None = None) -> Image:
        """Have an image, as if it had been pulled."""
        repository = name.split("@")[0].rpartition(":")[0] if ":" in name.split("/")[-1] else name.split("@")[0]
        pinned, image_id = f"{repository}@{digest}", IMAGE_ID if digest == DIGEST else digest
        if config is None:
            # Pulled once more it is the same.
            config = self.images_here[pinned].config if pinned in self.images_here else {}
        image = Image(image_id, (name,), (pinned,), 1000, self._clock(), config)
        self.images_here.update({name: image, pinned: image, image.id: image})
        return image

    @override
    async def images(self) -> list[Image]:
        await self._asked("images")
        return list({id(image): image for image in self.images_here.values()}.values())

    @override
    async def image(self, reference: str) -> Image:
        await self._asked("image", reference)
        if (image := self.images_here.get(reference)) is None:
            raise EngineError(Trouble.MISSING, f"No such image: {reference}")
        return image

    @override
    async def pull(self, reference: Reference, progress: Callable[[Progress], None]) -> None:
        await self._asked("pull", reference)
        progress(Progress(500, 1000, 0, 1))
        await trio.sleep(self.pull_seconds)
        if self.pull_error is not None:
            raise self.pull_error
        progress(Progress(1000, 1000, 1, 1))
        self.have_image(str(reference), reference.digest or self.digests.get(str(reference), DIGEST))

    @override
    async def remove_image(self, reference: str) -> None:
        await self._asked("rmi", reference)
        image = await self.image(reference)
        self.images_here = {name: one for name, one in self.images_here.items() if one is not image}

    @override
    async def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        await self._asked("volume", name)
        self.volumes_here.setdefault(name, {"Name": name, "Labels": dict(labels), "CreatedAt": self._time()})

    @override
    async def volume(self, name: str) -> Mapping[str, Any]:
        await trio.lowlevel.checkpoint()
        if name not in self.volumes_here:
            raise EngineError(Trouble.MISSING, f"get {name}: no such volume")
        return self.volumes_here[name]

    @override
    async def volumes(self, *, label: str | None = None) -> list[Mapping[str, Any]]:
        await self._asked("volumes")
        name, _, value = (label or "").partition("=")
        return [v for v in self.volumes_here.values() if label is None or v["Labels"].get(name) == value]

    @override
    async def remove_volume(self, name: str) -> None:
        await self._asked("rm volume", name)
        if any(name == mount["Source"] for one in self.all.values() for mount in one.mounts):
            raise EngineError(Trouble.CONFLICT, f"remove {name}: volume is in use")
        self.volumes_here.pop(name, None)
        self.contents.pop(name, None)
