"""The trainer's routes, described as OpenAPI 3.1 has it."""

from __future__ import annotations

from typing import Any, Final

from server.training.api import ShownJob
from server.training.request import TrainRequest
from server.web.describing import (
    BYTES,
    Described,
    document,
    health,
    in_json,
    operation,
    path_parameter,
    ref,
    schemas_of,
)

_PREFER: Final = {
    "name": "Prefer",
    "in": "header",
    "schema": {"type": "string"},
    "description": "`respond-async`: answer with the job, at once, or with `wait=20` after 20 s",
}
_ZIP: Final = {"description": "The models, as a store", "content": BYTES}
_REFUSALS: Final = (401, 403)


def description() -> dict[str, Any]:
    """The whole description, as JSON has it."""
    schemas = schemas_of(TrainRequest, ShownJob)
    return document("Wattstream's trainer", {**_train(), **_jobs(), **health()}, schemas)


def _train() -> Described:
    made = operation(
        "Models of what Prometheus has recorded, as kepler-model-server trains them",
        {
            "200": _ZIP,
            "202": {
                **in_json(ref(ShownJob)),
                "description": "The job, if the client would rather not wait",
                "headers": {"location": {"schema": {"type": "string"}}},
            },
        },
        (400, *_REFUSALS, 408, 413, 415),
        [_PREFER],
        body=ref(TrainRequest),
        required=True,
    )
    made["requestBody"]["content"] = {**made["requestBody"]["content"], **BYTES}
    return {"/train": {"post": _for_whoever_has_the_token(made)}}


def _jobs() -> Described:
    job = path_parameter("id", "^[0-9a-f]{1,64}$", "The job's, from its `Location`")
    refusals = (*_REFUSALS, 404)
    return {
        "/jobs/{id}": {
            "get": _for_whoever_has_the_token(
                operation("How the job does", {"200": in_json(ref(ShownJob))}, refusals, [job])
            ),
            "delete": _for_whoever_has_the_token(
                operation(
                    "Stop the job, and forget it", {"204": {"description": "Done"}}, refusals, [job]
                )
            ),
        },
        "/jobs/{id}/result": {
            "get": _for_whoever_has_the_token(
                operation(
                    "The models; while there are none 409, and if the run failed its error",
                    {"200": _ZIP},
                    (400, *refusals, 409, 413, 500),
                    [job],
                )
            )
        },
    }


def _for_whoever_has_the_token(made: Described) -> dict[str, Any]:
    return {**made, "security": [{}, {"token": []}]}
