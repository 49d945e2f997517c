"""Routes without a framework: a call, a reply, and a row that binds a handler to the policy table's path.

Handlers are methods `async def name(self, call, body?, query?) -> answer`; the annotations of `body`, `query` and the
answer are the models that are parsed, rendered and described in the OpenAPI document.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, get_type_hints
from urllib.parse import parse_qsl

from pydantic import BaseModel, TypeAdapter, ValidationError

from edgebotd.access import Principal
from edgebotd.errors import Invalid
from edgebotd.people.audit import Actor
from edgebotd.web.policy import Policy
from edgebotd.web.problem import of_validation
from edgebotd.web.session import Caller

M = TypeVar("M", bound=BaseModel)

JSON: Final = "application/json"
MAX_QUERY_FIELDS: Final = 100


@dataclass(slots=True)
class Call:
    """One request after it was let in."""

    caller: Caller
    policy: Policy
    parameters: dict[str, str]
    query_string: bytes = b""
    content_type: str = ""
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    """Few that handlers may read: range, if-none-match, content-disposition."""

    @property
    def principal(self) -> Principal:
        """Who asks. Raises `Unauthenticated` on a public route without a credential."""
        return self.caller.require()

    @property
    def actor(self) -> Actor:
        """Who asks, for the audit."""
        return Actor.of(self.principal, self.caller.address)


@dataclass(slots=True)
class Reply:
    """An answer that is more than a model: other status, headers, bytes or a stream of them."""

    body: bytes | AsyncIterator[bytes] = b""
    status: int = 200
    content_type: str = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, model: BaseModel, status: int = 200, headers: list[tuple[str, str]] | None = None) -> Reply:
        """Return a model as JSON."""
        return cls(model.model_dump_json(by_alias=True).encode(), status, JSON, headers or [])


Answer = BaseModel | Reply | None
"""None: 204."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A handler and how it is called."""

    method: str
    path: str
    handler: Callable[..., Awaitable[Answer]]
    status: int
    body: TypeAdapter[Any] | None
    query: type[BaseModel] | None
    answer: type[BaseModel] | None
    summary: str
    media_type: str
    direct: bool
    """Served without the web framework: for what is called thousands of times a second."""

    async def run(self, call: Call) -> Reply:
        """Parse, call, render.

        Raises:
            Problem: the handler's own, or of a body or query that is not of its model.
        """
        arguments: list[Any] = [call]
        if self.body is not None:
            arguments.append(parse_body(self.body, call))
        if self.query is not None:
            arguments.append(parse_query(self.query, call.query_string))
        answer = await self.handler(*arguments)
        if answer is None:
            return Reply(status=204)
        return answer if isinstance(answer, Reply) else Reply.of(answer, self.status)


def route(
    method: str,
    path: str,
    handler: Callable[..., Awaitable[Answer]],
    *,
    status: int = 200,
    answer: type[BaseModel] | None = None,
    media_type: str = JSON,
    direct: bool = False,
) -> Route:
    """Bind a handler to a path, with the models from its annotations.

    `answer` and `media_type` describe what a handler that returns a `Reply` sends.
    """
    hints = get_type_hints(handler, include_extras=True)
    returned = hints.get("return")
    if answer is None and isinstance(returned, type) and issubclass(returned, BaseModel):
        answer = returned
    names = list(inspect.signature(handler).parameters)
    assert names in (["call"], ["call", "body"], ["call", "query"], ["call", "body", "query"]), (path, names)
    return Route(
        method,
        path,
        handler,
        status,
        TypeAdapter(hints["body"]) if "body" in hints else None,
        hints.get("query"),
        answer,
        (inspect.getdoc(handler) or "").partition("\n")[0],
        media_type,
        direct,
    )


def parse_body(adapter: TypeAdapter[Any], call: Call) -> Any:
    """Return the body as its model.

    The parser bounds the depth (200 levels) and refuses what is no Unicode, so no later step has to.

    Raises:
        Invalid: no JSON, or not of the model.
    """
    if call.content_type and not call.content_type.startswith((JSON, "application/problem+json")):
        # A form of another site can send text/plain or a form's types without asking first; JSON it cannot.
        raise Invalid("Send the body as application/json.", code="unsupported_media_type")
    try:
        return adapter.validate_json(call.body or b"{}")
    except ValidationError as error:
        raise of_validation(error) from None


def parse_query(model: type[M], query_string: bytes) -> M:
    """Return the query as its model; a field that is a list may come several times.

    Raises:
        Invalid: not of the model, or too many fields.
    """
    try:
        # What is no UTF-8 becomes U+FFFD, as on the stream: an odd cursor is a gap there and here (CHANNEL S23).
        pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        raise Invalid("The query has too many fields.") from None
    values: dict[str, Any] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    many = {info.alias or name for name, info in model.model_fields.items() if "tuple" in str(info.annotation)}
    for name, found in values.items():
        if name not in many:
            if len(found) > 1:
                raise Invalid(f"The query has '{name[:40]}' more than once.")
            values[name] = found[0]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise of_validation(error) from None
