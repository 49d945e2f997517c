"""Any JSON answer, read by paths that an operator wrote down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from edgebotd.protocol.usage.model import UnreadableUsage, Usage, Window
from edgebotd.protocol.usage.reading import ahead, distinct, number, percent, share


class WindowPaths(Protocol):
    """Where one window is found; `config.UsageWindowSettings` is one. Paths are names and places, dotted."""

    @property
    def id(self) -> str: ...
    @property
    def label(self) -> str | None: ...
    @property
    def percent(self) -> str | None: ...
    @property
    def fraction(self) -> str | None: ...
    @property
    def used(self) -> str | None: ...
    @property
    def remaining(self) -> str | None: ...
    @property
    def limit(self) -> str | None: ...
    @property
    def resets_at(self) -> str | None: ...
    @property
    def seconds(self) -> float | None: ...


def read_json(answer: Mapping[str, Any], windows: Sequence[WindowPaths], now: int) -> Usage:
    """Read an answer. What is not there is left out.

    Raises:
        UnreadableUsage: no window is there.
    """
    found = distinct(_windows(answer, windows, now))
    if not found:
        paths = ", ".join(str(_share_path(window)) for window in windows)
        raise UnreadableUsage(f"the answer has a number at none of the paths {paths}")
    return Usage(found)


def at_path(answer: object, path: str | None) -> object:
    """Return what is at a path, None where nothing is."""
    if path is None:
        return None
    for step in path.split("."):
        if isinstance(answer, Mapping):
            answer = answer.get(step)
        elif isinstance(answer, list) and step.isdecimal() and step.isascii() and len(step) < 6:
            answer = answer[int(step)] if int(step) < len(answer) else None
        else:
            return None
    return answer


def _windows(answer: Mapping[str, Any], windows: Sequence[WindowPaths], now: int) -> Iterator[Window]:
    for window in windows:
        if (used := _used(answer, window)) is not None:
            seconds = None if window.seconds is None else round(window.seconds)
            resets_at = ahead(at_path(answer, window.resets_at), now)
            yield Window(window.id, window.label or window.id, used, seconds, resets_at)


def _used(answer: Mapping[str, Any], window: WindowPaths) -> float | None:
    value = number(at_path(answer, _share_path(window)))
    if value is None:
        return None
    if window.percent is not None:
        return percent(value)
    if window.fraction is not None:
        return percent(value * 100)
    limit = number(at_path(answer, window.limit))
    if limit is None:
        return None
    return share(value if window.used is not None else limit - value, limit)


def _share_path(window: WindowPaths) -> str | None:
    return window.percent or window.fraction or window.used or window.remaining
