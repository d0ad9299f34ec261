"""What is learned without a log is what a worker learns from one, bit for bit."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from estimator.errors import MisuseError, WattstreamError
from estimator.storage.store import InMemoryStore
from stream.analysis.training import Training
from stream.collecting.collect import Collector
from stream.learning import plain
from stream.learning.checkpoint import Checkpoints
from stream.learning.pools import BANKS, pool
from stream.learning.shard import Shard
from stream.learning.trainers import TRAINERS, experts_of
from stream.learning.worker import Parts, Worker
from stream.log.memory import MemoryLog
from stream.sources import prometheus_json
from stream.sources.prometheus_json import PrometheusJsonSource
from tests.server.training.answers import IDLE, answer
from tests.stream.builders import topics

RAPL = frozenset({"rapl-sysfs"})


def source_of(found: object) -> PrometheusJsonSource:
    return PrometheusJsonSource(msgspec.Raw(msgspec.json.encode(found)), shown="prom_response")


def two_nodes() -> dict[str, list[dict[str, Any]]]:
    """Two nodes, scraped at times of their own that are the same now and then, with gaps."""
    made = answer(points=60)
    other = json.loads(json.dumps(answer(points=40)))
    for rows in other.values():
        for row in rows:
            row["metric"]["instance"] = "n2"
            row["values"] = [
                [at + (place % 3) * 0.5, value]
                for place, (at, value) in enumerate(row["values"])
                if place not in (7, 8)
            ]
    return {name: made[name] + other[name] for name in made}


def from_a_log(source: PrometheusJsonSource) -> Shard:
    with MemoryLog() as log:
        topics(log)
        with Collector([source], log) as collector:
            assert collector.join(60)
        assert collector.failure is None
        checkpoints = Checkpoints(InMemoryStore(), "g")
        parts = Parts(log, pool(), checkpoints, None, lambda *_: pytest.fail("a dead letter"))
        worker = Worker(parts, [0])
        worker.run_to_end()
        return worker.shards[0]


def dumped(shard: Shard) -> bytes:
    return plain.dump({"learner": shard.learner.state(), "join": shard.join.state()})


@pytest.mark.parametrize("scrapes", [1, 7, 256])
def test_it_is_what_a_worker_learns_however_it_is_polled(
    scrapes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = from_a_log(source_of(two_nodes()))
    monkeypatch.setattr(prometheus_json, "BATCH_SCRAPES", scrapes)
    training = Training(source_of(two_nodes()), pool(), RAPL)
    training.run()
    assert training.samples > 90
    assert dumped(training.shard) == dumped(expected)


def test_it_is_so_for_a_real_answer() -> None:
    if not IDLE.exists():
        pytest.skip("needs ../shared/data/kepler_prometheus_idle.json")
    training = Training(PrometheusJsonSource(IDLE), pool(), RAPL | {"acpi"})
    training.run()
    assert dumped(training.shard) == dumped(from_a_log(PrometheusJsonSource(IDLE)))


def test_says_how_much_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_json, "BATCH_SCRAPES", 5)
    told: list[float] = []
    Training(source_of(answer()), pool(), RAPL).run(told.append)
    assert len(told) == 4
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_learns_only_the_sources_that_are_wanted() -> None:
    both = {**answer(), **answer(source="acpi")}
    training = Training(source_of(both), pool(), frozenset({"acpi"}))
    training.run()
    assert training.measured == {"acpi", "rapl-sysfs"}
    assert {key.source for key in training.shard.learner.models} == {"acpi"}


def test_too_little_is_said_with_what_became_of_it() -> None:
    training = Training(source_of(answer(points=4)), pool(), RAPL)
    with pytest.raises(WattstreamError, match=r"makes 3 samples.*at least 5.*4 usage_records"):
        training.run()
    with pytest.raises(WattstreamError, match=r"'hmc'.*measured energy of rapl-sysfs only"):
        Training(source_of(answer()), pool(), frozenset({"hmc"})).run()


@pytest.mark.parametrize("trainer", TRAINERS)
def test_every_trainer_stands_for_a_bank_that_learns(trainer: str) -> None:
    banks = experts_of([trainer], [], "abs_trainers")
    assert set(banks) <= set(BANKS)
    training = Training(source_of(answer(points=12)), pool(banks), RAPL)
    training.run()
    for model in training.shard.learner.models.values():
        assert model.assessment.total.errors(0, 0).count == model.samples - 1


def test_trainers_are_told_apart() -> None:
    names = ["SGDRegressorTrainer", "LinearRegressionTrainer", "default", "neighbours"]
    assert experts_of(names, ["ridge"], "abs_trainers") == ("line", "ridge", "neighbours")
    with pytest.raises(MisuseError, match=r"abs_trainers has 'sgd'.*XgboostFitTrainer.*ridge"):
        experts_of(["sgd"], ["ridge"], "abs_trainers")
