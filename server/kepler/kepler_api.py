"""``POST /model``: what Kepler 0.7 to 0.9 and kepler-model-server's estimator ask."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from estimator.choosing.catalog import Catalog
from estimator.choosing.choice import Choice, Entry
from estimator.errors import NoModelError
from estimator.published.kepler_weights import weights_answer
from server.kepler.model_request import decode_model_request
from server.models.artifact_bytes import ArtifactBytes
from server.models.models_api import ARCHIVE, JSON, download
from server.web.body import read_body
from server.web.conditional import Answer, has_already
from server.web.errors import error_response
from server.web.memo import SnapshotMemo

_REMEMBERED_BODY: Final = 4096
"""Longer bodies are answered without being remembered: Kepler's have some 500 bytes."""


class KeplerApi:
    """The best model for a machine's metrics, as an ASGI application.

    200 with the weights that Kepler's regressor reads if ``weight`` is true, else with the
    artifact as a zip whose ETag is its digest. As asking changes nothing, If-None-Match is honoured
    with 304 as if it were a GET. 400 both when the request makes no sense and when no model fits:
    that is what kepler-model-server answers, and to Kepler anything but 200 is the same.

    Weights are worked out once per request body and state of the catalog.
    """

    def __init__(self, catalog: Catalog, artifacts: ArtifactBytes) -> None:
        self._catalog = catalog
        self._artifacts = artifacts
        self._chosen: SnapshotMemo[Choice | Answer] = SnapshotMemo(catalog)
        self._weights: SnapshotMemo[_Weights] = SnapshotMemo(catalog)

    def routes(self) -> list[BaseRoute]:
        """Where the answer is found."""
        return [Route("/model", self, methods=["POST"])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await read_body(scope, receive)
        try:
            response = await self._answer(scope, body)
        except NoModelError as error:
            response = error_response(400, str(error))
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, body: bytes) -> Response:
        if len(body) > _REMEMBERED_BODY:
            chosen = self._choose(body)
        else:
            chosen = self._chosen.get(body, lambda: self._choose(body))
        return chosen if isinstance(chosen, Answer) else await self._archive(scope, chosen)

    def _choose(self, body: bytes) -> Choice | Answer:
        """The chosen model, or its weights if these are asked for."""
        request = decode_model_request(body)
        query = request.query()
        choice = self._catalog.choose(query)
        if not request.weight:
            return choice
        entry, trainer = choice.entry, query.trainer_name
        found = self._weights.get((entry.digest, trainer), lambda: _weights(entry, trainer))
        return Answer(found.body, JSON, f"{entry.digest}-{found.name}", _reasons(choice))

    async def _archive(self, scope: Scope, choice: Choice) -> Response:
        entry = choice.entry
        headers = {
            **_reasons(choice),
            **download(f"{entry.manifest.key.slug}.zip"),
            "content-location": f"/artifacts/{entry.digest}",
        }
        if has_already(scope, entry.digest):
            return Answer(b"", ARCHIVE, entry.digest, headers)
        data = await self._artifacts.get(entry.digest)
        return Answer(data, ARCHIVE, entry.digest, headers)


class _Weights(NamedTuple):
    body: bytes
    name: str


def _weights(entry: Entry, trainer: str) -> _Weights:
    answer = weights_answer(entry, trainer)
    return _Weights(msgspec.json.encode(answer), str(answer["model_name"]))


def _reasons(choice: Choice) -> dict[str, str]:
    """Headers that say which model was chosen, why, and how sure that is."""
    return {
        "wattstream-model": choice.entry.manifest.key.slug,
        "wattstream-chosen-by": choice.why,
        "wattstream-uncertainty": f"{choice.uncertainty:.3f}",
        "wattstream-looseness": f"{choice.looseness:.3f}",
    }
