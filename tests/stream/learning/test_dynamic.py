from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from estimator.artifacts.artifact import decode, encode
from estimator.isolation.choose import ISOLATORS, make_isolator
from estimator.isolation.hints import Hints
from estimator.learning.model import PowerModel
from estimator.learning.recent_samples import together
from estimator.model_key import ModelKey
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore
from estimator.vocabulary import ABS_POWER, DYN_POWER, HORIZONS
from stream.joining.join import Join
from stream.learning import plain
from stream.learning.dynamic import dynamic_of
from stream.learning.learner import Learned, Learner, Pool
from stream.learning.pools import pool
from stream.learning.publisher import Publisher, artifact_of
from stream.learning.shard import Shard
from stream.sample import Sample
from tests.stream.builders import MACHINE, START_MS, Record, fleet, joined

SYSTEM: Mapping[str, Any] = {"bg_hints": ["system"]}


def isolating(name: str, arguments: Mapping[str, Any] | None = None) -> Pool:
    return pool(isolator=make_isolator(name, arguments or {}))


def sample(
    step: int, web: float, system: float, watts: float, *, hertz: float = 2e9, node: str = "a"
) -> Sample:
    """Three seconds of a node; watts follow both workloads."""
    end = START_MS + 3000 * step
    return Sample(
        node,
        MACHINE,
        "rapl-sysfs",
        end - 3000,
        end,
        ("bpf_cpu_time_ms", "cpu_scaling_frequency_hertz"),
        np.array([web + system, hertz]),
        ("package",),
        (watts,),
        np.array([system, 0.0]),
    )


def machine(steps: int = 200, seed: int = 1) -> list[Sample]:
    """A line: 30 W idle, 10 W a second of processor time per second; some samples at rest."""
    rng = np.random.default_rng(seed)
    found = []
    for step in range(steps):
        web, system = rng.uniform(0.0, 3000.0), rng.uniform(0.0, 1000.0)
        if step % 7 == 0:
            web = 0.0
        if step % 14 == 0:
            system = 0.0
        found.append(sample(step, web, system, 30.0 + (web + system) / 100.0))
    return found


def system_of(sample: Sample) -> float:
    """The rate of the background's processor time."""
    assert sample.background is not None
    return float(sample.background[0])


def learned(pool: Pool, samples: Sequence[Sample]) -> Learner:
    learner = Learner(pool)
    for each in samples:
        learner.learn_one(each)
    learner.flush()
    return learner


class Kept:
    """What DynPower's models were taught by a learner."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.labels: list[float] = []
        self.rates: list[list[float]] = []
        before = PowerModel.lessons

        def lessons(model: PowerModel, rounds: Any, *, complete: bool = True) -> Any:
            if model._above_idle:
                self.labels += [float(watts) for one in rounds for watts in one.watts[:, 0]]
                self.rates += [row.tolist() for one in rounds for row in one.rows]
            return before(model, rounds, complete=complete)

        monkeypatch.setattr(PowerModel, "lessons", lessons)


def test_trainer_subtracts_what_abspower_says_of_the_background(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """dyn = max(0, label - predicted background), of the rates of the targets."""
    kept, samples = Kept(monkeypatch), machine()
    learner = Learner(isolating("trainer", SYSTEM))
    expected = []
    for each in samples:
        # The round of the sample before is over with this one, and the model has learned it.
        learner.learn_one(each)
        for key, model in learner.models.items():
            if key.output_type == ABS_POWER:
                said = model.predict_one({"bpf_cpu_time_ms": system_of(each)})["package"]
                expected.append(max(0.0, each.watts[0] - said))
    learner.flush()
    assert [model.samples for model in learner.models.values()] == [200, 199]
    np.testing.assert_allclose(kept.labels, expected, rtol=1e-12)
    targets = [each.rates[0] - system_of(each) for each in samples]
    assert kept.rates == [[rate] for rate in targets[1:]]
    # What the targets drew on this machine, once the model knows it.
    np.testing.assert_allclose(kept.labels[-50:], np.array(targets[-50:]) / 100.0, atol=0.3)


def test_without_hints_all_is_target_and_idle_power_is_subtracted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = Kept(monkeypatch)
    samples = [each._replace(background=np.zeros(2)) for each in machine()]
    learned(isolating("trainer"), samples)
    truth = [each.watts[0] - 30.0 for each in samples[-50:]]
    np.testing.assert_allclose(kept.labels[-50:], truth, atol=1e-9)
    assert kept.rates[-1] == [samples[-1].rates[0]]


def test_the_machines_own_levels_are_everybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(monkeypatch)
    groups = {"levels": ("bpf_cpu_time_ms", "cpu_scaling_frequency_hertz")}
    made = pool(groups=groups, isolator=make_isolator("trainer", SYSTEM))
    learned(made, machine(20))
    assert {row[1] for row in kept.rates} == {2e9}


def test_only_abspower_is_shown_live() -> None:
    seen: list[Learned] = []
    learner = Learner(isolating("trainer", SYSTEM), seen.append)
    for each in machine(20):
        learner.learn_one(each)
    learner.flush()
    assert {one.key.output_type for one in seen} == {ABS_POWER}
    assert {key.output_type for key in learner.models} == {ABS_POWER, DYN_POWER}


@pytest.mark.parametrize("name", ISOLATORS)
def test_abspower_is_learned_as_ever_whatever_is_subtracted(name: str) -> None:
    samples = joined(fleet(nodes=2, steps=30), Join(hints=Hints(["2"])))
    with_it, without = learned(isolating(name), samples), learned(pool(), samples)
    for key, model in without.models.items():
        assert plain.dump(with_it.models[key].state()) == plain.dump(model.state())
    more = {key.output_type for key in with_it.models.keys() - without.models.keys()}
    assert more == ({DYN_POWER} if name == "trainer" else set())


def test_neither_batches_nor_restarts_change_a_bit() -> None:
    samples = joined(fleet(nodes=3, steps=40), Join(hints=Hints(["2"])))
    made = isolating("trainer", {"bg_hints": ["2"]})
    one, two = Learner(made), Learner(made)
    for place, each in enumerate(samples):
        one.learn_one(each)
        two.learn_one(each)
        two.catch_up()
        if place % 17 == 5:
            state, two = plain.load(plain.dump(two.state())), Learner(made)
            two.restore(state)
    one.flush()
    two.flush()
    assert plain.dump(one.state()) == plain.dump(two.state())
    assert {key.output_type for key in one.models} == {ABS_POWER, DYN_POWER}


def test_what_was_isolated_otherwise_is_begun_anew() -> None:
    before = learned(isolating("trainer", SYSTEM), machine(20))
    for other in (isolating("idle"), isolating("trainer", {"bg_hints": ["web"]})):
        again = Learner(other)
        again.restore(before.state())
        assert {key.output_type for key in again.models} == {ABS_POWER}
    same = Learner(isolating("trainer", SYSTEM))
    same.restore(before.state())
    assert same.models.keys() == before.models.keys()


def shard_of(records: Sequence[Record], made: Pool) -> Shard:
    shard = Shard(0, made, lambda *_: None)
    for each in joined(records, shard.join):
        shard.learner.learn_one(each)
    shard.learner.flush()
    return shard


@pytest.mark.parametrize("name", ISOLATORS)
def test_there_is_a_model_of_dynpower_beside_each_of_abspower(name: str) -> None:
    store = ModelStore(InMemoryStore())
    shard = shard_of(fleet(nodes=2, steps=40), isolating(name))
    publisher = Publisher(store)
    assert publisher.publish(shard) == 8
    assert publisher.publish(shard) == 0
    by_output: dict[str, set[tuple[str, str]]] = {}
    for index in store.indexes().values():
        key = index.key
        by_output.setdefault(key.output_type, set()).add((key.source, key.feature_group))
        artifact = store.artifact(index.current)
        if key.output_type == DYN_POWER:
            rows = np.vstack([np.zeros_like(artifact.model.seen[1]), artifact.model.seen])
            for horizon in range(len(HORIZONS)):
                watts = artifact.model.predict_many(rows, horizon)
                assert watts[0].tolist() == [0.0] * len(artifact.manifest.components)
                assert (watts >= 0.0).all()
            for component, line in artifact.manifest.lines.items():
                assert (line.bias, component in artifact.manifest.components) == (0.0, True)
                assert min(line.weights.values()) >= 0.0
            assert set(artifact.manifest.lines) == set(artifact.manifest.components)
    assert by_output[ABS_POWER] == by_output[DYN_POWER]


def test_without_an_isolator_there_is_none() -> None:
    store = ModelStore(InMemoryStore())
    assert Publisher(store).publish(shard_of(fleet(nodes=2, steps=40), pool())) == 4
    assert {index.key.output_type for index in store.indexes().values()} == {ABS_POWER}


@pytest.mark.parametrize("horizon", range(len(HORIZONS)))
def test_idle_and_dynamic_power_add_up_to_the_whole(horizon: int) -> None:
    """What Kepler adds up, at every age, with curves, a level and neighbours."""
    store = ModelStore(InMemoryStore())
    shard = shard_of(fleet(nodes=1, steps=120, restless=False), isolating("idle"))
    Publisher(store).publish(shard)
    found = {index.key: store.artifact(index.current) for index in store.indexes().values()}
    for key, above in found.items():
        if key.output_type != DYN_POWER:
            continue
        (whole,) = (
            one
            for other, one in found.items()
            if (other.source, other.feature_group, other.output_type)
            == (key.source, key.feature_group, ABS_POWER)
        )
        # Rows that were seen, above idle: there no bound holds an expert back.
        rows = np.linspace(0.4, 0.9, 30)[:, None] * whole.model.seen[1]
        said = whole.model.predict_many(rows, horizon)
        opinions = whole.model.opinions(rows)
        low, high = whole.model.idle, whole.model.ceiling
        free = ((opinions > low) & (opinions < high)).all(axis=(1, 2))
        assert free.any()
        total = whole.model.idle + above.model.predict_many(rows, horizon)
        np.testing.assert_allclose(total[free], said[free], rtol=1e-9)


def test_errors_are_abspowers_but_for_percentages() -> None:
    shard = shard_of(fleet(nodes=1, steps=90), isolating("min"))
    for key, model in shard.learner.models.items():
        whole = artifact_of(key, MACHINE, model, {})
        assert whole is not None
        noted = together([model.assessment.noted])
        found = dynamic_of(shard.learner.isolator, whole, model, noted)
        assert found is not None
        above, judged = found
        lowest = model.lowest.watts()
        assert judged.rows.tobytes() == noted.rows.tobytes()
        for one, other in ((judged.measured, noted.measured), (judged.estimated, noted.estimated)):
            np.testing.assert_array_equal(one, np.maximum(other - lowest, 0.0))
        assert decode(encode(above)).manifest == above.manifest
        for component, horizons in above.manifest.errors.items():
            for horizon, errors in horizons.items():
                same = {**whole.manifest.errors[component][horizon], "mape": None}
                assert errors == same
        assert dynamic_of(shard.learner.isolator, above, model, noted) is None


def test_a_line_through_0_is_what_was_drawn_above_the_level() -> None:
    (model,) = learned(isolating("idle"), machine()).models.values()
    found = model.lines_above(np.array([30.0]))
    assert found is not None
    weights, scales = found
    assert float(weights[0, 0] / scales[0]) == pytest.approx(0.01, rel=1e-3)


def test_shards_are_merged_first_and_isolated_then() -> None:
    """The lowest power of a node type is that of all its nodes, wherever they were learned."""
    records = fleet(nodes=4, steps=40)
    made = isolating("min")
    one, two = (
        shard_of([record for record in records if record.node in names], made)
        for names in (("n0", "n1"), ("n2", "n3"))
    )
    two.partition = 1
    store = ModelStore(InMemoryStore())
    Publisher(store).publish(one, two)
    found = {index.key: store.artifact(index.current) for index in store.indexes().values()}
    for key, model in one.learner.models.items():
        both = [model.lowest.watts(), two.learner.models[key].lowest.watts()]
        above = found[ModelKey(key.node_type, key.source, DYN_POWER, key.feature_group)]
        level = found[key].model.ceiling - above.model.ceiling
        assert (level <= np.min(both, axis=0) + 1e-9).all()
        merged = model.merged([two.learner.models[key]])
        np.testing.assert_allclose(level, merged.lowest.watts())
