"""A recorded trace, test-then-train, through the very path that live data take."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from estimator.errors import MisuseError
from estimator.learning.model import PowerModel
from estimator.learning.scoring import as_json
from estimator.storage.store import open_store
from estimator.vocabulary import HORIZONS
from stream.analysis.history import History
from stream.collecting.collect import Collector
from stream.learning.checkpoint import Checkpoints
from stream.learning.learner import Pool
from stream.learning.worker import Parts, Progress, Worker
from stream.log.memory import MemoryLog
from stream.log.protocol import Message, TopicSpec
from stream.records import POWER_TOPIC, USAGE_TOPIC
from stream.sources.protocol import Source

Report = dict[str, Any]

_MEASURES: Final = ("mae", "rmse", "mape", "r2", "bias")


def evaluate(
    source: Source,
    pool: Pool,
    progress: Progress | None = None,
    history: History | None = None,
) -> Report:
    """Collect the source into a log, learn the log from its beginning to its end, and report.

    The report is what ``wattstream evaluate --json`` prints. ``seconds`` are those of learning:
    polling, decoding, joining, predicting, scoring, learning. ``history`` remembers its course.
    Raises ``MisuseError`` if nothing
    could be learned.
    """
    dead: list[tuple[Message, str]] = []
    with MemoryLog() as log:
        log.create_topics([TopicSpec(topic, 1) for topic in (USAGE_TOPIC, POWER_TOPIC)])
        with Collector([source], log) as collector:
            collector.join()
        if collector.failure is not None:
            raise collector.failure
        parts = Parts(
            log=log,
            pool=pool,
            checkpoints=Checkpoints(open_store("memory:"), "evaluate"),
            publisher=None,
            dead_letter=lambda message, reason: dead.append((message, reason)),
            observer=history,
        )
        worker = Worker(parts, [0])
        if history is not None:
            history.learner = worker.shards[0].learner
        started = time.perf_counter()
        worker.run_to_end(progress)
        seconds = time.perf_counter() - started
    if dead:
        raise MisuseError(f"{source.name}: {len(dead)} records are unreadable: {dead[0][1]}")
    models = worker.shards[0].learner.models
    if not models:
        raise MisuseError(f"{source.name}: nothing to learn from: no usage with power beside it")
    return report(list(models.values()), seconds)


def report(models: Sequence[PowerModel], seconds: float) -> Report:
    """What the models' errors are, by component; the better model's where several have one."""
    components: dict[str, Mapping[str, Any]] = {}
    for model in models:
        for component, found in errors_of(model).items():
            known = components.get(component)
            if known is None or _mae(found) < _mae(known):
                components[component] = found
    samples = max(model.samples for model in models)
    return {
        "samples": samples,
        "seconds": round(seconds, 3),
        "samples_per_second": round(samples / seconds, 1) if seconds > 0 else None,
        "components": components,
    }


def errors_of(model: PowerModel) -> dict[str, Mapping[str, Any]]:
    """The model's errors by component, without components that have never been above 0 W."""
    return {
        component: _component(model, number)
        for number, component in enumerate(model.components)
        if model.ever_positive(number)
    }


def _component(model: PowerModel, number: int) -> dict[str, Any]:
    errors = as_json(model.assessment.total.errors(0, number))
    served = {
        str(horizon): {"mae": as_json(model.assessment.total.errors(place, number))["mae"]}
        for place, horizon in enumerate(HORIZONS)
        if horizon
    }
    return {**{name: errors[name] for name in _MEASURES}, "served": served}


def _mae(found: Mapping[str, Any]) -> float:
    return math.inf if found["mae"] is None else float(found["mae"])
