"""``GET /openapi.json``: the routes for programs, described as OpenAPI 3.1 has it.

Server-sent events are left out: OpenAPI has no word for an answer that does not end. They, and the
page, are in ``docs/http.md``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from estimator.vocabulary import FEATURE_GROUPS, OUTPUT_TYPES, SOURCE_COMPONENTS
from server.conditional import Answer
from server.model_request import ModelRequest
from server.models_api import ListedModel
from server.overview import MOST, Drifts, Row
from server.parameters import LONGEST
from server.versions_api import Chosen, Versions

Described = Mapping[str, Any]

ERROR: Final = {
    "type": "object",
    "required": ["error", "status"],
    "properties": {
        "error": {"type": "string", "description": "One sentence that names key and value"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
    },
}
_JSON: Final = "application/json"
_RAPL: Final = {"type": "string", "pattern": "rapl", "description": "RAPL by any of its names"}
_BYTES: Final = {"application/zip": {"schema": {"type": "string", "format": "binary"}}}
_TAG: Final = {"etag": {"schema": {"type": "string"}}}
_CONDITION: Final = {
    "name": "If-None-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "Tags of what the client has: 304 if it has not changed",
}


class OpenApi:
    """The description, made once."""

    def __init__(self) -> None:
        body = msgspec.json.encode(description())
        tag = hashlib.sha256(body).hexdigest()
        self._answer = Answer(body, _JSON, tag, {"cache-control": "no-cache"})

    def routes(self) -> list[BaseRoute]:
        """Where the description is found."""
        return [Route("/openapi.json", self.openapi, methods=["GET"])]

    async def openapi(self, _request: Request) -> Response:
        """The description."""
        return self._answer


def description() -> dict[str, Any]:
    """The whole description, as JSON has it."""
    kinds = (ListedModel, Row, Drifts, Versions, Chosen, ModelRequest)
    _, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schemas["ModelRequest"]["properties"]["output_type"] = {"enum": list(OUTPUT_TYPES)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wattstream's model server",
            "version": version("wattstream"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {**_for_kepler(), **_models(), **_versions(), **_state()},
        "components": {
            "schemas": {**schemas, "Error": ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _for_kepler() -> Described:
    parameters = [
        _query("energy-source", _or_empty({"enum": sorted(SOURCE_COMPONENTS)}, _RAPL)),
        _query("output-type", _or_empty({"enum": list(OUTPUT_TYPES)})),
        _query("feature-group", _or_empty({"enum": list(FEATURE_GROUPS)})),
        _query("node-type", {"type": "string", "pattern": "^(-1|[0-9]{1,9})?$"}),
        _query("filter", {"type": "string", "pattern": "^$"}),
    ]
    names = {"type": "object", "additionalProperties": {"type": "string"}}
    best = {"type": "object", "additionalProperties": names}
    weights = {"type": "object", "required": ["model_name"]}
    return {
        "/model": {
            "post": _operation(
                "The best model for a machine's metrics, as kepler-model-server answers it",
                {
                    "200": {
                        "description": "Weights if they are asked for, else the artifact",
                        "content": {_JSON: {"schema": weights}, **_BYTES},
                        "headers": _TAG,
                    },
                    "304": {"description": "The client has it"},
                },
                (400, 408, 413),
                [_CONDITION],
                body=_ref(ModelRequest),
                required=True,
            )
        },
        "/best-models": {
            "get": _operation(
                "The name of the best model of every feature group",
                {"200": _json(best)},
                (400,),
                parameters,
            )
        },
    }


def _models() -> Described:
    digest = _path("digest", "^[0-9a-f]{64}$")
    overview = {
        "type": "object",
        "required": ["total", "bad", "bad_percent", "found", "models", "drifts"],
        "properties": {
            **{name: {"type": "integer", "minimum": 0} for name in ("total", "bad", "found")},
            "bad_percent": {"type": "number"},
            "models": {"type": "array", "items": _ref(Row)},
            "drifts": {"type": "object", "additionalProperties": _ref(Drifts)},
        },
    }
    return {
        "/models": {
            "get": _operation(
                "Every model that is served",
                {
                    "200": {
                        **_json({"type": "array", "items": _ref(ListedModel)}),
                        "headers": _TAG,
                    },
                    "304": {"description": "The client has it"},
                },
                (),
                [_CONDITION],
            )
        },
        "/overview": {
            "get": _operation(
                "The models that are worst, by error over power",
                {"200": _json(overview)},
                (400,),
                [_SEARCH, _query("limit", {"type": "integer", "minimum": 1, "maximum": MOST})],
            )
        },
        "/artifacts/{digest}": {
            "get": _operation(
                "An artifact, or by Range a part of it; it never changes",
                {
                    "200": {"description": "All of it", "content": _BYTES, "headers": _TAG},
                    "206": {"description": "The range", "content": _BYTES, "headers": _TAG},
                    "304": {"description": "The client has it"},
                },
                (400, 404, 416, 500),
                [digest, _CONDITION],
            )
        },
    }


def _versions() -> Described:
    key = _path("key", "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200}$")
    found = {"200": _json(_ref(Versions))}
    changes = (400, 401, 403, 404, 408, 413, 415, 500)

    def change(summary: str, body: bool = True) -> dict[str, Any]:
        chosen = _ref(Chosen) if body else None
        made = _operation(summary, found, changes, [key], body=chosen, required=False)
        return {**made, "security": [{}, {"token": []}]}

    return {
        "/models/{key}/versions": {
            "get": _operation("Every version that is kept", found, (400, 404, 500), [key])
        },
        "/models/{key}/rollback": {"post": change("Make an older version current, and pin it")},
        "/models/{key}/pin": {
            "post": change("Keep a version current, whatever is learned"),
            "delete": change("Have new versions become current again", body=False),
        },
    }


def _state() -> Described:
    limit = _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000})
    node = {
        "type": "object",
        "required": ["name", "at", "error", "node_type"],
        "properties": {
            "name": {"type": "string"},
            "at": {"type": "number"},
            "error": {"type": "number"},
            "node_type": {"type": "string"},
        },
    }
    nodes = {
        "type": "object",
        "required": ["total", "nodes"],
        "properties": {
            "total": {"type": "integer", "minimum": 0},
            "nodes": {"type": "array", "items": node},
        },
    }
    anything = {"schema": {"type": "string"}}
    text = {"text/plain": anything, "application/openmetrics-text": anything}
    ok = {"200": _json({"type": "object", "required": ["status"]})}
    metrics = {"200": {"description": "All series", "content": text}}
    answered = {"200": _json({"type": "object", "required": ["openapi"]})}
    return {
        "/nodes": {
            "get": _operation(
                "The nodes that are estimated worst",
                {"200": _json(nodes)},
                (400,),
                [_SEARCH, limit],
            )
        },
        "/healthz": {"get": _operation("Whether the server answers", ok)},
        "/readyz": {"get": _operation("Whether it can do its work", ok)},
        "/metrics": {"get": _operation("Prometheus metrics", metrics)},
        "/openapi.json": {"get": _operation("This description", answered)},
    }


def _operation(
    summary: str,
    answers: Described,
    refusals: Sequence[int] = (),
    parameters: Sequence[Described] = (),
    body: Described | None = None,
    required: bool = False,
) -> dict[str, Any]:
    """An operation; any may be refused with 503, when there is too much to do or no store."""
    errors = {
        str(status): _json({"$ref": "#/components/schemas/Error"}) for status in (*refusals, 503)
    }
    made: dict[str, Any] = {"summary": summary, "responses": {**answers, **errors}}
    if parameters:
        made["parameters"] = list(parameters)
    if body is not None:
        made["requestBody"] = {"required": required, "content": {_JSON: {"schema": body}}}
    return made


def _json(schema: Described) -> dict[str, Any]:
    return {"description": "JSON", "content": {_JSON: {"schema": schema}}}


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _query(name: str, schema: Described) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _or_empty(*schemas: Described) -> dict[str, Any]:
    """An empty parameter is as if it were not given."""
    return {"anyOf": [*schemas, {"const": ""}]}


def _path(name: str, pattern: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "path", "required": True, "schema": schema}


_SEARCH: Final = _query("search", {"type": "string", "maxLength": LONGEST})
