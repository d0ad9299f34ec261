from __future__ import annotations

import numpy as np
import pytest

from estimator.errors import WattstreamError
from estimator.isolation.choose import make_isolator
from stream.analysis.idle_recording import IdleRecorder
from stream.analysis.isolation_of_samples import isolate
from stream.learning.pools import pool
from tests.stream.sampled import COMPONENTS, FEATURES, samples

POOL = pool(("ridge",))


@pytest.mark.parametrize("name", ["idle", "min"])
def test_what_idle_draws_is_taken_off(name: str) -> None:
    before = samples(200)
    found = isolate(before, POOL, make_isolator(name))
    assert found.left_out == 0
    assert [(level.component, level.samples) for level in found.levels] == [
        (component, 200) for component in COMPONENTS
    ]
    assert [level.watts for level in found.levels] == pytest.approx([30.0, 5.0], abs=0.1)
    for one, other in zip(before, found.samples, strict=True):
        assert (one.node, one.end, one.features) == (other.node, other.end, other.features)
        np.testing.assert_allclose(np.array(one.watts) - other.watts, [30.0, 5.0], atol=0.1)
        assert min(other.watts) >= 0


def test_nothing_is_taken_off() -> None:
    before = samples(50)
    found = isolate(before, POOL, make_isolator("none"))
    assert [sample.watts for sample in found.samples] == [sample.watts for sample in before]


def test_a_profile_is_taken_off() -> None:
    recorder = IdleRecorder()
    for sample in samples(50):
        if sample.rates[0] == 0:
            recorder.learn_one(sample._replace(watts=(31.0, 4.0)))
    profiles = {profile.node_type: profile for profile in recorder.profiles()}
    found = isolate(samples(50), POOL, make_isolator("profile", {}, profiles))
    assert [level.watts for level in found.levels] == pytest.approx([30.9, 4.0], abs=0.2)


def test_background_workloads_are_taken_off_with_their_usage() -> None:
    isolator = make_isolator("trainer", {"bg_hints": "kube"})
    before = [sample._replace(background=sample.rates / 2) for sample in samples(200)]
    found = isolate(before, POOL, isolator)
    assert found.left_out == 0
    for one, other in zip(before[20:], found.samples[20:], strict=True):
        np.testing.assert_allclose(other.rates, one.rates / 2)
        # Half of what is above idle.
        above = one.rates[0] / 2 / 100
        assert other.watts[0] == pytest.approx(above, abs=2.0)


def test_what_no_model_speaks_of_cannot_be_isolated() -> None:
    strange = [sample._replace(features=("wind", "rain")) for sample in samples(20)]
    with pytest.raises(WattstreamError, match="isolator min: nothing can be isolated"):
        isolate(strange, POOL, make_isolator("min"))
    some = isolate([*samples(20), *strange], POOL, make_isolator("min"))
    assert some.left_out == 20
    assert all(sample.features == FEATURES for sample in some.samples)
