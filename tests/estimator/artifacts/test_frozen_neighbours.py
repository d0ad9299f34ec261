from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.artifacts.chunks import Chunk, Chunks
from estimator.artifacts.expansion import expansion
from estimator.artifacts.frozen import restore_experts
from estimator.artifacts.frozen_neighbours import EXPERTS, NEAREST, RECENT, FrozenNeighbours
from estimator.artifacts.served_neighbours import ServedNeighbours
from stream.learning import plain

ALL, NEAR, ALONE = range(len(EXPERTS))


def neighbours(
    rows: Floats, watts: Floats, curve: Floats | None = None, start: int = 0
) -> FrozenNeighbours:
    """Rows of features up to 1, one component; without a curve it is flat."""
    features = rows.shape[1]
    flat = np.zeros((expansion(features, 2).terms, 1))
    ones = np.ones(features)
    chunk = Chunk.of(rows, watts[:, None])
    coefficients = flat if curve is None else curve
    return FrozenNeighbours(chunk, start, len(rows), ones, ones, coefficients)


def by_hand(rows: Floats, watts: Floats, asked: Floats) -> tuple[float, float]:
    """The least and the greatest that may be said, as distances are told apart to two digits."""
    apart = np.maximum(((rows - asked) ** 2).sum(axis=1), 1e-6)
    reach = np.sort(apart)[NEAREST - 1]
    said = []
    for beyond in np.linspace(reach, reach * (1 + 2**-7), 40)[1:]:
        share = np.maximum(1 / apart - 1 / beyond, 0.0)
        said.append(float((share * watts).sum() / share.sum()))
    return min(said), max(said)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 900), st.integers(1, 4))
def test_says_what_the_nearest_drew_by_their_distance(seed: int, count: int, features: int) -> None:
    rng = np.random.default_rng(seed)
    rows, watts = rng.uniform(0, 1, (count, features)), rng.uniform(50, 150, count)
    asked = rng.uniform(0, 1, (7, features))
    said = neighbours(rows, watts).predict_many(asked)[:, :, 0]
    if count <= NEAREST:  # fewer than are asked for: a mean of what there is
        assert (said >= watts.min() - 1e-9).all()
        assert (said <= watts.max() + 1e-9).all()
        return
    for one, row in zip(said, asked, strict=True):
        least, most = by_hand(rows, watts, row)
        assert least - 0.5 <= one[ALL] <= most + 0.5
        least, most = by_hand(rows[-RECENT:], watts[-RECENT:], row)
        assert least - 0.5 <= one[NEAR] <= most + 0.5
        assert one[ALONE] == pytest.approx(one[NEAR], rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 900), st.integers(1, 4))
def test_one_question_after_the_other_gets_the_same_answers(
    seed: int, count: int, features: int
) -> None:
    rng = np.random.default_rng(seed)
    rows, watts = rng.uniform(0, 1, (count, features)), rng.uniform(50, 150, count)
    rows[count // 2 :] = rows[: count - count // 2]  # some of them twice
    curve = rng.normal(0, 10, (expansion(features, 2).terms, 1))
    frozen = neighbours(rows, watts, curve)
    asked = np.concatenate([rng.uniform(0, 1.2, (7, features)), rows[:2]])
    said = ServedNeighbours(frozen).predict_many(asked)
    wanted = frozen.predict_many(asked).reshape(len(asked), -1)
    np.testing.assert_allclose(said, wanted, rtol=1e-9)


def test_none_appears_or_disappears_with_a_jump() -> None:
    rng = np.random.default_rng(5)
    rows, watts = rng.uniform(0, 1, (500, 2)), rng.uniform(50, 150, 500)
    path = np.linspace([0.2, 0.3], [0.25, 0.3], 20_000)
    said = neighbours(rows, watts).predict_many(path)[:, ALL, 0]
    assert np.abs(np.diff(said)).max() < 1.0
    assert np.ptp(said) > 10.0


def test_what_matters_less_counts_less() -> None:
    rng = np.random.default_rng(6)
    rows = rng.uniform(0, 1, (1000, 2))
    watts = 50 + 100 * rows[:, 0]
    asked = rng.uniform(0, 1, (50, 2))
    frozen = neighbours(rows, watts)
    wrong = []
    for scale in (1.0, 100.0):
        frozen.scales = np.array([1.0, scale])
        said = frozen.predict_many(asked)[:, ALL, 0]
        wrong.append(np.abs(said - 50 - 100 * asked[:, 0]).mean())
    assert wrong[1] < wrong[0] / 5


def test_what_was_seen_before_is_said_again() -> None:
    rows = np.linspace(0, 1, 50)[:, None]
    watts = 50 + 100 * rows[:, 0] ** 3
    said = neighbours(rows, watts).predict_many(rows)
    np.testing.assert_allclose(said[:, ALL, 0], watts, atol=0.1)


def test_beside_what_was_seen_the_curve_goes_on() -> None:
    rows = np.linspace(0, 0.5, 20)[:, None]
    curve = np.array([[0.0], [200.0], [0.0]])
    said = neighbours(rows, 1000 + 200 * rows[:, 0], curve).predict_many(np.array([[1.0]]))
    assert said[0, ALL, 0] == pytest.approx(1200.0)
    assert said[0, ALONE, 0] == pytest.approx(1100.0, abs=10)


def test_one_row_is_all_that_can_be_said() -> None:
    said = neighbours(np.array([[0.5]]), np.array([70.0])).predict_many(np.array([[0.1], [0.9]]))
    np.testing.assert_allclose(said[:, :, 0], 70.0)


def test_only_the_window_is_looked_at() -> None:
    rows, watts = np.zeros((40, 1)), np.repeat([1.0, 99.0], 20)
    late = neighbours(rows, watts, start=20)
    np.testing.assert_allclose(late.predict_many(np.zeros((1, 1))), 99.0)


def test_nobody_asked_is_nothing_said() -> None:
    assert neighbours(np.ones((9, 2)), np.ones(9)).predict_many(np.empty((0, 2))).shape == (0, 3, 1)


def test_survives_the_disk_whole_or_with_its_rows_apart() -> None:
    rng = np.random.default_rng(3)
    rows, watts = rng.uniform(0, 1, (60, 2)), rng.uniform(50, 150, 60)
    one, other = neighbours(rows, watts), neighbours(rows, watts, start=30)
    other.chunk = one.chunk
    chunks = Chunks()
    states = [each.chunked_state(chunks) for each in (one, other)]
    assert len(chunks.state()) == 1
    assert not any(isinstance(value, np.ndarray) and len(value) > 9 for value in states[0].values())
    saved = plain.load(plain.dump({"states": states, "chunks": chunks.state()}))
    again = Chunks(saved["chunks"])
    for each, state in zip((one, other), saved["states"], strict=True):
        for made in (
            restore_experts(state, again),
            restore_experts(plain.load(plain.dump(each.state()))),
        ):
            assert np.array_equal(made.predict_many(rows), each.predict_many(rows))
