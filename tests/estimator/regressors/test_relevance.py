from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.regressors.batch import Batch, Round
from estimator.regressors.relevance import Relevance
from stream.learning import plain


def rounds(rows: Floats, watts: Floats) -> list[Round]:
    return [Round(rows[n : n + 1], watts[n : n + 1], 3000 * n) for n in range(len(rows))]


def learned(rows: Floats, watts: Floats) -> Relevance:
    relevance = Relevance(rows.shape[1], watts.shape[1])
    relevance.learn(Batch(rounds(rows, watts)))
    return relevance


def test_what_has_to_do_with_the_power_matters_and_what_has_not_hardly() -> None:
    rng = np.random.default_rng(1)
    rows = rng.uniform(0, 1, (600, 3)) * [6e4, 1e-9, 1e12]
    watts = 50 + 100 * rows[:, :1] / 6e4 + rng.normal(0, 1, (600, 1))
    matters = learned(rows, watts).matters()
    assert matters[0] == pytest.approx(1.0)
    assert (matters[1:] < 0.05).all()


def test_a_feature_matters_as_much_as_for_the_component_that_it_matters_most_for() -> None:
    rng = np.random.default_rng(2)
    rows = rng.uniform(0, 1, (600, 2))
    assert learned(rows, 10 + rows).matters() == pytest.approx([1.0, 1.0])
    assert learned(rows, 10 + rows[:, :1]).matters()[1] < 0.05


@pytest.mark.parametrize("constant", [0.0, 2.4e9, 1e-9])
def test_what_never_varies_hides_nothing(constant: float) -> None:
    rng = np.random.default_rng(3)
    rows, still = rng.uniform(0, 1, (600, 2)), np.full((600, 1), constant)
    watts = 10 + rows[:, :1]
    found = learned(np.concatenate([rows, still], axis=1), watts).matters()
    assert found[:2] == pytest.approx(learned(rows, watts).matters())
    found = learned(rows, np.concatenate([watts, still], axis=1)).matters()
    assert found == pytest.approx(learned(rows, watts).matters())


def test_where_nothing_is_known_all_matter_alike() -> None:
    rows, watts = np.full((5, 2), 7.0), np.full((5, 1), 50.0)
    assert Relevance(2, 1).matters().tolist() == [1.0, 1.0]
    assert learned(rows, watts).matters().tolist() == [1.0, 1.0]
    # A first sample or two prove little.
    rng = np.random.default_rng(4)
    assert (learned(rng.uniform(0, 1, (3, 2)), rng.uniform(50, 60, (3, 1))).matters() > 0.7).all()


def test_what_came_long_ago_is_forgotten() -> None:
    rng = np.random.default_rng(5)
    rows = rng.uniform(0, 1, (600, 2))
    relevance = learned(rows, 10 + rows[:, :1])
    later = [
        Round(one.rows, 10 + one.rows[:, 1:], one.at + 36_000_000) for one in rounds(rows, rows)
    ]
    relevance.learn(Batch(later))
    matters = relevance.matters()
    assert matters[0] < 0.05
    assert matters[1] == pytest.approx(1.0)


@given(st.integers(0, 1000), st.lists(st.integers(1, 39), max_size=3))
def test_the_same_to_the_last_bit_however_rounds_are_batched(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    made = []
    for number in range(40):
        size = int(rng.integers(1, 4))
        at = 3000 * number - int(rng.integers(0, 2)) * 5000
        made.append(Round(rng.uniform(0, 9, (size, 3)), rng.uniform(50, 90, (size, 2)), at))
    one, other = Relevance(3, 2), Relevance(3, 2)
    found = [one.learn(Batch([each]))[0] for each in made]
    ends = [0, *sorted(set(cuts)), 40]
    batches = [other.learn(Batch(made[a:b])) for a, b in pairwise(ends)]
    assert np.array_equal(np.array(found), np.concatenate(batches))
    again = Relevance(3, 2)
    again.restore(plain.load(plain.dump(one.state())))
    assert plain.dump(again.state()) == plain.dump(other.state())


def test_two_that_learned_halves_know_together_what_one_knows_that_learned_all() -> None:
    rng = np.random.default_rng(7)
    rows = rng.uniform(0, 1, (200, 3))
    watts = 10 + rows @ [[1.0], [0.3], [0.0]]
    made = rounds(rows, watts)
    both, ours, theirs = Relevance(3, 1), Relevance(3, 1), Relevance(3, 1)
    both.learn(Batch(made))
    ours.learn(Batch(made[::2]))
    theirs.learn(Batch(made[1::2]))
    ours.absorb(Relevance(3, 1))
    ours.absorb(theirs)
    np.testing.assert_allclose(ours.matters(), both.matters(), rtol=1e-9)
    nothing = Relevance(3, 1)
    nothing.absorb(both)
    np.testing.assert_allclose(nothing.matters(), both.matters(), rtol=1e-12)


def test_nodes_that_do_the_same_are_one_observation() -> None:
    rng = np.random.default_rng(8)
    rows, watts = rng.uniform(0, 1, (60, 2)), rng.uniform(50, 90, (60, 1))
    twice = Relevance(2, 1)
    twice.learn(
        Batch(
            [Round(np.tile(r, (2, 1)), np.tile(w, (2, 1)), at) for r, w, at in rounds(rows, watts)]
        )
    )
    np.testing.assert_allclose(twice.matters(), learned(rows, watts).matters(), rtol=1e-9)
