from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.arrays import Floats, State
from estimator.artifacts.expansion import expansion
from estimator.artifacts.frozen import (
    MARGIN,
    FrozenExperts,
    FrozenModel,
    FrozenPolynomials,
    FrozenTrees,
    horizon_for_age,
    restore_experts,
)
from estimator.errors import DamagedError
from estimator.vocabulary import HORIZONS
from stream.learning import plain

FEATURES, COMPONENTS = 2, 3


class Saying:
    """Experts that say the same of every row, whatever it is."""

    def __init__(self, watts: Sequence[float], components: int = 1) -> None:
        self.watts = np.array(watts)
        self.components = components
        self.asked: list[Floats] = []

    def predict_many(self, rows: Floats) -> Floats:
        self.asked.append(rows)
        said = self.watts[None, :, None]
        return np.broadcast_to(said, (len(rows), len(self.watts), self.components)).copy()

    def state(self) -> State:
        return {"kind": "saying"}


def polynomials(
    seed: int, order: int, experts: int = 2, features: int = FEATURES
) -> FrozenPolynomials:
    rng = np.random.default_rng(seed)
    scales = np.exp2(rng.integers(0, 40, features))
    terms = expansion(features, order).terms
    return FrozenPolynomials(scales, rng.normal(size=(experts, terms, COMPONENTS)), order)


def trees() -> FrozenTrees:
    """x0 <= 5 ? 10 : (x1 <= 2 ? 20 : 30) and a lone leaf of 100, for one component."""
    return FrozenTrees(
        feature=np.array([0, -1, 1, -1, -1, -1]),
        threshold=np.array([5.0, 0.0, 2.0, 0.0, 0.0, 0.0]),
        left=np.array([1, 0, 3, 0, 0, 0]),
        right=np.array([2, 0, 4, 0, 0, 0]),
        value=np.array([0.0, 10.0, 0.0, 20.0, 30.0, 100.0]),
        roots=np.array([[0, 5]]),
    )


def model(
    experts: FrozenExperts, count: int, *, floor: float = 10.0, ceiling: float = 100.0
) -> FrozenModel:
    return FrozenModel(
        banks=[experts],
        weights=np.full((len(HORIZONS), count, 1), 1.0 / count),
        idle=np.array([12.5]),
        floor=np.array([floor]),
        ceiling=np.array([ceiling]),
        seen=np.array([[1.0, 2.0], [50.0, 60.0]]),
        at=1_700_000_000_000,
    )


class TestPolynomials:
    @given(st.integers(0, 1000), st.sampled_from([1, 2]))
    def test_say_what_their_terms_add_up_to(self, seed: int, order: int) -> None:
        frozen = polynomials(seed, order)
        rows = np.random.default_rng(seed).uniform(0, 2, (4, FEATURES)) * frozen.scales
        terms = expansion(FEATURES, order).expand(rows / frozen.scales)
        by_hand = np.einsum("kd,edc->kec", terms, frozen.coefficients)
        np.testing.assert_allclose(frozen.predict_many(rows), by_hand, rtol=1e-12, atol=1e-12)

    def test_survive_the_disk(self) -> None:
        frozen = polynomials(1, 2)
        rows = np.array([[3.0, 4.0], [0.0, 1e9]])
        again = restore_experts(plain.load(plain.dump(frozen.state())))
        assert np.array_equal(again.predict_many(rows), frozen.predict_many(rows))


class TestTrees:
    def test_say_the_mean_of_their_leaves(self) -> None:
        rows = np.array([[5.0, 9.0], [5.1, 2.0], [1e9, 2.1]])
        assert trees().predict_many(rows)[:, 0, 0].tolist() == [55.0, 60.0, 65.0]
        assert trees().predict_many(np.empty((0, 2))).shape == (0, 1, 1)

    def test_survive_the_disk(self) -> None:
        rows = np.array([[4.0, 9.0], [6.0, 9.0]])
        again = restore_experts(plain.load(plain.dump(trees().state())))
        assert np.array_equal(again.predict_many(rows), trees().predict_many(rows))

    @pytest.mark.parametrize("child", ["left", "right"])
    @pytest.mark.parametrize("back", [0, 2, -1])
    def test_that_would_never_end_are_refused(self, child: str, back: int) -> None:
        state = trees().state()
        state[child] = state[child].copy()
        state[child][2] = back
        with pytest.raises(DamagedError, match="child comes before"):
            restore_experts(state)


def test_unknown_experts_are_refused() -> None:
    with pytest.raises(
        DamagedError, match="'oracle', known are curves, neighbours, polynomials, trees"
    ):
        restore_experts({"kind": "oracle"})
    with pytest.raises(DamagedError, match="None"):
        restore_experts({})


class TestModel:
    @given(
        st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=4),
        st.lists(
            st.lists(st.floats(0, 1e300), min_size=FEATURES, max_size=FEATURES),
            min_size=1,
            max_size=4,
        ),
        st.sampled_from(range(len(HORIZONS))),
    )
    def test_stays_within_the_guards_whatever_experts_say(
        self, said: list[float], rows: list[list[float]], horizon: int
    ) -> None:
        watts = model(Saying(said), len(said)).predict_many(np.array(rows), horizon)
        assert watts.shape == (len(rows), 1)
        assert (watts >= 10.0).all()
        assert (watts <= 100.0 * (1 + MARGIN)).all()

    def test_an_expert_that_says_nan_counts_as_saying_the_least(self) -> None:
        rows = np.array([[5.0, 5.0]])
        watts = model(Saying([np.nan, 50.0]), 2).predict_many(rows)
        assert watts.tolist() == [[(10.0 + 50.0) / 2]]

    def test_opinions_are_clipped_before_they_are_mixed(self) -> None:
        rows = np.array([[5.0, 5.0]])
        watts = model(Saying([1e9, 50.0]), 2).predict_many(rows)
        assert watts[0, 0] == pytest.approx((110.0 + 50.0) / 2)

    def test_zero_rows_are_answered_with_idle(self) -> None:
        rows = np.array([[0.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
        assert model(Saying([70.0]), 1).predict_many(rows)[:, 0].tolist() == [12.5, 70.0, 12.5]

    def test_no_rows_have_no_answers(self) -> None:
        assert model(Saying([70.0]), 1).predict_many(np.empty((0, 2))).shape == (0, 1)

    def test_experts_never_see_more_than_was_seen(self) -> None:
        experts = Saying([70.0])
        rows = np.array([[0.5, 1e12], [20.0, 20.0]])
        model(experts, 1).predict_many(rows)
        assert experts.asked[0].tolist() == [[1.0, 60.0], [20.0, 20.0]]
        assert rows.tolist() == [[0.5, 1e12], [20.0, 20.0]]

    def test_rows_outside_are_counted_once_each(self) -> None:
        rows = np.array([[0.5, 1e12], [20.0, 20.0], [51.0, 2.0], [1.0, 60.0]])
        assert model(Saying([70.0]), 1).outside(rows) == 2

    def test_each_horizon_has_its_weights(self) -> None:
        frozen = model(Saying([20.0, 80.0]), 2)
        frozen.weights[:, :, 0] = [[1.0, 0.0], [0.75, 0.25], [0.5, 0.5], [0.0, 1.0]]
        rows = np.array([[5.0, 5.0]])
        said = [float(frozen.predict_many(rows, horizon)[0, 0]) for horizon in range(4)]
        assert said == [20.0, 35.0, 50.0, 80.0]

    @given(st.integers(0, 100))
    def test_survives_the_disk(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        frozen = FrozenModel(
            banks=[polynomials(seed, 2), polynomials(seed, 1)],
            weights=rng.dirichlet(np.ones(4), (len(HORIZONS), COMPONENTS)).swapaxes(1, 2),
            idle=np.array([1.0, 2.0, 3.0]),
            floor=np.zeros(COMPONENTS),
            ceiling=np.full(COMPONENTS, 200.0),
            seen=np.array([[0.0, 0.0], [1e6, 1e6]]),
            at=17,
        )
        again = FrozenModel.restore(plain.load(plain.dump(frozen.state())))
        rows = rng.uniform(0, 1e6, (5, FEATURES))
        assert np.array_equal(again.predict_many(rows, 2), frozen.predict_many(rows, 2))
        assert again.at == 17


@given(st.floats(0, 1e7), st.floats(0, 1e7))
def test_an_older_model_has_no_nearer_horizon(one: float, other: float) -> None:
    younger, older = sorted((one, other))
    assert horizon_for_age(younger) <= horizon_for_age(older)


@pytest.mark.parametrize(("place", "seconds"), list(enumerate(HORIZONS)))
def test_a_model_of_a_horizon_s_age_has_that_horizon(place: int, seconds: int) -> None:
    assert horizon_for_age(seconds) == place
