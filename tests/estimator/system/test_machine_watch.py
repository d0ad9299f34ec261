"""A guest that is moved to another kind of host gets that host's models, everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest

from estimator.artifacts.artifact import Artifact
from estimator.choosing.catalog import Catalog
from estimator.choosing.nearby import NearbyModels
from estimator.kepler_socket.answering import Answerer
from estimator.machine import MachineSpec
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore
from estimator.system.machine_watch import EVERY_SECONDS, MachineWatch
from tests.estimator.served import MACHINE, plain_entry, power_request

ELSEWHERE = msgspec.structs.replace(MACHINE, processor="elsium")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_is_looked_once_a_minute_and_each_move_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found: Iterator[MachineSpec] = iter((MACHINE, ELSEWHERE, ELSEWHERE))
    clock, told = Clock(), list[MachineSpec]()
    watch = MachineWatch(MACHINE, lambda: next(found), clock)
    watch.tell(told.append)
    for _ in range(3):
        watch.look()
        clock.now += EVERY_SECONDS
        watch.look()
        watch.look()
    assert (told, watch.changes, watch.machine) == ([ELSEWHERE], 1, ELSEWHERE)
    assert f"was {MACHINE.node_type} and is {ELSEWHERE.node_type} now" in caplog.text


def test_the_models_of_the_new_machine_are_fetched_and_answer() -> None:
    models = ModelStore(InMemoryStore())
    for machine, idle_watts in ((MACHINE, 10.0), (ELSEWHERE, 20.0)):
        entry = plain_entry(machine=machine, idle_watts=idle_watts)
        models.publish(Artifact(entry.manifest, entry.model))
    clock = Clock()
    watch = MachineWatch(MACHINE, lambda: ELSEWHERE, clock)
    nearby = NearbyModels(models, MACHINE)
    catalog = Catalog(nearby)
    answerer = Answerer(catalog, MACHINE)
    watch.tell(nearby.move)
    watch.tell(answerer.move)

    def package() -> float:
        watch.look()
        catalog.refresh()
        answer = json.loads(answerer.answer(json.dumps(power_request([[1024.0]])).encode()))
        assert answer["msg"] == ""
        return float(answer["powers"]["package"][0])

    assert package() == 26.0
    clock.now += EVERY_SECONDS
    assert package() == 36.0
