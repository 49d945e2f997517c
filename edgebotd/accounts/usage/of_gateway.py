"""How much is used of logins that gateways own: each gateway answers for all of its logins at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import trio

from edgebotd.accounts.usage.asking import SECONDS, Trouble
from edgebotd.errors import EdgebotdError
from edgebotd.protocol.usage import UnreadableUsage, Usage, read_usage_status
from edgebotd.store.profiles import Profile

ANSWER_MS: Final = 30_000
"""How long an answer serves for the other logins of its gateway."""

_ALIASES: Final = {"openai-codex": "openai", "google": "google-gemini-cli"}
"""Under what name a gateway tells of a provider that is called otherwise here."""


class Gateways(Protocol):
    """What is asked of bots' gateways; the bots' floor gives it."""

    async def usage_status(self, bot_id: str) -> Mapping[str, Any]:
        """Return the payload of `usage.status`.

        Raises:
            EdgebotdError: the gateway does not answer, or does not know the method.
        """
        ...


class GatewayUsage:
    """Asks gateways, and keeps each answer for a moment."""

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways
        self._answers: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self._locks: dict[str, trio.Lock] = {}

    async def ask(self, profile: Profile, now: int) -> Usage | Trouble:
        """Return how much is used of a login that the gateway at its place owns."""
        assert profile.place is not None, profile.id
        async with self._locks.setdefault(profile.place, trio.Lock()):
            at, answer = self._answers.get(profile.place, (None, {}))
            if at is None or not at <= now < at + ANSWER_MS:
                with trio.move_on_after(SECONDS) as waiting:
                    try:
                        answer = await self._gateways.usage_status(profile.place)
                    except EdgebotdError as exc:
                        return Trouble("unreachable", f"The gateway does not say. {exc}")
                if waiting.cancelled_caught:
                    return Trouble("timeout", "The gateway does not answer in time.")
                self._answers[profile.place] = (now, answer)
        try:
            found = read_usage_status(answer, now)
        except UnreadableUsage as exc:
            return Trouble("malformed", f"The gateway's answer cannot be read: {exc}.")
        one = found.get(profile.provider) or found.get(_ALIASES.get(profile.provider, ""))
        if one is None:
            return Trouble("unsupported", "The gateway does not tell of this provider how much is used.")
        return one.usage or Trouble("http", "The gateway could not learn it.")
