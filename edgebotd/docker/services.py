"""What work on bots' containers is done with: opened once in `house.py`, handed on as one."""

from __future__ import annotations

from dataclasses import dataclass

from edgebotd.config import DockerSettings
from edgebotd.docker.bots import Bots
from edgebotd.docker.containers import Containers
from edgebotd.docker.making import Maker
from edgebotd.docker.operations import Operations
from edgebotd.store.database import Database


@dataclass(frozen=True)
class Services:
    """What an operation needs of the house.

    Attributes:
        database: which container is whose, and how far an operation is.
        bots: the bots' own: made, held, asked whether they are connected.
        containers: what runs, as the engine last said it; the engine itself by `usable`, and the clock.
        operations: runs what is registered with it.
        maker: makes containers, knows them again, waits until they are well.
        settings: of the table `docker`.
    """

    database: Database
    bots: Bots
    containers: Containers
    operations: Operations
    maker: Maker
    settings: DockerSettings


class Operating:
    """One kind of operation, or some: registers its steps when it is made, and has the services by their names."""

    def __init__(self, services: Services) -> None:
        self._database = services.database
        self._bots = services.bots
        self._containers = services.containers
        self._operations = services.operations
        self._maker = services.maker
        self._settings = services.settings
