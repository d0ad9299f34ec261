"""`docs/reference/http.md`: every route of both servers, from their OpenAPI descriptions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from server import openapi
from server.training import openapi as training
from tests.docs.reference.markdown import Schema, fields, heading, schemas, table, type_of

_INTRODUCTION: Final = (
    "Every route of the model server and of the trainer, its parameters, its body and its answers, "
    "from what the servers themselves say at `/openapi.json`. What they are for is in "
    "[http](../http.md) and [trainer](../trainer.md), as are the page and the streams of events, "
    "which OpenAPI has no words for. Any error is an [Error](#error); what its status means is in "
    "[http](../http.md#errors)."
)
_SERVERS: Final = (
    ("The model server", openapi.description),
    ("The trainer", training.description),
)


def page() -> str:
    """The whole page."""
    parts = [heading("Routes", _INTRODUCTION)]
    found: dict[str, Schema] = {}
    for title, describe in _SERVERS:
        description = describe()
        parts.append(f"## {title}")
        for path, operations in description["paths"].items():
            for method, operation in operations.items():
                parts += _operation(f"{method.upper()} {path}", operation)
        for name, schema in description["components"]["schemas"].items():
            assert found.setdefault(name, schema) == schema, f"two schemas are called {name}"
    return "\n\n".join([*parts, "## What is sent", *schemas(found)]) + "\n"


def _operation(name: str, operation: Schema) -> Iterator[str]:
    yield f"### `{name}`"
    token = " Needs the token, where one is set." if "security" in operation else ""
    yield f"{operation['summary']}.{token}"
    parameters = operation.get("parameters", ())
    if parameters:
        rows = [
            [f"`{one['name']}`", one["in"], type_of(one["schema"]), _default(one), _meaning(one)]
            for one in parameters
        ]
        yield table(["parameter", "in", "type", "without it", "meaning"], rows)
    if "requestBody" in operation:
        body = operation["requestBody"]
        rest = "" if body["required"] else ", may be left out"
        yield f"Body: {_content(body)}{rest}."
    answers = operation["responses"]
    errors = [status for status in answers if int(status) >= 400]
    rows = [
        [status, _content(one), _headers(one), one["description"].replace("JSON", "")]
        for status, one in answers.items()
        if status not in errors
    ]
    yield table(["status", "answer", "headers", "meaning"], [*rows, _refused(errors)])
    yield from (fields(schema) for schema in _inline(answers))


def _refused(errors: list[str]) -> list[str]:
    return [", ".join(errors), "[Error](#error)", "", ""]


def _meaning(parameter: Schema) -> str:
    return str(parameter.get("description", ""))


def _default(parameter: Schema) -> str:
    default = parameter["schema"].get("default")
    return "" if default is None else f"{default}"


def _content(body: Schema) -> str:
    content = body.get("content", {})
    kinds = [f"{type_of(one['schema'])} (`{kind}`)" for kind, one in content.items()]
    return " or ".join(kinds)


def _headers(answer: Schema) -> str:
    return ", ".join(f"`{name}`" for name in answer.get("headers", ()))


def _inline(answers: Schema) -> Iterator[dict[str, Any]]:
    """The objects that are described in their answer's place."""
    for one in answers.values():
        for content in one.get("content", {}).values():
            if "properties" in content["schema"]:
                yield content["schema"]
