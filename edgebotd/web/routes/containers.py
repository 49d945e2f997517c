"""The engine and what is in it: containers, what they use, images, the disk. What is done to them is elsewhere."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final, get_args

from pydantic import Field

from edgebotd.access import Grant
from edgebotd.docker.details import ContainerDetails, details_of
from edgebotd.docker.house import Docker
from edgebotd.docker.images import EngineDisk, ImageRow
from edgebotd.docker.sampling import SAMPLE_SECONDS
from edgebotd.events import AtMs, ContainerStatus, DockerStatus, EngineStatus, Model, PullProgress
from edgebotd.events.system import ContainerState, EngineState
from edgebotd.people.audit import entry
from edgebotd.web.metrics import Figures
from edgebotd.web.route import Call, Route, route
from edgebotd.web.services import Services


class AllContainers(Model):
    """The same as `docker:status` tells live."""

    engine: EngineStatus
    containers: tuple[ContainerStatus, ...]
    pulls: tuple[PullProgress, ...]


class BotContainer(Model):
    """A bot's container; `status` is null for a bot that has none. `details` are for operators, else null."""

    status: ContainerStatus | None
    details: ContainerDetails | None


class UseSample(Model):
    """What a container used: its memory then, processor and network on average since the sample before."""

    at: AtMs
    cpu_percent: float | None
    """Of one processor: two busy ones are 200."""
    memory_bytes: int
    received_per_second: float | None
    """Bytes; null for the first sample of a container's life, and on the host's network."""
    sent_per_second: float | None


class UseOfDay(Model):
    """The last 24 hours, oldest first. Where the container did not run, or edgebotd, there is none."""

    every_seconds: int
    items: list[UseSample]


class ImageList(Model):
    """All images of the engine."""

    items: list[ImageRow]


class ImageRemoval(Model):
    """An image by reference (name:tag, name@sha256:…) or id (sha256:…)."""

    reference: Annotated[str, Field(min_length=1, max_length=512)]


class ContainerRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._docker = services.docker

    def routes(self) -> list[Route]:
        """Return the rows."""
        container = "/api/bots/{bot_id}/container"
        return [
            route("GET", "/api/containers", self.list_containers),
            route("GET", container, self.show),
            route("GET", container + "/usage", self.usage),
            route("GET", "/api/images", self.list_images),
            route("DELETE", "/api/images", self.remove_image, status=204),
            route("GET", "/api/engine/disk", self.disk),
        ]

    async def list_containers(self, call: Call) -> AllContainers:
        """Show the engine, all its containers, and images on their way."""
        status = self._docker.containers.status()
        return AllContainers(engine=status.engine, containers=status.containers, pulls=status.pulls)

    async def show(self, call: Call) -> BotContainer:
        """Show how a bot's container is and, to operators, what it is made of."""
        bot_id = call.parameters["bot_id"]
        docker = self._docker
        status = docker.containers.of_bot(bot_id)
        if status is None and docker.operations.running(bot_id) is None:
            self._services.registry.get(bot_id)
        if call.principal.grant_on(bot_id) != Grant.OPERATE:
            return BotContainer(status=None if status is None else status.told_to_viewers(), details=None)
        details = await details_of(bot_id, docker.containers, docker.operations, self._services.database)
        return BotContainer(status=status, details=details)

    async def usage(self, call: Call) -> UseOfDay:
        """Show what a bot's container used in the last 24 hours; the stream has what it uses now, for who watches."""
        bot_id = call.parameters["bot_id"]
        self._services.registry.get(bot_id)
        samples = await self._docker.sampling.samples(bot_id)
        return UseOfDay(
            every_seconds=SAMPLE_SECONDS,
            items=[
                UseSample(
                    at=sample.at,
                    cpu_percent=sample.cpu_percent,
                    memory_bytes=sample.memory_bytes,
                    received_per_second=sample.received_per_second,
                    sent_per_second=sample.sent_per_second,
                )
                for sample in samples
            ],
        )

    async def list_images(self, call: Call) -> ImageList:
        """List the engine's images, and who uses them."""
        return ImageList(items=await self._docker.images.rows())

    async def remove_image(self, call: Call, body: ImageRemoval) -> None:
        """Remove an image that nobody uses; of one with several names, the name."""
        await self._docker.images.remove(body.reference)
        await self._services.people.audit(entry(call.actor, self._services.now(), "image.remove", body.reference))

    async def disk(self, call: Call) -> EngineDisk:
        """Show what the engine has on its disk; it goes through every volume for it, which may take a while."""
        return await self._docker.images.disk()


ENGINE_STATES: Final[tuple[str, ...]] = get_args(EngineState)
CONTAINER_STATES: Final[tuple[str, ...]] = get_args(ContainerState)


def states_of(status: DockerStatus) -> dict[str, int]:
    """Return how many of the bots' containers are in which state; states that none is in are left out."""
    return dict(Counter(one.state for one in status.containers if one.bot_id is not None))


def docker_figures(docker: Docker) -> Figures:
    """Return the engine's state and how many of the bots' containers are in which, for the metrics."""
    status = docker.containers.status()
    counts = states_of(status)
    return {
        "edgebotd_engine_state": {state: float(state == status.engine.state) for state in ENGINE_STATES},
        "edgebotd_bot_containers": {state: counts.get(state, 0) for state in CONTAINER_STATES},
    }
