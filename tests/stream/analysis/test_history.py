from __future__ import annotations

import numpy as np

from estimator.machine import MachineSpec
from stream.analysis.history import History
from stream.learning.learner import Learner
from stream.learning.pools import pool
from stream.sample import Sample


def test_a_course_tells_what_was_measured_and_said_and_where_it_drifted() -> None:
    history = History()
    learner = history.learner = Learner(pool(("ridge",), {"one": ("x",)}), history)
    rng = np.random.default_rng(1)
    for step, load in enumerate(rng.uniform(0, 1, 700)):
        idle = 20.0 if step < 600 else 35.0
        watts = idle + 40 * load + rng.normal(0, 0.3)
        at = 3000 * step
        rates = np.array([load])
        learner.learn_one(
            Sample(
                "a", MachineSpec(), "acpi", at, at + 3000, ("x",), rates, ("platform",), (watts,)
            )
        )
    learner.flush()
    (course,) = history.courses()
    assert len(course.seconds) == 699  # of the first nothing could be said
    assert abs(course.measured - course.estimated)[300:599].mean() < 1.0
    ((seconds, component),) = course.drifts
    assert component == 0
    assert 1800 <= seconds < 1900
    assert course.weights.shape[1:] == (4, len(course.model.experts), 1)
