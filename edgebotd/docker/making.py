"""What provisioning and recreating share: making a container, knowing it again, waiting until it is well."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

import trio
from pydantic import SecretStr

from edgebotd import logs
from edgebotd.config import DockerSettings
from edgebotd.config.credentials import SecretError, read_secret_file
from edgebotd.docker.containers import Containers
from edgebotd.docker.engine import Engine
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.gateway import command, owner_of
from edgebotd.docker.operations import Work
from edgebotd.docker.profile import body
from edgebotd.docker.redact import redact_all, secrets_of
from edgebotd.docker.spec import BOT_LABEL, INSTALLATION_LABEL, OPERATION_LABEL, PROFILE_PREFIX, Spec
from edgebotd.errors import Conflict, Problem
from edgebotd.protocol.docker.containers import Container
from edgebotd.protocol.docker.streams import OutputLine
from edgebotd.protocol.openclaw.given import Given

LOOK_SECONDS: Final = 0.5
CLASHES: Final = 20
"""How often a name may be taken by a container that is not to be found, before that is believed."""
LAST_LINES: Final = 20
"""Of the output of a container that ended, into the operation's log."""

Probe = Callable[[int], Awaitable[bool]]
"""Asks whether a gateway on this port of 127.0.0.1 says that it lives."""

ProfileSecret = Callable[[str], Awaitable[SecretStr]]
"""Gives what a login at a provider sends, by its id; raises `Conflict` where there is none."""


async def no_profiles(profile_id: str) -> SecretStr:
    """Stand in where there are no logins."""
    raise Conflict("secret_missing", f"There is no login '{profile_id}'.")


class Maker:
    """Made by `open_docker`. Every method raises `EngineError` where the engine refuses or is away."""

    def __init__(
        self,
        containers: Containers,
        settings: DockerSettings,
        installation: str,
        probe: Probe,
        profile_secret: ProfileSecret = no_profiles,
    ) -> None:
        self._profile_secret = profile_secret
        self._containers = containers
        self._settings = settings
        self._installation = installation
        self._probe = probe

    @property
    def engine(self) -> Engine:
        """The engine, where it can be asked."""
        return self._containers.usable()

    def labels(self, work: Work) -> dict[str, str]:
        """Return what tells whose a volume is, and which operation made it."""
        return {BOT_LABEL: work.bot_id, INSTALLATION_LABEL: self._installation, OPERATION_LABEL: work.id}

    def of_bot(self, labels: Mapping[str, str], bot_id: str) -> bool:
        """Whether this installation made it for the bot."""
        return (labels.get(BOT_LABEL), labels.get(INSTALLATION_LABEL)) == (bot_id, self._installation)

    def of_operation(self, labels: Mapping[str, str], work: Work) -> bool:
        """Whether the operation made it."""
        return self.of_bot(labels, work.bot_id) and labels.get(OPERATION_LABEL) == work.id

    async def find(self, name: str) -> Container | None:
        """Return a container by name or id; None where there is none."""
        try:
            return await self.engine.inspect(name)
        except EngineError as exc:
            if exc.trouble is Trouble.MISSING:
                return None
            raise

    async def made(self, work: Work) -> list[Container]:
        """Return what of containers the operation has made so far."""
        found = await self.engine.containers(label=f"{OPERATION_LABEL}={work.id}")
        return [container for container in found if self.of_operation(container.labels, work)]

    async def make(self, work: Work, name: str, spec: Spec) -> str:
        """Create the container, unless it is there already; return its id.

        Raises:
            Conflict: another one has the name, a secret is missing, or the settings do not allow what the spec has.
        """
        made = body(
            spec,
            bot_id=work.bot_id,
            installation=self._installation,
            operation_id=work.id,
            settings=self._settings,
            secrets=await self.secrets(spec.secret_environment),
            owner=await self._owner(spec.pinned),
        )
        if spec.network == "host":
            made["Cmd"] = command(spec.port)
        left = CLASHES
        while True:
            if (there := await self.find(name)) is not None:
                if self.of_operation(there.labels, work):
                    return there.id
                if not self.of_bot(there.labels, work.bot_id):
                    raise Conflict(
                        "name_taken",
                        f"There is a container named {name} already, which edgebotd did not make. Rename or remove it.",
                    )
                await work.log(f"{name} was left by an earlier attempt; it is removed.")
                await self.engine.remove(there.id, force=True)
            try:
                return await self.engine.create(name, made)
            except EngineError as exc:
                # Asked for by a daemon that was killed then: a slow engine is just making it, and may not show it yet.
                left -= 1
                if exc.trouble is not Trouble.CONFLICT or left < 0:
                    raise
            await trio.sleep(LOOK_SECONDS)

    async def _owner(self, image: str) -> int | None:
        """Return whose a tmpfs is to be. Podman refuses to be told."""
        if self._containers.engine_status.kind == "Podman":
            return None
        return owner_of((await self.engine.image(image)).config.get("User"))

    async def remove(self, work: Work) -> None:
        """Remove the containers that the operation made."""
        for container in await self.made(work):
            await self.engine.remove(container.id, force=True)

    async def remove_volume(self, name: str, owns: Callable[[Mapping[str, str]], bool]) -> bool:
        """Remove a volume, if it is edgebotd's; return whether it is gone."""
        try:
            labels = (await self.engine.volume(name)).get("Labels") or {}
        except EngineError as exc:
            if exc.trouble is Trouble.MISSING:
                return True
            raise
        if not owns(labels):
            return False
        await self.engine.remove_volume(name)
        return True

    async def secrets(self, wanted: Mapping[str, str]) -> dict[str, SecretStr]:
        """Read the secrets that an environment refers to, by name.

        Raises:
            Conflict: there is no secret of the name in the settings, no such login, or it cannot be used.
        """
        found = {}
        for name in wanted.values():
            if name.startswith(PROFILE_PREFIX):
                found[name] = await self._profile_secret(name.removeprefix(PROFILE_PREFIX))
            else:
                found[name] = self._of_file(name)
        return found

    async def logins(self, wanted: Iterable[str]) -> list[Given]:
        """Read logins at providers, for a gateway's file of them.

        Raises:
            Conflict: there is no such login, or it cannot be used.
        """
        found = []
        for profile_id in wanted:
            secret = await self._profile_secret(profile_id)
            found.append(Given(profile_id, profile_id.partition(":")[0], secret.get_secret_value()))
        return found

    def _of_file(self, name: str) -> SecretStr:
        """Read a secret of the settings. Small files: no thread."""
        if (path := self._settings.secrets.get(name)) is None:
            raise Conflict("secret_missing", f"There is no secret '{name}'. Name its file in docker.secrets.")
        try:
            secret, _ = read_secret_file(path)
        except SecretError as exc:
            raise Conflict("secret_unusable", f"The secret '{name}' cannot be used: {exc}.") from None
        logs.register_secret(secret)
        return SecretStr(secret)

    def know_secrets(self) -> None:
        """Have all secrets of the settings taken out of what is told: what made a container may be an earlier life's.

        One that cannot be read is told of when it is wanted.
        """
        for name in self._settings.secrets:
            with suppress(Conflict):
                self._of_file(name)

    async def wait_healthy(self, work: Work, name: str, port: int) -> None:
        """Wait until a container that was started is well, by its own check or because its gateway answers.

        An image may have itself looked at every few minutes only: so long nobody waits.

        Raises:
            Problem: it ended; its last lines are in the log.
        """
        while True:
            container = await self.alive(work, name)
            if container.state == "running":
                if container.health in (None, "healthy"):
                    return
                if container.health == "starting" and await self._probe(port):
                    return
            await trio.sleep(LOOK_SECONDS)

    async def alive(self, work: Work, name: str) -> Container:
        """Return a container that was started, inspected. Raises `Problem` where it has ended."""
        container = await self.engine.inspect(name)
        if container.state in ("exited", "removing") or container.state == "restarting" or container.restarts:
            await self.tell_last_lines(work, container)
            code = "" if container.exit_code is None else f" with exit code {container.exit_code}"
            why = "it needed more memory than it may have" if container.oom_killed else "its last lines say why"
            raise Problem(502, "container_ended", f"The container ended by itself{code}; {why}.")
        return container

    async def tell_last_lines(self, work: Work, container: Container) -> None:
        """Put the last lines of a container's output into the operation's log."""
        lines: list[OutputLine] = []
        await self.engine.logs(container, lines.append, tail=LAST_LINES)
        redact = redact_all(secrets_of(container, frozenset()))
        for line in sorted(lines, key=lambda line: line.at or 0)[-LAST_LINES:]:
            # Before it is cut: half a secret would not be known as one.
            await work.log(f"| {redact(line.text)[:500]}")
