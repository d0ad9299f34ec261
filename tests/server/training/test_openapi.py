"""The description of the trainer's routes is true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from schemathesis.config import SchemathesisConfig
from starlette.applications import Starlette
from starlette.routing import Route

from server.training.app import make_trainer_app
from server.training.jobs import Jobs
from server.training.openapi import description
from server.web.errors import exception_handlers
from server.web.token import BearerToken
from tests.server.training.answers import body
from tests.server.training.conftest import LIMIT, Train, run_here
from tests.server.training.conftest import trainer as trainer

# Bodies for /train are made up elsewhere: in test_fuzz, by who knows what recordings look like.
CONFIG = """
[[operations]]
include-path = "/train"
enabled = false
"""


_trainer = make_trainer_app(
    Jobs(Path("nowhere"), run_here, waiting=1, keep_seconds=1.0),
    lambda _asked: None,
    BearerToken(),
    LIMIT,
)
# Without what it does at its start, which it can do once only.
_app = Starlette(routes=_trainer.routes, exception_handlers=exception_handlers())
schema = schemathesis.openapi.from_asgi(
    "/openapi.json", _app, config=SchemathesisConfig.from_str(CONFIG)
)


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_schemathesis_finds_no_fault(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate()


def test_every_route_is_described() -> None:
    routes = {
        (method.lower(), route.path)
        for route in _trainer.routes
        if isinstance(route, Route)
        for method in (route.methods or {"POST"}) - {"HEAD"}
    }
    paths = description()["paths"]
    assert {(method, path) for path, one in paths.items() for method in one} == routes


def test_real_answers_are_as_they_are_described(trainer: Train) -> None:
    client = trainer()
    said = client.get("/openapi.json").json()
    assert said == description()
    components = {"components": said["components"]}
    asked = said["components"]["schemas"]["TrainRequest"]
    Draft202012Validator({**asked, **components}).validate(msgspec.json.decode(body()))
    posted = client.train(body(), headers={"prefer": "respond-async"})
    assert posted.status_code == 202
    shown = client.get(posted.headers["location"])
    for answer, path, method in ((posted, "/train", "post"), (shown, "/jobs/{id}", "get")):
        told = said["paths"][path][method]["responses"][str(answer.status_code)]
        schema = told["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, **components}).validate(answer.json())
