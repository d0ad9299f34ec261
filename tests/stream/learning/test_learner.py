from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.arrays import Floats, State
from estimator.artifacts.frozen import FrozenPolynomials
from estimator.errors import MisuseError
from estimator.machine import MachineSpec
from estimator.model_key import ModelKey
from estimator.regressors.bank import Bank
from estimator.regressors.batch import Batch
from stream.learning import checkpoint, plain
from stream.learning.holdout import is_chosen
from stream.learning.learner import Learned, Learner, Pool
from stream.learning.pools import pool
from stream.sample import Sample
from tests.stream.builders import MACHINE, START_MS, fleet, joined

GROUPS = {"one": ("x",), "two": ("x", "y")}


class Remembering:
    """An expert that always says the mean of what it learned last, and notes what it is taught."""

    names = ("remembering",)

    def __init__(self, taught: list[tuple[int, float]], features: int, components: int) -> None:
        self.taught, self._features = taught, features
        self._watts = np.zeros(components)

    def learn_rounds(self, batch: Batch) -> list[FrozenPolynomials]:
        made: list[FrozenPolynomials] = []
        for part, at in zip(batch.parts(), batch.at, strict=True):
            self.taught.append((batch.sizes[len(made)], at / 1000))
            self._watts = batch.watts[part].mean(axis=0)
            made.append(self.freeze())
        return made

    def freeze(self) -> FrozenPolynomials:
        coefficients = np.zeros((1, 1 + self._features, len(self._watts)))
        coefficients[0, 0] = self._watts
        return FrozenPolynomials(np.ones(self._features), coefficients, order=1)

    def absorb(self, other: Bank, share: float) -> None:
        raise NotImplementedError

    def state(self) -> State:
        return {"watts": self._watts}

    def restore(self, state: State) -> None:
        self._watts = state["watts"]


class Watched:
    """A learner of remembering experts; what it was taught and what it said."""

    def __init__(self) -> None:
        self.taught: list[tuple[int, float]] = []
        self.learned: list[Learned] = []
        self.learner = Learner(
            Pool({"one": ("x",)}, {"remembering": self._bank}), self.learned.append
        )

    def _bank(self, features: Sequence[str], components: Sequence[str]) -> Remembering:
        return Remembering(self.taught, len(features), len(components))


def sample(
    second: float,
    watts: float | dict[str, float] = 50.0,
    *,
    node: str = "a",
    source: str = "rapl-sysfs",
    machine: MachineSpec = MACHINE,
    **rates: float,
) -> Sample:
    said = watts if isinstance(watts, dict) else {"package": watts}
    end = START_MS + round(second * 1000)
    features = rates or {"x": 1.0}
    return Sample(
        node,
        machine,
        source,
        end - 3000,
        end,
        tuple(features),
        np.array(list(features.values())),
        tuple(said),
        tuple(said.values()),
    )


def learn(learner: Learner, samples: Iterable[Sample]) -> None:
    for each in samples:
        learner.learn_one(each)


def test_each_sample_of_one_node_is_predicted_before_it_is_learned() -> None:
    watched = Watched()
    learn(watched.learner, [sample(3 * i, 10.0 * (i + 1)) for i in range(5)])
    watched.learner.flush()
    assert [taught for taught, _ in watched.taught] == [1] * 5
    assert [learned.measured.tolist() for learned in watched.learned] == [
        [[20.0]],
        [[30.0]],
        [[40.0]],
        [[50.0]],
    ]
    # What was said of each is what was true of the one before it.
    said = [learned.estimated.tolist() for learned in watched.learned]
    assert said == [[[10.0]], [[20.0]], [[30.0]], [[40.0]]]
    (model,) = watched.learner.models.values()
    assert model.assessment.total.errors(0, 0).mae == pytest.approx(10.0)
    assert model.assessment.total.errors(0, 0).count == 4


def test_even_samples_of_one_node_that_are_close_are_learned_one_by_one() -> None:
    watched = Watched()
    learn(watched.learner, [sample(i / 100) for i in range(5)])
    watched.learner.flush()
    assert [taught for taught, _ in watched.taught] == [1] * 5


def test_nodes_of_one_time_are_one_round() -> None:
    watched = Watched()
    for step in range(3):
        learn(watched.learner, [sample(3 * step, node=f"n{i}") for i in range(7)])
    watched.learner.catch_up()
    assert watched.taught == [(7, START_MS / 1000), (7, START_MS / 1000 + 3)]
    assert [learned.nodes for learned in watched.learned] == [[f"n{i}" for i in range(7)]]
    watched.learner.flush()
    assert len(watched.taught) == 3
    watched.learner.flush()
    assert len(watched.taught) == 3
    assert watched.learner.counts["samples"] == 21


def test_node_types_and_sources_are_apart() -> None:
    watched = Watched()
    other = MachineSpec(processor="other", cores=2)
    samples = [
        sample(0),
        sample(0, node="b", machine=other),
        sample(0, source="acpi"),
        sample(0, node="c"),
    ]
    learn(watched.learner, samples)
    watched.learner.flush()
    assert sorted(taught for taught, _ in watched.taught) == [1, 1, 2]
    assert {(key.node_type, key.source) for key in watched.learner.models} == {
        (MACHINE.node_type, "rapl-sysfs"),
        (MACHINE.node_type, "acpi"),
        (other.node_type, "rapl-sysfs"),
    }
    assert watched.learner.machines == {MACHINE.node_type: MACHINE, other.node_type: other}


def test_groups_are_those_that_the_features_satisfy() -> None:
    learner = Learner(Pool(GROUPS, pool(["ridge"]).banks))
    learn(learner, [sample(0, x=1, z=4), sample(3, z=9), sample(6, y=2, z=1, x=5)])
    learner.flush()
    found = {key.feature_group: model for key, model in learner.models.items()}
    assert {group: model.features for group, model in found.items()} == GROUPS
    assert {group: model.samples for group, model in found.items()} == {"one": 2, "two": 1}
    assert {key.output_type for key in learner.models} == {"AbsPower"}


def test_the_columns_of_a_group_are_found_by_name() -> None:
    learner = Learner(Pool(GROUPS, pool(["ridge"]).banks))
    learn(learner, [sample(0, y=7, x=3), sample(3, x=4, y=6), sample(6, a=99, x=5, y=5)])
    learner.flush()
    (two,) = (m for key, m in learner.models.items() if key.feature_group == "two")
    assert two.current is not None
    assert two.current.seen.tolist() == [[3, 5], [5, 7]]


def test_a_component_more_begins_the_model_anew() -> None:
    watched = Watched()
    more = {"package": 50.0, "dram": 5.0}
    learn(watched.learner, [sample(0), sample(3), sample(6, more), sample(9, more)])
    watched.learner.flush()
    (model,) = watched.learner.models.values()
    assert (model.components, model.samples) == (("package", "dram"), 2)
    assert watched.learner.counts == {"samples": 4, "restarted_models": 1}


def test_a_component_less_is_incomplete() -> None:
    watched = Watched()
    more = {"package": 50.0, "dram": 5.0}
    learn(watched.learner, [sample(0, more), sample(3), sample(6, {"psys": 1.0}), sample(9, more)])
    watched.learner.flush()
    (model,) = watched.learner.models.values()
    assert (model.components, model.samples) == (("package", "dram"), 2)
    assert watched.learner.counts == {"samples": 4, "incomplete": 2}


def test_nodes_of_a_round_that_report_otherwise_are_learned_apart() -> None:
    watched = Watched()
    more = {"package": 50.0, "dram": 5.0}
    learn(watched.learner, [sample(0, more), sample(0, node="b"), sample(0, more, node="c")])
    watched.learner.flush()
    assert [taught for taught, _ in watched.taught] == [2]
    assert watched.learner.counts["incomplete"] == 1


def noisy(steps: int, seed: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(steps):
        x, y = rng.uniform(0, 9, 2)
        rows.append({"x": x, "y": y, "watts": 40 + 3 * x + x * y + rng.normal()})
    return rows


@given(seed=st.integers(0, 2**16))
@settings(max_examples=5, deadline=None)
def test_a_node_that_is_there_twice_changes_no_prediction(seed: int) -> None:
    def said(nodes: int) -> Floats:
        learned: list[Learned] = []
        learner = Learner(Pool(GROUPS, pool().banks), learned.append)
        for step, row in enumerate(noisy(40, seed)):
            for node in range(nodes):
                learner.learn_one(
                    sample(3 * step, row["watts"], node=f"n{node}", x=row["x"], y=row["y"])
                )
        learner.flush()
        return np.array([each.estimated[0, 0] for each in learned])

    once = said(1)
    for nodes in (2, 3):
        np.testing.assert_allclose(said(nodes), once, rtol=1e-9)


@pytest.mark.parametrize("banks", [("ridge", "neighbours"), ("linear",), ("amf",)])
def test_a_restored_learner_goes_on_bit_for_bit(banks: tuple[str, ...]) -> None:
    samples = joined(fleet(nodes=3, steps=30))
    one, two = Learner(pool(banks)), Learner(pool(banks))
    for place, each in enumerate(samples):
        one.learn_one(each)
        two.learn_one(each)
        if place % 17 == 5:
            state, two = plain.load(plain.dump(two.state())), Learner(pool(banks))
            two.restore(state)
    one.flush()
    two.flush()
    assert plain.dump(one.state()) == plain.dump(two.state())
    assert len(one.models) == 4  # of two sources, with two groups each


def test_rounds_of_a_fleet_are_its_nodes() -> None:
    """Nodes read at other moments are learned together all the same, and none is waited for."""
    sizes: dict[ModelKey, list[int]] = defaultdict(list)
    learner = Learner(pool(["ridge"]), lambda said: sizes[said.key].append(len(said.nodes)))
    samples = joined(fleet(nodes=5, steps=20, restless=False))
    learn(learner, (each for each in samples if each.source == "rapl-sysfs"))
    learner.flush()
    for counted in sizes.values():
        assert counted[:-1] == [5] * (len(counted) - 1)
        assert len(counted) >= 17


def test_a_checkpoint_of_other_experts_is_refused_by_name() -> None:
    before = Learner(pool(("ridge",)))
    for sample in joined(fleet(nodes=1, steps=8)):
        before.learn_one(sample)
    before.flush()
    said = "experts are ridge, linear, and the checkpoint has ridge"
    with pytest.raises(MisuseError, match=said):
        Learner(pool(("ridge", "linear"))).restore(before.state())


def test_a_group_with_other_features_than_the_checkpoint_s_begins_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    samples = joined(fleet(nodes=1, steps=8))
    kept, changed = samples[0].features[:1], samples[0].features[:2]
    before = Learner(pool(("ridge",), {"Same": kept, "Group": kept}))
    learn(before, samples)
    after = Learner(pool(("ridge",), {"Same": kept, "Group": changed}))
    after.restore(before.state())
    assert {key.feature_group for key in after.models} == {"Same"}
    learn(after, samples)
    found = {key.feature_group: model.features for key, model in after.models.items()}
    assert {name: tuple(features) for name, features in found.items()} == {
        "Same": kept,
        "Group": changed,
    }
    assert "Group has other features in this release: it begins anew" in caplog.text


@pytest.mark.parametrize("nodes", [3, 11])
def test_what_is_noted_depends_neither_on_who_watches_nor_on_batches(nodes: int) -> None:
    samples = joined(fleet(nodes=nodes, steps=60, restless=False))
    watched, alone, asked = Learner(pool(), lambda _: None), Learner(pool()), Learner(pool())
    for sample in samples:
        for learner in (watched, alone, asked):
            learner.learn_one(sample)
        asked.catch_up()
    states = [checkpoint.encode(learner.state()) for learner in (watched, alone, asked)]
    assert len(next(iter(alone.models.values())).assessment.noted.samples.at) > 10
    assert states[0] == states[1] == states[2]


def test_a_drift_is_counted_and_said_with_the_error_before_and_after(
    caplog: pytest.LogCaptureFixture,
) -> None:
    learner = Learner(pool(("ridge",), {"one": ("x",)}))
    rng = np.random.default_rng(1)
    with caplog.at_level("INFO", "stream.learning.learner"):
        for step, load in enumerate(rng.uniform(0, 1, 700)):
            idle = 20.0 if step < 600 else 35.0
            learner.learn_one(sample(3 * step, idle + 40 * load + rng.normal(0, 0.3), x=load))
        learner.flush()
    ((key, drift),) = learner.drifts()
    assert drift.count == 1
    (record,) = caplog.records
    assert key.slug in record.getMessage()
    assert re.search(r"its error of package rose from 0\.\d\d to \d+\.\d\d W", record.getMessage())


HELD = next(name for name in (f"n{i}" for i in range(100)) if is_chosen(name))
TEACHERS = [name for name in (f"n{i}" for i in range(100)) if not is_chosen(name)]


def test_a_held_out_node_is_shown_and_scored_and_never_learned_from() -> None:
    with_it, without = Watched(), Watched()
    for step in range(20):
        others = [sample(3 * step, 50.0 + step, node=name) for name in TEACHERS[:4]]
        learn(without.learner, others)
        learn(with_it.learner, [*others, sample(3 * step, 80.0, node=HELD)])
    for each in (with_it, without):
        each.learner.flush()
    assert with_it.taught == without.taught
    ((_, model),) = with_it.learner.models.items()
    assert model.samples == 20 * 4
    # At the first round nothing was known that could be asked.
    assert model.assessment.strangers.errors(0)["transfer"]["count"] == pytest.approx(19, rel=0.05)
    assert model.assessment.strangers.errors(0)["transfer"]["mae"] == pytest.approx(80 - 59, abs=2)
    shown = [learned for learned in with_it.learned if learned.nodes == [HELD]]
    assert len(shown) == 19
    # What is said of it was known before this round's others taught.
    assert shown[0].estimated.tolist() == [[50.0]]


def test_a_new_node_is_scored_before_it_is_learned_from() -> None:
    watched = Watched()
    old, new = TEACHERS[:2]
    learn(watched.learner, [sample(3 * step, 50.0, node=old) for step in range(110)])
    learn(watched.learner, [sample(3 * step, 70.0, node=new) for step in range(110, 220)])
    watched.learner.flush()
    ((_, model),) = watched.learner.models.items()
    assert model.samples == 110 + 10
    assert model.assessment.strangers.errors(0)["first_contact"]["count"] == pytest.approx(
        100, rel=0.01
    )
    assert model.assessment.strangers.errors(0)["first_contact"]["mae"] == pytest.approx(20.0)


def test_a_stranger_makes_no_model_and_starts_none_anew() -> None:
    watched = Watched()
    old, new, odd = TEACHERS[:3]
    learn(watched.learner, [sample(3 * step, 50.0, node=old) for step in range(110)])
    watts = {"package": 50.0, "dram": 9.0}
    learn(watched.learner, [sample(330, watts, node=odd), sample(330, 50.0, node=new, z=1.0)])
    watched.learner.flush()
    ((_, model),) = watched.learner.models.items()
    assert model.components == ("package",)
    assert model.samples == 110
    assert "restarted_models" not in watched.learner.counts


def test_who_is_held_out_is_part_of_the_state() -> None:
    names = [HELD, *TEACHERS[:4]]
    rounds = [[sample(3 * step, 50.0, node=name) for name in names] for step in range(10)]
    one = Learner(pool(("ridge",), GROUPS))
    for each in rounds[:5]:
        learn(one, each)
    other = Learner(pool(("ridge",), GROUPS))
    other.restore(plain.load(plain.dump(one.state())))
    for each in rounds[5:]:
        learn(one, each)
        learn(other, each)
    assert plain.dump(one.state()) == plain.dump(other.state())
    assert next(iter(one.models.values())).assessment.strangers.errors(0).keys() == {"transfer"}


def test_what_was_clipped_and_set_aside_is_counted() -> None:
    learner = Learner(pool(("ridge",), {"one": ("x",)}))
    for step in range(50):
        learner.learn_one(sample(3 * step, 50.0, x=0.1 + 0.01 * (step % 7)))
    learner.learn_one(sample(150, 50.0, x=9.0))
    learner.learn_one(sample(153, 1e6, x=0.1))
    learner.learn_one(sample(156, 50.0, x=0.1))
    learner.flush()
    ((_, clipped, outliers),) = learner.guarded()
    assert outliers == 1
    assert 1 <= clipped <= 8  # and those before the range was known
