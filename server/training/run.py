"""From a request to a zip of models: what a run does, whoever starts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import asdict

from estimator.archive import pack
from estimator.errors import RequestError
from estimator.model_store import ModelStore
from estimator.store import InMemoryStore
from server.training.isolation import check_isolation
from server.training.request import TrainRequest, listed
from stream.evaluate import errors_of
from stream.pools import pool
from stream.publisher import Publisher
from stream.sources.prometheus_json import PrometheusJsonSource
from stream.trainers import OWN, experts_of
from stream.training import Fraction, Training

REPORT: Final = "report.json"
"""The member of the zip that says how wrong the models are; all others are a store's."""
SCHEMA: Final = 1

Report = dict[str, Any]


class Trained(NamedTuple):
    """The zip's bytes, the same for the same request, and the report that is in it."""

    zip: bytes
    report: Report


def check_request(request: TrainRequest, experts: Sequence[str]) -> tuple[str, ...]:
    """The experts that the request asks for; ``WattstreamError`` if it names what there is not.

    Quick, so that what cannot be done is refused before it is queued.
    """
    wanted = request.wanted
    check_isolation(wanted)
    names = listed(wanted.abs_trainers) or [OWN[0]]
    return experts_of(names, experts, "trainer.abs_trainers")


def train(
    request: TrainRequest,
    experts: Sequence[str],
    progress: Fraction = lambda _done: None,
) -> Trained:
    """Learn what was recorded; ``WattstreamError`` says why nothing can be learned from it.

    ``experts`` are the settings': they learn where the request names no trainer.
    """
    chosen = check_request(request, experts)
    answer = request.prom_response
    if not len(memoryview(answer)):
        raise RequestError("prom_response is empty: what Prometheus answered is needed")
    source = PrometheusJsonSource(answer, machine=request.machine, shown="prom_response")
    training = Training(source, pool(chosen), request.energy_sources)
    training.run(progress)
    return _packed(request, training, chosen, source.skipped)


def _packed(
    request: TrainRequest, training: Training, experts: Sequence[str], skipped: int
) -> Trained:
    store = InMemoryStore()
    models = ModelStore(store)
    Publisher(models).publish(training.shard)
    digests = {slug: index.current for slug, index in models.indexes().items()}
    report: Report = {
        "schema": SCHEMA,
        "name": request.name,
        "energy_sources": sorted(request.energy_sources & training.measured),
        "experts": list(experts),
        "samples": training.samples,
        "skipped_values": skipped,
        "records": dict(sorted(training.shard.counts.items())),
        "left_out": dict(sorted(training.shard.join.counts.items())),
        "models": [
            {
                "model": key.slug,
                "digest": digests[key.slug],
                **asdict(key),
                "samples": model.samples,
                "features": list(model.features),
                "experts": list(model.experts),
                "components": errors_of(model),
            }
            for key, model in training.shard.learner.models.items()
            if key.slug in digests
        ],
    }
    report["models"].sort(key=lambda one: str(one["model"]))
    members = {path: store.get(path).data for path in store.list("")}
    return Trained(pack({**members, REPORT: msgspec.json.encode(report)}), report)
