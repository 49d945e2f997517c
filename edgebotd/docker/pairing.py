"""From a gateway that runs to a bot that is connected with all its rights: the last steps of making or adopting one.

A gateway in a container does not see us on its own loopback, so it wants our device approved once. Whoever may run a
command in its container may approve, which is what a person would do there.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from edgebotd import logs
from edgebotd.docker.bots import Bots
from edgebotd.docker.engine import Engine
from edgebotd.docker.operations import Work
from edgebotd.errors import Problem
from edgebotd.protocol.run import Verdict

PAIR_SECONDS: Final = 180.0
"""Deadline of the step: a gateway that has just started refuses for 20 s, and approving takes 3 to 10 s."""
HELLO_SECONDS: Final = 60.0
VERDICT_SECONDS: Final = 20.0
AGAIN_SECONDS: Final = 1.0
APPROVE_SECONDS: Final = 90.0

APPROVE: Final[Sequence[tuple[str, ...]]] = (
    # The image's working directory has it; where OpenClaw was installed by npm, it is in the PATH.
    ("node", "openclaw.mjs", "devices", "approve"),
    ("openclaw", "devices", "approve"),
)
NOT_THERE: Final = re.compile(r"cannot find module|executable file not found|no such file or directory", re.IGNORECASE)
_REQUEST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
"""A gateway's id of a request. It becomes a word of a command, so it must not look like an option."""

NEEDS_PERSON: Final = frozenset(
    {
        *("needs_pairing", "scope_upgrade", "bad_credentials", "no_rights", "protocol_mismatch"),
        *("configuration", "bad_url", "device_key", "tls", "bug"),
        *("container_exited", "container_missing", "container_created", "container_paused"),
    }
)
"""Reasons of a bot's that is not connected which no waiting mends."""


class NotConnected(Problem):
    """The bot's gateway does not let us in, and waiting will not help."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(502, verdict.reason or "not_connected", verdict.detail or "The gateway did not answer.")


async def pair(
    work: Work,
    bots: Bots,
    engine: Engine | None,
    container: str | None,
    *,
    look: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint,
) -> None:
    """Connect a bot that was added, approving its device within its container where the gateway asks for that.

    Args:
        container: of the gateway, by id or name; None where it runs on this machine itself, which asks for no approval.
        look: called before each further try; raises where none can go well.

    Raises:
        EngineError: the approval could not be run.
        NotConnected: the gateway wants something else of a person.
    """
    told: str | None = None
    approved: set[str] = set()
    while not (verdict := await bots.verdict(work.bot_id, VERDICT_SECONDS)).connected:
        request = verdict.pairing_request
        if request is not None and request not in approved:
            approved.add(request)
            if engine is None or container is None:
                raise NotConnected(verdict)
            await work.log("The gateway asks for an approval of edgebotd's device; it is given within the container.")
            await _approve(engine, container, request)
            await work.log("approved")
            continue
        if verdict.reason in NEEDS_PERSON:
            raise NotConnected(verdict)
        # That its own check is still to come says nothing here, where its gateway has answered already.
        if verdict.detail not in (None, told) and verdict.reason != "container_starting":
            told = verdict.detail
            await work.log(told)
        await look()
        await trio.sleep(AGAIN_SECONDS)
    await work.log("paired")


async def hello(work: Work, bots: Bots) -> str | None:
    """Say who answered, and what it does not allow; return the gateway's version.

    Raises:
        NotConnected: it is not connected any more.
    """
    verdict = await bots.verdict(work.bot_id, VERDICT_SECONDS)
    while not verdict.connected:
        if verdict.reason in NEEDS_PERSON:
            raise NotConnected(verdict)
        await trio.sleep(AGAIN_SECONDS)
        verdict = await bots.verdict(work.bot_id, VERDICT_SECONDS)
    await work.log(" ".join([f"Connected: OpenClaw {verdict.version}.", *verdict.missing]))
    return verdict.version


async def _approve(engine: Engine, container: str, request: str) -> None:
    if not _REQUEST.fullmatch(request):
        raise Problem(502, "bad_pairing", "The gateway names its pairing request in a way that is no id.")
    said = ""
    for command in APPROVE:
        result = await engine.run(container, [*command, request], seconds=APPROVE_SECONDS)
        if result.exit_code == 0:
            return
        said = (result.errors or result.output).strip()
        # Podman and Docker say it in either stream.
        if not (result.exit_code in (126, 127) or NOT_THERE.search(f"{result.errors}\n{result.output}")):
            break
    last = logs.redact(said.splitlines()[-1][:300]) if said else "it said nothing"
    raise Problem(
        502, "pairing_failed", f"The device could not be approved within the container {container[:12]}: {last}"
    )
