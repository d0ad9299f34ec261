"""Learners that start from imported models: the same bits again, and no worse than without."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from estimator.model_key import ModelKey
from estimator.published.priors import Priors
from estimator.published.published_weights import Place, published_artifact
from estimator.vocabulary import FEATURE_GROUPS
from stream.learning import plain
from stream.learning.learner import Learner
from stream.learning.pools import pool
from stream.sample import Sample
from tests.bench.bench_cold_start import errors, published, trace
from tests.bench.bench_quality import samples_of
from tests.bench.machines import COUNTERS, MACHINES, Machine
from tests.estimator.published.made import LINEAR, line
from tests.stream.builders import MACHINE, START_MS

NX12 = Path(__file__).parents[4] / "shared/data/nx12/rapl_basic.csv"
KEY = ModelKey("any", "rapl-sysfs", "AbsPower", "any")
FEATURES = ("bpf_cpu_time_ms", "bpf_page_cache_hit")


def priors(weight: float) -> Priors:
    place = Place("p", "rapl-sysfs", "AbsPower", "BPFOnly", LINEAR, "0")
    document = {"package": line(50, weight, 4000.0)}
    like = msgspec.structs.replace(MACHINE, memory=32)
    return Priors([published_artifact(json.dumps(document).encode(), place, like)])


def samples(count: int) -> list[Sample]:
    rng = np.random.default_rng(3)
    found = []
    for number in range(count):
        load = float(rng.uniform(0, 4000))
        end = START_MS + 3000 * number
        found.append(
            Sample(
                node="a",
                machine=MACHINE,
                source="rapl-sysfs",
                start=end - 3000,
                end=end,
                features=FEATURES,
                rates=np.array([load, 1.0]),
                components=("package",),
                watts=(20.0 + load * 0.01,),
            )
        )
    return found


def learner(known: Priors | None) -> Learner:
    groups = {name: FEATURE_GROUPS[name] for name in ("BPFOnly", "CPUTime")}
    return Learner(pool(groups=groups)._replace(priors=known))


def learned(one: Learner, some: list[Sample]) -> bytes:
    for sample in some:
        one.learn_one(sample)
    return plain.dump(one.state())


def test_models_start_from_the_most_similar_machine_and_say_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO"):
        learned(learner(priors(40.0)), samples(3))
    assert caplog.text.count("starts from p/SGDRegressorTrainer of test-4c-1s-32g-2000m") == 2


def test_a_replay_gives_the_same_bits_and_another_prior_others() -> None:
    every = samples(40)
    once = learned(learner(priors(40.0)), every)
    assert learned(learner(priors(40.0)), every) == once
    assert learned(learner(priors(10.0)), every) != once
    assert learned(learner(None), every) != once


@pytest.mark.parametrize("cut", [2, 5, 19, 20, 21])
@pytest.mark.parametrize("then", [None, priors(10.0)])
def test_what_was_started_goes_on_though_other_models_are_imported_since(
    cut: int, then: Priors | None
) -> None:
    every = samples(40)
    once = learned(learner(priors(40.0)), every)
    before = learner(priors(40.0))
    state = learned(before, every[:cut])
    after = learner(then)
    after.restore(plain.load(state))
    assert learned(after, every[cut:]) == once


def _errors(target: Machine, source: Machine) -> tuple[float, float, float, float]:
    """Mean errors over the first 50 samples and over the next 50, without and with the prior."""
    starts = [samples_of(target.source(330.0, seed), COUNTERS) for seed in (111, 112, 113)]
    prior = Priors([published(source)]).prior(
        KEY, target.model.machine, COUNTERS, starts[0].components
    )
    assert prior is not None
    found = []
    for start in (None, prior):
        watts = np.mean([errors(one, COUNTERS, start)[:100] for one in starts], axis=0)
        found += [float(watts[1:50].mean()), float(watts[50:].mean())]
    return found[0], found[2], found[1], found[3]


NAMED = {machine.name: machine for machine in MACHINES}


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("two-socket", "hot-and-limited"),
        ("hot-and-limited", "two-socket"),
        ("memory-bound", "many-core"),
    ],
)
def test_a_machine_learns_sooner_from_another_and_then_as_well(target: str, source: str) -> None:
    nothing, started, later, later_started = _errors(NAMED[target], NAMED[source])
    assert started < 0.95 * nothing
    assert later_started < 1.03 * later


@pytest.mark.parametrize(
    ("target", "source"), [("many-core", "two-socket"), ("edge", "many-core"), ("desktop", "edge")]
)
def test_one_that_is_quite_unlike_it_does_little_harm(target: str, source: str) -> None:
    nothing, started, later, later_started = _errors(NAMED[target], NAMED[source])
    assert started < 1.15 * nothing + 0.1
    assert later_started < 1.03 * later + 0.01


def test_a_real_machine_learns_sooner() -> None:
    if not NX12.exists():
        pytest.skip("needs ../shared/data/nx12/rapl_basic.csv")
    machine = NAMED["two-socket"]
    known = Priors([published(machine)])
    names = "bpf_cpu_time_us,cache_miss,cpu_cycles,cpu_instructions"
    found = trace(f"{NX12}:{names}", known, machine.model.machine)
    assert found.started[1:10].mean() < found.without[1:10].mean()
    assert found.started[20:].mean() < 1.01 * found.without[20:].mean()
