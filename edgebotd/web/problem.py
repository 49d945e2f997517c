"""Errors as RFC 9457 documents: one shape for every refusal, and nothing but an id for a bug."""

from __future__ import annotations

import http
import json
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edgebotd.accounts.keeping import NAME_PATTERN
from edgebotd.docker.spec import ENVIRONMENT_NAME_PATTERN
from edgebotd.errors import Invalid, Problem
from edgebotd.events import BOT_ID_PATTERN, CONVERSATION_ID_PATTERN

CONTENT_TYPE: Final = b"application/problem+json"

MAX_TOLD: Final = 10
"""Mistakes that one answer lists; a body can have thousands."""
MAX_TEXT: Final = 200


def title(status: int) -> str:
    """Return the status's own phrase."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def document(problem: Problem) -> bytes:
    """Return the JSON of a refusal."""
    # What the standard names cannot be overwritten by what a problem adds.
    members: dict[str, Any] = {
        **problem.extra,
        "type": "about:blank",
        "title": title(problem.status),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
    }
    return json.dumps(members, ensure_ascii=True).encode()


def headers(problem: Problem, body: bytes) -> list[tuple[bytes, bytes]]:
    """Return the response's headers."""
    own = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in problem.headers.items()]
    return [(b"content-type", CONTENT_TYPE), (b"content-length", str(len(body)).encode()), *own]


_PATTERNS: Final = {
    BOT_ID_PATTERN: "must be 1 to 32 characters of a-z, 0-9 and -, not beginning with -",
    ENVIRONMENT_NAME_PATTERN: "must be 1 to 128 letters of a-z, A-Z, digits and _, not beginning with a digit",
    NAME_PATTERN: "must be 1 to 64 letters, digits and . _ @ + -, beginning with a letter or digit",
    CONVERSATION_ID_PATTERN: "must be the id of a conversation, c_ and 20 characters of a-z and 0-9",
}


def _words(one: ErrorDetails) -> str:
    """Return what is wrong for a person who knows the API, not pydantic."""
    message = one["msg"]
    if one["type"] == "string_pattern_mismatch":
        message = next((words for pattern, words in _PATTERNS.items() if pattern in message), message)
    if one["type"] == "missing":
        return "is required"
    if one["type"] == "extra_forbidden":
        return "is unknown here"
    message = message.removeprefix("Value error, ")
    for start in ("Input should be", "String should", "List should", "Tuple should"):
        if message.startswith(start):
            rest = message.removeprefix(start).strip()
            return f"must be {rest}" if start == "Input should be" else f"must {rest}"
    return message


def _path(one: ErrorDetails) -> str:
    # pydantic's mark of a key that is wrong, after the key itself.
    return ".".join(str(step) for step in one["loc"] if step != "[key]")


def of_validation(error: ValidationError) -> Invalid:
    """Return the refusal of a body or query that is not of its model: where and what, never the value itself."""
    mistakes = error.errors(include_url=False, include_context=False, include_input=False)
    told = [{"path": _path(one)[:MAX_TEXT], "message": _words(one)[:MAX_TEXT]} for one in mistakes[:MAX_TOLD]]
    first = told[0]
    where = f"{first['path']}: " if first["path"] else ""
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    return Invalid(f"{where}{first['message']}{more}", extra={"errors": told})


def internal(error_id: str) -> Problem:
    """Return what a caller learns of a bug: the id that finds it in the log."""
    return Problem(
        500,
        "internal",
        f"Something went wrong inside edgebotd. The log tells more under {error_id}.",
        extra={"errorId": error_id},
    )
