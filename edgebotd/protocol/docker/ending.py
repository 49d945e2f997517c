"""How a container ended, in words."""

from __future__ import annotations

import signal
from typing import Final

_CODES: Final = {
    125: "The engine could not run it (exit code 125).",
    126: "Its command cannot be executed (exit code 126).",
    127: "Its command was not found (exit code 127).",
}
FATAL: Final = frozenset({"", "2", "3", "9", "15"})
"""Signals of an engine's event `kill` after which an end is no surprise; Podman's event names none."""


def words_of_end(exit_code: int | None, *, oom_killed: bool = False) -> str:
    """Say why it ended, as far as its exit code tells: 128 and more is the signal that ended it."""
    if oom_killed:
        return "It needed more memory than it may have, and was killed."
    if exit_code is None:
        return "It ended."
    if exit_code == 137:
        return "It was killed (SIGKILL), by somebody or by the machine."
    if exit_code in _CODES:
        return _CODES[exit_code]
    if exit_code > 128 and (name := _signal(exit_code - 128)) is not None:
        return f"It was ended by the signal {name} (exit code {exit_code})."
    return f"It ended with exit code {exit_code}."


def _signal(number: int) -> str | None:
    try:
        return signal.Signals(number).name
    except ValueError:
        return None
