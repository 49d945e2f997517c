"""A new bot: its image, container, volume and token, and the first hello, in steps that survive a crash.

What is made can be found again by its labels and by names that are stored before they are used, so that each step finds
out what of it is done, and each undo takes away what its own operation made, nothing else.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Final

import trio
from pydantic import AfterValidator, Field

from edgebotd.docker.errors import EngineError
from edgebotd.docker.gateway import (
    archive,
    by_provider,
    check_config,
    check_logins,
    gateway_config,
    has_secret,
    looks_secret,
    merged,
    owner_of,
)
from edgebotd.docker.operations import Step, Work
from edgebotd.docker.pairing import HELLO_SECONDS, PAIR_SECONDS, hello, pair
from edgebotd.docker.profile import LOOPBACK
from edgebotd.docker.pulling import fetch_image, reference_of
from edgebotd.docker.services import Operating, Services
from edgebotd.docker.spec import (
    STATE_PATH,
    EnvironmentName,
    EnvironmentText,
    Limits,
    LoginName,
    SecretName,
    Spec,
    Volume,
    container_name,
    state_volume,
)
from edgebotd.errors import Conflict, Invalid, NotFound
from edgebotd.events import BOT_ID_PATTERN, Model, Name
from edgebotd.protocol.fields import without_controls
from edgebotd.protocol.openclaw.given import SECRETS_FILE, keeps_files, secret_file
from edgebotd.protocol.openclaw.linking import references
from edgebotd.store import bots as bot_rows
from edgebotd.store import containers as rows
from edgebotd.store import operations as operation_rows
from edgebotd.store import profiles as profile_rows
from edgebotd.store.containers import StoredContainer
from edgebotd.store.operations import Operation
from edgebotd.store.writer import Transaction

KIND: Final = "create"
CLASHES: Final = ("already allocated", "already in use", "ports are not available")
"""An engine's words for a port that somebody else has."""


class LimitsRequest(Model):
    """What differs from the settings' limits."""

    memory_bytes: int | None = None
    cpus: float | None = None
    pids: int | None = None


class ProvisionRequest(Model):
    """A bot that is to be made.

    Attributes:
        image: by default docker.image of the settings.
        model: what its agents use by default, as provider/model.
        environment: plain values; `secret_environment`: names of docker.secrets, or logins (profile:PROVIDER:NAME).
        logins: at providers, that its gateway reads from the file which edgebotd keeps up to date.
        config: goes into the gateway's openclaw.json.
    """

    id: Annotated[str, Field(pattern=BOT_ID_PATTERN)]
    name: Name | None = None
    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    model: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(without_controls)] | None = None
    limits: LimitsRequest = LimitsRequest()
    environment: Annotated[dict[EnvironmentName, EnvironmentText], Field(max_length=200)] = Field(default_factory=dict)
    secret_environment: Annotated[dict[EnvironmentName, SecretName], Field(max_length=200)] = Field(
        default_factory=dict
    )
    logins: Annotated[tuple[LoginName, ...], Field(max_length=50)] = ()
    config: dict[str, Any] = Field(default_factory=dict)
    network: Annotated[str, Field(pattern=r"^(bridge|host)$")] = "bridge"


class Provisioning(Operating):
    """Makes bots. From `open_docker`."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._picking = trio.Lock()
        self._operations.register(
            KIND,
            (
                self._step("validate", 60, self._validate),
                self._step("pull", 3600, self._pull),
                self._step("create", 300, self._create, self._undo_create),
                self._step("start", 120, self._start),
                self._step("healthy", 300, self._healthy),
                self._step("pair", PAIR_SECONDS, self._pair, self._undo_pair),
                self._step("hello", HELLO_SECONDS, self._hello),
            ),
        )

    async def begin(self, request: ProvisionRequest, actor: Mapping[str, Any]) -> Operation:
        """Begin to make a bot; the same request while that goes on is answered by that.

        Raises:
            Problem: the request cannot be right, or another operation goes on with this id.
        """
        wanted = request.model_copy(update={"image": request.image or self._settings.image})
        if self._operations.running(request.id) is None:
            await self._check(wanted)
        kept = wanted.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return await self._operations.begin_once(KIND, request.id, kept, actor)

    # Steps

    def _step(
        self,
        name: str,
        seconds: float,
        run: Callable[[Work], Awaitable[None]],
        undo: Callable[[Work], Awaitable[None]] | None = None,
    ) -> Step:
        async def doing(work: Work) -> None:
            self._containers.overlay(work.bot_id, doing=f"is being made: {name}")
            await run(work)

        return Step(name, seconds, doing, undo)

    async def _validate(self, work: Work) -> None:
        request = _request(work)
        await self._check(request)
        await work.keep(cpus=await self._cpus(request))
        await work.log(f"{request.id} is to be made from {request.image}.")

    async def _check(self, request: ProvisionRequest) -> None:
        """Pass a request that can be met. Raises `Problem`."""
        known = await self._database.read(lambda conn: bot_rows.number_of(conn, request.id))
        if known is not None:
            raise Conflict("bot_exists", f"The id '{request.id}' is or was that of another bot. Choose another one.")
        reference_of(request.image or "")
        self._limits(request)
        check_config(request.config)
        for name, value in request.environment.items():
            if looks_secret(name) or has_secret(value):
                raise Invalid(
                    f"environment: {name} looks like a secret, which is not kept here. Name its file in docker.secrets,"
                    " and give it as a secret."
                )
        await self._maker.secrets(request.secret_environment)
        await self._maker.logins(request.logins)
        check_logins(request.logins, request.config)
        if both := request.environment.keys() & request.secret_environment.keys():
            raise Invalid(f"{min(both)} is given twice, as a plain value and as a secret.")
        if request.network == "host" and request.id not in self._settings.host_network:
            raise Conflict("host_network", f"Name '{request.id}' in docker.host_network in the settings first.")
        if self._containers.engine is None:
            self._containers.usable()  # raises, with what to do

    async def _cpus(self, request: ProvisionRequest) -> float:
        """Return how many processors it gets: what the settings say is meant for machines that have as many."""
        asked, most = request.limits.cpus, await self._maker.engine.processors() or math.inf
        if asked is None:
            return min(self._settings.cpus, most)
        if asked > most:
            raise Invalid(f"limits: {asked:g} processors are asked for, and the engine's machine has {most}.")
        return asked

    def _limits(self, request: ProvisionRequest) -> Limits:
        ours, asked = self._settings, request.limits
        try:
            return Limits(
                memory_bytes=ours.memory_bytes if asked.memory_bytes is None else asked.memory_bytes,
                cpus=ours.cpus if asked.cpus is None else asked.cpus,
                pids=ours.pids if asked.pids is None else asked.pids,
            )
        except ValueError:
            raise Invalid("limits: at least 64 MiB of memory, 0.01 processors and 32 processes.") from None

    async def _pull(self, work: Work) -> None:
        if "pinned" not in work.made:
            name, image = await fetch_image(self._containers, _request(work).image or "", work.log)
            await work.keep(pinned=name, owner=owner_of(image.config.get("User")))

    async def _create(self, work: Work) -> None:
        if "volume" not in work.made:
            await work.keep(volume=state_volume(work.bot_id).name)
        if "port" not in work.made:
            await self._pick_port(work)
        await self._maker.engine.create_volume(work.made["volume"], self._maker.labels(work))
        await self._make(work)
        await work.log(f"The container {container_name(work.bot_id)} is made, with the volume {work.made['volume']}.")

    async def _make(self, work: Work) -> None:
        """Create the container, with the gateway's configuration in its volume."""
        request, port = _request(work), work.made["port"]
        container = await self._maker.make(work, container_name(work.bot_id), self._spec(work))
        token = await self._bots.reserve(work.bot_id, _url(work))
        wanted, files = request.config, {}
        if request.logins:
            # It is there before the gateway starts, which so has a key from its first turn on.
            files[SECRETS_FILE] = secret_file(await self._maker.logins(request.logins))
            wanted = merged(wanted, references(f"{STATE_PATH}/{SECRETS_FILE}", by_provider(request.logins)))
        config = gateway_config(
            token, port=port, host_network=request.network == "host", model=request.model, config=wanted
        )
        await self._maker.engine.put_archive(container, STATE_PATH, archive(config, work.made["owner"], files))

    def _spec(self, work: Work) -> Spec:
        request = _request(work)
        return Spec(
            image=request.image or "",
            pinned=work.made["pinned"],
            port=work.made["port"],
            network="host" if request.network == "host" else "bridge",
            limits=self._limits(request).model_copy(update={"cpus": work.made["cpus"]}),
            volumes=(Volume(name=work.made["volume"], path=STATE_PATH),),
            environment=request.environment,
            secret_environment=request.secret_environment,
        )

    async def _pick_port(self, work: Work, *, taken: int | None = None) -> None:
        """Keep a port that no other bot has; `taken` is one that the engine could not have."""
        tried = [*work.made.get("tried", ()), *([] if taken is None else [taken])]

        def used(conn: sqlite3.Connection) -> set[int]:
            ports = {stored.spec.get("port") for stored in rows.all_containers(conn)}
            ports |= {other.made.get("port") for other in operation_rows.open_operations(conn)}
            return {port for port in ports if isinstance(port, int)}

        async with self._picking:
            avoided = await self._database.read(used) | set(tried)
            port = next((port for port in self._settings.port_range if port not in avoided), None)
            if port is None:
                raise Conflict("no_port", f"No port out of {self._settings.ports} is free. Widen docker.ports.")
            await work.keep(port=port, tried=tried)

    async def _start(self, work: Work) -> None:
        name = container_name(work.bot_id)
        while True:
            try:
                await self._maker.engine.start(name)
                break
            except EngineError as exc:
                port = work.made["port"]
                if exc.passing or not any(words in exc.detail for words in CLASHES):
                    raise
                await work.log(f"Port {port} of {LOOPBACK} is taken; the next one is tried.")
            # The port is part of what a container is made from.
            await self._pick_port(work, taken=port)
            await self._maker.remove(work)
            await self._make(work)
        await work.log(f"It runs, on port {work.made['port']} of {LOOPBACK}.")

    async def _healthy(self, work: Work) -> None:
        await self._maker.wait_healthy(work, container_name(work.bot_id), work.made["port"])
        await work.log("It is healthy.")

    async def _pair(self, work: Work) -> None:
        request = _request(work)
        token = await self._bots.reserve(work.bot_id, _url(work))
        await self._bots.add(work.bot_id, request.name or work.bot_id, _url(work), token)
        await self._bind(work)
        name = container_name(work.bot_id)
        await pair(work, self._bots, self._maker.engine, name, look=lambda: self._maker.alive(work, name))

    async def _bind(self, work: Work) -> None:
        """Say whose container it is: from here on it is found by the store, before by its labels."""
        name = container_name(work.bot_id)
        container, now = await self._maker.engine.inspect(name), self._containers.now()
        spec = self._spec(work).model_dump(mode="json")
        stored = StoredContainer(work.bot_id, name, container.id, "provisioned", "running", spec, now, now)
        logins = _request(work).logins

        def write(tx: Transaction) -> None:
            rows.put(tx.connection, stored)
            for profile_id in logins:
                # One that was removed meanwhile is no more to be given.
                with suppress(NotFound):
                    profile_rows.add_bot(tx.connection, profile_id, work.bot_id)

        await self._database.write(write)
        self._containers.bind(work.bot_id, name)
        self._bots.container(work.bot_id, self._containers.of_bot(work.bot_id))

    async def _hello(self, work: Work) -> None:
        version = await hello(work, self._bots)
        await work.keep(version=version)
        if _request(work).logins and version is not None and keeps_files(version):
            await work.log(
                f"OpenClaw {version} is too old to be given a login in this way while it runs: what it has now is not"
                " kept up to date. `edgebotd bots upgrade` brings a newer one."
            )
        self._containers.overlay(work.bot_id, doing="")

    # Taking back

    async def _undo_pair(self, work: Work) -> None:
        if "port" not in work.made:
            return

        def forget(conn: sqlite3.Connection) -> bool:
            stored = rows.get(conn, work.bot_id)
            if stored is None or stored.spec.get("port") != work.made["port"]:
                return stored is None
            rows.remove(conn, work.bot_id)
            return True

        if await self._database.write(lambda tx: forget(tx.connection)):
            self._containers.bind(work.bot_id, None)
        await self._bots.discard(work.bot_id, _url(work))

    async def _undo_create(self, work: Work) -> None:
        if "port" in work.made:
            await self._bots.discard(work.bot_id, _url(work))
        if "volume" in work.made:
            await self._maker.remove(work)
            await self._maker.remove_volume(work.made["volume"], lambda labels: self._maker.of_operation(labels, work))
        if self._containers.name_of(work.bot_id) is None:
            # What was said of it while it was being made.
            self._containers.bind(work.bot_id, None)


def _request(work: Work) -> ProvisionRequest:
    return ProvisionRequest.model_validate(work.request)


def _url(work: Work) -> str:
    return f"ws://{LOOPBACK}:{work.made['port']}"
