"""From a request to a zip of models: what a run does, whoever starts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import asdict, replace

from estimator.artifacts.archive import pack
from estimator.errors import RequestError, WattstreamError
from estimator.storage.model_store import ModelIndex, ModelStore
from estimator.storage.store import InMemoryStore
from estimator.vocabulary import ABS_POWER, DYN_POWER, OutputType
from server.training.isolation import check_isolator, isolation_of
from server.training.request import TrainRequest, listed
from stream.analysis.evaluate import errors_of
from stream.analysis.training import Fraction, Training
from stream.learning.pools import pool
from stream.learning.publisher import FEWEST_SAMPLES, Publisher
from stream.learning.trainers import experts_of
from stream.sources.prometheus_json import PrometheusJsonSource
from stream.sources.trace import TraceSource

REPORT: Final = "report.json"
"""The member of the zip that says how wrong the models are; all others are a store's."""
SCHEMA: Final = 1

Report = dict[str, Any]


class Trained(NamedTuple):
    """The zip's bytes, the same for the same request, and the report that is in it."""

    zip: bytes
    report: Report


class _Plan(NamedTuple):
    """What a request asks for: output types, and experts to learn them."""

    outputs: frozenset[OutputType]
    experts: tuple[str, ...]


def check_request(request: TrainRequest, experts: Sequence[str]) -> _Plan:
    """What the request asks for; ``WattstreamError`` if it names what there is not.

    Quick, so that what cannot be done is refused before it is queued. A list of trainers that is
    left out is as the other; if both are, ``experts`` learn, which are the settings'. An empty list
    stands for no models of that output type.
    """
    wanted = request.wanted
    check_isolator(wanted)
    outputs, chosen = set[OutputType](), dict[str, None]()
    given = {ABS_POWER: wanted.abs_trainers, DYN_POWER: wanted.dyn_trainers}
    for output, key in ((ABS_POWER, "abs_trainers"), (DYN_POWER, "dyn_trainers")):
        trainers = given[output]
        if trainers is None:
            outputs.add(output)
        elif names := listed(trainers):
            outputs.add(output)
            chosen.update(dict.fromkeys(experts_of(names, experts, f"trainer.{key}")))
    if not outputs:
        raise RequestError(
            "trainer.abs_trainers and trainer.dyn_trainers are both empty: no model is asked for"
        )
    return _Plan(frozenset(outputs), tuple(chosen or experts))


def train(
    request: TrainRequest,
    experts: Sequence[str],
    progress: Fraction = lambda _done: None,
    trace: TraceSource | None = None,
) -> Trained:
    """Learn what was recorded; ``WattstreamError`` says why nothing can be learned from it.

    ``experts`` are the settings', see `check_request`. A ``trace`` is learned in the place of the
    request's answer.
    """
    plan = check_request(request, experts)
    answer = request.prom_response
    recorded = PrometheusJsonSource(answer, machine=request.machine, shown="prom_response")
    source = recorded if trace is None else trace
    above = isolation_of(request, recorded.names) if DYN_POWER in plan.outputs else None
    models = pool(plan.experts, isolator=above and above.isolator)
    training = Training(source, models, request.energy_sources)
    training.run(progress)
    if above is not None:
        above.check(training.shard.learner.machines)
    return _packed(request, training, plan, source.skipped)


def _packed(request: TrainRequest, training: Training, plan: _Plan, skipped: int) -> Trained:
    store = InMemoryStore()
    models = ModelStore(store)
    Publisher(models).publish(training.shard)
    found = {
        slug: index
        for slug, index in models.indexes().items()
        if index.key.output_type in plan.outputs
    }
    if not found:
        raise WattstreamError(
            f"{training.samples} samples make no model of {', '.join(sorted(plan.outputs))}: "
            f"at least {FEWEST_SAMPLES} are needed of which the background is known"
        )
    report: Report = {
        "schema": SCHEMA,
        "name": request.name,
        "energy_sources": sorted(request.energy_sources & training.measured),
        "experts": list(plan.experts),
        "samples": training.samples,
        "skipped_values": skipped,
        "records": dict(sorted(training.shard.counts.items())),
        "left_out": dict(sorted(training.shard.join.counts.items())),
        "missing": sorted(plan.outputs - {index.key.output_type for index in found.values()}),
        "models": [_reported(index, training) for _, index in sorted(found.items())],
    }
    paths = [f"models/{slug}.json" for slug in found]
    paths += [f"artifacts/{index.current}.zip" for index in found.values()]
    members = {path: store.get(path).data for path in ["node_types.json", *paths]}
    return Trained(pack({**members, REPORT: msgspec.json.encode(report)}), report)


def _reported(index: ModelIndex, training: Training) -> Report:
    """A model as the report has it, with its errors over all that was recorded."""
    learned = training.shard.learner.models
    derived = index.key not in learned
    # What is AbsPower less a level is as wrong as AbsPower, but not in percent of it.
    model = learned[replace(index.key, output_type=ABS_POWER) if derived else index.key]
    errors = errors_of(model)
    if derived:
        errors = {name: {**found, "mape": None} for name, found in errors.items()}
    return {
        "model": index.key.slug,
        "digest": index.current,
        **asdict(index.key),
        "samples": model.samples,
        "features": list(model.features),
        "experts": list(model.experts),
        "components": errors,
    }
