"""How routes are told as OpenAPI 3.1 has it: the words that all descriptions share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from server.web.conditional import Answer

Described = Mapping[str, Any]

ERROR: Final = {
    "type": "object",
    "required": ["error", "status"],
    "properties": {
        "error": {"type": "string", "description": "One sentence that names key and value"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
    },
}
JSON: Final = "application/json"
BYTES: Final = {"application/zip": {"schema": {"type": "string", "format": "binary"}}}


class OpenApi:
    """A description, made once and handed out at ``/openapi.json``."""

    def __init__(self, description: Described) -> None:
        body = msgspec.json.encode(description)
        tag = hashlib.sha256(body).hexdigest()
        self._answer = Answer(body, JSON, tag, {"cache-control": "no-cache"})

    def routes(self) -> list[BaseRoute]:
        """Where the description is found."""
        return [Route("/openapi.json", self.openapi, methods=["GET"])]

    async def openapi(self, _request: Request) -> Response:
        """The description."""
        return self._answer


def document(title: str, paths: Described, schemas: Described) -> dict[str, Any]:
    """A whole description, as JSON has it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version("wattstream"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": dict(paths),
        "components": {
            "schemas": {**schemas, "Error": ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def schemas_of(*kinds: type) -> dict[str, Any]:
    """The schemas of records and of what is in them, by name."""
    return msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")[1]


def health() -> dict[str, Any]:
    """The routes that every server has: whether it is well, what it counts, what it can do."""
    anything = {"schema": {"type": "string"}}
    text = {"text/plain": anything, "application/openmetrics-text": anything}
    ok = {"200": in_json({"type": "object", "required": ["status"]})}
    metrics = {"200": {"description": "All series", "content": text}}
    answered = {"200": in_json({"type": "object", "required": ["openapi"]})}
    return {
        "/healthz": {"get": operation("Whether the server answers", ok)},
        "/readyz": {"get": operation("Whether it can do its work", ok)},
        "/metrics": {"get": operation("Prometheus metrics", metrics)},
        "/openapi.json": {"get": operation("This description", answered)},
    }


def operation(
    summary: str,
    answers: Described,
    refusals: Sequence[int] = (),
    parameters: Sequence[Described] = (),
    body: Described | None = None,
    required: bool = False,
) -> dict[str, Any]:
    """An operation; any may be refused with 503, when there is too much to do or no store."""
    errors = {
        str(status): in_json({"$ref": "#/components/schemas/Error"}) for status in (*refusals, 503)
    }
    made: dict[str, Any] = {"summary": summary, "responses": {**answers, **errors}}
    if parameters:
        made["parameters"] = list(parameters)
    if body is not None:
        made["requestBody"] = {"required": required, "content": {JSON: {"schema": body}}}
    return made


def in_json(schema: Described) -> dict[str, Any]:
    """An answer in JSON."""
    return {"description": "JSON", "content": {JSON: {"schema": schema}}}


def ref(kind: type) -> dict[str, str]:
    """The schema of a record, by its name."""
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def query_parameter(name: str, schema: Described, meaning: str) -> dict[str, Any]:
    """A parameter that may be left out."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": schema,
        "description": meaning,
    }


def path_parameter(name: str, pattern: str, meaning: str) -> dict[str, Any]:
    """A part of the path."""
    schema = {"type": "string", "pattern": pattern}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": schema,
        "description": meaning,
    }
