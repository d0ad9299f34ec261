from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.learning.adwin import MOST_ALIKE, Adwin, Cut
from stream.learning import plain


def adwin(streams: int = 1, ratio: float = 1.0, longest: int = 1 << 15) -> Adwin:
    return Adwin(streams, confidence=0.05, ratio=ratio, longest=longest)


def noise(count: int, mean: float, seed: int = 1, streams: int = 1) -> Floats:
    return np.random.default_rng(seed).uniform(0.5 * mean, 1.5 * mean, (count, streams))


def cuts(window: Adwin, values: Floats) -> list[tuple[int, Cut]]:
    found = [(place, window.update(value)) for place, value in enumerate(values.tolist())]
    return [(place, cut) for place, cut in found if cut is not None]


def test_a_rise_is_noticed_with_the_means_before_and_after_it() -> None:
    window = adwin()
    assert cuts(window, noise(500, 0.1)) == []
    ((place, cut),) = cuts(window, noise(100, 0.6, seed=2))
    assert place < 40
    assert cut.before == pytest.approx(0.1, abs=0.01)
    assert cut.after == pytest.approx(0.6, abs=0.1)
    assert cut.kept <= place + 1 + 64  # at most the bucket that the rise fell into is kept too
    assert window.length < 200


def test_a_rise_of_one_stream_is_that_streams() -> None:
    window = adwin(streams=3)
    assert cuts(window, noise(300, 0.1, streams=3)) == []
    risen = noise(100, 0.1, seed=2, streams=3)
    risen[:, 1] *= 6
    ((_, cut),) = cuts(window, risen)
    assert cut.stream == 1


def test_a_fall_is_no_alarm_and_is_forgotten() -> None:
    window = adwin()
    assert cuts(window, noise(300, 0.6)) == []
    assert cuts(window, noise(200, 0.1, seed=2)) == []
    assert window.length < 250


def test_a_rise_below_the_ratio_is_no_alarm() -> None:
    values = np.concatenate([noise(1000, 0.2), noise(1000, 0.4, seed=2)])
    assert len(cuts(adwin(ratio=1.0), values)) == 1
    assert cuts(adwin(ratio=3.0), values) == []


@pytest.mark.parametrize("seed", range(5))
def test_independent_values_of_one_kind_raise_no_alarm(seed: int) -> None:
    assert cuts(adwin(streams=4), noise(5000, 0.2, seed, streams=4)) == []


def test_memory_grows_with_the_logarithm_of_the_length_and_ends() -> None:
    window = adwin(longest=1000)
    for count in range(5000):
        window.update([0.25])
        held = len(window.state()["sizes"])
        assert held <= MOST_ALIKE * (np.log2(count + 2) + 1)
    assert 300 < window.length <= 1000 + 5000 // 10


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=300),
    st.integers(0, 300),
)
@settings(max_examples=30)
def test_restored_it_goes_on_bit_for_bit(values: list[tuple[float, float]], split: int) -> None:
    one = adwin(streams=2)
    rows = np.reshape(np.array(values), (-1, 2))
    cuts(one, rows[:split])
    other = adwin(streams=2)
    other.restore(plain.load(plain.dump(one.state())))
    assert cuts(one, rows[split:]) == cuts(other, rows[split:])
    assert plain.dump(one.state()) == plain.dump(other.state())


@given(st.lists(st.floats(0, 1), min_size=1, max_size=400))
@settings(max_examples=30)
def test_buckets_lose_nothing(values: list[float]) -> None:
    window = Adwin(1, confidence=1e-300, ratio=1.0)
    cuts(window, np.array(values)[:, None])
    state = window.state()
    assert window.length == len(values)
    np.testing.assert_allclose(state["rows"][:, 0].sum(), sum(values))
    assert sorted(state["sizes"], reverse=True) == state["sizes"]
