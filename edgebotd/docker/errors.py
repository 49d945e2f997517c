"""What an engine refuses or fails at, as refusals that a person understands."""

from __future__ import annotations

import errno
from enum import Enum
from pathlib import Path

from edgebotd import logs
from edgebotd.errors import Problem

LONGEST_DETAIL = 600


class Trouble(Enum):
    """What kind of failure it was: whether asking again helps."""

    NONE = "none"
    """No engine is configured, or none was found."""
    DOWN = "down"
    FROZEN = "frozen"
    """It takes connections, or holds them, and says nothing."""
    LOST = "lost"
    """It went in the middle of a call; whether that was done is unknown."""
    MISSING = "missing"
    CONFLICT = "conflict"
    REFUSED = "refused"


_STATUS = {
    Trouble.NONE: (503, "engine_none"),
    Trouble.DOWN: (503, "engine_down"),
    Trouble.FROZEN: (503, "engine_frozen"),
    Trouble.LOST: (503, "engine_lost"),
    Trouble.MISSING: (404, "container_missing"),
    Trouble.CONFLICT: (409, "engine_conflict"),
    Trouble.REFUSED: (502, "engine_refused"),
}


class EngineError(Problem):
    """The engine did not do what it was asked for.

    Args:
        trouble: the kind.
        detail: for a person: what happened and what to do.
        engine_status: the engine's HTTP status, None where there was no answer.
    """

    def __init__(self, trouble: Trouble, detail: str, *, engine_status: int | None = None) -> None:
        status, code = _STATUS[trouble]
        # The engine quotes what it was sent, in which a secret may have been.
        text = logs.redact(detail)
        super().__init__(status, code, text if len(text) <= LONGEST_DETAIL else text[: LONGEST_DETAIL - 1] + "…")
        self.trouble = trouble
        self.engine_status = engine_status

    @property
    def passing(self) -> bool:
        """Whether the same may go well later without anybody doing anything but mending the engine."""
        return self.trouble in (Trouble.DOWN, Trouble.FROZEN, Trouble.LOST)


def unreachable(socket: Path, exc: BaseException) -> EngineError:
    """Return why no connection could be made, with what to do."""
    reason = _errno(exc)
    if reason == errno.ENOENT:
        return EngineError(
            Trouble.DOWN, f"There is no container engine at {socket}. Start it: systemctl start docker.socket docker"
        )
    if reason in (errno.EACCES, errno.EPERM):
        return EngineError(
            Trouble.DOWN,
            f"edgebotd may not open {socket}. Let its user in: add it to the group that owns the socket (usually"
            " docker), then restart edgebotd.",
        )
    if reason == errno.ECONNREFUSED:
        return EngineError(
            Trouble.DOWN, f"Nothing answers at {socket}: the container engine has stopped. See: systemctl status docker"
        )
    return EngineError(Trouble.DOWN, f"The container engine at {socket} cannot be reached ({exc}).")


def frozen(socket: Path, seconds: float) -> EngineError:
    """Return that nothing came for so long."""
    return EngineError(
        Trouble.FROZEN,
        f"The container engine at {socket} did not answer within {seconds:.0f} s. If it stays so, restart it; see:"
        " systemctl status docker",
    )


def lost(socket: Path) -> EngineError:
    """Return that the connection ended before the answer did."""
    return EngineError(
        Trouble.LOST,
        f"The container engine at {socket} went away in the middle of an answer. If it does not come back: systemctl"
        " status docker, and see that docker.socket of the settings names an engine.",
    )


def _errno(exc: BaseException | None) -> int | None:
    while exc is not None:
        if isinstance(exc, OSError) and exc.errno is not None:
            return exc.errno
        exc = exc.__cause__ or exc.__context__
    return None
