"""What runs, as the engine last said it, with what edgebotd knows besides; every change is told at once.

No IO: `follow.py` keeps it true.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

import trio

from edgebotd.docker.engine import Engine
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.spec import BOT_LABEL, INSTALLATION_LABEL
from edgebotd.events import ContainerStatus, DockerStatus, EngineStatus, PullProgress
from edgebotd.protocol.docker.containers import Container, ContainerEvent
from edgebotd.protocol.docker.ending import words_of_end
from edgebotd.protocol.docker.images import Progress

log = logging.getLogger(__name__)

SHORT_ID: Final = 12
STOPPABLE: Final = frozenset({"running", "paused", "restarting", "exited"})

Source = Literal["event", "list", "call"]
NO_ENGINE: Final = (
    "No container engine was found. Install Docker or Podman, or name its socket as docker.socket in the settings."
)
ENGINE_OFF: Final = (
    "Containers are turned off in the settings. Name the container engine's socket as docker.socket there, or take"
    ' "off" away, and restart edgebotd.'
)


@dataclass(frozen=True, slots=True)
class Change:
    """A container of a bot is no longer as it was."""

    bot_id: str
    before: ContainerStatus | None
    now: ContainerStatus | None
    event: ContainerEvent | None
    """What the engine told, None where a look or a call found it."""


@dataclass(slots=True)
class _Overlay:
    """What edgebotd adds to what the engine says of a bot's container."""

    stopping: bool = False
    stopping_at: int = 0
    doing: str | None = None
    drift: tuple[str, ...] = ()
    restarts: int = 0
    crash_loop: bool = False


class Containers:
    """The state of all containers.

    Args:
        publish: takes each change, for everybody.
        installation: whose labels count; another edgebotd's containers on the same engine are strangers.
        no_engine: why there is none, where there is none, and what to do.
    """

    def __init__(
        self,
        engine: Engine | None,
        publish: Callable[[DockerStatus], None],
        *,
        installation: str,
        now: Callable[[], int],
        no_engine: str = NO_ENGINE,
    ) -> None:
        self.engine = engine
        self.no_engine = no_engine
        self._publish = publish
        self._installation = installation
        self.now = now
        none = EngineStatus(state="none", detail=no_engine, since_at=now())
        self._engine_status = none if engine is None else EngineStatus(state="unknown", since_at=now())
        self._known: dict[str, Container] = {}
        self._told: dict[str, tuple[Source, int, int]] = {}
        """By id: what told of it, when, and since when it is so."""
        self._gone: dict[str, int] = {}
        """By bot: when its container went, or when an earlier life of the daemon saw it last; of one that was never
        seen nothing is known but since when we look.
        """
        self._names: dict[str, str] = {}
        """Container's name -> bot, as the store has it."""
        self._overlays: dict[str, _Overlay] = {}
        self._pulls: dict[str, PullProgress] = {}
        self._published: DockerStatus | None = None
        self._listeners: list[Callable[[Change], None]] = []
        self._ears: list[Callable[[str, ContainerEvent], None]] = []
        self._changed = trio.Event()

    # Asking

    @property
    def engine_status(self) -> EngineStatus:
        """How the engine is."""
        return self._engine_status

    def status(self) -> DockerStatus:
        """Return everything, as an administrator sees it."""
        statuses = [self._status_of(container) for container in self._known.values()]
        there = {status.bot_id for status in statuses}
        for name, bot_id in self._names.items():
            if bot_id not in there:
                statuses.append(self._missing(name, bot_id))
        statuses.sort(key=lambda status: (status.bot_id is None, status.bot_id or "", status.name))
        pulls = tuple(self._pulls[image] for image in sorted(self._pulls))
        return DockerStatus(engine=self._engine_status, containers=tuple(statuses), pulls=pulls)

    def of_bot(self, bot_id: str) -> ContainerStatus | None:
        """Return how a bot's container is; None for a bot that has none."""
        container = self.container_of(bot_id)
        if container is not None:
            return self._status_of(container)
        name = self.name_of(bot_id)
        return None if name is None else self._missing(name, bot_id)

    def bot_of(self, container: Container) -> str | None:
        """Return whose container it is."""
        return self._bot_of(container)

    def is_own(self, container: Container) -> bool:
        """Whether this installation has made it."""
        return container.labels.get(INSTALLATION_LABEL) == self._installation

    def name_of(self, bot_id: str) -> str | None:
        """Return the name of a bot's container."""
        return next((name for name, of in self._names.items() if of == bot_id), None)

    def container_of(self, bot_id: str) -> Container | None:
        """Return what the engine said last of a bot's container."""
        return next((one for one in self._known.values() if self._bot_of(one) == bot_id), None)

    def usable(self) -> Engine:
        """Return the engine. Raises `EngineError` where there is none or it is away, saying what to do."""
        if self.engine is None:
            raise EngineError(Trouble.NONE, self.no_engine)
        status = self._engine_status
        if status.state in ("down", "frozen"):
            raise EngineError(
                Trouble.DOWN if status.state == "down" else Trouble.FROZEN, status.detail or "The engine is away."
            )
        return self.engine

    async def wait(self, bot_id: str, ready: Callable[[ContainerStatus | None], bool]) -> ContainerStatus | None:
        """Wait until a bot's container is as wanted and return how it is."""
        while not ready(status := self.of_bot(bot_id)):
            await self._changed.wait()
        return status

    def subscribe(self, listener: Callable[[Change], None]) -> None:
        """Have each change of a bot's container told, synchronously."""
        self._listeners.append(listener)

    def listen(self, ear: Callable[[str, ContainerEvent], None]) -> None:
        """Have each event of a bot's container told as the engine tells it, synchronously and in its order."""
        self._ears.append(ear)

    # Telling

    def bind(self, bot_id: str, name: str | None, seen_at: int | None = None) -> None:
        """Say which container is a bot's, and when it was seen last; None: it has none any more."""
        before = self.of_bot(bot_id)
        for known in [known for known, of in self._names.items() if of == bot_id]:
            del self._names[known]
        if name is not None:
            self._names[name] = bot_id
            self._gone.pop(bot_id, None)
            if seen_at is not None:
                self._gone[bot_id] = seen_at
        else:
            self._overlays.pop(bot_id, None)
            self._gone.pop(bot_id, None)
        self._tell(bot_id, before, None)

    def overlay(
        self,
        bot_id: str,
        *,
        stopping: bool | None = None,
        doing: str | None = None,
        drift: Iterable[str] | None = None,
        restarts: int | None = None,
        crash_loop: bool | None = None,
    ) -> None:
        """Say what the engine does not know: that it is being stopped, what edgebotd does with it ("": nothing), where
        it is not as it should be, how often it ended by itself. None leaves a value as it is.
        """
        before = self.of_bot(bot_id)
        own = self._overlays.setdefault(bot_id, _Overlay())
        if stopping and not own.stopping:
            own.stopping_at = self.now()
        own.stopping = own.stopping if stopping is None else stopping
        own.doing = own.doing if doing is None else doing or None
        own.drift = own.drift if drift is None else tuple(drift)
        own.restarts = own.restarts if restarts is None else restarts
        own.crash_loop = own.crash_loop if crash_loop is None else crash_loop
        self._tell(bot_id, before, None)

    def pulling(self, image: str, progress: Progress | None) -> None:
        """Say how far an image is on its way; None: it has arrived, or failed."""
        if progress is None:
            self._pulls.pop(image, None)
        else:
            self._pulls[image] = PullProgress(
                image=image,
                bytes_done=progress.bytes_done,
                bytes_total=progress.bytes_total,
                layers_done=progress.layers_done,
                layers=progress.layers,
            )
        self.push()

    # What the engine says

    def heard(self, event: ContainerEvent) -> None:
        """Take an event itself; what the container is then, `learn` is told."""
        known = self._known.get(event.container_id)
        bot_id = self._names.get(event.name) if known is None else self._bot_of(known)
        if bot_id is not None:
            for ear in self._ears:
                ear(bot_id, event)

    def learn(self, container: Container, source: Source, event: ContainerEvent | None) -> None:
        """Take what the engine says of a container. `event` where that made somebody ask."""
        bot_id = self._bot_of(container)
        before_known = self._known.get(container.id)
        before = None if bot_id is None else self.of_bot(bot_id)
        # One that was renamed is another bot's now, or nobody's.
        lost = None if before_known is None else self._bot_of(before_known)
        was = None if lost is None or lost == bot_id else self.of_bot(lost)
        now = self.now()
        same = before_known is not None and (before_known.state, before_known.health) == (
            container.state,
            container.health,
        )
        since = self._told[container.id][2] if same else container.since_at or now
        if not same and before_known is not None and before_known.state == container.state:
            since = now  # its health changed
        self._known[container.id] = container
        if not same or before_known != container:
            self._told[container.id] = (source, now, since)
        if lost is not None and lost != bot_id:
            self._gone[lost] = now
            self._tell(lost, was, event)
        if bot_id is not None:
            self._tell(bot_id, before, event)
        else:
            self.push()

    def forget(self, name: str, event: ContainerEvent | None) -> None:
        """Take note that the engine has no container of this id or name any more."""
        found = next((one for one in self._known.values() if name in (one.id, one.name)), None)
        if found is None:
            return
        bot_id = self._bot_of(found)
        before = None if bot_id is None else self.of_bot(bot_id)
        del self._known[found.id]
        self._told.pop(found.id, None)
        if bot_id is not None:
            self._gone[bot_id] = self.now()
            self._tell(bot_id, before, event)
        else:
            self.push()

    def away(self, error: EngineError) -> None:
        """Take note that the engine does not answer; what runs is unknown from now on."""
        state: Literal["frozen", "down"] = "frozen" if error.trouble is Trouble.FROZEN else "down"
        old = self._engine_status
        if old.state != state:
            log.warning("%s", error.detail)
        since = old.since_at if old.state == state else self.now()
        status = EngineStatus(state=state, kind=old.kind, version=old.version, detail=error.detail, since_at=since)
        self.set_engine(status)

    def set_engine(self, status: EngineStatus) -> None:
        """Take note of how the engine is."""
        before = {bot_id: self.of_bot(bot_id) for bot_id in self._names.values()}
        if self._engine_status.state != status.state and status.state == "up":
            log.info("%s %s is up", status.kind, status.version)
        self._engine_status = status
        for bot_id, was in before.items():
            self._tell(bot_id, was, None)
        self.push()

    def keep_only(self, ids: Iterable[str]) -> None:
        """Take note that the engine has no other containers than these."""
        there = set(ids)
        for gone in [known for known in self._known if known not in there]:
            self.forget(gone, None)

    # Telling it on

    def _tell(self, bot_id: str, before: ContainerStatus | None, event: ContainerEvent | None) -> None:
        now = self.of_bot(bot_id)
        if before != now or event is not None:
            change = Change(bot_id, before, now, event)
            for listener in self._listeners:
                listener(change)
            self._changed.set()
            self._changed = trio.Event()
        self.push()

    def push(self) -> None:
        """Publish everything, if it is not as it was published last."""
        status = self.status()
        if status != self._published:
            self._published = status
            self._publish(status)

    def _bot_of(self, container: Container) -> str | None:
        bot_id = self._names.get(container.name)
        if bot_id is None and container.labels.get(INSTALLATION_LABEL) == self._installation:
            labelled = container.labels.get(BOT_LABEL)
            # While its bot is being made, or another one replaced it, the label alone says whose it was.
            return labelled if labelled is not None and labelled not in self._names.values() else None
        return bot_id

    def _status_of(self, container: Container) -> ContainerStatus:
        bot_id = self._bot_of(container)
        own = self._overlays.get(bot_id, _Overlay()) if bot_id is not None else _Overlay()
        source, seen_at, since_at = self._told[container.id]
        stopping = own.stopping and container.state in STOPPABLE
        status = ContainerStatus(
            name=container.name,
            container_id=container.id[:SHORT_ID],
            bot_id=bot_id,
            image=container.image or None,
            # Also while the engine says that it has ended, and its processes are still looked for.
            state="stopping" if stopping else container.state,
            health=container.health,
            exit_code=container.exit_code,
            oom_killed=container.oom_killed,
            restarts=max(own.restarts, container.restarts),
            crash_loop=own.crash_loop,
            doing=own.doing,
            detail=_words(container),
            drift=own.drift,
            source=source,
            since_at=max(since_at, own.stopping_at) if stopping else since_at,
            seen_at=seen_at,
        )
        return self._unsure(status)

    def _missing(self, name: str, bot_id: str) -> ContainerStatus:
        own = self._overlays.get(bot_id, _Overlay())
        gone, looked = self._gone.get(bot_id), self._engine_status.since_at
        return self._unsure(
            ContainerStatus(
                name=name,
                bot_id=bot_id,
                state="missing",
                doing=own.doing,
                detail=f"The engine has no container named {name}.",
                source="list",
                since_at=looked if gone is None else gone,
                seen_at=looked if gone is None else max(looked, gone),
            )
        )

    def _unsure(self, status: ContainerStatus) -> ContainerStatus:
        """Return it as it is to be told while the engine does not say how things are."""
        if self._engine_status.state == "up":
            return status
        words = None if status.state == "missing" else f"It was {status.state} when the engine was last heard."
        return status.model_copy(
            update={"state": "unknown", "health": None, "detail": words, "since_at": self._engine_status.since_at}
        )


def _words(container: Container) -> str | None:
    """Return what a state means, where its word does not say it."""
    if container.error is not None:
        return f"It could not be started: {container.error}"
    if container.state == "exited" and (container.oom_killed or container.exit_code):
        return words_of_end(container.exit_code, oom_killed=container.oom_killed)
    return None
