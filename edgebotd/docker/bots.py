"""What this floor needs of the bots' own, as types; `bots.gateways` is it, and the daemon puts the two together."""

from __future__ import annotations

from typing import Protocol

from pydantic import SecretStr

from edgebotd.events import BotSummary, ContainerStatus
from edgebotd.protocol.run import Verdict


class Bots(Protocol):
    """The bots, as far as their containers matter. Ids of bots that do not exist raise `NotFound`."""

    def ids(self) -> list[str]: ...
    def summary(self, bot_id: str) -> BotSummary: ...

    async def add(self, bot_id: str, name: str, url: str, token: SecretStr) -> None:
        """Make a bot of kind openclaw and begin to connect; one of the same id and url is left as it is."""

    async def reserve(self, bot_id: str, url: str) -> SecretStr:
        """Return the gateway's token of a bot that is about to be made, kept from the first call on.

        Raises `Conflict` where there is a bot of that id with another address.
        """

    async def discard(self, bot_id: str, url: str) -> None:
        """Take back `reserve` and `add`: the id may be given again. A bot with another address is left as it is."""

    async def change(self, bot_id: str, *, url: str | None = None, token: SecretStr | None = None) -> None:
        """Let a bot that was connected at run time go on with another address or token."""

    async def remove(self, bot_id: str, *, history: bool) -> None:
        """Remove a bot that was connected at run time; one that is gone is fine."""

    async def verdict(self, bot_id: str, seconds: float) -> Verdict:
        """Try to connect now and wait for what comes of it, at most so long."""

    def busy(self, bot_id: str) -> int:
        """Return how many runs are going on."""

    async def wait_idle(self, bot_id: str) -> None:
        """Wait until no run is going on."""

    async def abort_all(self, bot_id: str) -> None:
        """Ask for the end of every run that is going on."""

    def hold(self, bot_id: str, reason: str | None) -> None:
        """Let messages wait instead of going out, for this reason; None: let them go again."""

    def container(self, bot_id: str, status: ContainerStatus | None) -> None:
        """Take how the bot's container is; None: it has none, or nobody knows of it."""

    async def echo(self, bot_id: str, text: str, seconds: float, key: str) -> str:
        """Have one turn in a conversation of its own and return the reply; raises `Problem` where none comes.

        It goes out though messages are held. The same key again, in a later life too, is the same turn.
        """

    async def end_echo(self, bot_id: str, key: str) -> None:
        """End the turn of a key where it has not ended: nobody is to be asked any more. None such is fine."""

    async def forget_echo(self, bot_id: str, key: str) -> None:
        """Delete the conversation of a turn that was answered, which would be unread for everybody who sees the bot."""
