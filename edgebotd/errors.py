"""What the program can refuse, in one shape that every surface renders.

A `Problem` is an expected refusal: the web renders it as RFC 9457 JSON, the per-bot socket as an error answer,
the CLI as one line and an exit code. Anything else that is raised is a bug.
"""

from __future__ import annotations

from typing import Any


class EdgebotdError(Exception):
    """Base of every error that this program raises on purpose."""


class Problem(EdgebotdError):
    """A refusal that its asker can understand and act on.

    Args:
        status: HTTP status code, 400-599.
        code: stable snake_case word for programs; never changes between releases.
        detail: one or two sentences for a person: what happened and what to do. Holds no secret.
        headers: extra response headers, such as `Retry-After`.
        extra: further members of the RFC 9457 document (camelCase keys, JSON values).
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra or {}


class NotFound(Problem):
    """The thing does not exist, or the asker may not know that it does (CHANNEL section 5, access).

    Args:
        name: what the asker called it. Never what we know of it: the words are the same for both cases.
    """

    def __init__(self, what: str, name: str | None = None) -> None:
        named = "" if name is None else f": '{_shown(name)}'"
        super().__init__(404, "not_found", f"No such {what}{named}.")


def _shown(name: str) -> str:
    """Return what somebody typed as it may stand in one line of a terminal or a log."""
    kept = "".join(c if c.isprintable() else "?" for c in name[:65])
    return kept if len(kept) <= 64 else kept[:63] + "…"


class Forbidden(Problem):
    """The asker may know of the thing but not do this with it."""

    def __init__(self, detail: str) -> None:
        super().__init__(403, "forbidden", detail)


class Conflict(Problem):
    """The request contradicts what is already there."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(409, code, detail)


class Invalid(Problem):
    """The request is not of the form that the route takes."""

    def __init__(self, detail: str, *, code: str = "invalid_request", extra: dict[str, Any] | None = None) -> None:
        super().__init__(400, code, detail, extra=extra)
