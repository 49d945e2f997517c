"""Frames of the per-bot socket (CHANNEL section 4): one request in, one answer out. No IO."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

METHODS = frozenset({"chat.send", "chat.history"})
MAX_ID_LENGTH = 256
# Beyond it JavaScript's numbers are not exact, and an id would come back as another one (RFC 8259 section 6).
MAX_INTEGER = 2**53 - 1
# No params of ours nest deeper than a few levels; without a bound of our own the limit would be Python's stack.
MAX_DEPTH = 64
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]").search


@dataclass(frozen=True, slots=True)
class Request:
    """A well-formed request; its params are yet to be validated by the method."""

    id: str | int
    method: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """A frame that is no request; answer it with `failure(problem.id, problem.code, problem.message)`.

    Attributes:
        id: the request's id where it could be read, else None.
        code: `bad_json`, `bad_request` or `unknown_method`.
        message: for the client's developer; holds nothing of the frame.
    """

    id: str | int | None
    code: str
    message: str


class _Refused(ValueError):
    pass


def parse(text: str) -> Request | Problem:
    """Read one text frame. Never raises: whatever a peer sends is a request or a problem to tell it.

    Strict where readers of JSON differ: duplicate keys, NaN, Infinity, numbers out of range and text that UTF-8 cannot
    hold (a lone surrogate, written `\\ud800`) are refused. Members that are unknown are ignored.
    """
    try:
        message = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except _Refused as exc:
        return Problem(None, "bad_json", str(exc))
    except RecursionError:
        return Problem(None, "bad_json", f"The frame nests deeper than {MAX_DEPTH} levels.")
    except ValueError:
        return Problem(None, "bad_json", "The frame is not JSON.")
    if not isinstance(message, dict):
        return Problem(None, "bad_request", "The frame is not a JSON object.")
    if _deeper_than(message, MAX_DEPTH):
        return Problem(None, "bad_json", f"The frame nests deeper than {MAX_DEPTH} levels.")
    if not _encodable(text, message):
        return Problem(None, "bad_json", "The frame has text with a lone surrogate.")
    return _request(message)


def answer(id: str | int, result: Mapping[str, Any]) -> str:
    """Return the frame that answers a request with its result (JSON values)."""
    return _dump({"id": id, "ok": True, "result": result})


def failure(id: str | int | None, code: str, message: str) -> str:
    """Return the frame that answers a request with an error; id None where the frame had none that could be read."""
    return _dump({"id": id, "ok": False, "error": {"code": code, "message": message}})


def _request(message: dict[str, Any]) -> Request | Problem:
    id = message.get("id")
    # bool is an int to isinstance
    if type(id) is not int and not (isinstance(id, str) and len(id) <= MAX_ID_LENGTH):
        return Problem(None, "bad_request", f"`id` must be an integer or a string of up to {MAX_ID_LENGTH} characters.")
    method = message.get("method")
    if not isinstance(method, str):
        return Problem(id, "bad_request", "`method` must be a string.")
    if method not in METHODS:
        return Problem(id, "unknown_method", f"This socket answers {' and '.join(sorted(METHODS))} only.")
    params = message.get("params", {})
    if not isinstance(params, dict):
        return Problem(id, "bad_request", "`params` must be an object.")
    return Request(id, method, params)


def _dump(message: dict[str, Any]) -> str:
    # ASCII escapes stay: the frame can then be sent whatever text a result holds.
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("An object of the frame has a key twice.")
    return members


def _constant(_: str) -> NoReturn:
    raise _Refused("NaN and Infinity are not JSON.")


def _integer(digits: str) -> int:
    # The length first: int() of thousands of digits raises or is slow.
    if len(digits) > 17 or abs(value := int(digits)) > MAX_INTEGER:
        raise _Refused(f"An integer of the frame is beyond {MAX_INTEGER}.")
    return value


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Refused("A number of the frame is too large.")
    return value


def _deeper_than(value: object, levels: int) -> bool:
    layer = [value]
    for _ in range(levels + 1):
        below: list[object] = []
        for item in layer:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        if not below:
            return False
        layer = below
    return True


def _encodable(text: str, message: dict[str, Any]) -> bool:
    try:
        text.encode()
        if _SURROGATE_ESCAPE(text):  # rare: half of a pair alone, or an honest pair
            json.dumps(message, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
