from __future__ import annotations

import numpy as np
import pytest

from estimator.artifacts.frozen import FrozenModel
from estimator.learning.model import PowerModel
from tests.estimator.learning.test_model import (
    BANKS,
    COMPONENTS,
    FEATURES,
    START_MS,
    learned,
    steady,
)


def test_served_errors_are_those_of_the_model_of_that_age() -> None:
    samples = steady(450)
    model = PowerModel(FEATURES, COMPONENTS, BANKS)
    was_current: dict[int, FrozenModel | None] = {}
    wrong = []
    for rows, watts, at in samples:
        old = was_current.get(at - 60_000)
        if old is not None:
            wrong.append(abs(float(old.predict_many(rows, horizon=1)[0, 0] - watts[0, 0])))
        model.learn_round(rows, watts, at)
        was_current[at] = model.current
    found = model.assessment.total.errors(1, 0)
    assert found.count == len(wrong)
    assert found.mae == pytest.approx(np.mean(wrong), rel=1e-9)
    assert model.assessment.total.errors(2, 0).count == 450 - 100
    assert model.assessment.total.errors(3, 0).count == 450 - 400


def test_after_a_change_recent_errors_are_those_of_now() -> None:
    changed = [
        sample._replace(watts=sample.watts * 2)
        for sample in steady(1500, start=START_MS + 600_000, seed=2)
    ]
    model = learned(steady(200) + changed)
    assert model.assessment.recent.errors(0, 0).mae < 0.5 * model.assessment.total.errors(0, 0).mae


def test_what_has_no_past_is_smaller_and_has_the_same_errors() -> None:
    model = learned(steady(100))
    whole, present = model.state(), model.present()
    assert any(one["kept"] for one in whole["snapshots"])
    assert not any(one["kept"] for one in present["snapshots"])
    assert str(present["total"]) == str(whole["total"])
