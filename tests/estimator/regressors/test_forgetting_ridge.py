from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import checks, compose, datasets, evaluate, metrics, preprocessing

from estimator.arrays import Floats
from estimator.errors import MisuseError
from estimator.regressors.forgetting_ridge import ForgettingRidge
from estimator.regressors.ridge import HALF_LIVES_SECONDS, RidgeBank
from tests.estimator.regressors.samples import Samples, samples

approval: Any = datasets.TrumpApproval
NAMES = ("cpu", "cycles", "miss")
CHECKS = 27


def trump_approval(model: object, scale: int = 1) -> Iterator[Any]:
    """What river checks regressors with; its own function needs scikit-learn for other models."""
    yield approval().take(200 * scale)


def all_checks() -> list[Callable[[Any], None]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "_yield_datasets", trump_approval)
        return list(checks.yield_checks(ForgettingRidge()))


def named(row: Floats, names: tuple[str, ...] = NAMES) -> dict[Any, Any]:
    return dict(zip(names, row.tolist(), strict=True))


def learned(data: Samples, model: ForgettingRidge) -> ForgettingRidge:
    for row, watts, at in zip(*data, strict=True):
        model.learn_one(named(row), watts[0], at_seconds=float(at))
    return model


def said(model: ForgettingRidge, rows: Floats) -> list[float]:
    return [model.predict_one(named(row)) for row in rows]


# None is skipped: all of river's checks for a mini-batch regressor apply.
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.__name__)
def test_passes_river_s_checks(check: Callable[[Any], None], order: int) -> None:
    check(ForgettingRidge(order=order))


def test_river_has_as_many_checks_as_were_known() -> None:
    assert len(all_checks()) >= CHECKS
    assert ForgettingRidge()._unit_test_skips() == set()


@pytest.mark.parametrize("half_life", HALF_LIVES_SECONDS)
def test_is_an_expert_of_the_bank(half_life: float) -> None:
    data = samples(1, components=1)
    model = learned(data, ForgettingRidge(half_life_seconds=half_life, order=2))
    bank = RidgeBank(3, 1)
    for row, watts, at in zip(*data, strict=True):
        bank.learn_many(row[None], watts[None], float(at))
    expert = bank.names.index(f"ridge-{half_life:g}s")
    experts = bank.freeze().predict_many(data.rows)[:, expert, 0]
    np.testing.assert_allclose(said(model, data.rows), experts, rtol=1e-9)


class TestTime:
    def test_without_times_samples_are_one_step_apart(self) -> None:
        data = samples(1, components=1, step_seconds=7.0)
        timed = learned(data, ForgettingRidge(half_life_seconds=60.0))
        stepping = ForgettingRidge(half_life_seconds=60.0, step_seconds=7.0)
        for row, watts in zip(data.rows, data.watts, strict=True):
            stepping.learn_one(named(row), watts[0])
        assert said(stepping, data.rows) == said(timed, data.rows)

    def test_a_step_follows_the_last_time_given(self) -> None:
        model, same = ForgettingRidge(step_seconds=5.0), ForgettingRidge()
        for each, second in ((model, None), (same, 1005.0)):
            each.learn_one({"cpu": 1.0}, 10.0, at_seconds=1000.0)
            each.learn_one({"cpu": 2.0}, 90.0, at_seconds=second)
        assert model.predict_one({"cpu": 1.5}) == same.predict_one({"cpu": 1.5})

    def test_half_lives_pass_with_it(self) -> None:
        model = ForgettingRidge(half_life_seconds=100.0, order=1)
        for second in range(1, 1500):
            model.learn_one({}, 0.0 if second <= 1399 else 100.0)
        assert model.predict_one({}) == pytest.approx(50.0, abs=0.1)


class TestMany:
    @given(st.integers(0, 1000), st.lists(st.integers(0, 9), max_size=5), st.booleans())
    def test_are_learned_as_one_by_one(self, seed: int, sizes: list[int], timed: bool) -> None:
        data = samples(seed, components=1)
        one, many = ForgettingRidge(half_life_seconds=20.0), ForgettingRidge(half_life_seconds=20.0)
        start = 0
        for number, size in enumerate(sizes):
            rows, watts = data.rows[start : start + size], data.watts[start : start + size, 0]
            at = 30.0 * number if timed else None
            many.learn_many(pd.DataFrame(rows, columns=NAMES), pd.Series(watts), at_seconds=at)
            for row, target in zip(rows, watts, strict=True):
                one.learn_one(named(row), target, at_seconds=at)
            start += size
        np.testing.assert_allclose(said(many, data.rows), said(one, data.rows), rtol=1e-6)

    def test_are_predicted_as_one_by_one_under_their_index(self) -> None:
        data = samples(1, components=1)
        model = learned(data, ForgettingRidge())
        frame = pd.DataFrame(data.rows[:, ::-1], columns=NAMES[::-1], index=range(100, 160))
        many = model.predict_many(frame)
        assert many.index.tolist() == list(range(100, 160))
        np.testing.assert_allclose(many.to_numpy(), said(model, data.rows), rtol=1e-12)

    def test_no_rows_are_nothing_to_learn_and_nothing_to_say(self) -> None:
        model = ForgettingRidge()
        empty = pd.DataFrame({"cpu": []}, dtype=float)
        model.learn_many(empty, pd.Series([], dtype=float))
        assert model.predict_one({"cpu": 1.0}) == 0.0
        assert model.predict_many(empty).tolist() == []

    def test_the_frame_is_left_as_it_was(self) -> None:
        frame, target = pd.DataFrame({"a": [1, 2]}), pd.Series([3, 4])
        before = frame.copy(), target.copy()
        model = ForgettingRidge()
        model.learn_many(frame, target)
        model.predict_many(frame)
        pd.testing.assert_frame_equal(frame, before[0])
        pd.testing.assert_series_equal(target, before[1])


class TestFeatures:
    @pytest.mark.parametrize("order", [1, 2])
    @pytest.mark.parametrize("count", [4, 12, 13, 15])
    def test_that_appear_late_were_zero_before(self, order: int, count: int) -> None:
        names = tuple(f"feature{number}" for number in range(count))
        rows = np.random.default_rng(1).uniform(0, 100, (60, count))
        rows[:20, 3:] = rows[20:30, 5:] = 0.0
        sparse, full = ForgettingRidge(order=order), ForgettingRidge(order=order)
        for row in rows:
            watts = 20.0 + row.sum()
            sparse.learn_one(
                {name: value for name, value in named(row, names).items() if value}, watts
            )
            full.learn_one(named(row, names), watts)
        for row in rows:
            known = full.predict_one(named(row, names))
            assert sparse.predict_one(named(row, names)) == pytest.approx(known, rel=1e-9)

    def test_that_vanish_are_zero(self) -> None:
        model = learned(samples(1, components=1), ForgettingRidge())
        assert model.predict_one({"cpu": 1e4}) == model.predict_one(
            {"cpu": 1e4, "cycles": 0.0, "miss": 0.0}
        )

    def test_that_were_never_learned_are_not_regarded(self) -> None:
        data = samples(1, components=1)
        model = learned(data, ForgettingRidge())
        row = named(data.rows[0])
        assert model.predict_one({**row, "fan": 1e9}) == model.predict_one(row)
        model.learn_one(row, 50.0)
        assert model._places.keys() == set(NAMES)

    def test_may_be_negative(self) -> None:
        model = ForgettingRidge(order=1)
        for number in range(-50, 10):
            model.learn_one({"x": number * 1e7}, 5.0 + number)
        assert model.predict_one({"x": -30e7}) == pytest.approx(-25.0, abs=0.1)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_that_are_no_numbers_spoil_nothing(self, value: float) -> None:
        model = learned(samples(1, components=1), ForgettingRidge())
        before = model.predict_one({"cpu": 1e4})
        with pytest.raises(MisuseError, match="not finite"):
            model.learn_one({"cpu": value}, 50.0)
        with pytest.raises(MisuseError, match="not finite"):
            model.learn_one({"cpu": 1.0}, value)
        assert model.predict_one({"cpu": 1e4}) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"half_life_seconds": 0.0},
        {"half_life_seconds": float("nan")},
        {"order": 3},
        {"penalty": 0.0},
        {"step_seconds": -1.0},
    ],
)
def test_parameters_that_make_no_sense_are_named(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(MisuseError, match=f"^{name} is "):
        ForgettingRidge(**wrong)


def test_a_clone_has_the_parameters_and_nothing_learned() -> None:
    model = learned(samples(1, components=1), ForgettingRidge(40.0, 1, 1e-3, 2.0))
    clone = model.clone()
    assert (clone.half_life_seconds, clone.order) == (40.0, 1)
    assert (clone.penalty, clone.step_seconds) == (1e-3, 2.0)
    assert clone.predict_one({"cpu": 1e4}) == 0.0
    assert model.predict_one({"cpu": 1e4}) > 0.0


def test_a_pickle_goes_on_as_if_nothing_had_been() -> None:
    data = samples(1, components=1)
    model = learned(data, ForgettingRidge())
    again = pickle.loads(pickle.dumps(model))
    for each in (model, again):
        each.learn_one({**named(data.rows[0]), "fan": 3.0}, 50.0)
    assert said(again, data.rows) == said(model, data.rows)


def test_it_forgets_what_has_changed() -> None:
    model = ForgettingRidge(half_life_seconds=30.0, order=1)
    for second in range(600):
        slope = 1.0 if second < 300 else 3.0
        model.learn_one({"cpu": second % 11}, 50.0 + slope * (second % 11), at_seconds=second)
    assert model.predict_one({"cpu": 10.0}) == pytest.approx(80.0, abs=0.2)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: preprocessing.StandardScaler() | model,
        lambda model: preprocessing.MinMaxScaler() | model,
        lambda model: compose.Select("gallup", "ipsos") | model,
        lambda model: preprocessing.TargetStandardScaler(model),
    ],
    ids=["standard", "minmax", "select", "target"],
)
def test_works_within_river(wrap: Callable[[ForgettingRidge], Any]) -> None:
    wrapped = wrap(ForgettingRidge(half_life_seconds=30.0))
    mae: Any = metrics.MAE
    assert evaluate.progressive_val_score(approval(), wrapped, mae()).get() < 1.0
