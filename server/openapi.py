"""``GET /openapi.json``: the routes for programs, described as OpenAPI 3.1 has it.

Server-sent events are left out: OpenAPI has no word for an answer that does not end. They, and the
page, are in ``docs/http.md``. ``docs/reference/http.md`` is made of this.
"""

from __future__ import annotations

from typing import Any, Final

from estimator.vocabulary import FEATURE_GROUPS, OUTPUT_TYPES, SOURCE_COMPONENTS
from server.kepler.model_request import ModelRequest
from server.models.models_api import ListedModel
from server.models.versions_api import Chosen, Versions
from server.monitoring.live_api import LISTED_NODES, MOST_NODES
from server.monitoring.overview import MOST, SHOWN, Drifts, Row
from server.web.describing import (
    BYTES,
    JSON,
    Described,
    document,
    health,
    in_json,
    operation,
    path_parameter,
    query_parameter,
    ref,
    schemas_of,
)
from server.web.parameters import LONGEST

_RAPL: Final = {"type": "string", "pattern": "rapl", "description": "RAPL by any of its names"}
_NODE: Final = {
    "type": "object",
    "required": ["name", "at", "error", "node_type"],
    "properties": {
        "name": {"type": "string"},
        "at": {"type": "number", "description": "Its last sample, in Unix seconds"},
        "error": {"type": "number", "description": "Its recent error over its power"},
        "node_type": {"type": "string"},
    },
}
_WISH: Final = "(features:[a-z0-9_,]+|[a-z][a-z0-9_]*:[0-9]{1,9}([.][0-9]{1,9})?)"
_TAG: Final = {"etag": {"schema": {"type": "string"}}}
_CONDITION: Final = {
    "name": "If-None-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "Tags of what the client has: 304 if it has not changed",
}


def description() -> dict[str, Any]:
    """The whole description, as JSON has it."""
    schemas = schemas_of(ListedModel, Row, Drifts, Versions, Chosen, ModelRequest)
    schemas["ModelRequest"]["properties"]["output_type"] = {"enum": list(OUTPUT_TYPES)}
    schemas["Node"] = _NODE
    paths = {**_for_kepler(), **_models(), **_versions(), **_nodes(), **health()}
    return document("Wattstream's model server", paths, schemas)


def _for_kepler() -> Described:
    parameters = [
        query_parameter(
            "energy-source",
            _or_empty({"enum": sorted(SOURCE_COMPONENTS)}, _RAPL),
            "Who measured what the models have learned; without: RAPL",
        ),
        query_parameter(
            "output-type", _or_empty({"enum": list(OUTPUT_TYPES)}), "Only this one; without: both"
        ),
        query_parameter(
            "feature-group",
            _or_empty({"enum": list(FEATURE_GROUPS)}),
            "Only this one; without: all",
        ),
        query_parameter(
            "node-type",
            {"type": "string", "pattern": "^(-1|[0-9]{1,9})?$"},
            "Kepler's number of the machine's type; without, 0 or -1: any",
        ),
        query_parameter(
            "filter",
            {"type": "string", "pattern": f"^({_WISH}(;{_WISH})*)?$"},
            "Errors that a model may have at most, and features that it may have: "
            "`mae:5;mape:10;features:cpu_cycles,cache_miss`",
        ),
    ]
    names = {"type": "object", "additionalProperties": {"type": "string"}}
    best = {"type": "object", "additionalProperties": names}
    weights = {"type": "object", "required": ["model_name"]}
    return {
        "/model": {
            "post": operation(
                "The best model for a machine's metrics, as kepler-model-server answers it",
                {
                    "200": {
                        "description": "Weights if they are asked for, else the artifact",
                        "content": {JSON: {"schema": weights}, **BYTES},
                        "headers": _TAG,
                    },
                    "304": {"description": "The client has it"},
                },
                (400, 408, 413),
                [_CONDITION],
                body=ref(ModelRequest),
                required=True,
            )
        },
        "/best-models": {
            "get": operation(
                "The name of the best model of every feature group",
                {"200": in_json(best)},
                (400,),
                parameters,
            )
        },
    }


def _models() -> Described:
    digest = path_parameter("digest", "^[0-9a-f]{64}$", "The artifact's SHA-256")
    overview = {
        "type": "object",
        "required": [
            *("total", "bad", "bad_percent", "learning", "learned_seconds"),
            *("found", "models", "drifts"),
        ],
        "properties": {
            "total": {"type": "integer", "minimum": 0, "description": "All models"},
            "bad": {"type": "integer", "minimum": 0, "description": "Those of them that are bad"},
            "bad_percent": {"type": "number", "description": "Off by how much of the power is bad"},
            "learning": {
                "type": "integer",
                "minimum": 0,
                "description": "Those that have learned too little to be called bad",
            },
            "learned_seconds": {
                "type": "number",
                "description": "For so long, in event time, they learn before they are judged",
            },
            "found": {"type": "integer", "minimum": 0, "description": "Those that `search` finds"},
            "models": {"type": "array", "items": ref(Row), "description": "The worst of these"},
            "drifts": {
                "type": "object",
                "additionalProperties": ref(Drifts),
                "description": "By slug, of those models that have drifted",
            },
        },
    }
    return {
        "/models": {
            "get": operation(
                "Every model that is served",
                {
                    "200": {
                        **in_json({"type": "array", "items": ref(ListedModel)}),
                        "headers": _TAG,
                    },
                    "304": {"description": "The client has it"},
                },
                (),
                [_CONDITION],
            )
        },
        "/overview": {
            "get": operation(
                "The models that are worst, by error over power",
                {"200": in_json(overview)},
                (400,),
                [_SEARCH, _limit(SHOWN, MOST, "models")],
            )
        },
        "/artifacts/{digest}": {
            "get": operation(
                "An artifact, or by Range a part of it; it never changes",
                {
                    "200": {"description": "All of it", "content": BYTES, "headers": _TAG},
                    "206": {"description": "The range", "content": BYTES, "headers": _TAG},
                    "304": {"description": "The client has it"},
                },
                (400, 404, 416, 500),
                [digest, _CONDITION],
            )
        },
    }


def _versions() -> Described:
    key = path_parameter("key", "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200}$", "The model's slug")
    found = {"200": in_json(ref(Versions))}
    changes = (400, 401, 403, 404, 408, 413, 415, 500)

    def change(summary: str, body: bool = True) -> dict[str, Any]:
        chosen = ref(Chosen) if body else None
        made = operation(summary, found, changes, [key], body=chosen, required=False)
        return {**made, "security": [{}, {"token": []}]}

    return {
        "/models/{key}/versions": {
            "get": operation("Every version that is kept", found, (400, 404, 500), [key])
        },
        "/models/{key}/rollback": {"post": change("Make an older version current, and pin it")},
        "/models/{key}/pin": {
            "post": change("Keep a version current, whatever is learned"),
            "delete": change("Have new versions become current again", body=False),
        },
    }


def _nodes() -> Described:
    nodes = {
        "type": "object",
        "required": ["total", "nodes"],
        "properties": {
            "total": {"type": "integer", "minimum": 0},
            "nodes": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}},
        },
    }
    return {
        "/nodes": {
            "get": operation(
                "The nodes that are estimated worst",
                {"200": in_json(nodes)},
                (400,),
                [_SEARCH, _limit(LISTED_NODES, MOST_NODES, "nodes")],
            )
        },
    }


def _limit(default: int, most: int, what: str) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return query_parameter("limit", schema, f"How many {what} at most")


def _or_empty(*schemas: Described) -> dict[str, Any]:
    """An empty parameter is as if it were not given."""
    return {"anyOf": [*schemas, {"const": ""}]}


_SEARCH: Final = query_parameter(
    "search", {"type": "string", "maxLength": LONGEST}, "Only those with this in their names"
)
