import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from estimator.arrays import Floats
from estimator.artifacts.artifact import Line
from estimator.kepler_socket.sharing import ends_with_node, share, watts_per_rate

RATES = st.floats(0.0, 1e12)


def test_a_workload_gets_its_part_of_the_weighed_usage() -> None:
    rows = np.array([[10.0, 0.0], [0.0, 5.0], [10.0, 5.0]])
    weights = np.array([[1.0, 0.0], [6.0, 0.0]])
    watts = share(np.array([8.0, 3.0]), rows, weights)
    # The second component has no weights: the mean of the two parts, 1/2 and 1/2.
    np.testing.assert_allclose(watts, [[2.0, 1.5], [6.0, 1.5], [8.0, 3.0]])


def test_usage_that_no_workload_has_is_nobodys() -> None:
    rows = np.array([[1.0], [2.0], [6.0]])
    assert share(np.array([12.0]), rows, np.ones((1, 1))).tolist() == [[2.0], [4.0], [12.0]]


@given(
    arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 3)), elements=RATES),
    arrays(np.float64, (3, 2), elements=st.floats(0.0, 1e3)),
    st.booleans(),
)
def test_shares_never_exceed_the_total(rows: Floats, weights: Floats, summed: bool) -> None:
    node = rows.sum(axis=0) if summed else rows.max(axis=0)
    rows = np.vstack([rows, node])
    total = np.array([50.0, 7.0])
    watts = share(total, rows, weights[: rows.shape[1]])
    assert np.isfinite(watts).all()
    assert (watts >= 0).all()
    assert (watts[:-1].sum(axis=0) <= total * (1 + 1e-9)).all()
    assert watts[-1].tolist() == total.tolist()
    assert ends_with_node(rows)


def test_only_a_row_above_all_others_is_the_node() -> None:
    assert not ends_with_node(np.array([[5.0]]))
    assert not ends_with_node(np.array([[5.0, 1.0], [5.0, 0.5]]))
    assert ends_with_node(np.zeros((3, 2)))


def test_weights_are_the_lines_slopes_that_rise() -> None:
    lines = {"package": Line(10.0, {"a": 8.0, "b": -3.0}, {"a": 4.0, "b": 1.0})}
    weights = watts_per_rate(lines, ["a", "b", "c"], ["package", "dram"])
    assert weights.tolist() == [[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
