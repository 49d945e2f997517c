"""The OpenAPI 3.1 document, made from the policy table and the routes' models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from edgebotd import __version__
from edgebotd.web.policy import Need, Policy, Surface
from edgebotd.web.problem import CONTENT_TYPE, title
from edgebotd.web.route import JSON, Route

_REF: Final = "#/components/schemas/{model}"

_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For a person."},
        "code": {"type": "string", "description": "Stable, for programs."},
    },
}

_OF_SURFACE: Final = {
    Surface.STREAM: ("The one channel: a stream of events.", "200", "text/event-stream"),
    Surface.SOCKET: ("Requests and answers over a WebSocket.", "101", None),
}


def describe(policies: Iterable[Policy], routes: Iterable[Route]) -> bytes:
    """Return the document as JSON."""
    routes = list(routes)
    by_key = {(route.method, route.path): route for route in routes}
    schemas, references = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for policy in policies:
        route = by_key.get((policy.method, policy.path))
        operation = _operation(policy, route, references)
        paths.setdefault(policy.path.replace("...}", "}"), {})[policy.method.lower()] = operation
    document = {
        "openapi": "3.1.0",
        "info": {"title": "edgebotd", "version": __version__, "description": "Control daemon of self-hosted bots."},
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": _PROBLEM},
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "edgebotd_session"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    }
    return json.dumps(document, separators=(",", ":")).encode()


References = dict[tuple[Route, JsonSchemaMode], dict[str, Any]]


def _schemas(routes: list[Route]) -> tuple[dict[str, Any], References]:
    wanted: list[tuple[Route, JsonSchemaMode, TypeAdapter[Any]]] = []
    for route in routes:
        if route.body is not None:
            wanted.append((route, "validation", route.body))
        if route.answer is not None:
            wanted.append((route, "serialization", TypeAdapter(route.answer)))
    found, definitions = TypeAdapter.json_schemas(wanted, by_alias=True, ref_template=_REF)
    return definitions.get("$defs", {}), found


def _operation(policy: Policy, route: Route | None, references: References) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{policy.method.lower()}{policy.path}").strip("_"),
        "description": f"Needs: {policy.need.value}.",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"\{(\w+)", policy.path)
        ],
        "security": [] if policy.need is Need.PUBLIC else [{"session": []}, {"token": []}],
    }
    problem = {"content": {CONTENT_TYPE.decode(): {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    responses: dict[str, Any] = {"default": {"description": "Refused.", **problem}}
    if route is None:
        summary, status, media_type = _OF_SURFACE[policy.surface]
        operation["summary"] = summary
        content = {} if media_type is None else {"content": {media_type: {"schema": {"type": "string"}}}}
        responses[status] = {"description": title(int(status)), **content}
    else:
        operation["summary"] = route.summary
        responses[str(route.status)] = {"description": title(route.status), **_content(route, references)}
        if route.query is not None:
            operation["parameters"] += _query(route.query)
        if route.body is not None:
            schema = references[route, "validation"]
            operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    operation["responses"] = responses
    return operation


def _content(route: Route, references: References) -> dict[str, Any]:
    if route.status in (204, 410):
        return {}
    schema = references[route, "serialization"] if route.answer is not None else {}
    return {"content": {route.media_type: {"schema": schema}}}


def _query(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema(by_alias=True)
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": member}
        for name, member in schema.get("properties", {}).items()
    ]
