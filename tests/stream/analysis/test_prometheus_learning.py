"""A real recording, by the way that live data take: collected, joined, learned from."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from estimator.storage.store import InMemoryStore
from stream.collecting.collect import Collector
from stream.learning.checkpoint import Checkpoints
from stream.learning.pools import pool
from stream.learning.worker import Parts, Worker
from stream.letters.dead_letters import DeadLetters
from stream.log.memory import MemoryLog
from stream.sources.prometheus_json import PrometheusJsonSource
from tests.stream.builders import topics

IDLE = Path(__file__).parents[4] / "shared/data/kepler_prometheus_idle.json"


def test_a_prometheus_answer_is_learned_from(caplog: pytest.LogCaptureFixture) -> None:
    if not IDLE.exists():
        pytest.skip("needs ../shared/data/kepler_prometheus_idle.json")
    log = MemoryLog()
    topics(log)
    with caplog.at_level(logging.WARNING):
        with Collector([PrometheusJsonSource(IDLE)], log) as collector:
            assert collector.join(60)
        assert collector.failure is None
        parts = Parts(
            log=log,
            pool=pool(),
            checkpoints=Checkpoints(InMemoryStore(), "g"),
            publisher=None,
            dead_letter=DeadLetters(log).send,
        )
        worker = Worker(parts, [0])
        worker.run_to_end()
    assert caplog.text == ""
    shard = worker.shards[0]
    assert not any(name.startswith("dead") for name in shard.counts)
    found = {(key.source, key.feature_group): model for key, model in shard.learner.models.items()}
    assert {source for source, _ in found} == {"rapl-sysfs", "acpi"}
    intervals = shard.counts["usage_records"] - 1
    assert intervals > 1
    for (source, _), model in found.items():
        assert model.samples == intervals  # not one was lost
        assert ("platform" in model.components) == (source == "acpi")
        for place in range(len(model.components)):
            assert model.assessment.total.errors(0, place).count == intervals - 1
